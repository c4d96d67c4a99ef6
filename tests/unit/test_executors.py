from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hierlandmarks.errors import IncompleteError, UsageError
from hierlandmarks.executors import VARIABLE, each, using
from tests import tiny


def double(number: int) -> int:
    return 2 * number


def test_results_come_in_order_and_pieces_only_a_few_ahead() -> None:
    taken: list[int] = []

    def pieces() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    with using("threads:3"):
        for count, result in enumerate(each(double, pieces())):
            assert result == 2 * count
            assert len(taken) <= count + 1 + 2 * 3


def test_processes_do_it_elsewhere() -> None:
    with using("processes:1"):
        assert os.getpid() not in set(each(_pid, range(3)))


def _pid(_number: int) -> int:
    return os.getpid()


def test_flag_over_environment_over_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "processes:1")
    assert set(each(_pid, [1])) != {os.getpid()}
    with using("threads:1"):
        assert set(each(_pid, [1])) == {os.getpid()}
    with using(None):
        assert set(each(_pid, [1])) != {os.getpid()}


@pytest.mark.parametrize("name", ["thread", "threads:0", "processes:-1", "http://x", "threads:4x"])
def test_unknown_executors(name: str) -> None:
    with pytest.raises(UsageError, match="there is no executor"), using(name):
        pass


def test_an_error_stops_the_work() -> None:
    def fail(number: int) -> int:
        raise UsageError(f"piece {number}")

    with using("threads:2"), pytest.raises(UsageError, match="piece 0"):
        list(each(fail, range(1000)))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return files(tiny.release(tmp_path_factory.mktemp("threads"), rows_per_shard=3))


def files(release: Path) -> dict[str, bytes]:
    return {str(p.relative_to(release)): p.read_bytes() for p in sorted(release.rglob("*")) if p.is_file()}


def test_processes_write_the_same_bytes(expected: dict[str, bytes], tmp_path: Path) -> None:
    with using("processes:2"):
        assert files(tiny.release(tmp_path, rows_per_shard=3)) == expected


# -- a Dask cluster: a scheduler and two workers, each a process of its own --


@contextmanager
def started(*words: str, until: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a program of Dask until the block ends; waits for a line that matches."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    try:
        found = next((m[1] for line in process.stdout if (m := re.search(until, line))), None)
        assert found is not None, f"{words} ended with {process.poll()}"
        yield process, found
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    pytest.importorskip("distributed")
    quiet = ("--no-dashboard",)
    with started("dask_scheduler", "--host", "127.0.0.1", "--port", "0", *quiet, until=r"(tcp://[\d.:]+)") as (_, at):
        one = ("dask_worker", at, "--no-nanny", "--nthreads", "1", "--local-directory", str(tmp_path), *quiet)
        with started(*one, until="(Registered)") as (a, _), started(*one, until="(Registered)") as (b, _):
            yield at, [a, b]


@pytest.mark.slow
def test_dask_writes_the_same_bytes(
    cluster: tuple[str, list[subprocess.Popen[str]]], expected: dict[str, bytes], tmp_path: Path
) -> None:
    with using(cluster[0]):
        assert files(tiny.release(tmp_path / "dask", rows_per_shard=3)) == expected


def slow_shard(piece: tuple[str, int]) -> tuple[int, int]:
    """A piece of work that takes a while, says who does it, and writes its file."""
    folder, number = piece
    Path(folder, f"by-{os.getpid()}").touch()
    time.sleep(0.3)
    Path(folder, f"shard-{number}").write_text(str(number))
    return number, os.getpid()


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_costs_nothing_but_time(
    cluster: tuple[str, list[subprocess.Popen[str]]], tmp_path: Path
) -> None:
    address, workers = cluster
    folder = tmp_path / "work"
    folder.mkdir()
    found = []
    with using(address):
        for result in each(slow_shard, ((str(folder), number) for number in range(24))):
            found.append(result)
            if len(found) == 4:
                os.kill(workers[0].pid, signal.SIGKILL)
    assert [number for number, _ in found] == list(range(24))
    assert (folder / f"by-{workers[0].pid}").exists(), "the one that was killed had been at work"
    assert found[-1][1] == workers[1].pid
    assert sorted(p.name for p in folder.glob("shard-*")) == sorted(f"shard-{number}" for number in range(24))


def test_no_scheduler_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("hierlandmarks.executors.TIMEOUT", "1s")
    with using("tcp://127.0.0.1:9"), pytest.raises(IncompleteError, match="no Dask scheduler answers"):
        list(each(double, [1]))
