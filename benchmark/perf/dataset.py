"""The dataset at GLDv2's full size, made up by the generator: export, loading, levels, random pictures, imports.

python benchmark/perf/dataset.py               four to five minutes on two cores, 4 GB of disk
python benchmark/perf/dataset.py --scale 0.01  a look at whether it runs
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import verdicts

HERE = Path(__file__).resolve().parent
TARGETS = {  # name -> (limit, unit)
    "export": (90.0, "s"),
    "export, peak": (3.0, "GB"),
    "load train_clean with labels": (5.0, "s"),
    "load train_clean, peak over columns": (1.5, "x"),
    "open with one column": (1.0, "s"),
    "levels of 10 M random pairs": (0.5, "s"),
    "picture by id over seek and read": (1.3, "x"),
    "import hierlandmarks": (0.3, "s"),
}
row = partial(verdicts.row, TARGETS)

# Each measurement of memory is a process of its own, so that nothing else is in its peak.
# The kernel's own record of this process; what getrusage tells goes on from the process that started it.
PEAK = """
def peak_kb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
"""
EXPORT = """
import os, sys
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # as the command line does
from hierlandmarks_pipelines.commands.export import export
export.main(["--out", sys.argv[1], "--name", "full", "--no-image-bytes", "--validation", "0.02", *sys.argv[2:]],
            standalone_mode=False)
"""
LOAD = """
import sys, time
import hierlandmarks as hl
hl.load(sys.argv[1], "query").images, hl.load(sys.argv[1], "query").labels  # what is imported late
before = peak_kb()
start = time.perf_counter()
ds = hl.load(sys.argv[1], "train_clean")
labels, images = ds.labels, ds.images
seconds = time.perf_counter() - start
peak = peak_kb() - before
columns = ds.table().nbytes + labels.nbytes
start = time.perf_counter()
codes = hl.load(sys.argv[1], "train_clean", columns=["label"]).images["label"]
one = time.perf_counter() - start
print(seconds, peak * 1024 / columns, one, len(ds), len(set(labels[:, 0].tolist())), len(set(labels[:, 1].tolist())))
"""
OFFICIAL = """
import os, sys, time
os.environ["HIERLANDMARKS_HOME"] = sys.argv[1]
import hierlandmarks as hl
start = time.perf_counter()
ds = hl.load("gldv2", "train_clean", columns=["id", "hierarchical_label"])  # by name: its counts are compared
labels, images = ds.labels, ds.images
seconds = time.perf_counter() - start
print(seconds, len(ds), len(set(labels[:, 0].tolist())), len(set(labels[:, 1].tolist())))
"""


def main() -> None:
    """Measure everything and write `results/dataset.csv`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1.0 is GLDv2's own size")
    parser.add_argument("--work", type=Path, help="folder for the made-up files [default: a temporary one]")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        rows = [
            *exported(Path(folder), args.scale),
            *loaded(Path(folder)),
            *levels(Path(folder)),
            *pictures(Path(folder)),
        ]
    rows += imported()
    verdicts.write(args.results / "dataset.csv", rows, args.scale)


def exported(folder: Path, scale: float) -> list[dict[str, Any]]:
    """The command `export`: the splits of GLDv2, and the same with train_clean as a split of its own."""
    from hierlandmarks.schema import TABLES
    from hierlandmarks.tables import write_table
    from hierlandmarks_pipelines import synthetic

    start = time.perf_counter()
    synthetic.write_metadata(folder / "gldv2", scale)
    rows = [row("write the CSVs", time.perf_counter() - start, "s")]
    start = time.perf_counter()
    made = synthetic.tables(folder / "gldv2")
    rows.append(row("read the CSVs into checked tables, build the tree", time.perf_counter() - start, "s"))
    for run, clean in (("plain", False), ("clean", True)):
        images = (
            made["images"] if clean else made["images"].filter(pc.not_equal(made["images"]["split"], "train_clean"))
        )
        for name, table in {**made, "images": images}.items():
            write_table(folder / run / "tables" / f"{name}.parquet", table, TABLES[name], {})
    counts = {run: pq.read_metadata(folder / run / "tables/images.parquet").num_rows for run in ("plain", "clean")}
    del made, images, table
    gc.collect()
    seconds, peak, _ = alone(EXPORT, folder / "plain", "--all")
    rows.append(row("export", seconds, "s", f"{counts['plain']:,} rows"))
    rows.append(row("export, peak", peak, "GB", f"{counts['plain']:,} rows"))
    seconds, peak, _ = alone(EXPORT, folder / "clean")
    rows.append(row("export with train_clean", seconds, "s", f"{counts['clean']:,} rows in"))
    rows.append(row("export with train_clean, peak", peak, "GB", f"{counts['clean']:,} rows in"))
    return rows


