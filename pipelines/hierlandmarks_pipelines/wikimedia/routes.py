"""Where every category leads, and what its item says there: one row a title, packed, since there are many.

Titles are followed some thousands at a time, and of their items only what the tables need is kept, so memory grows
by some hundred bytes a landmark and not by what is said of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks_pipelines.wikimedia.client import Client
from hierlandmarks_pipelines.wikimedia.entities import INSTANCE_OF
from hierlandmarks_pipelines.wikimedia.names import find_by_name
from hierlandmarks_pipelines.wikimedia.pages import Found, batches, find_items
from hierlandmarks_pipelines.wikimedia.titles import is_valid
from hierlandmarks_pipelines.wikimedia.topics import Topic, find_topics

CHUNK = 10_000  # titles followed at a time; a multiple of a call's fifty
_STATEMENT = pa.struct([("item", pa.string()), ("rank", pa.string()), ("ended", pa.bool_())])
ROUTES = pa.schema(
    [
        pa.field("title", pa.string()),
        pa.field("reason", pa.string()),  # why it leads nowhere, "" when it does lead to an item
        pa.field("item", pa.string()),
        pa.field("route", pa.string()),  # as in the table `types`
        pa.field("revision", pa.int64()),
        pa.field("unknown", pa.bool_()),  # the item says only that it does not know what it is
        pa.field("types", pa.list_(_STATEMENT)),  # what it is an instance of, statements of best rank
    ]
)


def find_routes(client: Client, titles: pa.Array, *, by_name: bool = True) -> pa.Table:
    """Follow every title to its item.

    Args:
        client: where answers come from.
        titles: distinct, in the spelling of `titles.category_title`; those that may not be asked for are left out.
        by_name: whether unlinked categories are looked for by name (see `names.find_by_name`).

    Returns:
        A table like `ROUTES`, one row for each title that may be asked for, sorted.
    """
    order = pa.table({"row": pc.sort_indices(titles)})
    ordered = (title for rows in slices(order) for title in titles.take(rows["row"]).to_pylist())
    asked = (title for title in ordered if title and is_valid(title))
    parts = [_follow(client, chunk, by_name) for chunk in batches(asked, CHUNK)]
    return pa.concat_tables([ROUTES.empty_table(), *parts])


def _follow(client: Client, titles: Sequence[str], by_name: bool) -> pa.Table:
    found = find_by_name(client, find_items(client, titles), ask=by_name)
    topics = find_topics(client, {page.item for page in found.values() if page.item})
    rows = (_row(title, found[title], topics.get(found[title].item)) for title in titles)
    return pa.Table.from_pylist(list(rows), schema=ROUTES)


def _row(title: str, page: Found, topic: Topic | None) -> dict[str, Any]:
    if topic is None or page.reason or topic.reason:
        return {"title": title, "reason": page.reason or (topic.reason if topic else ""), "types": []}
    entity = topic.entity
    return {
        "title": title,
        "reason": "",
        "item": entity.id,
        "route": ">".join(("category", *page.steps, *topic.steps)),
        "revision": entity.revision,
        "unknown": entity.says_unknown(INSTANCE_OF),
        "types": [{"item": s.item, "rank": s.rank, "ended": s.ended} for s in entity.values(INSTANCE_OF)],
    }


def slices(table: pa.Table, rows: int = 2_000) -> Iterator[pa.Table]:
    """A table in parts of at most so many rows, to look at as Python objects one part at a time."""
    return (table.slice(start, rows) for start in range(0, table.num_rows, rows))
