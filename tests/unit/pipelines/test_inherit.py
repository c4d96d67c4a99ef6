"""Labels from the classes above: where they agree, for types nobody decided about, always saying from whom."""

from __future__ import annotations

import pytest

from hierlandmarks_pipelines.ancestry import parents_of
from hierlandmarks_pipelines.inherit import INHERITED, inherit, nearest_labels
from hierlandmarks_pipelines.labelfiles import effective, label_files, read_decisions, read_taxonomy
from hierlandmarks_pipelines.typeids import type_id
from tests.labelworld import CASTLE, CHURCH, LAKE, decide, decided, subclasses


def found(edges, *decisions, name="ruin of a chapel"):
    return inherit({type_id(name): name}, decided(*decisions), subclasses(*edges))


def test_the_nearest_decided_class_gives_its_label_and_is_named():
    edges = [("ruin of a chapel", "chapel"), ("chapel", "church"), ("church", "fort")]
    (decision,) = found(edges, decide("church", CHURCH), decide("fort", CASTLE)).decisions.values()
    assert (decision.label_id, decision.reviewer) == ("hl:church", INHERITED)
    assert decision.reason == "inherited from church (hl:church)"


def test_classes_that_disagree_leave_it_to_a_person():
    edges = [("ruin of a chapel", "church"), ("ruin of a chapel", "tarn")]
    result = found(edges, decide("church", CHURCH), decide("tarn", LAKE))
    assert not result.decisions
    assert result.quarrels == {"hl:ruin-of-a-chapel": "church by church (hl:church), lake by tarn (hl:tarn)"}


def test_a_dropped_class_neither_tells_nor_objects():
    edges = [("ruin of a chapel", "church"), ("ruin of a chapel", "thing"), ("thing", "tarn")]
    (decision,) = found(edges, decide("church", CHURCH), decide("thing", None), decide("tarn", LAKE)).decisions.values()
    assert decision.label_id == "hl:church"
    assert not found(edges[1:], decide("thing", None), decide("tarn", LAKE)).decisions


def test_a_decision_of_its_own_is_never_replaced_and_cycles_end():
    edges = [("ruin of a chapel", "church"), ("church", "ruin of a chapel")]
    own = decide("ruin of a chapel", None)
    assert not found(edges, own, decide("church", CHURCH)).decisions
    assert not found(edges).decisions


@pytest.mark.slow
def test_inheriting_gives_what_people_chose_in_mini(tmp_path, monkeypatch):
    """Each decided class of the bundled world in turn, as if nobody had decided about it."""
    import pyarrow.parquet as pq

    from hierlandmarks.resources import bundled
    from hierlandmarks_pipelines.run import run_recipe

    monkeypatch.setenv("HIERLANDMARKS_HOME", str(tmp_path / "home"))
    run_recipe(bundled("hierlandmarks_pipelines", "recipes", "mini.yaml"), tmp_path / "run", until="mine")
    edges = pq.read_table(tmp_path / "run/tables/subclasses.parquet")
    stated = pq.read_table(tmp_path / "run/tables/types.parquet")
    names = dict(zip(edges["parent_id"].to_pylist(), edges["parent"].to_pylist(), strict=True))
    names |= dict(zip(edges["type_id"].to_pylist(), edges["type"].to_pylist(), strict=True))
    names |= dict(zip(stated["type_id"].to_pylist(), stated["type"].to_pylist(), strict=True))
    taxonomy, path = label_files(None)
    history = effective(read_decisions(path, read_taxonomy(taxonomy)))
    right = wrong = 0
    for key, name in names.items():
        above = {d.label_id for _, d in nearest_labels(key, parents_of(edges), names, history)}
        own = history.get(key) or history.get(type_id(name))
        if own and len(above) == 1:
            right += above == {own.label_id}
            wrong += above != {own.label_id}
    assert (right, wrong) == (35, 4)
