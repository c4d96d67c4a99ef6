"""From a category's item to the item of the thing itself, over 'category's main topic' (P301)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hierlandmarks_pipelines.wikimedia.client import Client
from hierlandmarks_pipelines.wikimedia.entities import INSTANCE_OF, MAIN_TOPIC, Entity, get_entities

CATEGORY_ITEM = "Q4167836"  # Wikimedia category: an item about the category, not about what is in it
MAX_HOPS = 4


@dataclass(frozen=True, slots=True)
class Topic:
    """The item that an item of Commons stands for.

    Attributes:
        entity: the topic; of no use when there is a reason.
        steps: the hops to it, such as `("P301=Q243",)`.
        reason: why there is no topic, "" when there is one.
    """

    entity: Entity
    steps: tuple[str, ...] = ()
    reason: str = ""


def find_topics(client: Client, items: Iterable[str]) -> dict[str, Topic]:
    """The topic of every item: itself, unless it says of itself that it is a category item.

    A main topic can itself be a category item, so hops are repeated, up to `MAX_HOPS`. Of several main topics the
    first of best rank counts.

    Returns:
        One `Topic` for each item; reasons are `missing-item`, `category-item-without-topic` and `topic-loop`.
    """
    entities: dict[str, Entity] = {}
    found: dict[str, Topic] = {}
    trails: dict[str, tuple[str, ...]] = {item: (item,) for item in items}
    steps: dict[str, tuple[str, ...]] = dict.fromkeys(trails, ())
    for about in ("asking Wikidata", *["following main topics"] * MAX_HOPS):
        entities |= get_entities(client, {trail[-1] for trail in trails.values()} - entities.keys(), about)
        ahead: dict[str, tuple[str, ...]] = {}
        for start, trail in trails.items():
            entity = entities[trail[-1]]
            if entity.id != trail[-1]:
                trail = (*trail, entity.id)
                steps[start] += (f"redirect={entity.id}",)
            topic, reason = _next(entity)
            if topic in trail:
                topic, reason = "", "topic-loop"
            if topic:
                ahead[start] = (*trail, topic)
                steps[start] += (f"{MAIN_TOPIC}={topic}",)
            else:
                found[start] = Topic(entity, steps[start], reason)
        trails = ahead
    return found | {start: Topic(entities[trail[-2]], steps[start], "topic-loop") for start, trail in trails.items()}


def _next(entity: Entity) -> tuple[str, str]:
    """The item to hop to, or why there is none; both empty when the entity is a topic."""
    if entity.missing:
        return "", "missing-item"
    if all(statement.item != CATEGORY_ITEM for statement in entity.values(INSTANCE_OF)):
        return "", ""
    topics = entity.values(MAIN_TOPIC)
    return (topics[0].item, "") if topics else ("", "category-item-without-topic")
