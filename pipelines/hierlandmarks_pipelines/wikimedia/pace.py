"""The pace of requests: a token bucket within Wikimedia's limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hierlandmarks.errors import UsageError

PER_MINUTE = 200.0  # the limit for clients that name a contact, over all Wikimedia projects together


@dataclass
class Bucket:
    """A token bucket: at most `per_minute` requests a minute over time, at most `burst` at once."""

    per_minute: float = PER_MINUTE
    burst: int = 5
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _tokens: float = field(init=False, default=0.0)
    _at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        if not 0 < self.per_minute <= PER_MINUTE:
            raise UsageError(
                "the request rate is out of range", got=self.per_minute, expected=f"0 < rate <= {PER_MINUTE}"
            )
        self._tokens, self._at = float(self.burst), self.clock()

    def take(self) -> None:
        """Take a token, waiting until there is one."""
        self._refill()
        while self._tokens < 1:
            self.sleep((1 - self._tokens) * 60 / self.per_minute + 1e-6)
            self._refill()
        self._tokens -= 1

    def _refill(self) -> None:
        now = self.clock()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.per_minute / 60)
        self._at = now
