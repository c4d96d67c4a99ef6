"""What a stranger's file may cost: bytes, rows and memory are bounded, and whatever a reader throws is one sentence."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from hierlandmarks.errors import CorruptInputError, HierlandmarksError, MissingDataError
from hierlandmarks_benchmark.texts import plain

MOST_BYTES = 1 << 30  # of a file: 117,577 lists of 100 ids are a fifth of that
MOST_UNPACKED = 1 << 32  # bytes that a compressed file may say it holds
MOST_RATIO = 200  # unpacked to packed; honest ids and vectors stay under 20
MOST_ROWS = 5_000_000
MOST_WIDTH = 16_384  # numbers in a vector
MEMORY = 1 << 30  # bytes that reading may take beyond what is in use
SLACK = 1 << 20  # a file this small may unpack to that whatever the ratio


def check_size(path: Path) -> None:
    """Refuse a path that is no plain file, or too large.

    Raises:
        MissingDataError: there is none.
        CorruptInputError: it is a link to something else than a file, or larger than `MOST_BYTES`.
    """
    if not path.exists():
        raise MissingDataError(f"there is no file {path}", do="check the path")
    if not path.is_file():
        raise CorruptInputError(f"{path} is no plain file", do="give the file itself")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise CorruptInputError(f"{path} is too large", got=f"{size:,} bytes", expected=f"at most {MOST_BYTES:,}")


def check_unpacked(path: Path, packed: int, unpacked: int) -> None:
    """Refuse a compressed file that says it holds far more than it is long.

    Raises:
        CorruptInputError: more than `MOST_UNPACKED`, or more than `MOST_RATIO` times its size.
    """
    if unpacked > MOST_UNPACKED or unpacked > SLACK + MOST_RATIO * max(packed, 1):
        raise CorruptInputError(
            f"{path} unpacks to too much",
            got=f"{unpacked:,} bytes from {packed:,}",
            expected=f"at most {MOST_RATIO} times its size",
        )


@contextlib.contextmanager
def guarded(path: Path, what: str) -> Iterator[None]:
    """Read a stranger's file inside this: bounded memory, and one sentence whatever goes wrong in a reader.

    Raises:
        CorruptInputError: the reader failed; errors of our own pass through as they are.
    """
    try:
        with bounded_memory(MEMORY), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a damaged file makes a library mutter
            yield
    except HierlandmarksError:
        raise
    except MemoryError as error:
        raise CorruptInputError(
            f"{path} takes too much memory to read", expected=f"at most {MEMORY:,} bytes"
        ) from error
    except Exception as error:  # what libraries raise on damaged bytes is open-ended; nothing of ours runs in there
        got = " ".join(plain(str(error)).split())[:160] or type(error).__name__
        raise CorruptInputError(f"{path} is no {what}", got=got) from error


@contextlib.contextmanager
def bounded_memory(extra: int) -> Iterator[None]:
    """Let this process allocate at most so many bytes more, where the system can say so (Linux)."""
    pool = pa.default_memory_pool()
    pa.allocate_buffer(1 << 20, memory_pool=pool)  # it may set a gigabyte aside at its first use
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except (ImportError, OSError):  # no such limit here: the checks of size remain
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = pages * resource.getpagesize() + extra
    limits = [limit for limit in (soft, hard, wanted) if limit != resource.RLIM_INFINITY]
    pa.set_memory_pool(pa.system_memory_pool())
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
        pa.set_memory_pool(pool)
