"""The label build at GLDv2's full size, after embedding: propose, review, assign, doubts, build; time and memory.

Once from decisions alone, and once more where those without a type get what 6,102 labelled landmarks teach about names.

python benchmark/perf/labels.py               203 k + 101 k landmarks, 6 k types: eight minutes on two cores
python benchmark/perf/labels.py --scale 0.05  a look at whether it runs
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import verdicts

HERE = Path(__file__).resolve().parent
WHOLE, LEARNING = "the whole label build", "the whole label build, learning names"
TARGETS = {
    f"{what}{part}": most for what in (WHOLE, LEARNING) for part, most in (("", (60.0, "s")), (", peak", (3.0, "GB")))
}
TYPES, LABELLED = 6_000, 6_102  # as many labelled landmarks as GLDv2's published sample has
row = partial(verdicts.row, TARGETS)

# One process for all stages, as `hierlandmarks run` does it. Half the types are decided by a made-up reviewer, so that
# there is something to inherit, to wait for and to place; the text vectors are there before the clock starts.
BUILD = """
import os, sys, time
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # as the command line does
from pathlib import Path
from hierlandmarks_pipelines import assign, build, cluster, doubts, review
from hierlandmarks_pipelines.run import run_stage
out, labels = Path(sys.argv[1]), Path(sys.argv[2])
train = Path(sys.argv[3]) if sys.argv[3:] else None
steps = (
    (cluster.STAGE, cluster.ClusterParams(labels=labels)),
    (review.STAGE, review.ReviewParams(labels)),
    (assign.STAGE, assign.AssignParams(labels=labels, train=train)),
    (doubts.STAGE, doubts.DoubtsParams()),
    (build.STAGE, build.BuildParams()),
)
begin = time.perf_counter()
for stage, params in steps:
    start = time.perf_counter()
    run_stage(stage, params, out, force=True)
    print(stage.name, time.perf_counter() - start)
print("all", time.perf_counter() - begin)
with open("/proc/self/status") as status:
    print("peak", next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024 / 1e9)
"""


def main() -> None:
    """Measure everything and write `results/labels.csv`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1.0 is GLDv2's own size")
    parser.add_argument("--work", type=Path, help="keep the run in this folder [default: a temporary one]")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measured(args.work or Path(folder), args.scale)
    verdicts.write(args.results / "labels.csv", rows, args.scale)


def measured(work: Path, scale: float) -> list[dict[str, Any]]:
    """Both builds; the second takes the same run folder from the start."""
    from hierlandmarks_pipelines import syntheticlabels

    out, labels, tables = made(work, scale)
    kinds = len(tables["types"]["type_id"].unique())
    rows = built(WHOLE, [out, labels], f"{tables['categories'].num_rows} landmarks, {kinds} types")
    page = (out / "labels/tree.html").stat().st_size
    rows.append(row("the tree as a page", page / 1e6, "MB"))
    syntheticlabels.write_labelled(work / "train.csv", tables, LABELLED)
    asked = syntheticlabels.untyped(tables)
    model = embedded(asked, work / "train.csv", labels)
    detail = f"{len(asked)} landmarks without a type, {LABELLED} labelled ones, {model}"
    return rows + built(LEARNING, [out, labels, work / "train.csv"], detail)


def built(what: str, arguments: Sequence[Path], detail: str) -> list[dict[str, Any]]:
    done = subprocess.run([sys.executable, "-c", BUILD, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    found = {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}
    rows = [row(f"{what}: {name}", value, "s") for name, value in found.items() if name not in ("all", "peak")]
    return [*rows, row(what, found["all"], "s", detail), row(f"{what}, peak", found["peak"], "GB")]


def embedded(names: Sequence[str], train: Path, labels: Path) -> str:
    """Embed whatever the learnt clues are going to look at, before the clock starts: the model's name."""
    from hierlandmarks_pipelines.clues import lessons
    from hierlandmarks_pipelines.encoders import embed_texts, find_encoder
    from hierlandmarks_pipelines.guesses import read_labelled
    from hierlandmarks_pipelines.labelfiles import label_files, read_decisions, read_taxonomy

    taxonomy_path, decisions = label_files(labels)
    taxonomy = read_taxonomy(taxonomy_path)
    taught = lessons(taxonomy, read_decisions(decisions, taxonomy)).names
    encoder = find_encoder()
    start = time.perf_counter()
    embed_texts([*names, *read_labelled(train, taxonomy)[0].names, *taught], encoder)
    print(f"names embedded in {time.perf_counter() - start:.1f} s, not counted", file=sys.stderr)
    return encoder.name


def made(work: Path, scale: float) -> tuple[Path, Path, Mapping[str, Any]]:
    """A run folder that has got as far as embedding, a labels folder, and the tables."""
    from hierlandmarks.schema import TABLES
    from hierlandmarks.tables import write_table
    from hierlandmarks_pipelines import embed, syntheticlabels
    from hierlandmarks_pipelines.run import run_stage

    out, labels = work / "run", work / "labels"
    tables = syntheticlabels.mined(max(100, round(TYPES * scale)), scale)
    for name, table in tables.items():
        write_table(out / "tables" / f"{name}.parquet", table, TABLES[name], {})
    syntheticlabels.write_decisions(labels, tables)
    start = time.perf_counter()
    run_stage(embed.STAGE, embed.TextParams("lexical-ngrams"), out)
    print(f"types embedded in {time.perf_counter() - start:.1f} s, not counted", file=sys.stderr)
    return out, labels, tables


if __name__ == "__main__":
    main()
