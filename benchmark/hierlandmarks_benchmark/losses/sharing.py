"""Rows shared among plain threads, with torch kept to one thread in each: the losses' only parallelism on the CPU.

After each parallel operation torch's OpenMP workers spin for milliseconds, on the cores that compiled loops need; and
a second OpenMP would not be safe beside forked workers. So the threads here are Python's. They obey
``torch.set_num_threads``; torch's operations and the compiled loops hold no interpreter lock.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from typing import Protocol, TypeVar

import torch

T = TypeVar("T")


class Share(Protocol):
    """Calls a task on parts of the rows first … last − 1 that follow each other; gives the results in that order."""

    def __call__(self, first: int, last: int, least: int, task: Callable[[slice], T]) -> list[T]:
        """No part has fewer than `least` rows, unless there is only one."""


def whole(first: int, last: int, least: int, task: Callable[[slice], T]) -> list[T]:
    """A `Share` of one part."""
    return [task(slice(first, last))]


@contextmanager
def instead_of_torch_threads() -> Iterator[Share]:
    """A `Share` among as many threads as torch has, which is kept to one inside."""
    threads = torch.get_num_threads()

    def share(first: int, last: int, least: int, task: Callable[[slice], T]) -> list[T]:
        parts = max(1, min(threads, (last - first) // least))
        bounds = [first + (last - first) * part // parts for part in range(parts + 1)]
        others = [_pool().submit(_alone, task, slice(*bound)) for bound in pairwise(bounds[1:])]
        return [task(slice(bounds[0], bounds[1])), *(other.result() for other in others)]

    torch.set_num_threads(1)
    try:
        yield share
    finally:
        torch.set_num_threads(threads)


def _alone(task: Callable[[slice], T], rows: slice) -> T:
    torch.set_num_threads(1)  # of the thread that calls it
    with torch.no_grad():
        return task(rows)


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="rank-loss")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has the pool, but not its threads
