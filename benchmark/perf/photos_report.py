"""The tables and the picture of `photos.py`: results/photos*.csv, docs/img/photos.png, the table of docs/photos.md."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from photos_intervals import over_landmarks, over_queries, over_seeds
from photos_losses import LOSSES, TRIALS, best

from hierlandmarks.tables import atomic_path, write_text
from hierlandmarks_benchmark.datasets import open_dataset

ROOT = Path(__file__).resolve().parents[2]
RESULTS, PICTURE, PAGE = ROOT / "benchmark/perf/results", ROOT / "docs/img/photos.png", ROOT / "docs/photos.md"
NAMES = {name: loss.title for name, loss in LOSSES.items()} | {
    "pretrained": "pretrained, not trained here",
    "colour-histogram": "colour histogram",
    "untrained": "untrained, random weights",
}
COLUMNS = ("h_ap", "map_at_r_0", "recall_at_1_0", "ndcg", "asi", "ap_0", "ap_1", "ap_2")
AGAINST = "triplet"
DRAWN = {"landmarks": "other landmarks", "queries": "other photos", "seeds": "trained again"}


def report(runs: Path, release: Path, names: Sequence[str]) -> None:
    """Write everything from the folders of the runs."""
    entries = {f"photos-{name}": runs / name for name in names}
    entries |= dict.fromkeys(("colour-histogram", "untrained"), runs / "pretrained")
    scores = {
        entry: json.loads((run / "evaluation" / entry / "scores.json").read_text()) for entry, run in entries.items()
    }
    queries = {
        entry: pd.read_parquet(run / "evaluation" / entry / "per_query.parquet").set_index("query_id")
        for entry, run in entries.items()
    }
    by_run = pd.DataFrame([_run(entry, scores[entry], entries[entry]) for entry in entries])
    by_run.to_csv(RESULTS / "photos.csv", index=False, float_format="%.6g")
    shown = open_dataset(release, "validation")
    by_loss = summarise(queries, pd.Series(shown.labels[:, 0], index=shown.images["id"]))
    by_loss.to_csv(RESULTS / "photos_losses.csv", index=False, float_format="%.6g")
    curves = pd.concat(
        [
            pd.read_csv(runs / name / "model/history.csv")[["epoch", "loss", "h_ap"]].assign(run=name)
            for name in names
            if name != "pretrained"
        ]
    )
    curves.to_csv(RESULTS / "photos_curves.csv", index=False, float_format="%.6g")
    draw(by_loss, curves, PICTURE)
    write_text(PAGE, filled(PAGE.read_text(encoding="utf-8"), by_loss, pd.read_csv(TRIALS)))


def summarise(queries: dict[str, pd.DataFrame], landmarks: pd.Series) -> pd.DataFrame:
    """One row a method: means over seeds and queries, and H-AP and its distance to triplet with three intervals each.

    Intervals over queries and landmarks are of each query's mean over the seeds. Those of the distance pair what the
    two methods share: seeds (the same batches and crops), queries, landmarks.

    Args:
        queries: per-query figures by entry.
        landmarks: of the queries, by their id.
    """
    there = {_method(entry) for entry in queries}
    seeds = {method: _seeds(queries, method) for method in NAMES if method in there}
    rows = []
    for method, runs in seeds.items():
        pooled = pd.concat(runs).groupby(level=0).mean()
        row: dict[str, object] = {"method": method, "seeds": len(runs), "queries": len(pooled)}
        row |= {column: pooled[column].mean() for column in COLUMNS}
        h_ap = pd.DataFrame([run["h_ap"] for run in runs])
        row |= _intervals("h_ap", h_ap, landmarks)
        row |= {"worst_seed": h_ap.mean(axis=1).min(), "best_seed": h_ap.mean(axis=1).max()}
        if AGAINST in seeds and method != AGAINST:
            reference = pd.DataFrame([run["h_ap"] for run in seeds[AGAINST]])
            paired = min(len(h_ap), len(reference))
            distance = h_ap[:paired].reset_index(drop=True) - reference[:paired].reset_index(drop=True)
            whole = (h_ap.mean() - reference.mean()).to_frame().T
            row |= {"over_triplet": float(whole.to_numpy().mean())} | _intervals("over_triplet", whole, landmarks)
            row |= dict(zip(_ends("over_triplet", "seeds"), over_seeds(distance.mean(axis=1).to_numpy()), strict=True))
        rows.append(row)
    return pd.DataFrame(rows)


def table(by_loss: pd.DataFrame) -> str:
    """H-AP and its intervals, of docs/photos.md."""
    head = (
        "| | seeds | H-AP | if trained again | other photos | other landmarks | mAP@R | R@1 |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(
        f"| {NAMES[row['method']]} | {row['seeds']} | {row['h_ap']:.4f} | {_interval(row, 'h_ap', 'seeds')} "
        f"| {_interval(row, 'h_ap', 'queries')} | {_interval(row, 'h_ap', 'landmarks')} "
        f"| {row['map_at_r_0']:.3f} | {row['recall_at_1_0']:.3f} |"
        for _, row in by_loss.iterrows()
    )


def distances(by_loss: pd.DataFrame) -> str:
    """The distance to triplet and its intervals, of docs/photos.md."""
    head = "| | over triplet | if trained again | other photos | other landmarks |\n|---|---|---|---|---|\n"
    return head + "\n".join(
        f"| {NAMES[row['method']]} | {row['over_triplet']:+.4f} | {_interval(row, 'over_triplet', 'seeds', '+')} "
        f"| {_interval(row, 'over_triplet', 'queries', '+')} | {_interval(row, 'over_triplet', 'landmarks', '+')} |"
        for _, row in by_loss.iterrows()
        if row["method"] != AGAINST
    )


def table_of_settings(trials: pd.DataFrame) -> str:
    """What was tried and taken, of docs/photos.md."""
    head = "| | trials | their H-AP | taken: learning rate | and |\n|---|---|---|---|---|\n"
    taken, tried = best(trials), trials.groupby("loss")["h_ap"].agg(["count", "min", "max"])
    return head + "\n".join(
        f"| {loss.title} | {tried.loc[name, 'count']} | {tried.loc[name, 'min']:.4f} to {tried.loc[name, 'max']:.4f} "
        f"| {taken.loc[name, 'rate']:g} | {loss.parameter.replace('_', ' ')} {taken.loc[name, 'value']:g} |"
        for name, loss in LOSSES.items()
        if name in tried.index
    )


def filled(page: str, by_loss: pd.DataFrame, trials: pd.DataFrame) -> str:
    """The page with each table between its two marks."""
    for name, content in (
        ("table", table(by_loss)),
        ("distances", distances(by_loss)),
        ("settings", table_of_settings(trials)),
    ):
        marks = re.compile(rf"(<!-- {name}: photos_report.py -->\n).*?(\n<!-- end of {name} -->)", re.DOTALL)
        page = marks.sub(lambda found, content=content: found[1] + content + found[2], page)
    return page


def draw(by_loss: pd.DataFrame, curves: pd.DataFrame, path: Path) -> None:
    """H-AP of unseen landmarks by epoch (first seed), and at the end with intervals."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(11, 4.2), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    start = float(by_loss.set_index("method").loc["pretrained", "h_ap"])
    for method in NAMES:
        followed = curves[curves["run"] == f"{method}-0"].dropna(subset=["h_ap"])
        if len(followed):
            left.plot(
                [0, *followed["epoch"]], [start, *followed["h_ap"]], marker="o", markersize=3, label=NAMES[method]
            )
    left.set(xlabel="epoch", ylabel="H-AP, landmarks never seen", title="on the way, first seed")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend(frameon=False, fontsize=8)
    for place, (_, row) in enumerate(by_loss[::-1].iterrows()):
        for kind, colour, width in (("landmarks", "0.8", 7), ("queries", "0.45", 4), ("seeds", "tab:green", 2)):
            label = DRAWN[kind] if place == len(by_loss) - 1 else None
            right.plot(
                [row[end] for end in _ends("h_ap", kind)], [place] * 2, color=colour, linewidth=width, label=label
            )
        right.plot(row["h_ap"], place, "o", color="tab:green", markersize=4)
    right.set_yticks(range(len(by_loss)), [NAMES[method] for method in by_loss["method"][::-1]], fontsize=8)
    right.set(xlabel="H-AP, 95 % intervals", title="at the end, mean of the seeds")
    right.legend(frameon=False, fontsize=8, loc="upper left")
    for axis in (left, right):
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as part:
        figure.savefig(part, format="png")


