"""Which rows have wanted values: checked once, then the same for a dataset in memory and for a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks.errors import UsageError
from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks.params import nearest
from hierlandmarks.schema import RELEASE

TEXT = {"landmark": "name", "label": "hierarchical_label", "kind": "natural_or_human_made"}  # of a level's codes


class Condition(NamedTuple):
    """A column of `schema.RELEASE` has one of these values."""

    column: str
    values: pa.Array


def conditions(wanted: Mapping[str, Any], hierarchy: Callable[[], Hierarchy]) -> tuple[Condition, ...]:
    """What `where` was given, as conditions.

    Args:
        wanted: column -> value or values. `label` and `kind` take a name of the hierarchy or an integer code,
            `landmark` the landmark's name or code; any other column but `image` takes its own values.
        hierarchy: gives the tree; called only where a label or kind is named.

    Raises:
        UsageError: there is no such column, no such label or kind in the hierarchy, or a value of another type.
    """
    return tuple(_condition(name, values, hierarchy) for name, values in wanted.items())


def holds(table: pa.Table, wanted: Sequence[Condition]) -> pa.ChunkedArray:
    """Whether all conditions hold, row by row.

    Args:
        table: with the columns of the conditions.
        wanted: at least one.
    """
    return reduce(pc.and_, (pc.is_in(table[one.column], value_set=one.values) for one in wanted))


def _condition(name: str, values: Any, hierarchy: Callable[[], Hierarchy]) -> Condition:
    columns = [column for column in RELEASE.schema.names if column != "image"]
    if name not in columns:
        raise UsageError(f"there is no column {name!r}", do=nearest(name, columns))
    values = list(values) if isinstance(values, list | tuple | set) else [values]
    if name in TEXT and all(isinstance(value, str) for value in values):
        _check_names(name, values, hierarchy)
        name = TEXT[name]
    kind = RELEASE.schema.field(name).type
    try:
        return Condition(name, pa.array(values, kind))
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UsageError(f"{name} has no such value", got=repr(values), expected=f"{kind}") from error


def _check_names(level: str, names: Sequence[str], hierarchy: Callable[[], Hierarchy]) -> None:
    if level == "landmark":  # a name only, which an image without a leaf has too
        return
    known = set(hierarchy().names(level).values())
    for name in names:
        if name not in known:
            raise UsageError(f"there is no {level} {name!r}", do=nearest(name, sorted(known)))
