"""The leaderboard at full size: a ranking file of all of GLDv2's test queries, and a board of 500 entries.

python benchmark/perf/leaderboard.py    results/leaderboard.csv; about a minute and a half on 2 cores
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from hierlandmarks.tables import write_json
from hierlandmarks_benchmark.entries import Example, Meta, Model, Picture, Result, Truth, write_entry
from hierlandmarks_benchmark.intake.lists import Rankings
from hierlandmarks_benchmark.intake.rankings import read_rankings
from hierlandmarks_benchmark.intake.score import score
from hierlandmarks_benchmark.intake.truth import GroundTruth, Images
from hierlandmarks_benchmark.leaderboard import build
from hierlandmarks_benchmark.provenance import code_version
from hierlandmarks_benchmark.tracks import load_track

HERE = Path(__file__).resolve().parent
QUERIES, SCORED, GALLERY, LISTED = 117_577, 1_129, 761_757, 100
ENTRIES, SHOWN, LABELS = 500, 9, 78
COLUMNS = ("h_ap", "ndcg", "asi", *(f"{name}_{c}" for name in ("map_at_r", "recall_at_1") for c in range(3)))


def ids(count: int, seed: int) -> list[str]:
    """So many ids of 16 hex digits, sorted."""
    return sorted(f"{id:016x}" for id in np.random.default_rng(seed).integers(1 << 62, size=count).tolist())


def ground_truth() -> GroundTruth:
    """One of GLDv2's size, with labels of chance."""
    rng = np.random.default_rng(0)
    queries = ids(QUERIES, 1)
    scored = sorted(rng.choice(queries, SCORED, replace=False).tolist())
    landmark = rng.integers(100_000, size=GALLERY)
    labels = np.stack([landmark, landmark % LABELS, landmark % 2], axis=1)
    chosen = labels[rng.integers(GALLERY, size=SCORED)]
    gallery = Images(pd.Index(ids(GALLERY, 2), dtype=str), labels, ("",) * GALLERY)
    ignored = tuple(sorted(set(queries) - set(scored)))
    asked = Images(pd.Index(scored, dtype=str), chosen, ("",) * SCORED)
    return GroundTruth(load_track("h-gldv2"), "0" * 64, asked, gallery, ignored)


def write_file(path: Path, truth: GroundTruth) -> None:
    """A Kaggle CSV with a list of 100 images for every query."""
    rng = np.random.default_rng(3)
    names = truth.searched.ids.to_numpy()
    with path.open("w") as file:
        file.write("id,images\n")
        for query in [*truth.queries.ids, *truth.ignored]:
            start = int(rng.integers(GALLERY))
            file.write(f"{query},{' '.join(names[(start + 7_919 * np.arange(LISTED)) % GALLERY])}\n")


def scoring(folder: Path) -> dict[str, Any]:
    """Validate and score the file; seconds, and memory beyond the ground truth."""
    truth = ground_truth()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    rankings: Rankings = read_rankings(folder / "all.csv", truth)
    read = time.perf_counter()
    score(rankings, truth)
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "validate_s": read - start,
        "score_s": done - read,
        "peak_mb": peak / 1024,
        "extra_mb": (peak - before) / 1024,
    }


