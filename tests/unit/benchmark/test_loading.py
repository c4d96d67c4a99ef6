from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hierlandmarks as hl
from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks_benchmark import loading
from hierlandmarks_benchmark.loading import Clock, Held, Streamed, cores_for, open_pictures
from tests.coloured import release as write_release

BATCHES = [np.array(rows) for rows in ([3, 1, 7], [40, 41], [9, 9, 2, 0], [49])]


def batches_of(pictures: Held | Streamed) -> list[tuple[list[int], torch.Tensor]]:
    return [(rows.tolist(), pixels) for rows, pixels in pictures.feed(iter(BATCHES))]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_streamed_pictures_are_those_held_in_memory(release: Path, workers: int) -> None:
    dataset = hl.load(release, split="train")
    held = batches_of(open_pictures(dataset, 20))
    streamed = batches_of(open_pictures(dataset, 20, workers=workers, in_memory="never"))
    assert [rows for rows, _ in held] == [rows for rows, _ in streamed] == [batch.tolist() for batch in BATCHES]
    assert all(torch.equal(one, two) for (_, one), (_, two) in zip(held, streamed, strict=True))
    assert held[0][1].dtype == torch.uint8
    assert held[2][1].shape == (4, 3, 20, 20)


def test_a_feed_may_be_endless_and_is_read_as_it_is_needed(release: Path) -> None:
    pictures = open_pictures(hl.load(release, split="train"), 8, workers=2, in_memory="never")
    feed = pictures.feed(np.array([step % 50]) for step in iter(int, 1))
    assert [int(next(feed)[0][0]) for _ in range(3)] == [0, 0, 0]


def test_unreadable_pictures_are_left_out_counted_and_listed(tmp_path: Path) -> None:
    release = write_release(tmp_path, {"train": (range(8), 13)}, spoilt=1)
    dataset = hl.load(release, split="train")
    held, streamed = (open_pictures(dataset, 8, workers=0, in_memory=where) for where in ("always", "never"))
    assert len(held.rows) == 103
    (lost,) = set(range(104)) - set(held.rows.tolist())
    batches = [np.array([lost, 5]), np.array([6, lost, 7]), np.array([lost])]
    for pictures in (held, streamed):
        found = list(pictures.feed(batches))
        assert [rows.tolist() for rows, _ in found] == [[5], [6, 7], []]
        assert [len(pixels) for _, pixels in found] == [1, 2, 0]
    assert held.skipped == streamed.skipped
    assert streamed.skipped[0].startswith(dataset.images["id"].iloc[lost])


def test_more_than_one_in_a_hundred_stops_with_the_list(tmp_path: Path) -> None:
    dataset = hl.load(write_release(tmp_path, {"train": (range(8), 5)}, spoilt=3), split="train")
    pictures = open_pictures(dataset, 8, workers=2, in_memory="never")
    with pytest.raises(CorruptInputError, match=r"1 of 40 pictures of coloured cannot be read; got .*decoded"):
        for _ in pictures.feed([np.array([row]) for row in range(40)]):
            pass
    with pytest.raises(CorruptInputError, match="3 of 40 pictures"):
        open_pictures(dataset, 8)


def test_memory_decides_where_pictures_are(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = hl.load(release, split="train")
    needed = 3 * 20 * 20 * 50
    monkeypatch.setattr(loading, "_free_memory", lambda: 2 * needed)
    assert open_pictures(dataset, 20).where == "memory"
    monkeypatch.setattr(loading, "_free_memory", lambda: 2 * needed - 2)
    assert open_pictures(dataset, 20, workers=3).where == "3 workers"
    assert open_pictures(dataset, 20, in_memory="always").where == "memory"
    assert open_pictures(dataset, 20, np.array([4, 2]), workers=1).where == "memory"
    monkeypatch.setattr(loading, "_free_memory", lambda: needed - 1)
    with pytest.raises(UsageError, match=r"do not fit in memory; got 0\.0 GB needed.*lower data\.stored"):
        open_pictures(dataset, 20, in_memory="always")
    with pytest.raises(UsageError, match="did you mean never"):
        open_pictures(dataset, 20, in_memory="nevr")


def test_processes_of_a_run_share_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading.os, "sched_getaffinity", lambda _: range(8))
    assert (cores_for(10_000, -1), cores_for(10, -1), cores_for(10, 3), cores_for(10_000, 0)) == (8, 0, 3, 0)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert cores_for(10_000, -1) == 2


def test_waiting_is_a_share_of_the_time() -> None:
    def slow() -> Any:
        for number in range(3):
            time.sleep(0.03)
            yield number

    clock = Clock()
    assert clock.share == 0
    for _ in clock.watch(slow()):
        time.sleep(0.03)
    assert 0.2 < clock.share < 0.8
    idle = Clock()
    assert list(idle.watch(slow())) == [0, 1, 2]
    assert idle.share > 0.9


def test_datasets_reach_workers_that_are_spawned(release: Path) -> None:
    squares = loading._Squares(hl.load(release, split="train"), 8)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        rows, pixels, failures = pool.apply(squares.__getitems__, (np.array([3, 1]),))
    assert rows.tolist() == [3, 1]
    assert not failures
    assert torch.equal(pixels, squares.__getitems__(np.array([3, 1]))[1])
