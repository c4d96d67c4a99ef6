"""The recipes of public sets on tiny imitations of their folders, through the command line: train, embed, evaluate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hierlandmarks.tables import read_json
from hierlandmarks_benchmark.commands import bench
from hierlandmarks_benchmark.recipe import load_recipe
from tests.layouts import MAKERS, SIDE, gldv2

SMALL = {
    "epochs": 1,
    "precision": "float32",
    "data.size": SIDE,
    "data.embedded": SIDE,
    "data.stored": SIDE,
    "model.weights": '""',
    "model.config": "{embedding_size: 8, hidden_sizes: [8, 16], depths: [1, 1], layer_type: basic}",
    "model.dim": 8,
    "model.freeze_batch_norm": "false",
    "sampler.batch": 8,
    "sampler.per_landmark": 2,
    "optimiser.learning_rate": 1e-3,
    "optimiser.proxy_learning_rate": 1e-2,
    "optimiser.scale": "{}",
    "schedule.frozen": 0,
}
EVALUATED = {  # layout -> what it is tested on, with the number of levels
    "inat18": {"inat18": 7},
    "sop": {"sop": 2},
    "cub": {"cub": 3},
    "dyml-vehicle": {f"dyml-vehicle-{part}": 1 for part in ("fine", "middle", "coarse")},
    "dyml-animal": {"dyml-animal-fine": 1},
    "dyml-product": {"dyml-product": 3},
}


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")


def run(*arguments: object) -> Any:
    done = CliRunner().invoke(bench, [*map(str, arguments), "--json"], standalone_mode=False)
    if done.exception:
        raise done.exception
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", MAKERS)
def test_a_layout_is_trained_embedded_and_evaluated(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    MAKERS[name](folder)
    changes = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    trained = run("train", "--release", f"{name}:{folder}", "--recipe", name, "--out", tmp_path / "model", *changes)
    assert trained["dataset"]["name"] == name
    assert trained["images"] == 12
    for release, depth in EVALUATED[name].items():
        embeddings, evaluation = tmp_path / release / "embeddings", tmp_path / release / "evaluation"
        words = ("--release", f"{release}:{folder}")
        assert run("embed", *words, "--model", tmp_path / "model", "--out", embeddings)["entries"][0] == name
        reports = run("evaluate", *words, "--embeddings", embeddings, "--out", evaluation)
        for mean in (reports[name]["mean"], reports["colour-histogram"]["mean"]):
            assert {f"recall_at_1_{column}" for column in range(depth)} <= set(mean)
            assert f"recall_at_1_{depth}" not in mean
            assert 0 <= mean["h_ap"] <= 1
            assert 0 <= mean["asi"] <= 1
        scores = read_json(evaluation / name / "scores.json")
        assert len(scores["provenance"]["settings"]["levels"]) == depth
        assert {result["level"] for result in scores_examples(evaluation / name)} <= set(range(depth + 1))


def scores_examples(folder: Path) -> list[dict[str, Any]]:
    return [result for example in read_json(folder / "examples.json") for result in example["results"]]


@pytest.mark.parametrize("name", ["h-gldv2-r50", "h-gldv2-r101"])
def test_googles_own_files_are_trained_embedded_and_evaluated(tmp_path: Path, name: str) -> None:
    folder, model = tmp_path / "gldv2", tmp_path / "model"
    gldv2(folder)
    changes = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    trained = run("train", "--release", folder, "--recipe", name, "--out", model, *changes)
    assert trained["images"] == 12  # one landmark of five has no label
    assert (trained["landmarks"], trained["labels"], trained["kinds"]) == (4, 2, 2)
    run("embed", "--release", folder, "--model", model, "--out", tmp_path / "e", "--no-baselines")
    reports = run("evaluate", "--release", folder, "--embeddings", tmp_path / "e", "--out", tmp_path / "v")
    assert 0 <= reports[name]["mean"]["map_at_100_0"] <= 1


def test_colours_are_found_where_classes_are_colours(tmp_path: Path) -> None:
    """The evaluation means something: classes of a colour each are nearly solved by colour."""
    MAKERS["inat18"](tmp_path)
    changes = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    words = ("--release", f"inat18:{tmp_path}")
    run("train", *words, "--recipe", "inat18", "--out", tmp_path / "model", *changes)
    run("embed", *words, "--model", tmp_path / "model", "--out", tmp_path / "e", "--baseline", "colour-histogram")
    reports = run("evaluate", *words, "--embeddings", tmp_path / "e", "--out", tmp_path / "v")
    assert reports["colour-histogram"]["mean"]["recall_at_1_0"] > 0.8
    lists = run("search", *words, "--embeddings", tmp_path / "e", "--entry", "inat18", "--out", tmp_path / "l.csv")
    assert lists["queries"] == 12
    page = tmp_path / "page.html"
    shown = run("search", *words, "--embeddings", tmp_path / "e", "--entry", "colour-histogram", "--page", page)
    assert shown["shown"] == 12
    text = page.read_text()
    assert "Larus canus" in text
    assert text.count('class="legend"') == 1
    assert all(f'<li class="match-{level}">' in text for level in range(8))


PUBLISHED = ("h-gldv2-r50", "h-gldv2-r101", *MAKERS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipes_of_the_paper_are_complete(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert [term.name for term in recipe.loss] == ["SupHAPLoss", "ProxyLoss"]
    assert sum(term.weight for term in recipe.loss) == pytest.approx(1)
    assert (recipe.sampler.batch, recipe.sampler.per_landmark, recipe.data.size) == (256, 4, 224)
    assert bool(recipe.model.weights) == recipe.model.freeze_batch_norm
