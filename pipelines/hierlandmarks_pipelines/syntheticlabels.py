"""What mining and a half-done review give, at any scale, made up: for measurements of the label build."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks.schema import CATEGORIES, DECISIONS, REASONS, SUBCLASSES, TYPES
from hierlandmarks.tables import conform, from_rows, write_csv
from hierlandmarks_pipelines.labelfiles import LABEL, label_files, read_taxonomy
from hierlandmarks_pipelines.synthetic import Sizes, as_text, joined, label_names, made_titles
from hierlandmarks_pipelines.words import words_file


def mined(types: int = 6_000, scale: float = 1.0, seed: int = 0) -> dict[str, pa.Table]:
    """What mining gives at GLDv2's size: nine landmarks in ten have one type of a few thousand, some have two.

    Types are as frequent as such things are: a few have most landmarks. Each is named after a label, a number and a
    word, and is a subclass of one of the 78 classes named as the labels; classes are not among the types.

    Returns:
        categories, types, subclasses and reasons.
    """
    chance, sizes = np.random.default_rng(seed), Sizes().scaled(scale)
    counts = {"train": sizes.landmarks, "index": sizes.index_landmarks}
    names, _, _ = label_names()
    of_label = chance.integers(0, len(names), types)
    words = np.array(["old", "former", "large", "ruined", "public", "royal"])[np.arange(types) % 6]
    named = pa.array(
        [f"{word} {names[n].strip()} {i}" for i, (n, word) in enumerate(zip(of_label, words, strict=True))]
    )
    ids = joined("Q", as_text(10_000_000 + np.arange(types)))
    frequency = 1 / np.arange(1, types + 1)
    total = sum(counts.values())
    drawn = chance.choice(types, size=(2, total), p=frequency / frequency.sum())  # of a place, not of a landmark
    typed_places = [chance.random(total) < share for share in (0.9, 0.2)]
    places, stated = [], []
    for space, count in counts.items():
        number = np.arange(count) + (0 if space == "train" else counts["train"] * 4 // 5)  # a fifth of train is in both
        titles, landmark = made_titles(number), as_text(np.arange(count))
        category = joined("http://commons.wikimedia.org/wiki/Category:", titles)
        columns = {"space": pa.repeat(pa.scalar(space), count), "landmark_id": landmark, "category": category}
        places.append(pa.table({**columns, "name": pc.replace_substring(titles, "_", " ")}))
        rows = np.concatenate([np.flatnonzero(has[number]) for has in typed_places])
        chosen = np.concatenate([draw[number][has[number]] for draw, has in zip(drawn, typed_places, strict=True)])
        found = pa.table({name: columns[name].take(pa.array(rows)) for name in ("space", "landmark_id")})
        found = found.append_column("type_id", ids.take(pa.array(chosen))).append_column("type", named.take(chosen))
        stated.append(found.group_by(found.column_names, use_threads=False).aggregate([]))
    categories, found = pa.concat_tables(places), pa.concat_tables(stated)
    keys = joined(found["space"], " ", found["landmark_id"])
    typed = pc.is_in(joined(categories["space"], " ", categories["landmark_id"]), keys)
    for name, value in {"rank": "normal", "ended": False, "item": "", "title": "", "route": ""}.items():
        found = found.append_column(name, pa.repeat(pa.scalar(value), found.num_rows))
    found = found.append_column("revision", pa.nulls(found.num_rows, pa.int64()))
    reasons = categories.append_column("reason", pc.if_else(typed, "typed", "no item"))
    above = {
        "type_id": ids,
        "type": named,
        "parent_id": joined("Q", as_text(20_000_000 + of_label)),
        "parent": pa.array([name.strip() for name in names]).take(pa.array(of_label)),
        "depth": pa.repeat(pa.scalar(1), types),
    }
    return {
        "categories": conform(categories, CATEGORIES, "categories"),
        "types": conform(found, TYPES, "types"),
        "subclasses": conform(pa.table(above), SUBCLASSES, "subclasses"),
        "reasons": conform(reasons, REASONS, "reasons"),
    }


def write_decisions(folder: Path, tables: dict[str, pa.Table], share: float = 0.5) -> None:
    """Write a labels folder: the bundled taxonomy and words, and decisions about the classes and `share` of the types.

    Every type and class goes to the label it is named after.
    """
    taxonomy_path, _ = label_files(None)
    taxonomy = read_taxonomy(taxonomy_path)
    edges = tables["subclasses"].to_pylist()
    chosen = [(edge["type_id"], edge["type"], edge["parent"]) for edge in edges[: round(len(edges) * share)]]
    chosen += sorted({(edge["parent_id"], edge["parent"], edge["parent"]) for edge in edges})
    found = [(key, name, taxonomy.find(label)) for key, name, label in chosen]
    rows = [
        {"type_id": key, "type": name, "action": LABEL, "label_id": label.label_id, "label": label.label}
        for key, name, label in found
        if label
    ]
    about = {"reviewer": "synthetic", "date": "2026-11-23", "reason": "it is named so"}
    folder.mkdir(parents=True, exist_ok=True)
    for path in (taxonomy_path, words_file(None)):
        (folder / path.name).write_bytes(path.read_bytes())
    write_csv(folder / "decisions.csv", from_rows([row | about for row in rows], DECISIONS))


def write_labelled(path: Path, tables: dict[str, pa.Table], count: int) -> None:
    """Write a CSV of `count` labelled train landmarks (all that have a type, where there are fewer), to learn from.

    Their label is what the class above their type is called.
    """
    above = {edge["type_id"]: edge["parent"] for edge in tables["subclasses"].to_pylist()}
    kept = tables["types"].filter(pc.equal(tables["types"]["space"], "train")).select(["landmark_id", "type_id"])
    places = tables["categories"].filter(pc.equal(tables["categories"]["space"], "train"))
    category = dict(zip(*(places[name].to_pylist() for name in ("landmark_id", "category")), strict=True))
    label = {row["landmark_id"]: above[row["type_id"]] for row in kept.to_pylist()}
    chosen = sorted(label)[:: max(1, len(label) // count)][:count]
    columns = {
        "landmark_id": chosen,
        "category": [category[key] for key in chosen],
        "hierarchical_label": [label[key] for key in chosen],
    }
    write_csv(path, pa.table(columns))


def untyped(tables: dict[str, pa.Table]) -> list[str]:
    """Names of the landmarks without a type."""
    found = tables["reasons"].filter(pc.not_equal(tables["reasons"]["reason"], "typed"))
    keys = ["space", "landmark_id"]
    names: list[str] = found.select(keys).join(tables["categories"], keys, join_type="inner")["name"].to_pylist()
    return names
