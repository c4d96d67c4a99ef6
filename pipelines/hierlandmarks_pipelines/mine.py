"""Landmarks to Wikidata types, each with its provenance, or with a reason why there is none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from hierlandmarks import schema
from hierlandmarks.errors import MissingDataError, UsageError
from hierlandmarks.releases import home
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import from_rows
from hierlandmarks_pipelines.wikimedia.archive import Archive
from hierlandmarks_pipelines.wikimedia.client import Client, Http
from hierlandmarks_pipelines.wikimedia.closure import Closure, close
from hierlandmarks_pipelines.wikimedia.entities import INSTANCE_OF, SUBCLASS_OF, Entity, get_entities
from hierlandmarks_pipelines.wikimedia.pace import PER_MINUTE, Bucket
from hierlandmarks_pipelines.wikimedia.pages import BATCH, Found, find_items
from hierlandmarks_pipelines.wikimedia.reasons import TYPED
from hierlandmarks_pipelines.wikimedia.titles import category_title, is_valid
from hierlandmarks_pipelines.wikimedia.topics import Topic, find_topics

DEPTH = 10  # levels of superclasses; the longest useful chains above real landmark types are shorter


@dataclass(frozen=True)
class MineParams:
    """Settings of the stage.

    Attributes:
        replay: answer from the archive only; the network is never used.
        archive: folder of `responses-*.jsonl.zst`; by default the run's `source` when replaying, else `answers` in
            HIERLANDMARKS_HOME, where every run finds what an earlier one was told.
        depth: levels of superclasses above the types.
        contact: who runs this; HIERLANDMARKS_CONTACT by default. Needed unless replaying.
        commons_api, wikidata_api: addresses; HIERLANDMARKS_COMMONS_API and HIERLANDMARKS_WIKIDATA_API by default,
            else Wikimedia's own.
        per_minute: requests a minute, at most 200.
    """

    replay: bool = False
    archive: Path | None = None
    depth: int = DEPTH
    contact: str = ""
    commons_api: str = ""
    wikidata_api: str = ""
    per_minute: float = PER_MINUTE


def mine(categories: pa.Table, client: Client, *, depth: int = DEPTH) -> dict[str, pa.Table]:
    """Follow every landmark's category to its Wikidata item, that item's types, and the classes above those.

    Equal answers give equal tables, whether they come from the archive or the network. A request that the archive
    already holds is not sent again, so a run that was stopped goes on where it stopped.

    Args:
        categories: a `schema.CATEGORIES` table.
        client: where answers come from.
        depth: levels of superclasses above the types, at least 0.

    Returns:
        The tables `types`, `reasons` (one row for every landmark), `subclasses` (acyclic; the depth of an edge is
        that of its parent, 1 for the parents of types) and `cycles` (edges left out).

    Raises:
        UsageError: depth is negative.
        MissingDataError: replaying, and the archive lacks an answer.

    About three calls for 50 landmarks; time and memory linear in landmarks and items.
    """
    if depth < 0:
        raise UsageError("depth is out of range", got=depth, expected="0 or more")
    landmarks = categories.select(["space", "landmark_id", "category"]).to_pylist()
    routes = _routes(client, {row["category"] for row in landmarks})
    classes = _Classes(client)
    stated = {s.item for route in routes.values() for s in route.topic.entity.values(INSTANCE_OF) if not route.reason}
    closure = close(classes.load(stated, "naming types"), classes.parents, depth)
    types: list[dict[str, Any]] = []
    reasons: list[dict[str, Any]] = []
    for row in landmarks:
        rows, reason = _type_rows(routes[row["category"]], classes)
        types += [{**row, **columns} for columns in rows]
        reasons.append({**row, "reason": reason})
    return {
        "types": from_rows(types, schema.TYPES),
        "reasons": from_rows(reasons, schema.REASONS),
        "subclasses": from_rows(_edge_rows(closure, classes), schema.SUBCLASSES),
        "cycles": from_rows(_cycle_rows(closure), schema.CYCLES),
    }


@dataclass(frozen=True, slots=True)
class _Route:
    """Where a category cell leads: title, topic, the steps between them, and the reason if it leads nowhere."""

    title: str
    topic: Topic
    steps: tuple[str, ...] = ()
    reason: str = ""


def _routes(client: Client, categories: Iterable[str]) -> dict[str, _Route]:
    """The route of every distinct category cell."""
    titles = {category: category_title(category) for category in categories}
    found = find_items(client, {title for title in titles.values() if title and is_valid(title)})
    topics = find_topics(client, {page.item for page in found.values() if page.item})
    nowhere = Topic(Entity("", missing=True))
    routes = {}
    for category, title in titles.items():
        page = found.get(title, Found(reason=_bad_cell(category, title)))
        topic = topics.get(page.item, nowhere)
        routes[category] = _Route(title, topic, (*page.steps, *topic.steps), page.reason or topic.reason)
    return routes


def _bad_cell(category: str, title: str) -> str:
    if not category.strip():
        return "no-category"
    return "invalid-title" if title else "not-a-category"


class _Classes:
    """Types and their superclasses by id, redirects resolved; each is asked for once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._entities: dict[str, Entity] = {}

    def load(self, ids: Iterable[str], about: str) -> list[str]:
        """Ask for items not known yet; return the ids after redirects, without items that do not exist."""
        ids = list(ids)
        for asked, entity in get_entities(self._client, set(ids) - self._entities.keys(), about).items():
            self._entities[asked] = self._entities[entity.id] = entity
        return list(dict.fromkeys(entity.id for i in ids if (entity := self._entities[i]) and not entity.missing))

    def parents(self, level: Sequence[str]) -> dict[str, list[str]]:
        """The superclasses of every item of a level, loaded."""
        stated = {item: [s.item for s in self._entities[item].values(SUBCLASS_OF)] for item in level}
        self.load((parent for parents in stated.values() for parent in parents), "asking for superclasses")
        return {item: self.load(parents, "") for item, parents in stated.items()}

    def get(self, item: str) -> Entity:
        """A loaded item by the id it was asked for or its own."""
        return self._entities[item]

    def name(self, item: str) -> str:
        """The English name of an item; its id where there is none."""
        return self._entities[item].label or item


