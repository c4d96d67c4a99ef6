"""Landmarks to Wikidata types, each with its provenance, or with a reason why there is none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from hierlandmarks import schema
from hierlandmarks.errors import MissingDataError, UsageError
from hierlandmarks.releases import home
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import conform, empty, from_rows
from hierlandmarks_pipelines.wikimedia.archive import Archive
from hierlandmarks_pipelines.wikimedia.client import Client, Http
from hierlandmarks_pipelines.wikimedia.closure import Closure, close
from hierlandmarks_pipelines.wikimedia.entities import SUBCLASS_OF, Entity, get_entities
from hierlandmarks_pipelines.wikimedia.landmarks import Landmarks
from hierlandmarks_pipelines.wikimedia.names import NAMES
from hierlandmarks_pipelines.wikimedia.pace import PER_MINUTE, Bucket
from hierlandmarks_pipelines.wikimedia.pages import BATCH
from hierlandmarks_pipelines.wikimedia.reasons import TYPED
from hierlandmarks_pipelines.wikimedia.routes import Route, find_routes

DEPTH = 10  # levels of superclasses; the longest useful chains above real landmark types are shorter


@dataclass(frozen=True)
class MineParams:
    """Settings of the stage.

    Attributes:
        replay: answer from the archive only; the network is never used.
        archive: folder of `responses-*.jsonl.zst`; by default the run's `source` when replaying, else `answers` in
            HIERLANDMARKS_HOME, where every run finds what an earlier one was told.
        depth: levels of superclasses above the types.
        by_name: look for unlinked categories by name (P373), over Wikidata's query service.
        contact: who runs this; HIERLANDMARKS_CONTACT by default. Needed unless replaying.
        commons_api, wikidata_api, sparql_api: addresses; HIERLANDMARKS_COMMONS_API, HIERLANDMARKS_WIKIDATA_API and
            HIERLANDMARKS_SPARQL_API by default, else Wikimedia's own. Where one of the first two is another's and the
            third is not given, nothing is looked for by name, since numbers of items could mean other things there.
        per_minute: requests a minute, at most 200.
    """

    replay: bool = False
    archive: Path | None = None
    depth: int = DEPTH
    by_name: bool = True
    contact: str = ""
    commons_api: str = ""
    wikidata_api: str = ""
    sparql_api: str = ""
    per_minute: float = PER_MINUTE


@dataclass(frozen=True)
class Mined:
    """What was found, with the tables over landmarks in parts, for who does not want to hold them.

    Attributes:
        subclasses, cycles: tables; see `mine`.
        parts: `types` and `reasons` of some thousand landmarks at a time, in the order of their keys; to be taken once.
    """

    subclasses: pa.Table
    cycles: pa.Table
    parts: Iterator[tuple[pa.Table, pa.Table]]


def mine(categories: pa.Table, client: Client, *, depth: int = DEPTH, by_name: bool = True) -> dict[str, pa.Table]:
    """Follow every landmark's category to its Wikidata item, that item's types, and the classes above those.

    Equal answers give equal tables, whether they come from the archive or the network. A request that the archive
    already holds is not sent again, so a run that was stopped goes on where it stopped.

    Args:
        categories: a `schema.CATEGORIES` table.
        client: where answers come from.
        depth: levels of superclasses above the types, at least 0.
        by_name: whether unlinked categories are looked for by name, as a last resort (P373).

    Returns:
        The tables `types`, `reasons` (one row for every landmark), `subclasses` (acyclic; the depth of an edge is
        that of its parent, 1 for the parents of types) and `cycles` (edges left out).

    Raises:
        UsageError: depth is negative.
        MissingDataError: replaying, and the archive lacks an answer.

    About three calls for 50 landmarks; time linear in landmarks and items. Beside these tables, memory is linear in
    classes alone.
    """
    with Landmarks() as landmarks:
        landmarks.add(categories)
        found = mine_in_parts(landmarks, client, depth=depth, by_name=by_name)
        types, reasons = zip((empty(schema.TYPES), empty(schema.REASONS)), *found.parts, strict=True)
    return {
        "types": conform(pa.concat_tables(types), schema.TYPES, "types"),
        "reasons": conform(pa.concat_tables(reasons), schema.REASONS, "reasons"),
        "subclasses": found.subclasses,
        "cycles": found.cycles,
    }


def mine_in_parts(landmarks: Landmarks, client: Client, *, depth: int = DEPTH, by_name: bool = True) -> Mined:
    """As `mine`; memory does not grow with the landmarks, only with the classes of things there are."""
    if depth < 0:
        raise UsageError("depth is out of range", got=depth, expected="0 or more")
    stated: set[str] = set()
    for routes in find_routes(client, landmarks.titles(), by_name=by_name):
        landmarks.add_routes(routes)
        stated.update(statement["item"] for route in routes.values() for statement in route["types"])
    pa.default_memory_pool().release_unused()  # what following took, or it would lie beside what writing takes
    classes = _Classes(client)
    closure = close(classes.load(stated, "naming types"), classes.parents, depth)
    return Mined(
        subclasses=from_rows(_edge_rows(closure, classes), schema.SUBCLASSES),
        cycles=from_rows(_cycle_rows(closure), schema.CYCLES),
        parts=_types_and_reasons(landmarks, classes),
    )


def _types_and_reasons(landmarks: Landmarks, classes: _Classes) -> Iterator[tuple[pa.Table, pa.Table]]:
    """The two tables over landmarks, a slice at a time."""
    for part in landmarks.routed():
        types: list[dict[str, Any]] = []
        reasons: list[dict[str, Any]] = []
        for landmark, route in part:
            own, reason = _type_rows(landmark, route, classes)
            types += own
            reasons.append({**landmark, "reason": reason})
        yield from_rows(types, schema.TYPES), from_rows(reasons, schema.REASONS)


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


def _type_rows(landmark: Mapping[str, str], route: Route | None, classes: _Classes) -> tuple[list[dict[str, Any]], str]:
    """The types at the end of a landmark's route, or why there are none."""
    if route is None:  # its title was not asked for
        return [], _bad_cell(landmark)
    if route["reason"]:
        return [], route["reason"]
    rows: dict[str, dict[str, Any]] = {}
    for statement in route["types"]:
        kind = classes.get(statement["item"])
        if kind.missing:
            continue
        rows[kind.id] = {
            "space": landmark["space"],
            "landmark_id": landmark["landmark_id"],
            "type_id": kind.id,
            "type": classes.name(kind.id),
            "rank": statement["rank"],
            "ended": statement["ended"] and rows.get(kind.id, {}).get("ended", True),
            "item": route["item"],
            "title": landmark["title"],
            "route": route["route"],
            "revision": route["revision"],
        }
    if rows:
        return list(rows.values()), TYPED
    if route["types"]:
        return [], "missing-type"
    return [], "type-unknown" if route["unknown"] else "no-type"


