"""Vectors to proposals: clusters that do not depend on order, ids that last, suggestions, stability."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from hierlandmarks.errors import TableError, UsageError
from hierlandmarks.schema import PROPOSALS, VECTORS
from hierlandmarks.tables import from_rows, write_table
from hierlandmarks_pipelines.cluster import (
    STAGE,
    Clustering,
    ClusterParams,
    as_matrix,
    find_clusters,
    propose,
    stability,
)
from hierlandmarks_pipelines.encoders import LEXICAL, find_encoder
from hierlandmarks_pipelines.proposals import central_names, permanent_ids
from hierlandmarks_pipelines.suggest import Suggestion, suggest_labels
from hierlandmarks_pipelines.typeids import type_id
from tests.labelworld import CHURCH, LAKE, TAXONOMY, categories, labels_folder, landmark, stated, subclasses, types

AGGLOMERATIVE = Clustering("agglomerative", 0.5, None)
KMEANS = Clustering("kmeans", 0.5, 3)


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("HIERLANDMARKS_HOME", str(tmp_path / "home"))


def blobs(sizes=(8, 5, 9), noise=0.05, seed=0):
    """Unit vectors around orthogonal directions, and which direction each is from."""
    random = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    vectors = np.eye(12)[truth] + noise * random.normal(size=(len(truth), 12))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), truth


def groups(numbers):
    return {frozenset(np.flatnonzero(numbers == n).tolist()) for n in set(numbers.tolist())}


@pytest.mark.parametrize("how", [AGGLOMERATIVE, KMEANS])
def test_clear_groups_are_found(how):
    vectors, truth = blobs()
    assert groups(find_clusters(vectors, how)) == groups(truth)
    assert stability(vectors, find_clusters(vectors, how), how, trials=3, seed=0) == pytest.approx(1.0)


def test_noise_is_unstable():
    vectors = np.random.default_rng(1).normal(size=(200, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    how = Clustering("kmeans", 0.5, 40)
    assert stability(vectors, find_clusters(vectors, how), how, trials=2, seed=0) < 0.6


@pytest.mark.parametrize(("count", "expected"), [(0, []), (1, [0])])
def test_one_type_is_one_cluster(count, expected):
    assert find_clusters(np.ones((count, 1), np.float32), AGGLOMERATIVE).tolist() == expected


def test_more_clusters_than_types_are_as_many_as_types():
    vectors, _ = blobs((2, 1))
    assert len(groups(find_clusters(vectors, Clustering("kmeans", 0.5, 100)))) <= 3


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (Clustering("kmean", 0.5, None), "did you mean kmeans"),
        (Clustering("auto", 0.0, None), "distance is out of range"),
        (Clustering("auto", 0.5, 0), "clusters is out of range"),
    ],
)
def test_wrong_settings_are_refused(how, message):
    with pytest.raises(UsageError, match=message):
        find_clusters(blobs()[0], how)


def test_ids_do_not_depend_on_the_order_of_clusters():
    clusters = [["a", "b"], ["c"], ["d", "e", "f"]]
    ids = permanent_ids(clusters, {})
    assert permanent_ids([["e", "f", "d"], ["b", "a"], ["c"]], {}) == [ids[2], ids[0], ids[1]]
    assert len(set(ids)) == 3
    assert all(proposal.startswith("hl:p-") for proposal in ids)


def test_a_proposal_keeps_its_id_while_most_of_it_stays():
    earlier = {"a": "hl:p-1", "b": "hl:p-1", "c": "hl:p-1", "d": "hl:p-2"}
    assert permanent_ids([["a", "b"], ["c", "d"]], earlier)[0] == "hl:p-1"  # two of three stayed
    grown = permanent_ids([["a", "b", "c", "new", "newer", "newest"], ["d"]], earlier)
    assert grown == ["hl:p-1", "hl:p-2"]  # types that are new do not count against it
    split = permanent_ids([["a"], ["b"], ["c"], ["d"]], earlier)
    assert split[3] == "hl:p-2"
    assert "hl:p-1" not in split  # a third of it is another proposal


def test_an_id_is_never_given_to_two():
    ids = permanent_ids([["a", "b", "c"], ["x", "y"]], {})
    drifted = permanent_ids([["a", "b", "q"], ["c"]], dict.fromkeys("abc", ids[0]))
    assert drifted[0] == ids[0]
    # the old members come together again, beside the cluster that carries their id
    again = permanent_ids([["a", "b", "c"], ["q", "r"]], dict.fromkeys("qr", ids[0]))
    assert again[1] == ids[0]
    assert again[0] != ids[0]


def test_names_come_from_the_middle():
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    assert central_names(["edge", "middle", "other"], vectors, count=1) == "middle"
    assert central_names(["b", "a"], np.array([[1, 0], [0, 1]], np.float32)) == "a, b"  # equally central: alphabet


def suggest(type_names, edges=()):
    encoder = find_encoder(LEXICAL)
    names = sorted({*type_names, *(name for edge in edges for name in edge)})
    vectors = dict(zip(map(type_id, names), encoder.encode(names), strict=True))
    parents = {type_id(c): [type_id(p)] for c, p in edges}
    return suggest_labels(vectors, [type_id(name) for name in type_names], parents, TAXONOMY, encoder)


def test_types_are_matched_to_labels_by_name():
    found = suggest(["church building", "lake shore"])
    assert found["hl:church-building"].label == CHURCH
    assert found["hl:lake-shore"].label == LAKE
    assert all(0 < suggestion.confidence <= 1 for suggestion in found.values())


def test_classes_above_help_where_the_name_says_nothing():
    assert suggest(["tarn"], [("tarn", "lake")])["hl:tarn"].label == LAKE
    assert suggest(["tarn"], [("tarn", "church")])["hl:tarn"].label == CHURCH


def test_the_nearer_class_counts_more():
    assert suggest(["tarn"], [("tarn", "lake"), ("lake", "church")])["hl:tarn"].label == LAKE
    assert suggest(["tarn"], [("tarn", "church"), ("church", "lake")])["hl:tarn"].label == CHURCH


def vectors_table(names, model="m"):
    matrix = find_encoder(LEXICAL).encode(names)
    rows = [
        {"type_id": type_id(n), "type": n, "model": model, "vector": v.tolist()}
        for n, v in zip(names, matrix, strict=True)
    ]
    return from_rows(rows, VECTORS)


def test_proposals_say_what_a_reviewer_needs():
    vectors = vectors_table(["lake", "pond"])
    rows = [stated(n, "lake") for n in range(6)] + [stated(9, "pond")]
    places = categories(*(landmark(n) for n in range(10)))
    suggestions = {key: Suggestion(LAKE, 0.9) for key in ("hl:lake", "hl:pond")}
    table = propose(vectors, types(*rows), places, np.array([7, 7]), suggestions, {}).to_pylist()
    assert [row["landmarks"] for row in table] == [6, 1]
    assert table[0]["examples"] == "Place 0; Place 1; Place 2; Place 3"
    assert table[0]["proposal_id"] == table[1]["proposal_id"]
    assert table[0]["name"] in ("lake, pond", "pond, lake")
    assert table[0]["label_id"] == "hl:lake"


def test_vectors_of_two_models_are_refused():
    with pytest.raises(TableError, match="several models"):
        as_matrix(pa.concat_tables([vectors_table(["a"], "m"), vectors_table(["b"], "n")]))


def test_vectors_of_two_lengths_are_refused():
    rows = [{"type_id": n, "type": n, "model": "m", "vector": [1.0] * size} for n, size in (("a", 2), ("b", 3))]
    with pytest.raises(TableError, match="different lengths"):
        as_matrix(from_rows(rows, VECTORS))


def run(tmp_path, names, **params):
    labels = labels_folder(tmp_path / "labels")
    rows = [stated(n, name) for n, name in enumerate(names)]
    inputs = {
        "vectors": vectors_table([*names, "building"], LEXICAL),
        "types": types(*rows),
        "subclasses": subclasses((names[0], "building")),
        "categories": categories(*(landmark(n) for n in range(len(names)))),
    }
    return STAGE.run(ClusterParams(labels=labels, **params), inputs, {})["proposals"]


NAMES = ["church building", "church ruin", "lake", "lake shore", "castle", "sea"]


def test_the_stage_proposes_types_only_and_says_how_stable_it_is(tmp_path, capsys):
    table = run(tmp_path, NAMES, distance=0.8)
    assert sorted(table["type"].to_pylist()) == sorted(NAMES)  # "building" is a class above, no landmark has it
    assert "stability" in capsys.readouterr().err


def test_low_stability_is_said_aloud(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hierlandmarks_pipelines.cluster.stability", lambda *_, **__: 0.3)
    run(tmp_path, NAMES)
    assert "is low" in capsys.readouterr().err


def test_the_stage_keeps_the_ids_of_an_earlier_run(tmp_path):
    first = run(tmp_path, NAMES)
    path = tmp_path / "earlier.parquet"
    renamed = first.set_column(2, "proposal_id", pa.array(["hl:p-old"] * first.num_rows))
    write_table(path, renamed, PROPOSALS, {})
    together = run(tmp_path, NAMES, earlier=path, method="kmeans", clusters=1)
    assert set(together["proposal_id"].to_pylist()) == {"hl:p-old"}


def test_equal_input_equal_proposals(tmp_path):
    assert run(tmp_path, NAMES).equals(run(tmp_path, NAMES))
    assert run(tmp_path, NAMES, method="kmeans").equals(run(tmp_path, NAMES, method="kmeans"))
