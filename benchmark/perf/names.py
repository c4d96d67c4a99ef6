"""How well names, and names with types, tell labels: accuracy, calibration, and the time for all of GLDv2's landmarks.

python benchmark/perf/names.py             results/names.csv, results/names_calibration.csv; five minutes on 2 cores
python benchmark/perf/names.py --names 0   leaves the timing out

Labelled landmarks come from ../shared/data/gldv2/train_label_sample.csv. Each label's landmarks, in the order of the
SHA-256 of their ids, go in turns into the half to learn from and the half to be asked about.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hierlandmarks.tables import read_csv, write_csv
from hierlandmarks_benchmark.provenance import code_version
from hierlandmarks_pipelines.assigncsv import label_landmarks
from hierlandmarks_pipelines.calibration import accepted_share, reliability
from hierlandmarks_pipelines.clues import Landmarks
from hierlandmarks_pipelines.guesses import Learnt, learn_guess, to_landmarks
from hierlandmarks_pipelines.labelfiles import decision_cells, effective, labels_folder, read_decisions, read_taxonomy

HERE = Path(__file__).resolve().parent
SAMPLE, TYPED = "train_label_sample.csv", "washington_landmarks.csv"
ALL = 203_094 + 101_000  # landmarks of GLDv2, train and index
NATURAL = "natural"
TARGETS = {"top_1": 0.72, "top_3": 0.82, "natural_or_human_made": 0.90, "accepted_at_95": 0.48, "ece": 0.03}
Row = Mapping[str, str]


def halves(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The labelled rows, each label's shared evenly between two halves; fixed for ever by the ids."""
    labelled = [row for row in rows if row["hierarchical_label"]]
    labelled.sort(key=lambda row: (row["hierarchical_label"], hashlib.sha256(row["landmark_id"].encode()).hexdigest()))
    return labelled[::2], labelled[1::2]


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    write_csv(path, pa.Table.from_pylist([dict(row) for row in rows]))
    return path


