from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hierlandmarks.errors import IncompleteError, UsageError
from hierlandmarks.executors import VARIABLE, each, using
from tests import tiny
from tests.cluster import cluster


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


@pytest.mark.slow
def test_dask_writes_the_same_bytes(expected: dict[str, bytes], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with cluster(tmp_path) as (address, _), using(address):
        assert files(tiny.release(tmp_path / "dask", rows_per_shard=3)) == expected


def test_no_scheduler_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("hierlandmarks.executors.TIMEOUT", "1s")
    with using("tcp://127.0.0.1:9"), pytest.raises(IncompleteError, match="no Dask scheduler answers"):
        list(each(double, [1]))
