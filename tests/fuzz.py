"""Good submissions, damaged at random: each is either refused in one sentence, or read as the right thing.

`python -m tests.fuzz 10000` runs many of them and prints what came of it; the tests run some hundreds.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hierlandmarks.errors import HierlandmarksError
from hierlandmarks_benchmark.entries import read_entry
from hierlandmarks_benchmark.entries.log import read_lines
from hierlandmarks_benchmark.intake.embeddings import read_embeddings
from hierlandmarks_benchmark.intake.rankings import read_rankings
from hierlandmarks_benchmark.intake.truth import GroundTruth
from hierlandmarks_benchmark.submit import submit
from hierlandmarks_benchmark.tracks import load_track
from tests.board import make_evaluation, make_release
from tests.handin import RANKINGS, ranked, truth_of, vectors, write_vectors

SECONDS, BYTES = 5, 1 << 30  # what one file may cost
WORDS = (
    b"\0",
    b",",
    b"\n",
    b'"',
    b" ",
    b"nan",
    b"-1",
    b"1e999",
    b"\xff\xfe",
    b"../",
    b"<script>",
    b"9" * 30,
    b"[" * 99,
)


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage some bytes: flip, cut, double, move, overwrite, or put something nasty in between."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        at, end = sorted(rng.integers(0, len(data) + 1, 2).tolist()) if data else (0, 0)
        piece = bytes(data[at : min(end, at + 400)])
        kind = int(rng.integers(7))
        if kind == 0 and at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del data[at : at + int(rng.integers(1, 40))]
        elif kind == 2:
            data[at:at] = piece
        elif kind == 3:
            data += piece
        elif kind == 4:
            data[at:at] = WORDS[int(rng.integers(len(WORDS)))]
        elif kind == 5 and len(data) - at >= 4:
            data[at : at + 4] = int(rng.integers(1 << 32)).to_bytes(4, "little")
        elif kind == 6:
            del data[end:]
    return bytes(data)


def check_rankings(path: Path, truth: GroundTruth) -> None:
    """Read; what is accepted holds each image at most once a query, and nothing but images."""
    rows = read_rankings(path, truth).rows
    assert rows.shape == (len(truth.queries.ids), truth.depth)
    for line in rows:
        found = line[line >= 0]
        assert len(set(found.tolist())) == len(found)
        assert (line[len(found) :] == -1).all()
        assert found.max(initial=0) < len(truth.searched.ids)


def check_embeddings(path: Path, truth: GroundTruth) -> None:
    """Read; what is accepted is finite, and of the right size."""
    _, queries, gallery = read_embeddings(path.parent, truth)
    assert gallery is not None
    for array, images in ((queries, truth.queries), (gallery, truth.searched)):
        assert array.shape == (len(images.ids), queries.shape[1])
        assert np.isfinite(array).all()


def check_entry(path: Path, truth: GroundTruth) -> None:
    """Read an entry, one of whose files is damaged and its hash not: but for `meta.yaml`, that is always refused."""
    entry = read_entry(path.parent)
    assert path.name == "meta.yaml"
    assert entry.meta.name == path.parent.name


def check_log(path: Path, truth: GroundTruth) -> None:
    """Read a log; whatever is left of it still holds together."""
    assert len(read_lines(path)) <= 8


def check_track(path: Path, truth: GroundTruth) -> None:
    """Read a track file."""
    assert load_track(str(path)).metrics


def corpus(folder: Path) -> tuple[GroundTruth, list[tuple[Path, Callable[[Path, GroundTruth], None]]]]:
    """Good files of every kind, and what checks each."""
    release = make_release(folder / "release")
    truth = truth_of(release, folder)
    seeds: list[tuple[Path, Callable[[Path, GroundTruth], None]]] = [(folder / "tiny.yaml", check_track)]
    for name, write in RANKINGS.items():
        seeds.append((write(folder / name, ranked(truth)), check_rankings))
    for kind in ("npz", "npy", "safetensors", "parquet"):
        for split, images in (("query", truth.queries), ("index", truth.searched)):
            ids = list(images.ids)
            seeds.append((write_vectors(folder / kind, kind, split, ids, vectors(len(ids))), check_embeddings))
    entry = submit(make_evaluation(folder / "evaluation" / "e", release, 0.3), release, folder / "submissions")
    files = ("meta.yaml", "scores.json", "per_query.parquet", "examples.json")
    seeds += [(entry / name, check_entry) for name in files] + [(entry.parent / "log.jsonl", check_log)]
    return truth, seeds


def fuzz(count: int, seed: int = 0) -> Counter[str]:
    """Damage `count` files; raises where one is not refused as it should be, or costs too much.

    Returns:
        How many of which kind were accepted and refused.
    """
    outcome: Counter[str] = Counter()
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        truth, seeds = corpus(Path(folder))
        for _, check in seeds:  # the undamaged ones pass
            next(check(path, truth) for path, other in seeds if other is check)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        for _ in range(count):
            path, check = seeds[int(rng.integers(len(seeds)))]
            kept = shutil.copy2(path, f"{folder}/kept")
            content = mutate(path.read_bytes(), rng)
            path.write_bytes(content)
            outcome[f"{path.suffix[1:]} {_try(check, path, truth, content)}"] += 1
            shutil.copy2(kept, path)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before
        assert grown < BYTES, f"memory grew by {grown:,} bytes"
    return outcome


def _try(check: Callable[[Path, GroundTruth], None], path: Path, truth: GroundTruth, content: bytes) -> str:
    start = time.process_time()
    try:
        check(path, truth)
        result, said = "accepted", ""
    except HierlandmarksError as error:
        result, said = "refused", str(error)
    except Exception as error:
        raise AssertionError(f"{path.name}: {type(error).__name__}: {error} from {content[:2000]!r}") from error
    assert "\n" not in said, f"more than a line: {said}"
    assert len(said) < 1000
    assert time.process_time() - start < SECONDS, f"{path.name} takes too long: {content[:2000]!r}"
    return result


if __name__ == "__main__":
    for kind, number in sorted(fuzz(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000).items()):
        print(f"{kind:24} {number:6}")