def _type_rows(route: _Route, classes: _Classes) -> tuple[list[dict[str, Any]], str]:
    """The types at the end of a route, or why there are none."""
    if route.reason:
        return [], route.reason
    entity = route.topic.entity
    rows: dict[str, dict[str, Any]] = {}
    for statement in entity.values(INSTANCE_OF):
        kind = classes.get(statement.item)
        if kind.missing:
            continue
        rows[kind.id] = {
            "type_id": kind.id,
            "type": classes.name(kind.id),
            "rank": statement.rank,
            "ended": statement.ended and rows.get(kind.id, {}).get("ended", True),
            "item": entity.id,
            "title": route.title,
            "route": ">".join(("category", *route.steps)),
            "revision": entity.revision,
        }
    if rows:
        return list(rows.values()), TYPED
    if entity.values(INSTANCE_OF):
        return [], "missing-type"
    return [], "type-unknown" if entity.says_unknown(INSTANCE_OF) else "no-type"


def _edge_rows(closure: Closure, classes: _Classes) -> list[dict[str, Any]]:
    return [
        {
            "type_id": child,
            "type": classes.name(child),
            "parent_id": parent,
            "parent": classes.name(parent),
            "depth": closure.depth[child] + 1,
        }
        for child, parent in closure.edges
    ]


def _cycle_rows(closure: Closure) -> list[dict[str, Any]]:
    return [
        {"type_id": child, "parent_id": parent, "cycle": ">".join(cycle)}
        for (child, parent), cycle in closure.cycles.items()
    ]


def plan(categories: pa.Table, archived: int, per_minute: float = PER_MINUTE) -> dict[str, float]:
    """What mining would cost, without asking anything.

    Args:
        categories: a `schema.CATEGORIES` table.
        archived: answers the archive already holds.
        per_minute: requests a minute.

    Returns:
        Counts of `landmarks`, `titles` and `archived`; `calls_at_least` and `calls_at_most` still to send, and
        `minutes_at_least` and `minutes_at_most` at that rate. At least: Commons, and every item once. At most:
        every category has an item of its own beside its topic's, soft redirects, and a closure of some
        10,000 classes.
    """
    titles = {category_title(category) for category in categories["category"].to_pylist()} - {""}
    calls = -(-len(titles) // BATCH)
    classes = min(10_000, 10 * len(titles)) // BATCH + DEPTH
    low, high = (max(0, count - archived) for count in (2 * calls + DEPTH, 3 * calls + calls // 10 + classes))
    return {
        "landmarks": categories.num_rows,
        "titles": len(titles),
        "archived": archived,
        "calls_at_least": low,
        "calls_at_most": high,
        "minutes_at_least": round(low / per_minute, 1),
        "minutes_at_most": round(high / per_minute, 1),
    }


def run_mine(params: MineParams, categories: pa.Table, archive: Path) -> dict[str, pa.Table]:
    """Mine over the network into `archive`, or replay it.

    Raises:
        UsageError: no contact, or an address or rate that cannot be used.
        OfflineError: not replaying, and HIERLANDMARKS_OFFLINE is set.
        MissingDataError: replaying, and there is no archive or it lacks an answer.
    """
    transport = None if params.replay else _transport(params)
    with Archive(archive, write=not params.replay) as opened:
        if params.replay and not len(opened):
            raise MissingDataError(
                f"there are no archived answers (responses-*.jsonl.zst) in {archive}", do="mine without replay first"
            )
        return mine(categories, Client(opened, transport), depth=params.depth)


def _transport(params: MineParams) -> Http:
    """The real transport; what the parameters leave open comes from the environment."""
    apis = {
        name: given or os.environ.get(f"HIERLANDMARKS_{name.upper()}_API", "")
        for name, given in (("commons", params.commons_api), ("wikidata", params.wikidata_api))
    }
    return Http(
        params.contact or os.environ.get("HIERLANDMARKS_CONTACT", ""),
        {name: address for name, address in apis.items() if address},
        Bucket(params.per_minute),
    )


def _run(params: MineParams, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    source = inputs.get("source") if params.replay else None
    return run_mine(params, inputs["categories"], params.archive or source or home() / "answers")


STAGE = Stage(
    name="mine",
    about="what every landmark is, from the answers of Wikimedia",
    params=MineParams,
    needs=("categories", "source"),
    makes=("types", "reasons", "subclasses", "cycles"),
    run=_run,
    reads=lambda params: (params.archive,) if params.replay and params.archive else (),
    optional=("source",),
)
