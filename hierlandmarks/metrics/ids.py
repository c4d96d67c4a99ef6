"""Ids of queries and gallery items: checked, and matched so that a query never finds itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks.metrics.relevance import Ints


def check_ids(ids: ArrayLike | None, name: str, n: int) -> pd.Index[Any]:
    """`n` ids without repeats; row numbers where none are given.

    Raises:
        UsageError: not one id a row.
        CorruptInputError: an id that is missing or repeated, naming its row.
    """
    if ids is None:
        return pd.RangeIndex(n)
    index: pd.Index[Any] = pd.Index(np.asarray(ids) if not isinstance(ids, pd.Index | pd.Series) else ids)
    if index.ndim != 1 or len(index) != n:
        raise UsageError(f"{name} do not fit", got=f"{len(index)} ids", expected=f"{n}, one a row")
    if (bad := np.flatnonzero(index.isna())).size:
        raise CorruptInputError(f"{name} row {bad[0]} is empty", expected="an id a row")
    if (bad := np.flatnonzero(index.duplicated())).size:
        raise CorruptInputError(f"{name} row {bad[0]} is repeated", got=repr(index[bad[0]]), expected="each id once")
    return index


def self_matches(query_ids: pd.Index[Any], gallery_ids: pd.Index[Any]) -> Ints:
    """For each query the gallery row of the same id, −1 where there is none."""
    rows: Ints = gallery_ids.get_indexer(query_ids).astype(np.int64)
    return rows
