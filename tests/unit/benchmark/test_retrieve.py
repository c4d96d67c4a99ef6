from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import hierlandmarks as hl
from hierlandmarks.errors import CorruptInputError, IncompleteError, UsageError
from hierlandmarks.metrics.kaggle import read_predictions
from hierlandmarks.metrics.sources import ArraySource
from hierlandmarks_benchmark.commands import bench
from hierlandmarks_benchmark.embed import EmbedParams, embed
from hierlandmarks_benchmark.results import colours
from hierlandmarks_benchmark.retrieve import Searched, Side, open_search, write_lists, write_page
from hierlandmarks_benchmark.vectors import Embeddings, read_embeddings, read_ids, write_embeddings, write_shard
from tests.handin import write_track
from tests.reference.neighbours import rank as slow_rank


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory: pytest.TempPathFactory, release: Path, model: Path) -> Path:
    folder = tmp_path_factory.mktemp("embeddings") / "out"
    embed(release, model, folder, EmbedParams(baselines=("colour-histogram",), batch=4, shard=8, workers=0))
    return folder


def slow_lists(embeddings: Path, entry: str, k: int) -> dict[str, list[str]]:
    query, index = (read_embeddings(embeddings / entry, split) for split in ("query", "index"))
    rows = slow_rank(query.vectors, index.vectors, k)
    return {id: [index.ids[row] for row in line] for id, line in zip(query.ids, rows, strict=True)}


@pytest.mark.parametrize("k", [5, None])
@pytest.mark.parametrize("backend", ["faiss", "torch"])
def test_lists_are_those_of_the_slow_twin(
    tmp_path: Path, release: Path, embeddings: Path, k: int | None, backend: str
) -> None:
    searched = open_search(release, embeddings, "tiny")
    expected = slow_lists(embeddings, "tiny", k or 24)
    assert write_lists(searched, tmp_path / "lists.parquet", k, backend) == 12
    table = pq.read_table(tmp_path / "lists.parquet")
    assert dict(zip(table["query_id"].to_pylist(), table["images"].to_pylist(), strict=True)) == expected
    write_lists(searched, tmp_path / "lists.csv", k, backend)
    assert read_predictions(tmp_path / "lists.csv") == expected


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_is_written_may_be_submitted(tmp_path: Path, release: Path, embeddings: Path, ending: str) -> None:
    track = tmp_path / "coloured.yaml"
    write_track(track, name="coloured", depth=10)
    lists = tmp_path / f"lists.{ending}"
    arguments = ["search", "--release", release, "--embeddings", embeddings, "--entry", "tiny", "--k", 10]
    assert run(*arguments, "--out", lists) == {"entry": "tiny", "queries": 12, "out": str(lists)}
    checked = run("submit", "--track", track, "--release", release, "--rankings", lists, "--check")
    assert checked


def run(*arguments: object) -> object:
    done = CliRunner().invoke(bench, [*map(str, arguments), "--json"], standalone_mode=False)
    if done.exception:
        raise done.exception
    return json.loads(done.stdout)


def test_a_split_is_searched_in_itself_without_the_query(tmp_path: Path, validated: Path, model: Path) -> None:
    embed(validated, model, tmp_path / "out", EmbedParams(baselines=()))
    searched = open_search(validated, tmp_path / "out")
    write_lists(searched, tmp_path / "all.parquet", None)
    ids = set(hl.load(validated, split="validation").images["id"])
    for row in pq.read_table(tmp_path / "all.parquet").to_pylist():
        assert len(row["images"]) == len(ids) - 1
        assert set(row["images"]) == ids - {row["query_id"]}


def test_the_page_shows_queries_with_levels(tmp_path: Path, release: Path, embeddings: Path) -> None:
    searched = open_search(release, embeddings, "tiny")
    assert write_page(searched, tmp_path / "page.html", count=3, results=4) == 3
    page = (tmp_path / "page.html").read_text()
    assert page.count('<section class="query"') == 3
    assert page.count('src="data:image/jpeg;base64,') == 3 * 5
    assert "http" not in page.replace('http-equiv="', "")
    query = searched.query.ids[5]
    write_page(searched, tmp_path / "one.html", queries=[query], results=24)
    page = (tmp_path / "one.html").read_text()
    labels = hl.load(release, split="query").labels[hl.load(release, split="query").find(query)[0]]
    same = int((hl.load(release, split="index").labels[:, 0] == labels[0]).sum())
    assert page.count('<li class="match-3">') == same + 1  # the legend has one too


