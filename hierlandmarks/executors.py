"""Where work over shards runs: threads, processes, or a Dask cluster, written once against concurrent.futures.

Chosen by `--executor`, else by HIERLANDMARKS_EXECUTOR, else threads: `threads`, `threads:4`, `processes:2`, or the
address of a Dask scheduler, `tcp://HOST:8786`, whose workers see the same folders. Every piece of work writes whole
files or none and gives the same answer again, so one that is lost with its worker is done once more by another.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import ContextVar
from typing import TypeVar

from hierlandmarks.errors import IncompleteError, UsageError

T = TypeVar("T")
R = TypeVar("R")

VARIABLE = "HIERLANDMARKS_EXECUTOR"
TIMEOUT = "20s"  # for the scheduler to answer
AHEAD = 2  # pieces handed out for each worker: enough to keep it busy, few enough to keep memory flat
_LOCAL = re.compile(r"(threads|processes)(?::([1-9]\d{0,3}))?")
_chosen: ContextVar[str | None] = ContextVar("executor", default=None)


@contextlib.contextmanager
def using(executor: str | None) -> Iterator[None]:
    """Within this block, work over shards runs there; None leaves the choice to the environment."""
    if executor is not None:
        _check(executor)
    token = _chosen.set(executor)
    try:
        yield
    finally:
        _chosen.reset(token)


def each(function: Callable[[T], R], pieces: Iterable[T]) -> Iterator[R]:
    """`function` of every piece, in order, computed where `using` says.

    Pieces are taken only a few ahead of the results, so they may be large and made one at a time.

    Args:
        function: picklable, unless it runs in threads.
        pieces: the same.

    Raises:
        UsageError: the environment names no executor.
        IncompleteError: the cluster is not there, or Dask is not installed.
    """
    with _open(_chosen.get() or os.environ.get(VARIABLE) or "threads") as (executor, workers):
        waiting: deque[Future[R]] = deque()
        try:
            for piece in pieces:
                waiting.append(executor.submit(function, piece))
                if len(waiting) >= AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _check(executor: str) -> re.Match[str] | None:
    match = _LOCAL.fullmatch(executor)
    if match is None and not executor.startswith(("tcp://", "tls://")):
        raise UsageError(
            f"there is no executor {executor!r}",
            expected="threads, threads:N, processes, processes:N, or tcp://HOST:PORT",
        )
    return match


@contextlib.contextmanager
def _open(executor: str) -> Iterator[tuple[Executor, int]]:
    if match := _check(executor):
        workers = int(match[2] or os.cpu_count() or 1)
        pool = ThreadPoolExecutor if match[1] == "threads" else ProcessPoolExecutor
        with pool(workers) as local:
            yield local, workers
        return
    try:
        from distributed import Client
    except ImportError:
        raise IncompleteError("Dask is not installed", do="pip install 'hierlandmarks[cluster]'") from None
    try:
        client = Client(executor, timeout=TIMEOUT, set_as_default=False)
    except OSError as error:
        raise IncompleteError(f"no Dask scheduler answers at {executor}", got=str(error).splitlines()[0]) from error
    with client:
        yield client.get_executor(pure=False), max(1, sum(client.nthreads().values()))
