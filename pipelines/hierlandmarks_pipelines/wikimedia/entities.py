"""Wikidata entities: what the miner needs of each, read from `wbgetentities` answers of every age."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hierlandmarks.progress import track
from hierlandmarks_pipelines.wikimedia.client import Client
from hierlandmarks_pipelines.wikimedia.pages import batches

INSTANCE_OF, SUBCLASS_OF, MAIN_TOPIC, END_TIME = "P31", "P279", "P301", "P582"
_PROPERTIES = (INSTANCE_OF, SUBCLASS_OF, MAIN_TOPIC)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that points at an item.

    Attributes:
        item: the value, a QID; "" for `somevalue` and `novalue`.
        rank: `preferred` or `normal`.
        ended: whether it carries an end date (P582).
    """

    item: str
    rank: str
    ended: bool


@dataclass(frozen=True, slots=True)
class Entity:
    """An item as the miner needs it.

    Attributes:
        id: QID after redirects.
        label: English label, "" when there is none.
        revision: revision read, None when the answer does not tell.
        claims: per property the statements of best rank, in the order of the item.
        missing: whether the item does not exist or was deleted.
    """

    id: str
    label: str = ""
    revision: int | None = None
    claims: Mapping[str, tuple[Statement, ...]] | None = None
    missing: bool = False

    def values(self, name: str) -> tuple[Statement, ...]:
        """Statements of a property that name an item, one for each item; ended only if all of that item are."""
        merged: dict[str, Statement] = {}
        for statement in (self.claims or {}).get(name, ()):
            if statement.item:
                known = merged.get(statement.item, statement)
                merged[statement.item] = Statement(statement.item, statement.rank, statement.ended and known.ended)
        return tuple(merged.values())

    def says_unknown(self, name: str) -> bool:
        """Whether a property is there, but only as `somevalue` or `novalue`."""
        return bool((self.claims or {}).get(name)) and not self.values(name)


def get_entities(client: Client, ids: Iterable[str], about: str) -> dict[str, Entity]:
    """One `Entity` for each id, under the id asked for; redirects are followed by the API.

    Args:
        ids: QIDs; they are asked for in numeric order, so that a replay forms the same batches.
        about: for the progress bar.
    """
    found: dict[str, Entity] = {}
    for batch in track(list(batches(sorted(set(ids), key=number))), about, unit="call"):
        found |= _get_batch(client, batch)
    return found


def _get_batch(client: Client, ids: Sequence[str]) -> dict[str, Entity]:
    """One call, or two more halves when the API refuses the whole batch for the sake of one id."""
    body = client.ask(
        "wikidata",
        {
            "action": "wbgetentities",
            "ids": "|".join(ids),
            "props": "claims|labels|info",
            "languages": "en",
            "languagefallback": "1",
            "redirects": "yes",
        },
    )
    if "error" not in body:
        return read_entities(ids, body)
    if len(ids) == 1:
        return {ids[0]: Entity(ids[0], missing=True)}
    half = len(ids) // 2
    return _get_batch(client, ids[:half]) | _get_batch(client, ids[half:])


def read_entities(asked: Sequence[str], body: Mapping[str, Any]) -> dict[str, Entity]:
    """The entities of one answer, under the ids asked for.

    A redirected item comes under the id asked for or under its new one, depending on the API's age; both are read.
    """
    entities = body.get("entities") or {}
    came_from = {
        entity["redirects"]["from"]: entity for entity in entities.values() if isinstance(entity.get("redirects"), dict)
    }
    return {asked_id: read_entity(asked_id, entities.get(asked_id) or came_from.get(asked_id)) for asked_id in asked}


def read_entity(asked_id: str, raw: Mapping[str, Any] | None) -> Entity:
    """One entity; `missing` in either spelling of the API's two formats."""
    if raw is None or raw.get("missing") not in (None, False):
        return Entity(asked_id, missing=True)
    claims = _mapping(raw.get("claims"))
    label = _mapping(raw.get("labels")).get("en", {})
    return Entity(
        id=str(raw.get("id", asked_id)),
        label=str(label.get("value", "")),
        revision=raw.get("lastrevid"),
        claims={name: best_statements(claims[name]) for name in _PROPERTIES if name in claims},
    )


def best_statements(raw: Iterable[Mapping[str, Any]]) -> tuple[Statement, ...]:
    """The preferred statements if there are any, else the normal ones; never deprecated ones."""
    statements = [_statement(one) for one in raw if one.get("rank") != "deprecated"]
    preferred = tuple(one for one in statements if one.rank == "preferred")
    return preferred or tuple(statements)


def _statement(raw: Mapping[str, Any]) -> Statement:
    ended = END_TIME in _mapping(raw.get("qualifiers"))
    return Statement(item_id(raw.get("mainsnak", {})), str(raw.get("rank", "normal")), ended)


def item_id(snak: Mapping[str, Any]) -> str:
    """The QID a snak points at, "" when it points at no item (`somevalue`, `novalue`, a property, a text).

    >>> item_id({"snaktype": "value", "datavalue": {"value": {"entity-type": "item", "numeric-id": 5}}})
    'Q5'
    """
    value = _mapping(snak.get("datavalue")).get("value") if snak.get("snaktype") == "value" else None
    if not isinstance(value, dict) or value.get("entity-type", "item") != "item":
        return ""
    text = str(value.get("id") or f"Q{value.get('numeric-id', '')}")
    return text if text[:1] == "Q" and text[1:].isascii() and text[1:].isdigit() else ""


def number(qid: str) -> tuple[int, str]:
    """Sorts QIDs as numbers; anything else comes first.

    >>> sorted(["Q10", "Q9"], key=number)
    ['Q9', 'Q10']
    """
    digits = qid[1:]
    return (int(digits) if digits.isascii() and digits.isdigit() else -1, qid)


def _mapping(value: Any) -> dict[str, Any]:
    """The value if it is a mapping, else an empty one: PHP writes an empty mapping as an empty list."""
    return value if isinstance(value, dict) else {}
