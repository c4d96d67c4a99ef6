"""Labels as people look at them: counts, examples and reasons of a run, of a release, and of decisions alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hierlandmarks.errors import MissingDataError, UsageError
from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks.schema import ASSIGNMENTS, LEAVES, NODES
from hierlandmarks.schema import TAXONOMY as TAXONOMY_TABLE
from hierlandmarks.tables import write_csv, write_table
from hierlandmarks_pipelines.build import build
from hierlandmarks_pipelines.labelfiles import Taxonomy, taxonomy_table
from hierlandmarks_pipelines.labeltree import NO_TYPE, find, grow, grow_decided, placed, read_landmarks, read_views
from hierlandmarks_pipelines.labelview import WIDTH, page, text
from tests.labelworld import CHURCH, LAKE, OCEAN, TAXONOMY, assigned, assignments, decide, labels_folder


@pytest.fixture
def views():
    rows = assignments(
        *(assigned(n, CHURCH, type="chapel") for n in range(9)),
        assigned(4, CHURCH, space="index", type="chapel"),  # the same place as train 4
        assigned(9, CHURCH, type="", source="name", reason="the name has 'kirke'"),
        assigned(10, LAKE, type="<b>tarn</b>"),
        assigned(11),
    )
    built = build(rows)
    return grow(placed(rows, built.leaves), Hierarchy.from_table(built.nodes), TAXONOMY)


def test_landmarks_places_sources_and_types_are_counted(views):
    lake, church = views
    assert lake.path == ("root", "natural", "lake")
    assert (church.train, church.index, church.places, church.sources) == (10, 1, 10, {"decision": 10, "name": 1})
    chapel, untyped = church.types
    assert (chapel.type, chapel.train, chapel.index, len(chapel.examples)) == ("chapel", 9, 1, 5)
    assert (untyped.type, untyped.why) == (NO_TYPE, "the name has 'kirke'")


def test_the_terminal_shows_path_counts_types_and_why_within_80_columns(views):
    shown = text(find(views, " Church"), tree=True)
    assert "root › human-made › church" in shown
    assert "11 landmarks (10 train, 1 index), 10 places" in shown
    assert "├── chapel  10 (train 9, index 1)" in shown
    assert "the name has 'kirke'" in shown
    assert max(map(len, shown.splitlines())) <= WIDTH
    assert "chapel" not in text(views, tree=False)
    assert "└── lake  1 (train 1, index 0)" in text(views, tree=True)


def test_an_unknown_label_is_refused_with_the_nearest(views):
    with pytest.raises(UsageError, match="no label 'chruch': did you mean church"):
        find(views, "chruch")
    assert [view.label for view in find(views, "natural")] == ["lake"]
    assert find(views, "hl:lake") == find(views, "lake")


def test_without_landmarks_the_decisions_are_the_tree():
    views = grow_decided(TAXONOMY, [decide("tarn", LAKE), decide("tarn", LAKE, key="Q1"), decide("thing", None)])
    (lake,) = find(views, "lake")
    assert [branch.type for branch in lake.types] == ["tarn"]
    assert "decided by ann, 2026-11-23" in text([lake], tree=True)
    assert find(views, "ocean area")[0].label == OCEAN.label


def test_a_folder_that_is_neither_run_nor_release_is_refused(tmp_path):
    with pytest.raises(MissingDataError, match="neither a run folder nor a release"):
        read_landmarks(tmp_path)


def test_the_page_escapes_what_it_shows_and_leads_nowhere(views):
    html = page(views, "All & sundry", 1)
    assert "&lt;b&gt;tarn&lt;/b&gt;" in html
    assert "<b>tarn" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert page(views, "All & sundry", 1) == html


def test_definitions_are_those_of_the_run_or_the_release(tmp_path):
    """Not the bundled ones: labels are described as they were when landmarks got them."""
    own = replace(LAKE, definition="What they called a lake then.")
    rows = assignments(assigned(1, LAKE))
    built = build(rows)
    told = taxonomy_table(Taxonomy((own,)))
    tables = ((ASSIGNMENTS, rows), (LEAVES, built.leaves), (NODES, built.nodes), (TAXONOMY_TABLE, told))
    for spec, table in tables:
        write_table(tmp_path / "tables" / f"{spec.name}.parquet", table, spec, {})
    (lake,) = read_views(tmp_path, None)
    assert lake.definition == own.definition
    (tmp_path / "tables/taxonomy.parquet").unlink()
    assert read_views(tmp_path, None)[0].definition not in ("", own.definition), "the bundled one, for want of another"
    write_csv(tmp_path / "taxonomy.csv", taxonomy_table(Taxonomy((own,))))
    assert read_views(tmp_path, None)[0].definition == own.definition
    assert read_views(tmp_path, labels_folder(tmp_path / "labels"))[0].definition == LAKE.definition, "asked for"
