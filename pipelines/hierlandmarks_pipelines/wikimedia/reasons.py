"""Why a landmark has no type: the reason codes of the table `reasons`, each in words."""

from __future__ import annotations

TYPED = "typed"

REASONS = {
    TYPED: "It has at least one type.",
    "no-category": "The category cell is empty.",
    "not-a-category": "The category cell is no address of a Commons category.",
    "invalid-title": "The category's title is one that MediaWiki does not allow.",
    "missing-category": "The category does not exist on Commons: deleted, or moved without a redirect.",
    "redirect-loop": "The category's redirects lead in a circle, or on and on.",
    "soft-redirect-without-target": "The category was moved, and its page does not say where to.",
    "no-item": "The category is linked to no Wikidata item, and no item names it (P373).",
    "not-linked": "The category is linked to no Wikidata item; whether one names it (P373) was not asked.",
    "ambiguous-name": "The category is linked to no Wikidata item, and several items name it (P373).",
    "missing-item": "The Wikidata item does not exist any more.",
    "category-item-without-topic": "The item describes the category itself, and names no main topic (P301).",
    "topic-loop": "Main topics (P301) lead from one category's item to another's, in a circle or on and on.",
    "no-type": "The item has no statement 'instance of' (P31).",
    "type-unknown": "The item's 'instance of' says only that the value is unknown, or that there is none.",
    "missing-type": "The item's 'instance of' points only at items that do not exist any more.",
}
