"""`hierlandmarks export --executor tcp://…` on a real scheduler with two workers, one of which is killed at work."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from hierlandmarks.imageids import ids_of
from hierlandmarks.schema import IMAGES, TABLES
from hierlandmarks.tables import conform, write_table
from tests import tiny
from tests.cluster import cluster

ROWS = 6 * 65_536  # six shards of the size the command writes


def run_folder(out: Path) -> Path:
    """The tables an export takes: the tiny world's landmarks, with hundreds of thousands of images."""
    number = np.arange(ROWS, dtype=np.uint64)
    landmarks = pa.array([number for space, number, *_ in tiny.LANDMARKS if space == "train"])
    columns = {
        "id": ids_of(number * np.uint64(0x9E3779B97F4A7C15)),
        "landmark_id": landmarks.take(pa.array(number % len(landmarks))),
        "url": pc.binary_join_element_wise("https://example.org/", pc.cast(pa.array(number), pa.string()), ""),
        "offset": pa.nulls(ROWS, pa.int64()),
        "size": pa.nulls(ROWS, pa.int64()),
    }
    columns |= {name: pa.repeat(pa.scalar("train"), ROWS) for name in ("split", "space")}
    columns |= {n: pa.repeat(pa.scalar(""), ROWS) for n in IMAGES.schema.names if n not in columns}
    for name, table in {**tiny.tables(), "images": conform(pa.table(columns), IMAGES, "images")}.items():
        write_table(out / "tables" / f"{name}.parquet", table, TABLES[name], {})
    return out


def command(*words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    line = [sys.executable, "-c", "from hierlandmarks.cli import main; main()", *words]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def export(out: Path, executor: str) -> subprocess.Popen[str]:
    return command("export", "--out", str(out), "--name", "x", "--all", "--no-image-bytes", "--executor", executor)


def shard_being_written(worker: subprocess.Popen[str]) -> str:
    """The shard of which a process has an unfinished file open, "" for none."""
    for link in Path(f"/proc/{worker.pid}/fd").iterdir():
        try:
            target = os.readlink(link)
        except OSError:  # closed since it was listed
            continue
        if target.endswith(".part") and ".parquet." in target:
            return target
    return ""


def files(release: Path) -> dict[str, bytes]:
    return {str(p.relative_to(release)): p.read_bytes() for p in sorted(release.rglob("*")) if p.is_file()}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks into /proc for the moment to kill")
def test_a_worker_killed_while_it_writes_a_shard_costs_nothing_but_time(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    here = run_folder(tmp_path / "here")
    there = Path(shutil.copytree(here, tmp_path / "there"))
    alone = export(here, "threads:1")
    with cluster(tmp_path) as (address, (doomed, other)):
        running = export(there, address)
        while running.poll() is None and doomed.poll() is None:
            if shard_being_written(doomed):
                doomed.send_signal(signal.SIGSTOP)  # whatever it has open now stays open
                unfinished = shard_being_written(doomed)
                if unfinished and any(Path(unfinished).parent.glob("train-*.parquet")):  # some are done, this one not
                    doomed.send_signal(signal.SIGKILL)
                    doomed.wait()
                else:
                    doomed.send_signal(signal.SIGCONT)
            time.sleep(0.001)
        _, talk = running.communicate(timeout=120)
        assert doomed.poll() == -signal.SIGKILL, "it was killed while a shard was open in it"
        assert Path(unfinished).name.startswith(".train-0000")
        assert other.poll() is None
    assert running.returncode == 0, talk
    assert alone.wait(timeout=120) == 0
    assert files(there / "release") == files(here / "release"), "equal bytes, and nothing left of the killed one"
    verify = command("verify", str(there / "release"))
    found, _ = verify.communicate(timeout=120)
    assert verify.returncode == 0
    assert f"ok  train  {ROWS}" in found
