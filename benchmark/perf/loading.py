"""The loader beside decoding alone: photo-like pictures straight out of a tar, by as many processes, in random order.

python benchmark/perf/loading.py               a minute on two cores, 0.2 GB of disk
python benchmark/perf/loading.py --pictures 50 a look at whether it runs
"""

from __future__ import annotations

import argparse
import csv
import datetime
import io
import multiprocessing
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter

from hierlandmarks.images import TarImages, decode, index_tar
from hierlandmarks_benchmark.images import put_square
from hierlandmarks_benchmark.loading import Streamed

HERE = Path(__file__).resolve().parent
TARGET = 0.9  # of decoding alone
WIDTH, HEIGHT, QUALITY = 800, 600, 88  # about the size of GLDv2's photos, in pixels and bytes
SIDE, BATCH = 256, 128
EPOCHS = 3  # so that the last batches, when some workers have nothing left, weigh little


class Tar:
    """Pictures of one tar, as a dataset hands them out."""

    name = "tar"

    def __init__(self, path: Path) -> None:
        self.table = index_tar(path)
        self.path, self.tars = path, TarImages(path.parent)
        self.offset, self.size = (self.table[name].to_pylist() for name in ("offset", "size"))

    def __len__(self) -> int:
        return len(self.offset)

    def image(self, row: int) -> Image.Image:
        """The picture of a row."""
        return decode(self.tars.read(self.path.name, self.offset[row], self.size[row]))


def make(path: Path, count: int) -> None:
    """A tar of soft noise: as many pixels and about as many bytes as photos."""
    rng = np.random.default_rng(0)
    with tarfile.open(path, "w:") as tar:
        for number in range(count):
            small = Image.fromarray(rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8))
            picture = small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))
            grain = rng.normal(0, 5, (HEIGHT, WIDTH, 1))
            pixels = (np.asarray(picture) + grain).clip(0, 255).astype(np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
            member = tarfile.TarInfo(f"0/0/0/{number:016x}.jpg")
            member.size = buffer.tell()
            buffer.seek(0)
            tar.addfile(member, buffer)


_pictures: Tar


def _open(path: Path) -> None:
    global _pictures  # one a process, as a worker of the loader has one
    torch.set_num_threads(1)
    _pictures = Tar(path)


def _decode(rows: list[int]) -> int:
    """Read, decode and scale a batch, and throw it away."""
    place = torch.empty((3, SIDE, SIDE), dtype=torch.uint8)
    return sum(not put_square(_pictures, row, place) for row in rows)  # type: ignore[arg-type]


def alone(path: Path, batches: list[list[int]], workers: int) -> float:
    """Seconds for decoding in processes that hand nothing over."""
    with multiprocessing.Pool(workers, _open, (path,)) as pool:
        pool.map(_decode, [batch[:1] for batch in batches[:workers]])  # processes are up
        start = time.perf_counter()
        done = sum(pool.imap(_decode, batches))
        seconds = time.perf_counter() - start
    assert done == sum(map(len, batches))
    return seconds


def loaded(path: Path, batches: list[list[int]], workers: int, busy: float = 0.0) -> tuple[float, float]:
    """Seconds for the loader, from its first batch on, and the share that a consumer waits who is busy a while."""
    pictures = Streamed(Tar(path), SIDE, np.arange(len(Tar(path))), workers)  # type: ignore[arg-type]
    first = [batch[:1] for batch in batches[: 2 * workers]]  # processes are up
    feed = pictures.feed(np.array(batch) for batch in (*first, *batches))
    for _ in first:
        next(feed)
    pictures.clock.waited = pictures.clock.total = 0.0
    start = time.perf_counter()
    for _rows, pixels in feed:
        assert len(pixels)
        time.sleep(busy)
    return time.perf_counter() - start, pictures.clock.share


def measure(count: int, rounds: int) -> Iterator[dict[str, Any]]:
    workers = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images_000.tar"
        make(path, count)
        order = np.random.default_rng(1).permutation(count)
        batches = [order[at : at + BATCH].tolist() for at in range(0, count, BATCH)] * EPOCHS
        turns = [(alone(path, batches, workers), *loaded(path, batches, workers)) for _ in range(rounds)]
        decoding, loading = min(t[0] for t in turns), min(t[1] for t in turns)
        size = path.stat().st_size // count
        detail = f"{count} pictures of {WIDTH} x {HEIGHT}, {size:,} bytes, to {SIDE} px; {workers} processes"
        yield row("decoding alone", EPOCHS * count / decoding, "img/s", detail)
        yield row(
            "loader", EPOCHS * count / loading, "img/s", f"batches of {BATCH}, random order; best of {rounds} in turn"
        )
        yield row("loader over decoding alone", decoding / loading, "x", "", TARGET)
        need = decoding / len(batches)  # seconds of decoding a batch takes
        for name, factor in (("half as fast", 2.0), ("a tenth faster", 0.9)):
            _, share = loaded(path, batches, workers, factor * need)
            yield row(f"waiting of a consumer {name} as decoding", share, "share", "the consumer sleeps meanwhile")


def row(what: str, value: float, unit: str, detail: str = "", target: float | None = None) -> dict[str, Any]:
    verdict = "" if target is None else "met" if value >= target else "missed"
    limit = "" if target is None else target
    return {"what": what, "value": f"{value:.4g}", "unit": unit, "target": limit, "verdict": verdict, "detail": detail}


def about() -> dict[str, str]:
    """Where the numbers are from."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True)
    packages = ", ".join(f"{name} {version(name)}" for name in ("pillow", "torch", "numpy"))
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "code": done.stdout.strip() or "unknown",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "software": f"Python {platform.python_version()}, {packages}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "loading.csv")
    options = parser.parse_args()
    rows = [found | about() for found in measure(options.pictures, options.rounds)]
    for found in rows:
        print(*(found[name] for name in ("what", "value", "unit", "target", "verdict")), file=sys.stderr)
    with options.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
