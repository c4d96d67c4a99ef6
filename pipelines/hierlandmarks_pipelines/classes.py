"""The append-only table of classes: an integer code, once given, means the same node in every later version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from hierlandmarks.errors import TableError
from hierlandmarks.schema import CLASSES
from hierlandmarks.tables import conform, empty, read_csv

FILE = "classes.csv"


def read_classes(release: Path) -> pa.Table:
    """`classes.csv` of a release folder (`schema.CLASSES`).

    Raises:
        MissingDataError: there is none.
        TableError: it is no such table, or gives a code or a node twice.
    """
    return _checked(read_csv(release / FILE, CLASSES.schema.names), str(release / FILE))


def next_classes(nodes: pa.Table, before: pa.Table | None, version: str) -> pa.Table:
    """The former classes and, after them in each level, the nodes that are new, in the order of their ids.

    Args:
        nodes: a `schema.NODES` table.
        before: the classes of the version before, None for a first one. Its rows stay as they are; a node that is gone
            keeps its code, which nobody else gets.
        version: of the release that adds classes, for the column `since`.

    Returns:
        A `schema.CLASSES` table.
    """
    old = (empty(CLASSES) if before is None else _checked(before, "the former classes")).to_pandas()
    keys = pd.MultiIndex.from_frame(old[["level", "node_id"]])
    found = nodes.select(["level", "node_id", "name"]).to_pandas().sort_values("node_id", kind="stable")
    new = found[~pd.MultiIndex.from_frame(found[["level", "node_id"]]).isin(keys)]
    first = new["level"].map(old.groupby("level")["code"].max() + 1).fillna(0).astype(np.int64)
    new = new.assign(code=first + new.groupby("level").cumcount(), since=version)
    both = pd.concat([old, new])[CLASSES.schema.names].astype({"code": np.int64})
    return conform(pa.Table.from_pandas(both, preserve_index=False), CLASSES, "the classes")


def with_codes(nodes: pa.Table, classes: pa.Table) -> pa.Table:
    """The nodes with the codes that the classes give them."""
    codes = classes.to_pandas().set_index(["level", "node_id"])["code"]
    wanted = pd.MultiIndex.from_frame(nodes.select(["level", "node_id"]).to_pandas())
    column = pa.array(codes.reindex(wanted).to_numpy(), pa.int64())
    return nodes.set_column(nodes.column_names.index("code"), "code", column)


def _checked(classes: pa.Table, where: str) -> pa.Table:
    classes = conform(classes, CLASSES, where)
    twice = classes.select(["level", "node_id"]).to_pandas().duplicated().to_numpy()
    if twice.any():
        row = int(np.argmax(twice))
        raise TableError(f"{where}: the {classes['level'][row]} {classes['node_id'][row]} has two codes")
    return classes
