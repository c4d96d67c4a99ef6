"""The last resort: items that name a Commons category in a plain string (P373), where Commons links to none.

Asked of Wikidata's query service, since the other APIs find a string one at a time: 200 names a query, so about 100
queries for all of GLDv2. Standard SPARQL 1.1; with one request in flight, 60 seconds of query time a minute cannot be
exceeded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from hierlandmarks.progress import track
from hierlandmarks_pipelines.wikimedia.client import Client
from hierlandmarks_pipelines.wikimedia.pages import NOT_LINKED, Found, batches
from hierlandmarks_pipelines.wikimedia.titles import PREFIX

NAMES = 200  # names a query
COMMONS_CATEGORY = "P373"
UNNAMED = "no-item"
_UNLINKED = (NOT_LINKED, "missing-category")
_ITEM = re.compile(r"https?://www\.wikidata\.org/entity/(Q[1-9][0-9]*)")


def find_by_name(client: Client, found: Mapping[str, Found], *, ask: bool = True) -> dict[str, Found]:
    """What `pages.find_items` found, with an item for those unlinked categories that exactly one item names.

    Args:
        client: where answers come from.
        found: by title.
        ask: whether to send queries; without, only what the archive holds is used.

    Returns:
        The same titles. Where one item names a category or one it redirects to, that item; where several do, the
        reason `ambiguous-name`. `not-linked` becomes `no-item` where none does, and stays where that was not asked.
    """
    names = {title: _names(title, page) for title, page in found.items() if page.reason in _UNLINKED}
    items = _items_named(client, {name for own in names.values() for name in own}, ask and not client.replays)
    return {**found, **{title: _resolved(found[title], [items.get(name) for name in names[title]]) for title in names}}


def _names(title: str, page: Found) -> list[str]:
    """The category's name and those it redirects to."""
    redirects = [step.removeprefix("redirect=") for step in page.steps if step.startswith("redirect=")]
    return [one.removeprefix(PREFIX) for one in (title, *redirects)]


def _resolved(page: Found, named: Iterable[set[str] | None]) -> Found:
    known = list(named)
    items = set().union(*(one for one in known if one))
    if len(items) == 1:
        item = items.pop()
        return Found(item, (*page.steps, f"{COMMONS_CATEGORY}={item}"))
    if items:
        return replace(page, reason="ambiguous-name")
    return replace(page, reason=UNNAMED) if page.reason == NOT_LINKED and None not in known else page


def _items_named(client: Client, names: set[str], ask: bool) -> dict[str, set[str]]:
    """The items that carry each name; names that were not asked for are left out."""
    found: dict[str, set[str]] = {}
    for batch in track(list(batches(sorted(names), NAMES)), "asking for names", unit="call"):
        params = {"query": query(batch)}
        body = client.ask("sparql", params) if ask else client.recall("sparql", params)
        if body is not None:
            found |= read_bindings(batch, body)
    return found


def query(names: Iterable[str]) -> str:
    r"""The SPARQL for the items of best rank that carry these names.

    >>> print(query(['The "Rock"']))
    SELECT ?name ?item WHERE { VALUES ?name { "The \"Rock\"" } ?item <http://www.wikidata.org/prop/direct/P373> ?name }
    """
    values = " ".join(literal(name) for name in names)
    property_ = f"<http://www.wikidata.org/prop/direct/{COMMONS_CATEGORY}>"
    return f"SELECT ?name ?item WHERE {{ VALUES ?name {{ {values} }} ?item {property_} ?name }}"


def literal(text: str) -> str:
    r"""A SPARQL string (SPARQL 1.1, section 19.7), whatever the text holds.

    >>> print(literal('a"b\\c'))
    "a\"b\\c"
    """
    escaped = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r"}
    return '"' + "".join(escaped.get(letter, letter) for letter in text) + '"'


def read_bindings(asked: Iterable[str], body: Mapping[str, Any]) -> dict[str, set[str]]:
    """The items by name of one answer (SPARQL 1.1 Query Results JSON); what was not asked for is passed over."""
    found: dict[str, set[str]] = {name: set() for name in asked}
    for binding in body.get("results", {}).get("bindings", ()):
        name, item = (str(binding.get(key, {}).get("value", "")) for key in ("name", "item"))
        match = _ITEM.fullmatch(item)
        if name in found and match:
            found[name].add(match[1])
    return found
