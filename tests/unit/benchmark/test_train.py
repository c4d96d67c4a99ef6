from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

import hierlandmarks as hl
from hierlandmarks.errors import CorruptInputError, MissingDataError, UsageError
from hierlandmarks.tables import read_json
from hierlandmarks_benchmark.models import Network, build_network
from hierlandmarks_benchmark.objective import Objective, compact
from hierlandmarks_benchmark.recipe import LossTerm, Recipe, ScheduleParams, load_recipe
from hierlandmarks_benchmark.train import STAGE, TrainParams, train
from hierlandmarks_benchmark.train.loop import fit
from hierlandmarks_benchmark.train.optimisation import build_optimiser, scale
from tests.coloured import release as write_release
from tests.trainable import data, transformer


def changed(recipe: Recipe, section: str, **values: Any) -> Recipe:
    return dataclasses.replace(recipe, **{section: dataclasses.replace(getattr(recipe, section), **values)})


def weights(recipe: Recipe) -> dict[str, torch.Tensor]:
    return fit(data(), recipe).network.state_dict()


def test_the_model_folder_is_complete(model: Path, release: Path, tiny: Recipe) -> None:
    names = {"model.safetensors", "recipe.yaml", "history.csv", "curves.png", "summary.json", "tensorboard"}
    assert {path.name for path in model.iterdir()} == names
    saved = load_recipe(str(model / "recipe.yaml"))
    assert saved == dataclasses.replace(tiny, model=saved.model)
    assert saved.model.config["hidden_sizes"] == [8, 16]
    summary = read_json(model / "summary.json")
    assert summary["dataset"]["content_hash"] == read_json(release / "MANIFEST.json")["content_hash"]
    assert (summary["images"], summary["landmarks"], summary["labels"], summary["kinds"]) == (50, 10, 4, 2)
    assert {"code_version", "seconds", "threads", "hardware", "packages", "recipe"} <= set(summary)
    assert Image.open(model / "curves.png").size[0] > 400


def test_history_has_a_row_an_epoch_and_the_loss_falls(model: Path, tiny: Recipe) -> None:
    rows = list(csv.DictReader((model / "history.csv").open()))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    weighted = 0.9 * float(rows[0]["SupHAPLoss_0"]) + 0.1 * float(rows[0]["ProxyLoss_1"])
    assert weighted == pytest.approx(float(rows[0]["loss"]), rel=1e-4)
    assert rows[0]["h_ap"] == ""


def test_validation_is_followed_where_there_is_one(tmp_path: Path, validated: Path, tiny: Recipe) -> None:
    summary = train(validated, tiny, tmp_path)
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    assert [row["h_ap"] != "" for row in rows] == [False, True, False, True]
    assert 0 < summary["last"]["h_ap"] <= 1


def test_the_same_seed_gives_the_same_weights_bit_for_bit(tiny: Recipe) -> None:
    first, again = weights(tiny), weights(tiny)
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = weights(dataclasses.replace(tiny, seed=4))
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_the_global_random_state_is_left_alone(tiny: Recipe) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    fit(data(), dataclasses.replace(tiny, epochs=1))
    assert torch.equal(torch.rand(3), expected)


def groups(recipe: Recipe) -> list[tuple[float, float, bool, int]]:
    network = build_network(recipe)
    objective = Objective(recipe.loss, data().labels, network.dim, recipe.head)
    found = build_optimiser(network, objective, recipe).param_groups
    return [(group["peak"], group["weight_decay"], group["backbone"], len(group["params"])) for group in found]


def test_weights_decay_others_do_not_and_proxies_have_a_learning_rate_of_their_own(tiny: Recipe) -> None:
    found = groups(tiny)
    assert {group[:3] for group in found} == {
        (3e-3, 0.01, True),
        (3e-3, 0.0, True),
        (3e-3, 0.01, False),
        (3e-3, 0.0, False),
        (1e-2, 0.0, False),
    }
    assert found[-1][0] == 1e-2
    assert found[-1][3] == 1  # the head learns as the network does


def test_parts_of_the_network_have_learning_rates_of_their_own(tiny: Recipe) -> None:
    scaled = changed(tiny, "optimiser", scale={"backbone": 0.1, "backbone.inner.embedder": 0.01, "head": 2.0})
    peaks = {peak for peak, *_ in groups(scaled)}
    assert sorted(peaks) == pytest.approx([3e-5, 3e-4, 3e-3, 6e-3, 1e-2])
    with pytest.raises(UsageError, match=r"optimiser.scale names 'backbon'.*did you mean backbone"):
        groups(changed(tiny, "optimiser", scale={"backbon": 0.1}))


