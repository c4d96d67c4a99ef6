"""Waiting and retrying: both forms of Retry-After, bounds and jitter of the back-off, the offline switch."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hierlandmarks.network import Patience, is_offline, retry_after

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30),
        ("Thursday, 01-Jan-26 12:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("", None),
    ],
)
def test_retry_after(value, seconds):
    assert retry_after({"Retry-After": value}, NOW) == seconds
    assert retry_after({}) is None


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_back_off_doubles_up_to_its_cap(chance):
    waits = []
    patience = Patience(tries=8, first=5, longest=120, sleep=waits.append, random=lambda: chance)
    assert [patience.wait(attempt) for attempt in range(1, 9)] == [True] * 7 + [False]
    assert waits == [step * (0.5 + 0.5 * chance) for step in (5, 10, 20, 40, 80, 120, 120)]


def test_what_the_server_asks_comes_first_within_reason():
    waits = []
    patience = Patience(tries=3, longest_asked=100, sleep=waits.append, random=lambda: 0.25)
    assert patience.wait(1, 100)
    assert not patience.wait(1, 101)
    assert not patience.wait(3, 1)
    assert waits == [100.25]


@pytest.mark.parametrize(("value", "offline"), [("", False), ("0", False), ("no", False), ("1", True), ("yes", True)])
def test_offline(monkeypatch, value, offline):
    monkeypatch.setenv("HIERLANDMARKS_OFFLINE", value)
    assert is_offline() is offline
