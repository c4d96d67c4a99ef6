"""The label build at GLDv2's full size, after embedding: propose, review, assign, doubts, build; time and memory.

python benchmark/perf/labels.py               203 k + 101 k landmarks, 6 k types: two to three minutes on two cores
python benchmark/perf/labels.py --scale 0.05  a look at whether it runs
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

HERE = Path(__file__).resolve().parent
TARGETS = {"the whole label build": (60.0, "s"), "the whole label build, peak": (3.0, "GB")}
TYPES = 6_000

# One process for all stages, as `hierlandmarks run` does it. Half the types are decided by a made-up reviewer, so that
# there is something to inherit, to wait for and to place; the text vectors are there before the clock starts.
BUILD = """
import os, sys, time
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # as the command line does
from pathlib import Path
from hierlandmarks_pipelines import assign, build, cluster, doubts, review
from hierlandmarks_pipelines.run import run_stage
out, labels = Path(sys.argv[1]), Path(sys.argv[2])
steps = (
    (cluster.STAGE, cluster.ClusterParams(labels=labels)),
    (review.STAGE, review.ReviewParams(labels)),
    (assign.STAGE, assign.AssignParams(labels=labels)),
    (doubts.STAGE, doubts.DoubtsParams()),
    (build.STAGE, build.BuildParams()),
)
begin = time.perf_counter()
for stage, params in steps:
    start = time.perf_counter()
    run_stage(stage, params, out)
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
    about = {
        "scale": args.scale,
        "date": datetime.date.today().isoformat(),
        "code": code_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "software": f"Python {platform.python_version()}, pyarrow {pa.__version__}",
    }
    frame = pd.DataFrame(rows).assign(**about)
    args.results.mkdir(exist_ok=True)
    frame.to_csv(args.results / "labels.csv", index=False, lineterminator="\n", float_format="%.4g")
    print(frame.drop(columns=list(about)).to_string(index=False))


def measured(work: Path, scale: float) -> list[dict[str, Any]]:
    out, labels, sizes = made(work, scale)
    done = subprocess.run([sys.executable, "-c", BUILD, out, labels], check=True, capture_output=True, text=True)
    found = {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}
    rows = [row(f"stage {name}", value, "s") for name, value in found.items() if name not in ("all", "peak")]
    rows.append(row("the whole label build", found["all"], "s", sizes))
    rows.append(row("the whole label build, peak", found["peak"], "GB"))
    page = (out / "labels/tree.html").stat().st_size
    return [*rows, row("the tree as a page", page / 1e6, "MB")]


def made(work: Path, scale: float) -> tuple[Path, Path, str]:
    """A run folder that has got as far as embedding, a labels folder, and how large it is in words."""
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
    print(f"embedded in {time.perf_counter() - start:.1f} s, not counted", file=sys.stderr)
    kinds = len(tables["types"]["type_id"].unique())
    return out, labels, f"{tables['categories'].num_rows} landmarks, {kinds} types"


def row(what: str, value: float, unit: str, detail: str = "") -> dict[str, Any]:
    """A line of the result; its verdict where there is a target."""
    limit = TARGETS.get(what, (None, unit))[0]
    verdict = "" if limit is None else "met" if value <= limit else "missed"
    return {"what": what, "value": value, "unit": unit, "target": limit, "verdict": verdict, "detail": detail}


def code_version() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