def test_a_frozen_backbone_waits_while_the_rest_learns(tiny: Recipe) -> None:
    start = build_network(tiny).state_dict()
    found = weights(changed(dataclasses.replace(tiny, epochs=1), "schedule", frozen=1.0))
    same = {name for name, tensor in found.items() if torch.equal(tensor, start[name])}
    learnt = {name for name, _ in build_network(tiny).named_parameters()}
    assert {name for name in learnt if name.startswith("backbone.")} <= same
    assert "projection.weight" not in same


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_other_optimisers(tiny: Recipe, kind: str) -> None:
    assert not torch.equal(
        weights(changed(tiny, "optimiser", kind=kind))["projection.weight"], weights(tiny)["projection.weight"]
    )
    with pytest.raises(UsageError, match="did you mean adam"):
        changed(tiny, "optimiser", kind="adamv")


def test_steps_instead_of_a_cosine() -> None:
    params = ScheduleParams(warmup=0, milestones=(2, 4), gamma=0.3)
    assert [round(scale(params, step, length=2, epochs=6), 6) for step in range(0, 12, 2)] == [
        1,
        1,
        0.3,
        0.3,
        0.09,
        0.09,
    ]


def test_the_head_serves_the_loss_only(tiny: Recipe) -> None:
    found = data()
    labels = found.labels
    objective = Objective(tiny.loss, labels, 16, head=12)
    embeddings = torch.nn.functional.normalize(torch.rand(32, 16), dim=1)
    loss, terms = objective(embeddings, torch.from_numpy(labels))
    assert objective.head is not None
    seen = torch.nn.functional.normalize(objective.head(embeddings), dim=1)
    assert terms[0] == objective.terms[0](seen, torch.from_numpy(labels))
    assert float(loss.detach()) == pytest.approx(float(0.9 * terms[0] + 0.1 * terms[1]))
    trained = fit(found, tiny)
    assert trained.network.dim == 16
    assert not any("head" in name for name in trained.network.state_dict())


def test_ema_keeps_other_weights_than_the_last(tiny: Recipe) -> None:
    last, mean = weights(tiny), weights(changed(tiny, "optimiser", ema=0.9))
    assert not torch.equal(last["projection.weight"], mean["projection.weight"])


def test_clipping_bounds_the_step(tiny: Recipe) -> None:
    free, bound = weights(tiny), weights(changed(tiny, "optimiser", clip=1e-9))
    assert not torch.equal(free["projection.weight"], bound["projection.weight"])


def test_the_schedule_warms_up_and_comes_down_to_its_floor() -> None:
    values = [scale(ScheduleParams(warmup=2, floor=0.1), step, length=5, epochs=10) for step in range(51)]
    assert values[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert values[10] == pytest.approx(1)
    assert values[50] == pytest.approx(0.1)
    assert all(a >= b for a, b in pairwise(values[10:]))


def broken(self: Objective, embeddings: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    loss = embeddings.sum() * math.nan
    return loss, torch.stack([loss, loss]).detach()


def test_a_loss_that_is_no_number_stops_with_the_batch_saved(
    tiny: Recipe, release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Objective, "forward", broken)
    with pytest.raises(UsageError, match=r"the loss is nan in epoch 1, step 1; got SupHAPLoss_0 nan.*learning_rate"):
        fit(data(), tiny)
    with pytest.raises(UsageError) as caught:
        train(release, tiny, tmp_path)
    path = tmp_path / "broken-batch.safetensors"
    assert f"the batch is in {path}" in str(caught.value)
    with safe_open(path, "pt") as kept:
        ids, metadata = json.loads(kept.metadata()["ids"]), kept.metadata()
        assert kept.get_tensor("pictures").shape == (16, 3, 24, 24)
        assert kept.get_tensor("labels").shape == (16, 3)
    dataset = hl.load(release, split="train")
    assert set(ids) <= set(dataset.images["id"])
    assert (len(ids), metadata["epoch"], metadata["step"]) == (16, "1", "1")


@pytest.mark.parametrize(
    ("error", "chunk", "advice"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), 0, "set sampler.chunk=8"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), 6, "chunk=3"),
        (MemoryError(), 1, "lower data.size or sampler.batch"),
    ],
)
def test_a_recipe_that_does_not_fit_in_memory_says_what_to_lower(
    tiny: Recipe, error: Exception, chunk: int, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, pictures: torch.Tensor) -> torch.Tensor:
        raise error

    monkeypatch.setattr(Network, "forward", full)
    with pytest.raises(UsageError, match=rf"tiny does not fit in memory with {chunk or 16} pictures.*{advice}"):
        fit(data(), changed(tiny, "sampler", chunk=chunk))


