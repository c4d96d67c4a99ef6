"""Commons titles to Wikidata items: redirects hard and soft are followed, and what cannot be found gets a reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from hierlandmarks.progress import track
from hierlandmarks_pipelines.wikimedia.client import Client
from hierlandmarks_pipelines.wikimedia.wikitext import SOFT_REDIRECTS, redirect_target

BATCH = 50  # titles or ids a call, the APIs' limit
MAX_REDIRECTS = 4  # soft redirects in a row
NOT_LINKED = "not-linked"


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a title.

    Attributes:
        item: its Wikidata item, "" when there is none.
        steps: the way from the title to the item, such as `("redirect=Category:B", "pageprops=Q1")`.
        reason: why there is no item, "" when there is one.
    """

    item: str = ""
    steps: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Page:
    """What Commons says about one title."""

    title: str  # after hard redirects
    item: str = ""
    reason: str = ""
    soft: bool = False


def find_items(client: Client, titles: Iterable[str]) -> dict[str, Found]:
    """The Wikidata item of every title.

    One query for 50 titles gives items, hard redirects and the names of soft-redirect templates. Names only: the
    target of a soft redirect is an argument of its template, so the wikitext of those few pages is asked for in
    a second query, and their targets go through the first again.

    Args:
        titles: valid titles in the spelling of `titles.category_title`.

    Returns:
        One `Found` for each title; reasons are `missing-category`, `invalid-title`, `not-linked`,
        `soft-redirect-without-target` and `redirect-loop`.
    """
    trails: dict[str, tuple[str, ...]] = {title: (title,) for title in sorted(set(titles))}
    pages: dict[str, _Page] = {}
    found: dict[str, Found] = {}
    for about in ("asking Commons", *["following soft redirects"] * MAX_REDIRECTS):
        pages |= _query_pages(client, sorted({trail[-1] for trail in trails.values()} - pages.keys()), about)
        targets = _targets(
            client, sorted({pages[trail[-1]].title for trail in trails.values() if pages[trail[-1]].soft})
        )
        ahead: dict[str, tuple[str, ...]] = {}
        for start, trail in trails.items():
            page = pages[trail[-1]]
            trail = trail if page.title == trail[-1] else (*trail, page.title)
            target = targets.get(page.title, "")
            if not page.soft or target in trail or not target:
                reason = page.reason if not page.soft else "redirect-loop" if target else "soft-redirect-without-target"
                found[start] = _found(page, trail, reason)
            else:
                ahead[start] = (*trail, target)
        trails = ahead
        if not trails:
            break
    return found | {start: _found(_Page(""), trail, "redirect-loop") for start, trail in trails.items()}


def _found(page: _Page, trail: Sequence[str], reason: str) -> Found:
    steps = tuple(f"redirect={title}" for title in trail[1:])
    return Found(reason=reason, steps=steps) if reason else Found(page.item, (*steps, f"pageprops={page.item}"))


def _query_pages(client: Client, titles: Sequence[str], about: str) -> dict[str, _Page]:
    """What Commons says about each title; titles are sorted, so that a replay forms the same batches."""
    found: dict[str, _Page] = {}
    for batch in track(list(batches(titles)), about, unit="call"):
        parts = client.follow(
            "commons",
            {
                "titles": "|".join(batch),
                "redirects": "1",
                "prop": "info|pageprops|templates",
                "ppprop": "wikibase_item",
                "tltemplates": "|".join(f"Template:{name}" for name in SOFT_REDIRECTS),
                "tllimit": "max",
            },
        )
        found |= _read_pages(batch, [part.get("query", {}) for part in parts])
    return found


def _read_pages(asked: Sequence[str], queries: Sequence[Mapping[str, Any]]) -> dict[str, _Page]:
    """The parts of one continued answer, merged and mapped back to the titles asked for."""
    renamed: dict[str, str] = {}
    pages: dict[str, dict[str, Any]] = {}
    for query in queries:
        for kind in ("normalized", "converted", "redirects"):
            renamed |= {entry["from"]: entry["to"] for entry in query.get(kind, ())}
        for page in query.get("pages", ()):
            merged = pages.setdefault(page["title"], {})
            for key, value in page.items():
                merged[key] = [*merged.get(key, ()), *value] if key == "templates" else value
    return {title: _page(end := follow_names(title, renamed), pages.get(end)) for title in asked}


def _page(title: str, page: Mapping[str, Any] | None) -> _Page:
    if not title:
        return _Page(title, reason="redirect-loop")
    if page is None or page.get("missing"):
        return _Page(title, reason="missing-category")
    if page.get("invalid"):
        return _Page(title, reason="invalid-title")
    item = page.get("pageprops", {}).get("wikibase_item", "")
    return _Page(title, item, "" if item else NOT_LINKED, soft=bool(page.get("templates")))


def follow_names(title: str, renamed: Mapping[str, str]) -> str:
    """Where a title leads through normalisation and redirects, which may be chained; "" when they run in a circle.

    >>> follow_names("a", {"a": "A", "A": "B"}), follow_names("a", {"a": "b", "b": "a"})
    ('B', '')
    """
    seen = {title}
    while (following := renamed.get(title, title)) != title:
        if following in seen:
            return ""
        seen.add(following)
        title = following
    return title


def _targets(client: Client, titles: Sequence[str]) -> dict[str, str]:
    """The target of every soft redirect that names one."""
    found: dict[str, str] = {}
    for batch in batches(titles):
        asked = {"titles": "|".join(batch), "prop": "revisions", "rvprop": "ids|content", "rvslots": "main"}
        for part in client.follow("commons", asked):
            for page in part.get("query", {}).get("pages", ()):
                for revision in page.get("revisions", ()):
                    if target := redirect_target(revision.get("slots", {}).get("main", {}).get("content", "")):
                        found[page["title"]] = target
    return found


def batches(items: Iterable[str], size: int = BATCH) -> Iterator[list[str]]:
    """Lists of at most `size`, in order.

    >>> [len(batch) for batch in batches(map(str, range(120)))]
    [50, 50, 20]
    """
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
