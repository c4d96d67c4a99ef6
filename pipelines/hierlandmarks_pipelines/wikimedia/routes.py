"""Where categories lead, and what their items say there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hierlandmarks_pipelines.wikimedia.client import Client
from hierlandmarks_pipelines.wikimedia.entities import INSTANCE_OF
from hierlandmarks_pipelines.wikimedia.names import find_by_name
from hierlandmarks_pipelines.wikimedia.pages import Found, batches, find_items
from hierlandmarks_pipelines.wikimedia.titles import is_valid
from hierlandmarks_pipelines.wikimedia.topics import Topic, find_topics

CHUNK = 10_000  # titles followed at a time; a multiple of a call's fifty
Route = dict[str, Any]


def find_routes(client: Client, titles: Iterable[str], *, by_name: bool = True) -> Iterator[dict[str, Route]]:
    """Follow every title to its item, `CHUNK` titles at a time.

    Args:
        client: where answers come from.
        titles: distinct and sorted, in the spelling of `titles.category_title`; those that may not be asked for are
            left out.
        by_name: whether unlinked categories are looked for by name (see `names.find_by_name`).

    Yields:
        By title, the `reason` why it leads nowhere, which is "" when it leads to an item; then its `item`, the
        `route` as in the table `types`, the item's `revision`, `types`, what it is an instance of (item, rank, ended
        of every statement of best rank), and `unknown`, whether it says only that this is not known.
    """
    for chunk in batches((title for title in titles if is_valid(title)), CHUNK):
        yield _follow(client, chunk, by_name)


def _follow(client: Client, titles: Sequence[str], by_name: bool) -> dict[str, Route]:
    found = find_by_name(client, find_items(client, titles), ask=by_name)
    topics = find_topics(client, {page.item for page in found.values() if page.item})
    return {title: _route(found[title], topics.get(found[title].item)) for title in titles}


def _route(page: Found, topic: Topic | None) -> Route:
    if topic is None or page.reason or topic.reason:
        return {"reason": page.reason or (topic.reason if topic else ""), "types": []}
    entity = topic.entity
    return {
        "reason": "",
        "item": entity.id,
        "route": ">".join(("category", *page.steps, *topic.steps)),
        "revision": entity.revision,
        "unknown": entity.says_unknown(INSTANCE_OF),
        "types": [{"item": s.item, "rank": s.rank, "ended": s.ended} for s in entity.values(INSTANCE_OF)],
    }
