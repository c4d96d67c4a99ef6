"""The mini world as its CSVs say it: landmarks, their Commons pages, their statements, and classes above types."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hierlandmarks_pipelines.wikimedia.titles import category_title

FILES = tuple(Path(__file__).with_name(f"{name}.csv") for name in ("landmarks", "pages", "types", "subclasses"))


@dataclass(frozen=True)
class Claim:
    """One 'instance of' statement, as the column `types` of landmarks.csv writes it: `ID` or `ID:REMARK`.

    Attributes:
        value: a type's QID, or `somevalue`.
        remark: "", `preferred`, `deprecated`, `ended` (carries an end date) or `old` (its value has no `id`, only
            the `numeric-id` of older answers).
    """

    value: str
    remark: str


@dataclass(frozen=True)
class Landmark:
    """A row of landmarks.csv.

    Attributes:
        ids: its id in every space it is in.
        category: address of its Commons category, as GLDv2 writes it.
        item: its Wikidata item; "" where Commons knows none.
        category_item: the item about the category that Commons links instead; "" where it links the item itself.
    """

    name: str
    label: str
    look: str
    ids: Mapping[str, str]
    category: str
    item: str
    category_item: str
    claims: tuple[Claim, ...]

    @property
    def title(self) -> str:
        """Title of its Commons category, as asked for."""
        return category_title(self.category)


@dataclass(frozen=True)
class Page:
    """A Commons category that is no ordinary page: `redirect`, `soft redirect`, `missing` or `no item`."""

    kind: str
    target: str
    template: str


@dataclass(frozen=True)
class World:
    """All of it."""

    landmarks: tuple[Landmark, ...]
    pages: Mapping[str, Page]
    types: Mapping[str, str]
    subclasses: Mapping[str, tuple[str, ...]]


def read_world() -> World:
    """The world, read from the CSVs that ship beside this module."""
    landmarks, pages, types, subclasses = (list(_rows(path)) for path in FILES)
    parents: dict[str, tuple[str, ...]] = {}
    for row in subclasses:
        parents[row["type_id"]] = (*parents.get(row["type_id"], ()), row["parent_id"])
    return World(
        tuple(map(_landmark, landmarks)),
        {row["title"]: Page(row["kind"], row["target"], row["template"]) for row in pages},
        {row["type_id"]: row["type"] for row in types},
        parents,
    )


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)


def _landmark(row: Mapping[str, str]) -> Landmark:
    claims = (claim.partition(":") for claim in row["types"].split())
    return Landmark(
        name=row["name"],
        label=row["label"],
        look=row["look"],
        ids={space: row[f"{space}_id"] for space in ("train", "index") if row[f"{space}_id"]},
        category=row["category"],
        item=row["item"],
        category_item=row["category_item"],
        claims=tuple(Claim(value, remark) for value, _, remark in claims),
    )
