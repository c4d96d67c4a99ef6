"""Manners on the network, shared by everything that fetches: offline switch, who we are, how long to wait and retry."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from hierlandmarks import __version__
from hierlandmarks.errors import OfflineError

AGENT = f"hierlandmarks/{__version__}"
PER_HOST = 4  # connections at the same time that a plain web server takes without complaint


def is_offline() -> bool:
    """Whether HIERLANDMARKS_OFFLINE forbids the network; read when called."""
    return os.environ.get("HIERLANDMARKS_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


def refuse_offline(what: str) -> None:
    """Stop before a socket is opened when the network is forbidden.

    Raises:
        OfflineError: HIERLANDMARKS_OFFLINE is set.
    """
    if is_offline():
        raise OfflineError(f"{what} needs the network and HIERLANDMARKS_OFFLINE is set", do="unset it, then run again")


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds a server asks to wait, from either form of Retry-After (RFC 9110, section 10.2.3); None if it does not.

    >>> retry_after({"Retry-After": "7"})
    7.0
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> retry_after({"Retry-After": "Thu, 01 Jan 2026 00:01:30 GMT"}, now=at)
    90.0
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


@dataclass
class Patience:
    """How often to try, and how long to wait between tries: exponential with jitter, or what the server asks for.

    Attributes:
        tries: attempts in all, at least 1.
        first: longest wait before the second try, in seconds; doubles from try to try.
        longest: cap of the waits, in seconds. A server that asks for more than `longest_asked` is taken to mean
            "not today".
        sleep, random: injected by tests.
    """

    tries: int = 6
    first: float = 5.0
    longest: float = 120.0
    longest_asked: float = 900.0
    sleep: Callable[[float], object] = time.sleep
    random: Callable[[], float] = field(default_factory=lambda: random.Random().random)

    def ends(self, attempt: int, asked: float | None = None) -> bool:
        """Whether try `attempt` was the last: there are no more, or the server asks for too long a wait."""
        return attempt >= self.tries or (asked is not None and asked > self.longest_asked)

    def wait(self, attempt: int, asked: float | None = None) -> bool:
        """Wait before try `attempt + 1` (`attempt` counts from 1); False, without waiting, when it is time to give up.

        The wait is between half and all of the step, so that clients stopped together do not return together.
        """
        if self.ends(attempt, asked):
            return False
        step = min(self.longest, self.first * 2 ** (attempt - 1))
        self.sleep(asked + self.random() if asked is not None else step * (0.5 + 0.5 * self.random()))
        return True


class HostLimit:
    """At most `per_host` connections to one host at the same time, over all threads that share this object."""

    def __init__(self, per_host: int = PER_HOST) -> None:
        self._per_host = per_host
        self._slots: dict[str, threading.BoundedSemaphore] = {}
        self._lock = threading.Lock()

    @contextmanager
    def to(self, url: str) -> Iterator[None]:
        """Hold one of the connections to the host of an address, waiting until there is one."""
        host = urlsplit(url).hostname or ""
        with self._lock:
            slots = self._slots.setdefault(host, threading.BoundedSemaphore(self._per_host))
        with slots:
            yield
