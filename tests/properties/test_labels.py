"""What holds for the labels whatever comes in: no decision is lost, no landmark, and no rule depends on order."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from pathlib import Path

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks.schema import PROPOSALS
from hierlandmarks.tables import from_rows
from hierlandmarks_pipelines.ancestry import ancestors
from hierlandmarks_pipelines.assign import assign
from hierlandmarks_pipelines.build import build
from hierlandmarks_pipelines.labelfiles import effective, read_decisions
from hierlandmarks_pipelines.proposals import permanent_ids
from hierlandmarks_pipelines.review import STAGE, ReviewParams, apply_sheets
from hierlandmarks_pipelines.reviewsheet import read_sheet
from hierlandmarks_pipelines.typeids import type_id
from tests.labelworld import (
    CHURCH,
    COMMONS,
    LAKE,
    OCEAN,
    TAXONOMY,
    assigned,
    assignments,
    categories,
    decide,
    decided,
    labels_folder,
    landmark,
    proposal,
    reasons,
    stated,
    subclasses,
    types,
)
from tests.reference.labelrules import choose

NAMES = [f"type {letter}" for letter in "abcdefghij"]
CHOICES = [*TAXONOMY.labels, None]


def random_clusters(rng: random.Random, names: list[str]) -> list[list[str]]:
    count = rng.randint(1, len(names))
    groups: dict[int, list[str]] = {}
    for name in names:
        groups.setdefault(rng.randrange(count), []).append(type_id(name))
    return list(groups.values())


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_decision_is_lost_or_changed_by_clustering_again(seed: int) -> None:
    rng = random.Random(seed)
    history = [
        decide(rng.choice(NAMES), rng.choice(CHOICES), rng.choice(["ann", "bo"]), str(n))
        for n in range(rng.randint(0, 8))
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = labels_folder(Path(name) / "labels", history)
        before = (folder / "decisions.csv").read_bytes()
        earlier: dict[str, str] = {}
        for round_ in range(2):
            here = rng.sample(NAMES, rng.randint(1, len(NAMES)))  # types come and go
            clusters = random_clusters(rng, here)
            ids = permanent_ids(clusters, earlier)
            earlier = {t: i for cluster, i in zip(clusters, ids, strict=True) for t in cluster}
            proposals = from_rows([proposal(n, proposal_id=earlier[type_id(n)]) for n in here], PROPOSALS)
            review = Path(name) / f"review-{round_}"
            review.mkdir()
            STAGE.run(
                ReviewParams(folder),
                {"proposals": proposals, "types": types(), "subclasses": subclasses()},
                {"review": review},
            )
            old = effective(read_decisions(folder / "decisions.csv", TAXONOMY))
            sheet = (review / "review.csv").read_text(encoding="utf-8-sig").splitlines()
            touched = {n for n in here if type_id(n) not in old and rng.random() < 0.5}
            for number, line in enumerate(sheet):
                if any(line.startswith(f"{type_id(n)},") for n in touched):
                    sheet[number] = line[: -len(",,")] + "lake,cy,new"
            (review / "review.csv").write_text("\n".join(sheet), encoding="utf-8")
            apply_sheets([review / "review.csv"], folder, reviewer="cy", date="2026-11-24")
            new = effective(read_decisions(folder / "decisions.csv", TAXONOMY))
            assert {key: new[key] for key in old} == old
            assert new.keys() - old.keys() == {type_id(n) for n in touched}
        assert (folder / "decisions.csv").read_bytes().startswith(before)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_proposals_keep_what_they_are(seed: int) -> None:
    rng = random.Random(seed)
    clusters = random_clusters(rng, NAMES)
    ids = permanent_ids(clusters, {})
    assert len(set(ids)) == len(clusters)
    earlier = {t: i for cluster, i in zip(clusters, ids, strict=True) for t in cluster}
    order = rng.sample(range(len(clusters)), len(clusters))
    assert permanent_ids([clusters[n] for n in order], earlier) == [ids[n] for n in order]
    again = random_clusters(rng, NAMES)
    renewed = permanent_ids(again, earlier)
    assert len(set(renewed)) == len(again)
    for cluster, proposal_id in zip(again, renewed, strict=True):
        old = {t for t, i in earlier.items() if i == proposal_id}
        if old:
            assert 2 * len(old & set(cluster)) > len(old | set(cluster))


edges_of = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda e: e[0] < e[1]), max_size=12, unique=True
)


@given(edges=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20))
def test_ancestors_are_those_of_networkx(edges: list[tuple[int, int]]) -> None:
    graph = nx.DiGraph([(str(a), str(b)) for a, b in edges])
    parents = {node: sorted(graph.successors(node)) for node in graph}
    for node in graph:
        expected = {a: d for a, d in nx.single_source_shortest_path_length(graph, node).items() if a != node}
        assert ancestors(node, parents) == expected


statements = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 7), st.sampled_from(["preferred", "normal", ""]), st.booleans()),
    max_size=14,
    unique_by=lambda row: row[:2],
)


@settings(deadline=None)
@given(
    rows=statements, edges=edges_of, choices=st.lists(st.sampled_from(CHOICES), min_size=8, max_size=8), data=st.data()
)
def test_assignments_follow_the_rules_in_any_order(rows, edges, choices, data) -> None:
    names = NAMES[:8]
    above = [(names[a], names[b]) for a, b in edges]
    decisions = decided(*(decide(n, choice) for n, choice in zip(names, choices, strict=True)))
    table = [stated(number, names[t], rank, ended) for number, t, rank, ended in rows]
    places = [landmark(n) for n in range(4)]
    made = [
        assign(categories(*p), types(*t), subclasses(*above), reasons(categories(*p)), decisions, TAXONOMY)
        for p, t in ((places, table), (places[::-1], data.draw(st.permutations(table))))
    ]
    assert made[0].equals(made[1])
    counts = Counter(row["type_id"] for row in table)
    id_edges = [(type_id(a), type_id(b)) for a, b in above]
    for row in made[0].to_pylist():
        usable = [r for r in table if r["landmark_id"] == row["landmark_id"] and decisions[r["type_id"]].label_id]
        if usable:
            assert row["type_id"] == choose(usable, id_edges, counts)["type_id"]
            assert row["label_id"] == decisions[row["type_id"]].label_id
        else:
            assert (row["label_id"], row["source"]) == ("", "none")
            assert row["reason"]


landmarks = st.lists(
    st.tuples(
        st.sampled_from(["train", "index"]),
        st.integers(0, 20),
        st.sampled_from([None, CHURCH, LAKE, OCEAN]),
        st.sampled_from(["", "A", "a", "B", "C%2C_d"]),
        st.sampled_from([0.7, 0.85, 1.0]),
    ),
    max_size=25,
    unique_by=lambda row: row[:2],
)


@settings(deadline=None)
@given(rows=landmarks)
def test_every_landmark_is_on_one_path_or_explained(rows) -> None:
    table = [
        assigned(n, label, COMMONS + c if c else "", space=space, confidence=confidence if label else 0.0)
        for space, n, label, c, confidence in rows
    ]
    built = build(assignments(*table))
    tree = Hierarchy.from_table(built.nodes)
    leaves = {(r["space"], r["landmark_id"]): r["node_id"] for r in built.leaves.to_pylist()}
    unplaced = {(r["space"], r["landmark_id"]) for r in built.unplaced.to_pylist()}
    everyone = {(space, str(n)) for space, n, *_ in rows}
    assert leaves.keys() | unplaced == everyone
    assert not leaves.keys() & unplaced
    used = {node for leaf in leaves.values() for node in tree.path(leaf)} | {"root"}
    assert used == set(built.nodes["node_id"].to_pylist())  # nothing in the tree without a landmark
    places: dict[str, set[str]] = {}
    for row in table:
        key = (row["space"], row["landmark_id"])
        if row["category"]:
            places.setdefault(str(row["category"]).casefold(), set()).add(leaves.get(key, ""))
    assert all(len(found) == 1 for found in places.values())
    for space in ("train", "index"):
        released = built.released[space].to_pylist()
        assert [int(r["landmark_id"]) for r in released] == sorted(n for s, n, *_ in rows if s == space)
        for r in released:
            leaf = leaves.get((space, r["landmark_id"]))
            assert r["hierarchical_label"] == (tree.name(tree.path(leaf)[2]) if leaf else "")


@settings(deadline=None)
@given(
    chosen=st.lists(st.sampled_from(CHOICES), min_size=1, max_size=6),
    separator=st.sampled_from(",;\t"),
    newline=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    pad=st.sampled_from(["", " ", "  "]),
    order=st.permutations(["type_id", "type", "decision", "landmarks"]),
)
def test_whatever_a_spreadsheet_does_the_decisions_come_back(chosen, separator, newline, encoding, pad, order) -> None:
    lines = [separator.join(order)]
    for number, label in enumerate(chosen):
        name = f"château {number}"
        cells = {"type_id": type_id(name), "type": name, "landmarks": "1.234"}
        cells["decision"] = label.label.upper() if label else "drop"
        lines.append(separator.join(f"{pad}{cells[column]}{pad}" for column in order))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheet.csv"
        path.write_bytes((newline.join(lines) + newline).encode(encoding))
        found = read_sheet(path, TAXONOMY, "ann", "2026-11-24")
    assert [entry.decision.label_id for entry in found] == [label.label_id if label else "" for label in chosen]
    assert [entry.decision.type for entry in found] == [f"château {n}" for n in range(len(chosen))]