def _bad_cell(landmark: Mapping[str, str]) -> str:
    if not landmark["category"].strip():
        return "no-category"
    return "invalid-title" if landmark["title"] else "not-a-category"


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


def plan(landmarks: Landmarks, archived: int, per_minute: float = PER_MINUTE) -> dict[str, float]:
    """What mining would cost, without asking anything.

    Args:
        landmarks: all of them.
        archived: answers the archive already holds.
        per_minute: requests a minute.

    Returns:
        Counts of `landmarks`, `titles` and `archived`; `calls_at_least` and `calls_at_most` still to send, and
        `minutes_at_least` and `minutes_at_most` at that rate. At least: Commons, and every item once. At most:
        every category has an item of its own beside its topic's, soft redirects, a name to look for, and a closure
        of some 10,000 classes.
    """
    titles = sum(1 for _ in landmarks.titles())
    calls = -(-titles // BATCH)
    classes = min(10_000, 10 * titles) // BATCH + DEPTH
    names = -(-titles // NAMES)
    low, high = (max(0, count - archived) for count in (2 * calls + DEPTH, 3 * calls + calls // 10 + names + classes))
    return {
        "landmarks": len(landmarks),
        "titles": titles,
        "archived": archived,
        "calls_at_least": low,
        "calls_at_most": high,
        "minutes_at_least": round(low / per_minute, 1),
        "minutes_at_most": round(high / per_minute, 1),
    }


def run_mine(params: MineParams, categories: pa.Table, archive: Path) -> dict[str, pa.Table]:
    """Mine over the network into `archive`, or replay it; errors as `mine` and `asking`."""
    with asking(params, archive) as (client, by_name):
        return mine(categories, client, depth=params.depth, by_name=by_name)


@contextlib.contextmanager
def asking(params: MineParams, archive: Path) -> Iterator[tuple[Client, bool]]:
    """A client that asks over the network and archives in a folder, or replays it; and whether to look for names.

    Raises:
        UsageError: no contact, or an address or rate that cannot be used.
        OfflineError: not replaying, and HIERLANDMARKS_OFFLINE is set.
        MissingDataError: replaying, and there is no archive.
    """
    apis = {} if params.replay else _addresses(params)
    contact = params.contact or os.environ.get("HIERLANDMARKS_CONTACT", "")
    transport = None if params.replay else Http(contact, apis, Bucket(params.per_minute))
    with Archive(archive, write=not params.replay) as opened:
        if params.replay and not len(opened):
            raise MissingDataError(
                f"there are no archived answers (responses-*.jsonl.zst) in {archive}", do="mine without replay first"
            )
        yield Client(opened, transport), params.by_name and (not apis or "sparql" in apis)


def _addresses(params: MineParams) -> dict[str, str]:
    """The addresses that are not Wikimedia's own: from the parameters, else from the environment."""
    given = {"commons": params.commons_api, "wikidata": params.wikidata_api, "sparql": params.sparql_api}
    found = {name: own or os.environ.get(f"HIERLANDMARKS_{name.upper()}_API", "") for name, own in given.items()}
    return {name: address for name, address in found.items() if address}


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
