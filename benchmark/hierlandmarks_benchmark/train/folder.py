"""One run at a time in a run folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from hierlandmarks.errors import UsageError


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make a folder and hold it; the lock goes with the process, so a kill leaves none behind.

    Raises:
        UsageError: another process holds it, such as what is left of a torchrun that was killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UsageError(
            f"another process is training in {folder}", do="wait for it or end it, or choose another folder"
        ) from error
    except OSError:  # a file system without such locks
        pass
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # what was refused before anything was written leaves no folder either
            folder.rmdir()
        os.close(descriptor)
