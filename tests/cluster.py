"""A Dask cluster as real processes: a scheduler and workers on loopback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


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


@contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """A scheduler's address, and workers of one thread each, which nothing starts again when they are killed."""
    quiet = ("--no-dashboard",)
    with ExitStack() as stack:
        scheduler = ("dask_scheduler", "--host", "127.0.0.1", "--port", "0", *quiet)
        _, address = stack.enter_context(started(*scheduler, until=r"(tcp://[\d.:]+)"))
        one = ("dask_worker", address, "--no-nanny", "--nthreads", "1", "--local-directory", str(folder), *quiet)
        yield address, [stack.enter_context(started(*one, until="(Registered)"))[0] for _ in range(workers)]