def test_texts_of_the_data_are_no_markup(tmp_path: Path, release: Path, embeddings: Path) -> None:
    searched = open_search(release, embeddings, "tiny")
    images = searched.query.dataset.images
    images["name"] = '<script>alert("x")</script>'
    write_page(searched, tmp_path / "page.html", count=1)
    assert "<script" not in (tmp_path / "page.html").read_text()


def test_every_level_has_a_colour() -> None:
    for depth in range(1, 8):
        lines = colours(depth).splitlines()
        assert len(lines) == len({line.partition("{")[2] for line in lines}) == depth + 1


def test_mistakes_are_named(tmp_path: Path, release: Path, embeddings: Path) -> None:
    with pytest.raises(UsageError, match="several entries; got colour-histogram, tiny: choose one with --entry"):
        open_search(release, embeddings)
    with pytest.raises(UsageError, match=r"no entry 'tinny'.*tiny"):
        open_search(release, embeddings, "tinny")
    searched = open_search(release, embeddings, "tiny")
    with pytest.raises(UsageError, match=r"no file of rankings; got ending '\.json'"):
        write_lists(searched, tmp_path / "lists.json")
    with pytest.raises(UsageError, match="no query 'x'"):
        write_page(searched, tmp_path / "page.html", queries=["x"])
    with pytest.raises(UsageError, match="nothing to write"):
        run("search", "--release", release, "--embeddings", embeddings)
    with pytest.raises(UsageError, match="shows from 1"):
        write_page(searched, tmp_path / "page.html", count=0)


def test_an_id_with_a_space_needs_parquet(tmp_path: Path) -> None:
    side = Side(None, pd.Index(["a b", "c"]), ArraySource(np.eye(2, dtype=np.float32)))  # type: ignore[arg-type]
    searched = Searched("x", side, replace(side), np.array([0, 1]))
    with pytest.raises(CorruptInputError, match=r"'a b' cannot stand in a Kaggle CSV: write \.parquet"):
        write_lists(searched, tmp_path / "lists.csv")
    assert not list(tmp_path.iterdir())
    assert write_lists(searched, tmp_path / "lists.parquet") == 2


def test_images_the_dataset_lacks_are_named(tmp_path: Path, release: Path, embeddings: Path) -> None:
    shutil.copytree(embeddings / "tiny", tmp_path / "e" / "tiny")
    for path in (tmp_path / "e" / "tiny").glob("query-*"):
        path.unlink()
    found = read_embeddings(embeddings / "tiny", "query")
    write_embeddings(tmp_path / "e" / "tiny", "query", Embeddings(("nowhere", *found.ids[1:]), found.vectors))
    with pytest.raises(CorruptInputError, match="no image nowhere that was embedded"):
        write_page(open_search(release, tmp_path / "e"), tmp_path / "page.html")


def test_a_sharded_entry_may_be_submitted(tmp_path: Path, release: Path, embeddings: Path) -> None:
    track = tmp_path / "coloured.yaml"
    write_track(track, name="coloured")
    words = ("submit", "--track", track, "--release", release, "--check", "--embeddings")
    assert run(*words, embeddings / "tiny")
    shutil.copytree(embeddings / "tiny", tmp_path / "cut")
    (tmp_path / "cut" / "index-00001-of-00003.safetensors").unlink()
    with pytest.raises(IncompleteError, match="not whole"):
        run(*words, tmp_path / "cut")
    wide = Embeddings(tuple(read_ids(embeddings / "tiny", "index")[8:16]), np.eye(8, 17, dtype=np.float32))
    write_shard(tmp_path / "cut" / "index-00001-of-00003.safetensors", wide)
    with pytest.raises(CorruptInputError, match="differ in width"):
        run(*words, tmp_path / "cut")
