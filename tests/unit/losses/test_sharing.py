"""Threads of the compiled backend: parts in order, errors and torch's threads given back, safe under fork."""

from __future__ import annotations

import multiprocessing

import pytest
import torch

from hierlandmarks_benchmark.losses import SupHAPLoss
from hierlandmarks_benchmark.losses.sharing import instead_of_torch_threads
from tests.unit.losses.batches import tree_labels, unit


@pytest.fixture(autouse=True)
def _three_threads() -> object:
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(threads)


def test_parts_follow_each_other_and_torch_has_one_thread_in_each() -> None:
    with instead_of_torch_threads() as share:
        assert share(2, 9, 1, lambda rows: (rows.start, rows.stop, torch.get_num_threads())) == [
            (2, 4, 1),
            (4, 6, 1),
            (6, 9, 1),
        ]
        assert share(2, 9, 3, lambda rows: rows.stop - rows.start) == [3, 4]
        assert share(2, 9, 100, lambda rows: rows) == [slice(2, 9)]
    assert torch.get_num_threads() == 3


def test_torch_gets_its_threads_back_after_an_error() -> None:
    def fail(rows: slice) -> None:
        if rows.start:
            raise ArithmeticError("of another thread")

    with pytest.raises(ArithmeticError, match="of another thread"), instead_of_torch_threads() as share:
        share(0, 9, 1, fail)
    assert torch.get_num_threads() == 3


def large_value() -> float:
    """Of a batch that is shared among threads."""
    return float(SupHAPLoss(backend="numba")(unit(300, 8, 1), tree_labels(300, 9, 1)))


def test_a_forked_child_starts_its_own_threads() -> None:
    expected = large_value()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(large_value).get(timeout=60) == expected