def test_other_errors_are_left_alone(tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(self: object, pictures: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(Network, "forward", wrong)
    with pytest.raises(RuntimeError, match="mat1"):
        fit(data(), tiny)


def test_pictures_that_do_not_come_are_left_out_of_their_batches(tiny: Recipe) -> None:
    whole, part = (fit(data(unreadable=rows), dataclasses.replace(tiny, epochs=1)).history[0] for rows in ((), (3, 17)))
    assert whole["images"] == 32
    assert 28 <= part["images"] < 32
    assert math.isfinite(part["loss"])


def test_streamed_and_held_pictures_give_the_same_weights(tmp_path: Path, release: Path) -> None:
    recipe = changed(transformer(dropout=0.2), "sampler", batch=16)
    for name in ("always", "never"):
        summary = train(release, changed(recipe, "data", in_memory=name, workers=0), tmp_path / name)
        assert 0 <= summary["waiting"] <= 1
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("always", "never")]
    assert weights[0] == weights[1]


def test_steps_are_logged_for_tensorboard(tmp_path: Path, validated: Path, tiny: Recipe) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(validated, tiny, tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard" / "tiny")).Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(12))
    assert [event.step for event in events.Scalars("h_ap")] == [5, 11]
    assert {"learning_rate", "images_per_second", "waiting", "ProxyLoss_1"} <= set(events.Tags()["scalars"])


def test_trackers_are_checked_before_anything_runs(tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="did you mean wandb"):
        fit(data(), dataclasses.replace(tiny, trackers=("wandbb",)))
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", list)
    with pytest.raises(MissingDataError, match="the tracker wandb is not installed"):
        fit(data(), dataclasses.replace(tiny, trackers=("wandb",)))


def test_a_tracker_of_accelerate_is_told_the_recipe_and_every_step(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate import tracking

    class Told(tracking.GeneralTracker):
        name, requires_logging_directory, tracker = "wandb", False, None
        about: ClassVar[list[dict]] = []
        steps: ClassVar[list[int]] = []

        def __init__(self, run_name: str, **kwargs: object) -> None:
            super().__init__()

        def store_init_configuration(self, values: dict) -> None:
            self.about.append(values)

        def log(self, values: dict, step: int, **kwargs: object) -> None:
            self.steps.append(step)

    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "wandb", Told)
    there = [tracking.LoggerType.WANDB, tracking.LoggerType.TENSORBOARD]
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", lambda: there)
    fit(data(), dataclasses.replace(tiny, epochs=1, trackers=("wandb",)), tmp_path)
    assert Told.about[0]["name"] == "tiny"
    assert Told.steps == [0, 1]


def test_precisions_follow_each_other_in_one_process(tiny: Recipe) -> None:
    short = dataclasses.replace(tiny, epochs=1)
    for precision in ("bf16", "fp16", "float32"):
        assert math.isfinite(fit(data(), dataclasses.replace(short, precision=precision)).history[0]["loss"])


def test_a_precision_the_device_has_not_is_refused(tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**kwargs: object) -> None:
        raise ValueError("bf16 mixed precision requires a supported device")

    monkeypatch.setattr("accelerate.Accelerator", refuse)
    with pytest.raises(UsageError, match=r"precision bf16 cannot be had here; got bf16 mixed precision requires"):
        fit(data(), dataclasses.replace(tiny, precision="bf16"))


def test_a_memory_shows_earlier_batches_to_losses_with_references(tiny: Recipe) -> None:
    objective = Objective(tiny.loss, data().labels, 16, head=12, memory=20)
    kinds = [type(term).__name__ for term in objective.terms]
    assert kinds == ["CrossBatchMemory", "ProxyLoss"]
    embeddings = torch.nn.functional.normalize(torch.rand(32, 16), dim=1)
    first, _ = objective(embeddings, torch.from_numpy(data().labels))
    again, _ = objective(embeddings, torch.from_numpy(data().labels))
    assert first != again
    remembered = fit(data(), dataclasses.replace(tiny, memory=20)).history[-1]["loss"]
    assert remembered != fit(data(), tiny).history[-1]["loss"]


def test_unknown_losses_and_arguments_name_the_nearest(tiny: Recipe) -> None:
    labels = data().labels
    with pytest.raises(UsageError, match="did you mean SupHAPLoss"):
        Objective((LossTerm("SupHapLoss"),), labels, 4)
    with pytest.raises(UsageError, match="did you mean tau"):
        Objective((LossTerm("SupHAPLoss", params={"taus": 0.1}),), labels, 4)
    with pytest.raises(UsageError, match="no loss"):
        Objective((), labels, 4)


def test_every_loss_can_be_a_term(tiny: Recipe) -> None:
    from hierlandmarks_benchmark import losses

    found = data()
    names = sorted(set(losses.__all__) - {"WeightedLoss", "CrossBatchMemory"})
    for name in names:
        trained = fit(found, dataclasses.replace(tiny, epochs=1, loss=(LossTerm(name),)))
        assert math.isfinite(trained.history[0]["loss"]), name


def test_compact_keeps_who_shares_a_label() -> None:
    labels = np.array([[900, 7, 3], [12, 7, 3], [900, 7, 3], [44, -1, 5]])
    assert compact(labels).tolist() == [[2, 0, 0], [0, 0, 0], [2, 0, 0], [1, -1, 1]]


def test_a_release_without_the_split_is_refused(tmp_path: Path, release: Path, tiny: Recipe) -> None:
    with pytest.raises(MissingDataError, match="no split 'train_clean' to train on; got train, index, query"):
        train(release, changed(tiny, "data", split="train_clean"), tmp_path)


def test_too_few_landmarks_for_a_batch(tmp_path: Path, release: Path, tiny: Recipe) -> None:
    with pytest.raises(
        UsageError, match=r"too few landmarks for a batch of 64; got 10, expected 16.*lower sampler.batch to 40"
    ):
        train(release, changed(tiny, "sampler", batch=64), tmp_path)


def test_many_unreadable_pictures_stop_with_their_list(tmp_path: Path, tiny: Recipe) -> None:
    spoilt = write_release(tmp_path, {"train": (range(8), 4)}, spoilt=2)
    with pytest.raises(CorruptInputError, match=r"2 of 32 pictures of coloured cannot be read; got [0-9a-f]{16} \("):
        train(spoilt, tiny, tmp_path)


def test_a_few_unreadable_pictures_are_listed(tmp_path: Path, tiny: Recipe) -> None:
    spoilt = write_release(tmp_path, {"train": (range(8), 13)}, spoilt=1)
    summary = train(spoilt, dataclasses.replace(tiny, epochs=1), tmp_path)
    assert summary["images"] == 103
    assert len(summary["skipped"]) == 1


def test_the_stage_reads_the_recipe_it_names() -> None:
    assert [path.name for path in STAGE.reads(TrainParams("mini"))] == ["mini.yaml"]
    assert STAGE.needs == ("release",)
    assert STAGE.makes == ("model",)


@pytest.mark.parametrize("name", ["mini", "washington"])
def test_bundled_recipes_are_complete(name: str) -> None:
    from hierlandmarks.params import to_mapping
    from hierlandmarks_benchmark.recipe import read_yaml, recipe_path

    recipe = load_recipe(name, ["epochs=2", "optimiser.learning_rate=1e-3"])
    assert (recipe.name, recipe.epochs, recipe.optimiser.learning_rate) == (name, 2, 1e-3)
    assert [(term.name, term.weight) for term in recipe.loss] == [("SupHAPLoss", 0.9), ("ProxyLoss", 0.1)]
    written = read_yaml(recipe_path(name))
    for section in ("data", "augmentation", "sampler", "optimiser", "schedule"):
        assert set(written[section]) == set(to_mapping(recipe)[section]), section


def test_mistakes_in_a_recipe_name_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"optimiser has an unknown key 'lerning_rate': did you mean learning_rate"):
        load_recipe("mini", ["optimiser.lerning_rate=1"])
    with pytest.raises(UsageError, match="did you mean washington"):
        load_recipe("washingtn")
    with pytest.raises(MissingDataError, match="no recipe at"):
        load_recipe(str(tmp_path / "none.yaml"))
    with pytest.raises(UsageError, match="not safe as a folder"):
        load_recipe("mini", ["name=../x"])
    with pytest.raises(UsageError, match="precision"):
        load_recipe("mini", ["precision=bf61"])
    with pytest.raises(UsageError, match=r"size 64, embedded 99, stored 72"):
        load_recipe("mini", ["data.embedded=99"])


def test_stages_are_found_without_importing_torch() -> None:
    code = "import sys; from hierlandmarks_benchmark import train, embed, evaluate; sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        ).returncode
        == 0
    )
