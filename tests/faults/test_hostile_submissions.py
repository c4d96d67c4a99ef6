"""Damaged submissions are refused in one sentence, whatever the damage; `make fuzz` tries 10,000 of them."""

from __future__ import annotations

from tests.fuzz import fuzz


def test_damaged_files_are_refused_or_read_rightly() -> None:
    outcome = fuzz(400, seed=1)
    assert sum(outcome.values()) == 400
    assert sum(count for kind, count in outcome.items() if kind.endswith("refused")) > 200