def as_asked(rows: Sequence[Row], types: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """Rows with nothing of the label, as `guesses.read_asked` gives them."""
    types = types or {}
    return [
        {
            "landmark_id": row["landmark_id"],
            "category": row["category"],
            "supercategory": types.get(row["landmark_id"], ""),
            "location": "",
            "space": "train",
        }
        for row in rows
    ]


def by_names(learnt: Learnt, rows: Sequence[Row], results: Path) -> dict[str, float]:
    """The targets on rows that were not learnt from; writes the calibration curve."""
    labels = learnt.taxonomy.labels
    place = {label.label: code for code, label in enumerate(labels)}
    truth = np.array([place[row["hierarchical_label"]] for row in rows])
    natural = np.array([label.natural_or_human_made == NATURAL for label in labels])
    answers = learnt.assigner.ask(to_landmarks(as_asked(rows)))
    order, sure = answers.order, answers.confidence
    right = order[:, 0] == truth
    curve = reliability(sure, right)
    write_csv(results / "names_calibration.csv", curve.table())
    return {
        "top_1": right.mean(),
        "top_3": (order[:, :3] == truth[:, None]).any(axis=1).mean(),
        "natural_or_human_made": (natural[order[:, 0]] == natural[truth]).mean(),
        "accepted_at_95": accepted_share(sure, right),
        "ece": curve.error,
    }


def by_types(learnt: Learnt, rows: Sequence[Row], types: Mapping[str, str]) -> tuple[int, int]:
    """How many landmarks that have a type get their published label, of how many."""
    both = [row for row in rows if row["landmark_id"] in types and row["hierarchical_label"]]
    table = label_landmarks(as_asked(both, types), learnt)
    given = dict(zip(table["landmark_id"].to_pylist(), table["label"].to_pylist(), strict=True))
    return sum(given[row["landmark_id"]] == row["hierarchical_label"] for row in both), len(both)


def without_decisions(folder: Path, types: set[str]) -> Path:
    """A copy of the labels folder in which nobody decided about these types."""
    shutil.copytree(labels_folder(None), folder)
    path = folder / "decisions.csv"
    header = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    kept = effective(read_decisions(path, read_taxonomy(folder / "taxonomy.csv")))
    rows = [decision_cells(decision) for decision in kept.values() if decision.type not in types]
    write_csv(path, pa.Table.from_pylist([dict(zip(header, row, strict=True)) for row in rows]))
    return folder


def made_up(rows: Sequence[Row], count: int) -> Landmarks:
    """So many different names of real words: beginnings and ends of real names, joined by chance."""
    rng = np.random.default_rng(0)
    real = [name.split() for name in to_landmarks(as_asked(rows)).names]
    names: dict[str, None] = {}
    while len(names) < count:
        one, other = (real[i] for i in rng.integers(len(real), size=2))
        names[" ".join([*one[: (len(one) + 1) // 2], *other[len(other) // 2 :]])] = None
    return Landmarks(list(names), [""] * count, [""] * count)


def seconds(learnt: Learnt, landmarks: Landmarks) -> float:
    """For embedding and assigning names that were never seen."""
    with tempfile.TemporaryDirectory() as home:
        before = os.environ.get("HIERLANDMARKS_HOME")
        os.environ["HIERLANDMARKS_HOME"] = home
        try:
            start = time.perf_counter()
            learnt.assigner.ask(landmarks)
            return time.perf_counter() - start
        finally:
            os.environ.pop("HIERLANDMARKS_HOME")
            if before is not None:
                os.environ["HIERLANDMARKS_HOME"] = before


def measure(data: Path, names: int, results: Path) -> list[dict[str, Any]]:
    sample = read_csv(data / SAMPLE, ("landmark_id", "category", "hierarchical_label")).to_pylist()
    typed = read_csv(data / TYPED, ("landmark_id", "supercategory")).to_pylist()
    types = {row["landmark_id"]: row["supercategory"] for row in typed}
    learning, asked = halves(sample)
    found: list[dict[str, Any]] = []

    def note(what: str, value: float, target: str, how: str) -> None:
        found.append({"what": what, "value": round(float(value), 4), "target": target, "how": how})
        print(f"{what}: {value:.4f} ({target}; {how})", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        train = write_rows(Path(folder) / "train.csv", learning)
        start = time.perf_counter()
        learnt = learn_guess(train)
        note("seconds_to_learn", time.perf_counter() - start, "", f"{len(learning)} landmarks")
        for what, value in by_names(learnt, asked, results).items():
            sign = "<=" if what == "ece" else ">="
            note(what, value, f"{sign} {TARGETS[what]}", f"names alone, {len(asked)} landmarks not learnt from")
        note("ece_cross_validated", learnt.calibration.error, "", "on the half learnt from")
        right, count = by_types(learnt, sample, types)
        note("top_1_with_type", right / count, ">= 0.95", f"{right} of {count}; people decided about the types")
        wanted = {types[row["landmark_id"]] for row in sample if row["landmark_id"] in types}
        rest = [row for row in learning if row["landmark_id"] not in types]
        train = write_rows(Path(folder) / "rest.csv", rest)
        undecided = learn_guess(train, without_decisions(Path(folder) / "labels", wanted))
        right, count = by_types(undecided, sample, types)
        note("top_1_with_undecided_type", right / count, "", f"{right} of {count}; decisions about their types removed")
    if names:
        taken = seconds(learnt, made_up(sample, names))
        note("minutes_for_all", taken * ALL / names / 60, "<= 30", f"projected from {names} new names in {taken:.1f} s")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data" / "gldv2")
    parser.add_argument("--names", type=int, default=20_000, help="new names to time; 0 leaves it out")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    args = parser.parse_args()
    if not (args.data / SAMPLE).is_file():
        print(f"{args.data / SAMPLE} is not there: name the folder of the data with --data.", file=sys.stderr)
        return 2
    origin = {  # first: what is written below makes the checkout an edited one
        "date": datetime.date.today().isoformat(),
        "code": code_version(),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
    }
    rows = measure(args.data, args.names, args.results)
    write_csv(args.results / "names.csv", pa.Table.from_pylist([row | origin for row in rows]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