def loaded(folder: Path) -> list[dict[str, Any]]:
    """Loading train_clean from the release, and from the CSVs."""
    _, _, out = alone(LOAD, folder / "clean" / "release")
    seconds, ratio, one, *counts = map(float, out.split())
    images, landmarks, labels = map(int, counts)
    about = f"{images:,} images in train_clean"
    rows = [
        row("load train_clean with labels", seconds, "s", f"{about}, {landmarks:,} landmarks, {labels} labels"),
        row("load train_clean, peak over columns", ratio, "x", "beyond the interpreter and its imports"),
        row("open with one column", one, "s", about),
    ]
    _, peak, out = alone(OFFICIAL, folder)
    seconds, images, landmarks, labels = map(float, out.split())
    detail = f"{images:,.0f} images, {landmarks:,.0f} landmarks, {labels:.0f} labels; peak {peak:.1f} GB"
    return [*rows, row("load train_clean from the CSVs", seconds, "s", detail)]


def levels(folder: Path) -> list[dict[str, Any]]:
    """Levels and common ancestors of random pairs."""
    import hierlandmarks as hl
    from hierlandmarks.levels import level

    ds = hl.load(folder / "clean" / "release", "train")
    first, second = np.random.default_rng(0).integers(0, len(ds), (2, 10_000_000))
    a, b = ds.labels[first], ds.labels[second]
    tree, leaves = ds.hierarchy, ds.hierarchy.to_table().filter(pc.field("level") == "landmark")["node_id"].to_pylist()
    pairs = np.random.default_rng(0).integers(0, len(leaves), (2, 1_000_000))
    one, two = ([leaves[n] for n in side.tolist()] for side in pairs)
    return [
        row("levels of 10 M random pairs", best(lambda: level(a, b), 3), "s"),
        row(
            "common ancestors of 1 M random pairs of ids", best(lambda: tree.lowest_common_ancestors(one, two), 2), "s"
        ),
    ]


def pictures(folder: Path, count: int = 4000, size: int = 120_000) -> list[dict[str, Any]]:
    """Random pictures by id out of a tar, beside seek and read on the open file at known places.

    A tar of GLDv2 holds about 8,270 pictures in 1 GB: 120 kB each.
    """
    import hierlandmarks as hl
    from hierlandmarks.images import index_tar
    from hierlandmarks_pipelines import synthetic
    from hierlandmarks_pipelines.layout import write_pictures

    root, small = folder / "pictures", folder / "small"
    synthetic.write_metadata(small, 0.01)
    ids = hl.load(small, "index").images["id"].tolist()[:count]
    noise = np.random.default_rng(0)
    for name in ("metadata", "ground_truth"):
        shutil.copytree(small / name, root / name)
    shutil.copy(small / "dataset.json", root)
    write_pictures(root, "index", ((image, noise.bytes(size)) for image in ids))
    ds, where = hl.load(root, "index"), index_tar(root / "index/images_000.tar")
    places = dict(
        zip(where["id"].to_pylist(), zip(*(where[n].to_pylist() for n in ("offset", "size")), strict=True), strict=True)
    )
    order = [ids[n] for n in np.random.default_rng(1).permutation(len(ids))]
    with open(root / "index/images_000.tar", "rb") as tar:

        def plain() -> None:
            for image in order:
                offset, length = places[image]
                tar.seek(offset)
                tar.read(length)

        def ours() -> None:
            for image in order:
                ds.image_bytes(int(ds.find(image)[0]))

        def unbuffered() -> None:
            for image in order:
                offset, length = places[image]
                os.pread(tar.fileno(), length, offset)

        ours(), plain()
        seconds = {name: best(work, 5) for name, work in (("plain", plain), ("ours", ours), ("pread", unbuffered))}
    each = {name: value / len(order) * 1e6 for name, value in seconds.items()}
    detail = (
        f"{each['ours']:.0f} us beside {each['plain']:.0f} us (pread alone {each['pread']:.0f} us), {size:,} bytes each"
    )
    return [row("picture by id over seek and read", each["ours"] / each["plain"], "x", detail)]


def imported() -> list[dict[str, Any]]:
    """The time `import hierlandmarks` takes a fresh interpreter."""
    code = "import time; s = time.perf_counter(); import hierlandmarks; print(time.perf_counter() - s)"
    return [row("import hierlandmarks", min(float(alone(code)[2]) for _ in range(5)), "s")]


def alone(code: str, *arguments: object) -> tuple[float, float, str]:
    """Run code in a process of its own: seconds, peak memory in GB, what it printed."""
    start = time.perf_counter()
    words = [sys.executable, "-c", f"{PEAK}\n{code}\nprint(peak_kb())", *map(str, arguments)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    *out, peak = done.stdout.strip().splitlines()
    return time.perf_counter() - start, int(peak) * 1024 / 1e9, out[-1] if out else ""


def best(work: Callable[[], object], times: int) -> float:
    """The shortest of several runs, in seconds."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


if __name__ == "__main__":
    main()
