"""A small Wikimedia for tests: pages and items as data, answered in the shape of the real APIs (formatversion 2)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any


def statement(
    qid: str | None, rank: str = "normal", *, ended: bool = False, kind: str = "value", old: bool = False
) -> Any:
    """A statement that points at an item, or says `somevalue` / `novalue`; `old` gives the numeric id only."""
    snak: dict[str, Any] = {"snaktype": kind, "property": "P31", "datatype": "wikibase-item"}
    if kind == "value" and qid:
        value = {"entity-type": "item", "numeric-id": int(qid[1:])} | ({} if old else {"id": qid})
        snak["datavalue"] = {"value": value, "type": "wikibase-entityid"}
    qualifiers = {"qualifiers": {"P582": [{"snaktype": "value"}]}} if ended else {}
    return {"mainsnak": snak, "type": "statement", "rank": rank, **qualifiers}


def item(qid: str, label: str = "", **claims: Any) -> dict[str, Any]:
    """An item; claims are QIDs or statements by property."""
    made = {
        name: [
            one if isinstance(one, dict) else statement(one) for one in (value if isinstance(value, list) else [value])
        ]
        for name, value in claims.items()
    }
    labels = {"en": {"language": "en", "value": label}} if label else {}
    return {"id": qid, "type": "item", "lastrevid": 1000 + int(qid[1:]), "labels": labels, "claims": made}


class FakeWiki:
    """Answers `respond(api, params)`.

    Args:
        pages: title -> mapping with `item`, `text` (wikitext), `soft` (template names) or `invalid`.
        items: the items.
        redirects: hard redirects of pages, title -> title.
        moved: redirects of items, old QID -> new.
        named: the items that name a category (P373), by its name.
        paged: whether page answers come in two parts, joined by a `continue` block.
    """

    def __init__(
        self,
        pages: Mapping[str, Mapping[str, Any]],
        items: Sequence[dict[str, Any]],
        redirects: Mapping[str, str] | None = None,
        moved: Mapping[str, str] | None = None,
        *,
        named: Mapping[str, Sequence[str]] | None = None,
        paged: bool = False,
    ) -> None:
        self.pages = dict(pages)
        self.items = {one["id"]: one for one in items}
        self.redirects = dict(redirects or {})
        self.moved = dict(moved or {})
        self.named = dict(named or {})
        self.paged = paged
        self.asked: list[tuple[str, dict[str, str]]] = []

    def __call__(self, api: str, params: dict[str, str]) -> dict[str, Any]:
        self.asked.append((api, dict(params)))
        if api == "sparql":
            return self._bindings(params["query"])
        if api == "wikidata":
            return self._entities(params["ids"].split("|"))
        titles = params["titles"].split("|")
        assert len(titles) <= 50
        return self._wikitext(titles) if params["prop"] == "revisions" else self._pages(titles, params)

    def _pages(self, titles: list[str], params: Mapping[str, str]) -> dict[str, Any]:
        renamed, ends = [], []
        for title in titles:
            while title in self.redirects and len(renamed) < 200:
                renamed.append({"from": title, "to": self.redirects[title]})
                title = self.redirects[title]
            ends.append(title)
        second = params.get("tlcontinue") == "2|10"
        pages = [self._page(title, templates=second or not self.paged) for title in dict.fromkeys(ends)]
        query = {"redirects": renamed, "pages": pages} if renamed else {"pages": pages}
        more = {} if second or not self.paged else {"continue": {"tlcontinue": "2|10", "continue": "||pageprops"}}
        return {"batchcomplete": True, "query": query, **more}

    def _page(self, title: str, *, templates: bool) -> dict[str, Any]:
        page = self.pages.get(title)
        if page is None:
            return {"ns": 14, "title": title, "missing": True}
        if page.get("invalid"):
            return {"title": title, "invalidreason": "bad", "invalid": True}
        answer: dict[str, Any] = {"pageid": 7, "ns": 14, "title": title, "lastrevid": 5}
        if page.get("item"):
            answer["pageprops"] = {"wikibase_item": page["item"]}
        if templates and page.get("soft"):
            answer["templates"] = [{"ns": 10, "title": f"Template:{name}"} for name in page["soft"]]
        return answer

    def _wikitext(self, titles: list[str]) -> dict[str, Any]:
        slots = {
            title: {"main": {"contentmodel": "wikitext", "content": self.pages[title]["text"]}} for title in titles
        }
        pages = [{"title": title, "revisions": [{"revid": 9, "slots": slot}]} for title, slot in slots.items()]
        return {"batchcomplete": True, "query": {"pages": pages}}

    def _bindings(self, query: str) -> dict[str, Any]:
        (values,) = re.findall(r"VALUES \?name \{ (.*) \} \?item <http://www.wikidata.org/prop/direct/P373>", query)
        asked = [re.sub(r"\\(.)", r"\1", text) for text in re.findall(r'"((?:[^"\\]|\\.)*)"', values)]
        assert len(asked) <= 200
        bindings = [
            {
                "item": {"type": "uri", "value": f"http://www.wikidata.org/entity/{qid}"},
                "name": {"type": "literal", "value": name},
            }
            for name in asked
            for qid in self.named.get(name, ())
        ]
        return {"head": {"vars": ["name", "item"]}, "results": {"bindings": bindings}}

    def _entities(self, ids: list[str]) -> dict[str, Any]:
        assert len(ids) <= 50
        entities = {}
        for asked in ids:
            qid = self.moved.get(asked, asked)
            entity = self.items.get(qid, {"id": qid, "missing": ""})
            entities[asked] = {**entity, "redirects": {"from": asked, "to": qid}} if qid != asked else entity
        return {"entities": entities, "success": 1}
