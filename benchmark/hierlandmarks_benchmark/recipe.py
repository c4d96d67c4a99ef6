"""What a training run is: one complete file, loaded into frozen dataclasses and written back beside the model.

Every number that shapes a result stands in the recipe, so a model folder says how to make the model again. An
unknown key is an error naming the nearest; only switches for features that are off may be left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hierlandmarks.errors import MissingDataError, UsageError
from hierlandmarks.params import from_mapping, nearest, read_yaml, set_value, to_mapping
from hierlandmarks.resources import bundled
from hierlandmarks.tables import write_text
from hierlandmarks_benchmark.entries import check_name

PRECISIONS = ("float32", "bf16", "fp16")
OPTIMISERS = ("adamw", "adam", "sgd")


@dataclass(frozen=True)
class DataParams:
    """Which pictures are seen, and at what size.

    Attributes:
        size: side in pixels of the square the network is trained on.
        embedded: side it sees when it embeds; larger than `size` undoes what random crops do to the size of things
            (Touvron et al., arXiv 1906.06423).
        stored: side of the decoded squares kept in memory, from which both are cut; at least as large.
        split: split to train on.
        validation: split whose H-AP is followed while training, where the release has it; "" for none.
        validate_every: epochs between two looks at the validation split.
        workers: processes that decode what does not fit in memory; -1 for one a core, 0 to decode while training waits.
        in_memory: whether decoded pictures are held: `auto` (where they fit), `always` or `never`.
    """

    size: int
    embedded: int
    stored: int
    split: str = "train"
    validation: str = "validation"
    validate_every: int = 5
    workers: int = -1
    in_memory: str = "auto"

    def __post_init__(self) -> None:
        if min(self.size, self.embedded) < 1 or max(self.size, self.embedded) > self.stored:
            raise UsageError(
                "data sizes do not fit",
                got=f"size {self.size}, embedded {self.embedded}, stored {self.stored}",
                expected="size and embedded from 1 to stored",
            )
        if self.validate_every < 1:
            raise UsageError("data.validate_every is out of range", got=self.validate_every, expected="at least 1")


@dataclass(frozen=True)
class AugmentationParams:
    """How pictures vary while training; zeros (and area 1) leave them as they are.

    Attributes:
        area: smallest share of the picture a crop keeps, in (0, 1].
        aspect: largest width : height of a crop (and height : width), at least 1.
        flip: probability of mirroring left and right.
        brightness: light is scaled by 1 ± this, in [0, 1).
        contrast: distance from the picture's mean grey is scaled by 1 ± this.
        saturation: distance from grey is scaled by 1 ± this.
        hue: colours turn around the grey axis by up to ± this share of a full turn, in [0, 0.5].
    """

    area: float = 1.0
    aspect: float = 1.0
    flip: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.area <= 1 or self.aspect < 1:
            raise UsageError(
                "augmentation crops are out of range",
                got=f"area {self.area}, aspect {self.aspect}",
                expected="area in (0, 1] and aspect of at least 1",
            )


@dataclass(frozen=True)
class ModelParams:
    """The network: backbone, pooling, projection, whitening.

    Attributes:
        backbone: resnet, vit, deit, dinov2, clip (classes of transformers), efficientnet-lite0, or timm:NAME.
        dim: length of the embedding; 0 keeps the backbone's own.
        config: the backbone's configuration where it differs from its class's defaults; efficientnet-lite0 has one
            key, `frozen`: blocks from the picture on that keep their weights.
        weights: pretrained folder, or name on the model hub; "" starts from random weights. For efficientnet-lite0 a
            file, or package:NAME for the file in an installed package.
        pooling: gem, avg or cls.
        layer_norm: whether the pooled features pass a LayerNorm before the projection.
        whitening: whether embeddings end in PCA whitening, fitted to the training split's when training is over.
        freeze_batch_norm: keep BatchNorm as pretrained; without pretrained weights there is nothing to keep.
        mean: per-channel mean of RGB in [0, 1] the backbone expects to be taken off.
        std: per-channel standard deviation it expects to be divided by.
    """

    backbone: str
    dim: int
    config: dict[str, Any] = field(default_factory=dict)
    weights: str = ""
    pooling: str = "gem"
    layer_norm: bool = False
    whitening: bool = False
    freeze_batch_norm: bool = False
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # ImageNet's
    std: tuple[float, ...] = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class SamplerParams:
    """What a batch holds.

    Attributes:
        kind: `classes` (P × K) or `hierarchical`.
        batch: images a batch, over all processes.
        per_landmark: images of a landmark in a batch, K.
        cap: most images of a landmark in an epoch, others the next time; 0 for all.
        coarse: hierarchical: a coarse class fills at most batch / coarse images.
        level: hierarchical: the level of coarse classes, such as `label` or `kind`.
        chunk: images that pass the network at a time in each process; 0 for all at once. With fewer than a process's
            share of the batch, the batch passes twice and needs the memory of a chunk only.
    """

    kind: str
    batch: int
    per_landmark: int = 4
    cap: int = 0
    coarse: int = 2
    level: str = "label"
    chunk: int = 0


@dataclass(frozen=True)
class LossTerm:
    """One term of the loss: a class of `hierlandmarks_benchmark.losses`, its weight and its arguments."""

    name: str
    weight: float = 1.0
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OptimiserParams:
    """How weights follow gradients.

    Attributes:
        learning_rate: peak, of the network.
        weight_decay: of weights; biases, norms and proxies have none.
        proxy_learning_rate: peak, of what the loss learns.
        kind: adamw, adam or sgd.
        momentum: of sgd.
        scale: parts of the network by the start of their parameters' names (`backbone`, `projection`,
            `backbone.inner.encoder.layers.3`) → factor of the learning rate; the longest that fits counts.
        clip: largest norm of the network's gradient; 0 for no limit.
        ema: decay a step of the averaged weights that are kept instead of the last ones; 0 for no averaging.
    """

    learning_rate: float
    weight_decay: float
    proxy_learning_rate: float
    kind: str = "adamw"
    momentum: float = 0.9
    scale: dict[str, float] = field(default_factory=dict)
    clip: float = 0.0
    ema: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in OPTIMISERS:
            raise UsageError("optimiser.kind is unknown", got=repr(self.kind), do=nearest(self.kind, OPTIMISERS))


@dataclass(frozen=True)
class ScheduleParams:
    """Linear warm-up, then a cosine down, or steps.

    Attributes:
        warmup: epochs of warm-up.
        floor: cosine: share of the peak learning rate left at the end.
        milestones: epochs after which the learning rate is multiplied by `gamma`; none for a cosine.
        gamma: see `milestones`.
        frozen: epochs at the start in which the backbone stays as it is and only what follows it learns.
    """

    warmup: float = 1.0
    floor: float = 0.0
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    frozen: float = 0.0


@dataclass(frozen=True)
class CheckpointParams:
    """When everything needed to go on is written down; the newest replaces the one before.

    Attributes:
        epochs: epochs between two checkpoints; 0 for none at the end of epochs.
        steps: steps between two checkpoints inside an epoch; 0 for none.
    """

    epochs: int = 1
    steps: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.steps) < 0:
            raise UsageError(
                "checkpoint is out of range", got=f"epochs {self.epochs}, steps {self.steps}", expected="0 or more"
            )


@dataclass(frozen=True)
class Recipe:
    """A training run from end to end; `name` is what its entry is called.

    Attributes:
        head: length of a projection that only the loss sees and that is thrown away after training; 0 for none. What
            lies before it generalises better to classes never seen (Chen et al., arXiv 2002.05709, section 4.2).
        precision: float32, bf16 or fp16, for the network; scores, ranks and losses stay in float32.
        memory: embeddings of earlier batches that the losses with references compare a batch with as well
            (cross-batch memory, arXiv 1912.06798); 0 for none.
        trackers: where the run is reported to besides TensorBoard, by accelerate's names (`wandb`, `mlflow`, …).
    """

    name: str
    seed: int
    epochs: int
    data: DataParams
    augmentation: AugmentationParams
    model: ModelParams
    sampler: SamplerParams
    loss: tuple[LossTerm, ...]
    optimiser: OptimiserParams
    schedule: ScheduleParams
    checkpoint: CheckpointParams = CheckpointParams()
    head: int = 0
    precision: str = "float32"
    memory: int = 0
    trackers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.precision not in PRECISIONS:
            raise UsageError("precision is unknown", got=repr(self.precision), do=nearest(self.precision, PRECISIONS))
        if self.epochs < 1:
            raise UsageError("epochs is out of range", got=self.epochs, expected="at least 1")
        if self.memory < 0:
            raise UsageError("memory is out of range", got=self.memory, expected="0 or more")


def recipe_path(name: str) -> Path:
    """The file of a recipe: a path as it is, or the name of one that ships with the benchmark.

    Raises:
        UsageError: no such recipe ships; the message names the nearest.
        MissingDataError: no such file.
    """
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise MissingDataError(f"there is no recipe at {name}", do="check the path")
        return Path(name)
    shipped = {path.stem: path for path in bundled("hierlandmarks_benchmark", "recipes").glob("*.yaml")}
    if name not in shipped:
        raise UsageError(f"there is no recipe {name!r}", do=f"{nearest(name, shipped)} (or give the path of a file)")
    return shipped[name]


def load_recipe(name: str, assignments: Iterable[str] = ()) -> Recipe:
    """Load a recipe by name or path, with `key=value` assignments applied (`optimiser.learning_rate=1e-3`).

    Raises:
        UsageError: an unknown key or a value of the wrong type, named.
        MissingDataError: no such file.
    """
    path = recipe_path(name)
    content = read_yaml(path)
    for assignment in assignments:
        set_value(content, assignment)
    return from_mapping(Recipe, content, where=path.name)


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe, every key spelled out, so that `load_recipe` gives the same recipe back."""
    write_text(path, yaml.safe_dump(to_mapping(recipe), sort_keys=False, allow_unicode=True))
