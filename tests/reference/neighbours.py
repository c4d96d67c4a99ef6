"""Slow twin of the search: every pair scored, every list sorted, in plain loops."""

from __future__ import annotations

import numpy as np


def rank(query: np.ndarray, gallery: np.ndarray, k: int, skip: list[int] | None = None) -> list[list[int]]:
    """The first k rows of the gallery for each query: score rounded to float32 descending, then row ascending."""
    lists = []
    for number, vector in enumerate(query.astype(np.float64)):
        scores = [float(np.float32(np.sum(vector * item))) for item in gallery.astype(np.float64)]
        rows = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
        lists.append([row for row in rows if skip is None or row != skip[number]][:k])
    return lists
