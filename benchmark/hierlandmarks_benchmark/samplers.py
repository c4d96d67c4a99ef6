"""Which images meet in a batch: pure functions from labels, seed and epoch to the batches of that epoch.

* `classes` (P × K): every batch holds K images of each of P landmarks; landmarks take turns in shuffled rounds.
* `hierarchical`: the same, but a batch gathers landmarks of few coarse classes, so that near misses meet: a coarse
  class fills up to batch / coarse images, and small classes are joined by further ones until the batch is full
  (two classes a batch where each has enough landmarks, as in the papers). Where the classes together have too few
  landmarks, the batch is smaller.

A landmark's images take turns too; one with fewer than K shows some of them again. An epoch has as many batches as
there are images for (with a cap, at most so many of each landmark), and at least one.

The same arguments give the same batches in every process, so that each can take its share without asking the others,
and a run can go on in the middle of an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.errors import UsageError
from hierlandmarks.params import nearest
from hierlandmarks.schema import LEVELS
from hierlandmarks_benchmark.recipe import Recipe, SamplerParams

Ints = NDArray[np.int64]
KINDS = ("classes", "hierarchical")


@dataclass(frozen=True)
class Step:
    """One step of a run.

    Attributes:
        number: from 0, over the whole run.
        epoch: from 0.
        within: from 0, in its epoch.
        rows: rows of the labels.
        last: whether the epoch ends with it.
    """

    number: int
    epoch: int
    within: int
    rows: Ints
    last: bool


def epoch_length(labels: Ints, params: SamplerParams) -> int:
    """Batches an epoch."""
    sizes = np.unique(labels[:, 0], return_counts=True)[1]
    return max(1, int(np.minimum(sizes, params.cap or len(labels)).sum()) // params.batch)


def plan(labels: Ints, recipe: Recipe, levels: Sequence[str] = LEVELS, done: int = 0) -> Iterator[Step]:
    """Every step of a run from number `done` on; see `batches`."""
    length = epoch_length(labels, recipe.sampler)
    for epoch in range(done // length, recipe.epochs):
        for within, rows in enumerate(batches(labels, recipe.sampler, seed=recipe.seed, epoch=epoch, levels=levels)):
            if (number := epoch * length + within) >= done:
                yield Step(number, epoch, within, rows, within + 1 == length)


def batches(
    labels: Ints, params: SamplerParams, *, seed: int, epoch: int, levels: Sequence[str] = LEVELS
) -> list[Ints]:
    """The batches of an epoch, each an array of rows of `labels`.

    Args:
        labels: N × L codes, fine → coarse; every landmark ≥ 0, an empty coarse label (-1) counts as one class.
        params: what a batch holds.
        seed: of the run.
        epoch: from 0.
        levels: names of the columns.

    Raises:
        UsageError: an unknown sampler or level, or too few landmarks for a batch.

    Complexity: O(N log N).
    """
    check(labels, params, levels)
    rng = np.random.default_rng([seed, epoch])
    landmarks, first, owner = np.unique(labels[:, 0], return_index=True, return_inverse=True)
    coarse = labels[first, levels.index(params.level)] if params.kind == "hierarchical" else landmarks
    piles = [pile[: params.cap or None] for pile in _piles(owner, rng)]
    turns = np.zeros(len(landmarks), dtype=np.int64)
    wanted = epoch_length(labels, params)
    chosen = _hierarchical(coarse, params, rng) if params.kind == "hierarchical" else _classes(coarse, params, rng)
    out = []
    for _, group in zip(range(wanted), chosen, strict=False):
        out.append(np.concatenate([_take(piles[landmark], turns, landmark, params.per_landmark) for landmark in group]))
    return out


def check(labels: Ints, params: SamplerParams, levels: Sequence[str] = LEVELS) -> None:
    """Refuse what cannot be sampled, saying what to lower."""
    if params.kind not in KINDS:
        raise UsageError("sampler.kind is unknown", got=repr(params.kind), do=nearest(params.kind, KINDS))
    if params.kind == "hierarchical" and params.level not in levels[1:]:
        raise UsageError("sampler.level is unknown", got=repr(params.level), do=nearest(params.level, levels[1:]))
    if min(params.cap, params.chunk) < 0:
        raise UsageError(
            "sampler is out of range", got=f"cap {params.cap}, chunk {params.chunk}", expected="0 (no limit) or more"
        )
    if params.per_landmark < 2 or params.batch < 2 * params.per_landmark or params.batch % params.per_landmark:
        raise UsageError(
            "sampler.batch does not hold landmarks",
            got=f"batch {params.batch}, per_landmark {params.per_landmark}",
            expected="per_landmark of at least 2 and a multiple of it for batch",
        )
    landmarks, needed = len(np.unique(labels[:, 0])), params.batch // params.per_landmark
    if landmarks < needed:
        raise UsageError(
            f"there are too few landmarks for a batch of {params.batch}",
            got=landmarks,
            expected=f"{needed} with {params.per_landmark} images each",
            do=f"lower sampler.batch to {landmarks * params.per_landmark}" if landmarks > 1 else "use more landmarks",
        )
    if params.kind == "hierarchical" and params.coarse < 1:
        raise UsageError("sampler.coarse is out of range", got=params.coarse, expected="at least 1")


def _piles(owner: Ints, rng: np.random.Generator) -> list[Ints]:
    """The rows of every landmark, each pile shuffled."""
    order = rng.permutation(len(owner))
    order = order[np.argsort(owner[order], kind="stable")]
    return np.split(order, np.cumsum(np.bincount(owner))[:-1])


def _take(pile: Ints, turns: Ints, which: int, count: int) -> Ints:
    """The next of a pile, going round where it ends; `turns[which]` remembers how far it got."""
    start = turns[which]
    turns[which] = start + count
    taken: Ints = pile[(start + np.arange(count)) % len(pile)]
    return taken


def _classes(landmarks: Ints, params: SamplerParams, rng: np.random.Generator) -> Iterator[list[int]]:
    """Groups of P different landmarks; nobody comes again before everybody came, but where a round ends in a batch."""
    size = params.batch // params.per_landmark
    waiting: list[int] = []
    while True:
        while len(waiting) < size:
            waiting += [int(i) for i in rng.permutation(len(landmarks)) if i not in waiting]
        yield waiting[:size]
        waiting = waiting[size:]


def _hierarchical(coarse: Ints, params: SamplerParams, rng: np.random.Generator) -> Iterator[list[int]]:
    """Groups of landmarks of few coarse classes, a class being drawn the likelier the more landmarks it has."""
    size = params.batch // params.per_landmark
    most = max(1, size // params.coarse)
    members = [rng.permutation(np.flatnonzero(coarse == value)) for value in np.unique(coarse)]
    turns = np.zeros(len(members), dtype=np.int64)
    weight = np.log([len(member) for member in members])
    while True:
        group: list[int] = []
        # Gumbel keys: sorting by them draws without replacement, in proportion to the weights.
        for drawn in np.argsort(-(weight + rng.gumbel(size=len(members)))):
            count = min(most, len(members[drawn]), size - len(group))
            group += _take(members[drawn], turns, int(drawn), count).tolist()
            if len(group) == size:
                break
        yield group