def _method(entry: str) -> str:
    return re.sub(r"-\d+$", "", entry.removeprefix("photos-"))


def _seeds(queries: dict[str, pd.DataFrame], method: str) -> list[pd.DataFrame]:
    """Per query, the figures of each of the method's runs, in the order of the seeds."""
    entries = sorted((entry for entry in queries if _method(entry) == method), key=lambda entry: (len(entry), entry))
    return [queries[entry][list(COLUMNS)] for entry in entries]


def _ends(column: str, kind: str) -> tuple[str, str]:
    return f"{column}_{kind}_low", f"{column}_{kind}_high"


def _intervals(column: str, values: pd.DataFrame, landmarks: pd.Series) -> dict[str, float]:
    """Of values, seeds × queries."""
    pooled = values.mean().to_numpy(np.float64)
    found = {
        "seeds": over_seeds(values.mean(axis=1).to_numpy(np.float64)),
        "queries": over_queries(pooled),
        "landmarks": over_landmarks(pooled, landmarks.loc[values.columns].to_numpy(np.int64)),
    }
    return {end: x for kind, pair in found.items() for end, x in zip(_ends(column, kind), pair, strict=True)}


def _run(entry: str, scores: dict[str, object], folder: Path) -> dict[str, object]:
    found, about = scores["report"], scores["provenance"]
    assert isinstance(found, dict)
    assert isinstance(about, dict)
    trained = json.loads((folder / "model/summary.json").read_text())
    row: dict[str, object] = {"entry": entry}
    for column in COLUMNS:
        low, high = found["confidence"][column]
        row |= {column: found["mean"][column], f"{column}_low": low, f"{column}_high": high}
    return row | {
        "train_s": trained["seconds"] if entry.startswith("photos-") else "",
        "threads": trained["threads"],
        "date": about["date"],
        "code": about["code_version"],
        "dataset": about["dataset"]["content_hash"],
        "python": about["python"],
        "torch": about["embedded"]["packages"]["torch"],
        "machine": about["hardware"]["machine"],
        "cores": about["hardware"]["cores"],
    }


def _interval(row: pd.Series, column: str, kind: str, sign: str = "") -> str:
    low, high = (row[end] for end in _ends(column, kind))
    return "–" if np.isnan(low) else f"[{low:{sign}.4f}, {high:{sign}.4f}]"
