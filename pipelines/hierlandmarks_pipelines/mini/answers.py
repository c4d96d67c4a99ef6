"""What Wikimedia's APIs would answer about the mini world: real in form, written by hand in content.

`Answers` is a transport for the mining client. Page, revision and statement numbers are made up from hashes.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hierlandmarks_pipelines.mini.world import Claim, World
from hierlandmarks_pipelines.wikimedia.entities import END_TIME, INSTANCE_OF, MAIN_TOPIC, SUBCLASS_OF
from hierlandmarks_pipelines.wikimedia.titles import normalise
from hierlandmarks_pipelines.wikimedia.topics import CATEGORY_ITEM

TIME = "2026-01-01T00:00:00Z"
Body = dict[str, Any]
_BRIEF = ("pageid", "ns", "title", "missing")  # what every part of a continued answer repeats


class Answers:
    """Answers requests as `wikimedia.client.Client` makes them, without a network.

    Args:
        world: what there is to know.
    """

    def __init__(self, world: World) -> None:
        self._pages = world.pages
        self._items: dict[str, str] = {}
        self._entities: dict[str, Callable[[], Body]] = {}
        for type_id, name in world.types.items():
            self._add(type_id, name, {SUBCLASS_OF: [Claim(parent, "") for parent in world.subclasses.get(type_id, ())]})
        for landmark in world.landmarks:
            page = world.pages.get(landmark.title)
            title = page.target if page and page.target else landmark.title
            if landmark.item:
                self._items[title] = landmark.category_item or landmark.item
                self._add(landmark.item, landmark.name, {INSTANCE_OF: landmark.claims})
            if landmark.category_item:
                about = {INSTANCE_OF: [Claim(CATEGORY_ITEM, "")], MAIN_TOPIC: [Claim(landmark.item, "")]}
                self._add(landmark.category_item, title, about)

    def _add(self, item: str, label: str, claims: Mapping[str, Iterable[Claim]]) -> None:
        self._entities[item] = lambda: _entity(item, label, claims)

    def __call__(self, api: str, params: dict[str, str]) -> Body:
        """The body of one answer.

        Raises:
            NotImplementedError: a request that the miner does not make.
        """
        if api == "wikidata" and params["action"] == "wbgetentities":
            asked = params["ids"].split("|")
            missing = {item: {"id": item, "missing": ""} for item in asked if item not in self._entities}
            found = {item: self._entities[item]() for item in asked if item in self._entities}
            return {"entities": {item: found.get(item) or missing[item] for item in asked}, "success": 1}
        if api == "sparql":  # no item of this world names a category that does not link to it
            return {"head": {"vars": ["name", "item"]}, "results": {"bindings": []}}
        if api == "commons" and params["prop"] == "revisions":
            return {"batchcomplete": True, "query": {"pages": [self._text(t) for t in params["titles"].split("|")]}}
        if api == "commons" and "pageprops" in params["prop"].split("|"):
            return self._query(params)
        raise NotImplementedError(f"no answer to {api} {params}")

    def _query(self, params: dict[str, str]) -> Body:
        """A `prop=info|pageprops|templates` answer; templates come in a part of their own, after a `continue`."""
        query: Body = {}
        pages: dict[str, Body] = {}
        for asked in params["titles"].split("|"):
            title = normalise(asked)
            if title != asked:
                query.setdefault("normalized", []).append({"fromencoded": False, "from": asked, "to": title})
            page = self._pages.get(title)
            if page and page.kind == "redirect":
                query.setdefault("redirects", []).append({"from": title, "to": page.target})
                title = page.target
            pages[title] = self._page(title)
        soft = [title for title in pages if (page := self._pages.get(title)) and page.template]
        if not soft:
            return {"batchcomplete": True, "query": {**query, "pages": list(pages.values())}}
        if "tlcontinue" not in params:
            first = _number("page", soft[0])
            more = {"tlcontinue": f"{first}|10|{self._pages[soft[0]].template.replace(' ', '_')}"}
            return {
                "continue": {**more, "continue": "||info|pageprops"},
                "query": {**query, "pages": list(pages.values())},
            }
        brief = {title: {key: page[key] for key in _BRIEF if key in page} for title, page in pages.items()}
        for title in soft:
            brief[title]["templates"] = [{"ns": 10, "title": f"Template:{self._pages[title].template}"}]
        return {"batchcomplete": True, "query": {**query, "pages": list(brief.values())}}

    def _page(self, title: str) -> Body:
        known = self._pages.get(title)
        if known and known.kind == "missing":
            return {"ns": 14, "title": title, "missing": True}
        number = _number("page", title)
        page: Body = {
            "pageid": number,
            "ns": 14,
            "title": title,
            "contentmodel": "wikitext",
            "pagelanguage": "en",
            "pagelanguagehtmlcode": "en",
            "pagelanguagedir": "ltr",
            "touched": TIME,
            "lastrevid": _number("revision", title),
            "length": 100 + number % 900,
        }
        return page | ({"pageprops": {"wikibase_item": self._items[title]}} if title in self._items else {})

    def _text(self, title: str) -> Body:
        page = self._pages[title]
        text = f"{{{{{page.template}|{page.target.removeprefix('Category:')}}}}}"
        main = {"contentmodel": "wikitext", "contentformat": "text/x-wiki", "content": text}
        revision = {"revid": _number("revision", title), "parentid": 0, "slots": {"main": main}}
        return {"pageid": _number("page", title), "ns": 14, "title": title, "revisions": [revision]}


def _entity(item: str, label: str, claims: Mapping[str, Iterable[Claim]]) -> Body:
    statements = {name: [_statement(item, name, claim) for claim in each] for name, each in claims.items()}
    return {
        "pageid": _number("page", item),
        "ns": 0,
        "title": item,
        "lastrevid": _number("revision", item),
        "modified": TIME,
        "type": "item",
        "id": item,
        "labels": {"en": {"language": "en", "value": label}},
        "claims": {name: each for name, each in statements.items() if each},
    }


def _statement(item: str, name: str, claim: Claim) -> Body:
    snak: Body = {"snaktype": "somevalue" if claim.value == "somevalue" else "value", "property": name}
    if claim.value != "somevalue":
        value = {"entity-type": "item", "numeric-id": int(claim.value[1:])}
        value |= {"id": claim.value} if claim.remark != "old" else {}
        snak["datavalue"] = {"value": value, "type": "wikibase-entityid"}
    statement: Body = {
        "mainsnak": {**_hashed(snak), "datatype": "wikibase-item"},
        "type": "statement",
        "id": f"{item}${str(uuid.uuid5(uuid.NAMESPACE_URL, f'{item} {name} {claim.value}')).upper()}",
        "rank": claim.remark if claim.remark in ("preferred", "deprecated") else "normal",
    }
    if claim.remark == "ended":
        end = {
            "time": "+2020-07-10T00:00:00Z",
            "timezone": 0,
            "before": 0,
            "after": 0,
            "precision": 11,
            "calendarmodel": "http://www.wikidata.org/entity/Q1985727",
        }
        ending = {"snaktype": "value", "property": END_TIME, "datavalue": {"value": end, "type": "time"}}
        statement["qualifiers"] = {END_TIME: [{**_hashed(ending), "datatype": "time"}]}
        statement["qualifiers-order"] = [END_TIME]
    return statement


def _hashed(snak: Body) -> Body:
    return {**snak, "hash": hashlib.sha1(json.dumps(snak, sort_keys=True).encode(), usedforsecurity=False).hexdigest()}


def _number(what: str, name: str) -> int:
    """A made-up page or revision number, the same every time."""
    return int(hashlib.sha256(f"{what} {name}".encode()).hexdigest()[:7], 16)
