"""Independent pieces of work over the machine's cores, results in the order of the pieces."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def n_threads() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(work: Callable[[T], R], pieces: Iterable[T], threads: int | None = None) -> list[R]:
    """`work` of every piece, in threads: for work that leaves the interpreter lock, as numpy and the kernels do."""
    pieces = list(pieces)
    workers = min(threads or n_threads(), len(pieces))
    if workers <= 1:
        return [work(piece) for piece in pieces]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, pieces))


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep matrix products to the thread that asks for them, where threadpoolctl is installed.

    Threads of a BLAS spin for some 25 ms after each product, on cores that ranking needs; and a product that they share
    out is rounded differently for every number of them. So threads here multiply tiles of their own.
    """
    if find_spec("threadpoolctl") is None:
        yield
        return
    with _controller().limit(limits=1, user_api="blas"):
        yield


@lru_cache(maxsize=1)
def _controller() -> Any:
    """The BLAS libraries of this process: looking for them takes longer than a small evaluation, so once."""
    return import_module("threadpoolctl").ThreadpoolController()
