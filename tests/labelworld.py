"""Small worlds for the tests of the labels: tables from a few words, a labels folder of three labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from hierlandmarks import schema
from hierlandmarks.tables import from_rows
from hierlandmarks_pipelines.labelfiles import Decision, Label, Taxonomy
from hierlandmarks_pipelines.typeids import type_id

COMMONS = "http://commons.wikimedia.org/wiki/Category:"
CHURCH = Label("hl:church", "church", "human-made", "A building for Christian worship.", "Q16970")
CASTLE = Label("hl:castle-fort", "castle / fort", "human-made", "A fortified place.", "")
OCEAN = Label("hl:ocean-area", "ocean area ", "natural", "A part of the sea.", "")
LAKE = Label("hl:lake", "lake", "natural", "Standing water within the land.", "Q23397")
TAXONOMY = Taxonomy((CASTLE, CHURCH, LAKE, OCEAN))

TAXONOMY_HEADER = ",".join(schema.TAXONOMY.schema.names)
DECISIONS_HEADER = ",".join(schema.DECISIONS.schema.names)


def decide(name: str, label: Label | None, reviewer: str = "ann", reason: str = "", key: str = "") -> Decision:
    chosen = ("label", label.label_id, label.label) if label else ("drop", "", "")
    return Decision(key or type_id(name), name, *chosen, reviewer, "2026-11-23", reason)


def decided(*decisions: Decision) -> dict[str, Decision]:
    return {decision.type_id: decision for decision in decisions}


def landmark(number: int, name: str = "", category: str | None = None, space: str = "train") -> dict[str, str]:
    name = name or f"Place {number}"
    category = COMMONS + name.replace(" ", "_") if category is None else category
    return {"space": space, "landmark_id": str(number), "category": category, "name": name}


def stated(
    number: int, name: str, rank: str = "normal", ended: bool = False, space: str = "train", key: str = ""
) -> dict:
    provenance = dict.fromkeys(("item", "title", "route"), "")
    row = {"space": space, "landmark_id": str(number), "type_id": key or type_id(name), "type": name}
    return {**row, "rank": rank, "ended": ended, "revision": None, **provenance}


def categories(*rows: Mapping[str, str]) -> pa.Table:
    return from_rows(rows, schema.CATEGORIES)


def types(*rows: Mapping[str, object]) -> pa.Table:
    return from_rows(rows, schema.TYPES)


def reasons(landmarks: pa.Table, codes: Mapping[str, str] | None = None) -> pa.Table:
    rows = landmarks.to_pylist()
    codes = codes or {}
    return from_rows([{**row, "reason": codes.get(row["landmark_id"], "typed")} for row in rows], schema.REASONS)


def subclasses(*edges: tuple[str, str]) -> pa.Table:
    rows = [{"type_id": type_id(c), "type": c, "parent_id": type_id(p), "parent": p, "depth": 1} for c, p in edges]
    return from_rows(rows, schema.SUBCLASSES)


def assigned(
    number: int, label: Label | None = None, category: str | None = None, **cells: object
) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(schema.ASSIGNMENTS.schema.names, "")
    row |= landmark(number, category=category, space=str(cells.get("space", "train")))
    row |= {"confidence": 1.0 if label else 0.0, "source": "decision" if label else "none", "reason": "because"}
    if label:
        kind = label.natural_or_human_made
        row |= {"label_id": label.label_id, "label": label.label, "natural_or_human_made": kind, "type": "a type"}
    return row | cells


def assignments(*rows: Mapping[str, object]) -> pa.Table:
    return from_rows(rows, schema.ASSIGNMENTS)


def proposal(name: str, landmarks: int = 1, **cells: object) -> dict[str, object]:
    row: dict[str, object] = {"type_id": type_id(name), "type": name, "proposal_id": "hl:p-0", "name": name}
    row |= {"label_id": CHURCH.label_id, "label": CHURCH.label, "confidence": 0.5, "landmarks": landmarks}
    return row | {"examples": "One; Two"} | cells


def labels_folder(folder: Path, decisions: Sequence[Decision] = (), labels: Sequence[Label] = TAXONOMY.labels) -> Path:
    from hierlandmarks.tables import write_csv
    from hierlandmarks_pipelines.labelfiles import decision_cells

    folder.mkdir(parents=True, exist_ok=True)
    rows = [vars(label) for label in labels]
    write_csv(folder / "taxonomy.csv", from_rows(rows, schema.TAXONOMY))
    cells = list(zip(*map(decision_cells, decisions), strict=True)) or [()] * len(schema.DECISIONS.schema)
    columns = {n: pa.array(c, pa.string()) for n, c in zip(schema.DECISIONS.schema.names, cells, strict=True)}
    write_csv(folder / "decisions.csv", pa.table(columns))
    return folder
