"""The tables and the picture of `photos.py`: results/photos*.csv, docs/img/photos.png, the table of docs/photos.md."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hierlandmarks.metrics.confidence import bootstrap
from hierlandmarks.tables import atomic_path, write_text

ROOT = Path(__file__).resolve().parents[2]
RESULTS, PICTURE, PAGE = ROOT / "benchmark/perf/results", ROOT / "docs/img/photos.png", ROOT / "docs/photos.md"
NAMES = {
    "suphap": "SupHAP + proxy",
    "supndcg": "SupNDCG + proxy",
    "supap": "SupAP + proxy",
    "proxy": "proxy alone",
    "csl": "CSL",
    "triplet": "triplet",
    "smoothap": "SmoothAP + proxy",
    "smoothhap": "SmoothHAP + proxy",
    "smoothndcg": "SmoothNDCG + proxy",
    "suprecall": "SupRecall + proxy",
    "calibration": "calibration alone",
    "pretrained": "pretrained, not trained here",
    "colour-histogram": "colour histogram",
    "untrained": "untrained, random weights",
}
SHOWN = ("h_ap", "map_at_r_0", "recall_at_1_0")
COLUMNS = (*SHOWN, "ndcg", "asi", "ap_0", "ap_1", "ap_2")
AGAINST = "triplet"


def report(runs: Path, names: Sequence[str]) -> None:
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
    by_loss = summarise(queries)
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
    write_text(PAGE, filled(PAGE.read_text(encoding="utf-8"), by_loss))


def summarise(queries: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a method: mean over seeds and queries, its interval, the spread over seeds, and the distance to triplet.

    Intervals are bootstraps over queries of each query's mean over seeds. That of the distance draws the same queries
    for both, so what makes a query hard for everybody drops out of it.
    """
    there = {_method(entry) for entry in queries}
    pooled = {method: _pooled(queries, method) for method in NAMES if method in there}
    rows = []
    for method, values in pooled.items():
        seeds = [float(frame["h_ap"].mean()) for entry, frame in queries.items() if _method(entry) == method]
        reference = pooled[AGAINST]["h_ap"] if AGAINST in pooled else np.nan
        distance = (values["h_ap"] - reference).to_frame("over_triplet")
        both = pd.concat([values[list(SHOWN)], distance], axis=1)
        intervals = bootstrap(both.to_numpy(np.float64), np.zeros(len(both), np.int64))
        row: dict[str, object] = {"method": method, "seeds": len(seeds), "queries": len(both)}
        for column, (low, high) in zip(both, intervals, strict=True):
            row |= {str(column): both[column].mean(), f"{column}_low": low, f"{column}_high": high}
        rows.append(row | {"worst_seed": min(seeds), "best_seed": max(seeds)})
    return pd.DataFrame(rows)


def table(by_loss: pd.DataFrame) -> str:
    """The table of docs/photos.md."""
    head = "| | H-AP | its seeds | over triplet | mAP@R | R@1 |\n|---|---|---|---|---|---|\n"
    return head + "\n".join(
        f"| {NAMES[row['method']]} | {_interval(row, 'h_ap')} "
        f"| {_spread(row)} | {'–' if row['method'] == AGAINST else _interval(row, 'over_triplet', '+')} "
        f"| {_interval(row, 'map_at_r_0')} | {_interval(row, 'recall_at_1_0')} |"
        for _, row in by_loss.iterrows()
    )


def filled(page: str, by_loss: pd.DataFrame) -> str:
    """The page with the table between its two marks."""
    marks = re.compile(r"(<!-- table: photos_report.py -->\n).*?(\n<!-- end of table -->)", re.DOTALL)
    return marks.sub(lambda found: found[1] + table(by_loss) + found[2], page)


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
        right.plot([row["h_ap_low"], row["h_ap_high"]], [place, place], color="black")
        right.plot(row["h_ap"], place, "o", color="tab:green")
    right.set_yticks(range(len(by_loss)), [NAMES[method] for method in by_loss["method"][::-1]], fontsize=8)
    right.set(xlabel="H-AP, 95 % over queries", title="at the end, mean of the seeds")
    for axis in (left, right):
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as part:
        figure.savefig(part, format="png")


def _method(entry: str) -> str:
    return re.sub(r"-\d+$", "", entry.removeprefix("photos-"))


def _pooled(queries: dict[str, pd.DataFrame], method: str) -> pd.DataFrame:
    """Per query, the mean over the method's seeds."""
    frames = [frame[list(COLUMNS)] for entry, frame in queries.items() if _method(entry) == method]
    return pd.concat(frames).groupby(level=0).mean()


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


def _interval(row: pd.Series, column: str, sign: str = "") -> str:
    if np.isnan(row[column]):
        return "–"
    return f"{row[column]:{sign}.3f} [{row[f'{column}_low']:{sign}.3f}, {row[f'{column}_high']:{sign}.3f}]"


def _spread(row: pd.Series) -> str:
    return f"{row['seeds']}: {row['worst_seed']:.3f} to {row['best_seed']:.3f}" if row["seeds"] > 1 else "1"