def picture(seed: int) -> bytes:
    """A thumbnail of the size that photos have: 120 pixels, about 4 kB."""
    noise = np.random.default_rng(seed).integers(0, 256, (14, 18, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=78)
    return buffer.getvalue()


def write_entries(out: Path, folder: Path) -> None:
    """Entries of growing quality with 1,129 queries each."""
    rng = np.random.default_rng(0)
    queries = ids(SCORED, 4)
    labels = {
        query: f"label {int(label):02}" for query, label in zip(queries, rng.integers(LABELS, size=SCORED), strict=True)
    }
    easy = rng.random((SCORED, 1))
    pictures = [
        Picture(f"p{i:03}", f"Landmark {i}", "label", "kind", "A. Author", "CC BY 4.0", f"File {i}", "")
        for i in range(300)
    ]
    jpegs = {p.id: picture(i) for i, p in enumerate(pictures)}
    for number in range(ENTRIES):
        values = (easy * (0.3 + 0.001 * number) + rng.normal(0, 0.05, (SCORED, len(COLUMNS)))).clip(0, 1)
        frame = pd.DataFrame(values, columns=list(COLUMNS)).assign(query_id=queries, part="all")
        evaluation = folder / f"e{number}"
        evaluation.mkdir()
        frame.to_parquet(evaluation / "per_query.parquet")
        mean = {column: float(frame[column].mean()) for column in COLUMNS}
        interval = {column: [value - 0.01, value + 0.01] for column, value in mean.items()}
        report = {"mean": mean, "confidence": interval, "skipped": dict.fromkeys(COLUMNS, 0)}
        write_json(evaluation / "scores.json", {"report": report})
        shown = [[pictures[int(i)] for i in rng.choice(len(pictures), SHOWN, replace=False)] for _ in range(6)]
        examples = tuple(Example(first, tuple(Result(p, int(rng.integers(4))) for p in rest)) for first, *rest in shown)
        meta = Meta(
            name=f"entry-{number:03}",
            track="h-gldv2",
            date="2026-11-23",
            code_version="0",
            model=Model(f"network {number % 7}", f"data set {number % 5}", "SupHAP", {"epochs": 30}),
            truth=Truth(
                "gldv2", "2.1", "0" * 64, "query", "index", SCORED, GALLERY, ("landmark", "label", "kind"), 100
            ),
            settings={"relevance": "proportional"},
            hardware={"cores": 2},
            inputs={"all.csv": "0" * 64},
        )
        used = {p.id: jpegs[p.id] for row in shown for p in row}
        write_entry(out, meta, evaluation, labels, (examples, used), keep=LISTED)
        shutil.rmtree(evaluation)


def boarding(folder: Path) -> dict[str, Any]:
    """Build the board of 500 entries, and open it in a browser."""
    start = time.perf_counter()
    build(folder / "submissions", folder / "board")
    seconds = time.perf_counter() - start
    sizes = {path.name: path.stat().st_size for path in (folder / "board").rglob("*.html")}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    largest = max(size for name, size in sizes.items() if name.startswith("entry-"))
    pages = {
        "index_kb": sizes["index.html"] / 1e3,
        "compare_kb": sizes["compare-1.html"] / 1e3,
        "entry_kb": largest / 1e3,
    }
    return {"build_s": seconds, "peak_mb": peak, **pages, **browse(folder / "board")}


def browse(board: Path) -> dict[str, float]:
    """Seconds until each page is loaded and its script has run, and until a sort is seen; nothing without Chromium."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        return {}
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = binary
    for switch in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={board.parent / 'profile'}"):
        options.add_argument(switch)
    browser = webdriver.Chrome(options=options, service=Service(driver))
    loaded = "const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd / 1000"
    try:
        times = {}
        for name, page in (("index_load_s", "index.html"), ("compare_load_s", "compare-1.html")):
            browser.get((board / page).as_uri())
            times[name] = browser.execute_script(loaded)
        browser.get((board / "index.html").as_uri())
        click = (
            "const done = arguments[0], start = performance.now();"
            "document.querySelectorAll('thead button')[2].click();"
            "requestAnimationFrame(() => setTimeout(() => done((performance.now() - start) / 1000)))"
        )
        return times | {"sort_s": browser.execute_async_script(click)}
    finally:
        browser.quit()


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Each part in a process of its own, as memory is counted for a process."""
    write_file(folder / "all.csv", ground_truth())
    (folder / "work").mkdir()
    write_entries(folder / "submissions", folder / "work")
    for part in ("scoring", "boarding"):
        done = subprocess.run(
            [sys.executable, __file__, "--part", part, "--folder", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        for name, value in json.loads(done.stdout).items():
            yield {"part": part, "quantity": name, "value": round(value, 3)}


def main() -> None:
    """Measure, or one part of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("scoring", "boarding"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        print(json.dumps({"scoring": scoring, "boarding": boarding}[args.part](args.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        frame = pd.DataFrame(list(rows(Path(folder))))
    print(frame.to_string(index=False))
    about = {"date": datetime.date.today().isoformat(), "code_version": code_version(), "machine": platform.machine()}
    frame = frame.assign(**about, python=platform.python_version(), numpy=np.__version__)
    frame.to_csv(HERE / "results" / "leaderboard.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
