"""A release in the rest of the ecosystem, without this library: readers, descriptions, citations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

import hierlandmarks as hl
from hierlandmarks.schema import NODES, RELEASE
from hierlandmarks_pipelines.croissant import WORDS
from tests import tiny


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.release(tmp_path_factory.mktemp("tiny"), validation=0.4, published="2026-11-23")


def test_hugging_face_parquet(made: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    names = {split: str(made / f"data/{split}-*.parquet") for split in hl.load(made).splits}
    found = datasets.load_dataset("parquet", data_files=names, cache_dir=str(tmp_path))
    for split in names:
        own = hl.load(made, split)
        assert found[split]["id"] == own.images["id"].tolist()
        assert found[split]["label"] == own.labels[:, 1].tolist()
    own = hl.load(made, "index")
    pictures = found["index"].cast_column("image", datasets.Image())
    assert np.array_equal(pictures[2]["image"].convert("RGB"), own.image(2))
    stream = datasets.load_dataset("parquet", data_files=names, split="query", streaming=True)
    assert [row["usage"] for row in stream] == hl.load(made, "query").images["usage"].tolist()


def test_polars(made: Path) -> None:
    polars = pytest.importorskip("polars")
    own = hl.load(made, "train")
    found = polars.scan_parquet(made / "data" / "train-*.parquet").filter(polars.col("hierarchical_label") == "church")
    part = own.where(label="church")
    assert found.collect()["id"].to_list() == part.images["id"].tolist()
    assert found.collect()["image"].to_list() == [part.image_bytes(i) for i in range(len(part))]
    counts = polars.read_parquet(made / "data/*.parquet").group_by("split").len()
    assert dict(counts.iter_rows()) == hl.load(made).images["split"].value_counts().to_dict()


def test_duckdb(made: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    sql = f"""
        SELECT r.split, h.name, count(*) FROM '{made}/data/*.parquet' r
        JOIN read_csv('{made}/hierarchy.csv') h ON h.level = 'label' AND h.code = r.label
        GROUP BY ALL ORDER BY ALL"""
    own = hl.load(made).images
    own = own[own["label"] >= 0]
    expected = own.groupby(["split", "hierarchical_label"]).size()
    assert duckdb.sql(sql).fetchall() == [(*key, count) for key, count in expected.items()]
    where = f"SELECT id FROM '{made}/data/index-*.parquet' WHERE octet_length(image) > 0 ORDER BY id"
    assert [row[0] for row in duckdb.sql(where).fetchall()] == hl.load(made, "index").images["id"].tolist()


def test_croissant_is_valid_and_gives_the_rows(made: Path) -> None:
    croissant = pytest.importorskip("mlcroissant")
    described = croissant.Dataset(jsonld=made / "croissant.json")
    assert not described.metadata.issues.errors
    assert not described.metadata.issues.warnings
    assert described.metadata.ctx.is_v1_1()
    assert {records.uuid for records in described.metadata.record_sets} == {"hierarchy", *hl.load(made).splits}
    for split in ("index", "query"):
        own = hl.load(made, split)
        rows = {row[f"{split}/id"].decode(): row for row in described.records(split)}
        assert sorted(rows) == own.images["id"].tolist()
        for i, image in enumerate(own.images["id"]):
            assert rows[image][f"{split}/label"] == own.labels[i, 1]
            assert np.array_equal(rows[image][f"{split}/image"].convert("RGB"), own.image(i))
    nodes = list(described.records("hierarchy"))
    assert len(nodes) == len(hl.load(made).hierarchy)


def test_croissant_describes_every_column() -> None:
    assert set(WORDS) == {*RELEASE.schema.names, *NODES.schema.names}


def test_a_release_without_pictures_is_described_without_them(tmp_path: Path) -> None:
    folder = tiny.release(tmp_path, image_bytes=False)
    assert '"train/image"' not in (folder / "croissant.json").read_text()
    pytest.importorskip("mlcroissant").Dataset(jsonld=folder / "croissant.json")


def test_citation_and_zenodo_say_the_same(made: Path) -> None:
    citation = yaml.safe_load((made / "CITATION.cff").read_text())
    zenodo = json.loads((made / ".zenodo.json").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == zenodo["upload_type"] == "dataset"
    assert (citation["title"], citation["version"]) == (zenodo["title"], zenodo["version"]) == ("tiny", "1.0.0")
    assert str(citation["date-released"]) == zenodo["publication_date"] == "2026-11-23"
    assert citation["license"].lower() == zenodo["license"]
    assert citation["abstract"] == zenodo["description"]
    assert [author["name"] for author in citation["authors"]] == [creator["name"] for creator in zenodo["creators"]]
    papers = [reference["identifiers"][0]["value"] for reference in citation["references"]]
    assert papers == [related["identifier"] for related in zenodo["related_identifiers"]]


def test_the_projects_own_pair_says_the_same(root: Path) -> None:
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    zenodo = json.loads((root / ".zenodo.json").read_text())
    assert citation["title"] == zenodo["title"]
    assert citation["version"] == zenodo["version"] == hl.__version__
    assert zenodo["upload_type"] == citation["type"] == "software"
    assert citation["license"].lower() == zenodo["license"].lower()
    assert [author["name"] for author in citation["authors"]] == [creator["name"] for creator in zenodo["creators"]]
    papers = {reference["identifiers"][0]["value"] for reference in citation["references"]}
    assert papers == {related["identifier"] for related in zenodo["related_identifiers"]}
