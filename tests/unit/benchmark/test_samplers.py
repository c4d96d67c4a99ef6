from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hierlandmarks.errors import UsageError
from hierlandmarks_benchmark.recipe import SamplerParams, load_recipe
from hierlandmarks_benchmark.samplers import batches, epoch_length, plan
from hierlandmarks_benchmark.train.team import Team

CLASSES = SamplerParams(kind="classes", batch=24, per_landmark=4)
HIERARCHICAL = SamplerParams(kind="hierarchical", batch=24, per_landmark=4, coarse=2)


def labels(sizes: list[int], of_label: int = 5) -> np.ndarray:
    landmark = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    return np.stack([landmark * 10 + 3, landmark // of_label, landmark // of_label % 2], axis=1)


MANY = labels([9] * 40)


@pytest.mark.parametrize("params", [CLASSES, HIERARCHICAL])
def test_batches_hold_k_different_images_of_each_of_p_landmarks(params: SamplerParams) -> None:
    found = batches(MANY, params, seed=0, epoch=0)
    assert len(found) == len(MANY) // 24
    for batch in found:
        assert len(set(batch.tolist())) == 24
        assert set(Counter(MANY[batch, 0].tolist()).values()) == {4}


@pytest.mark.parametrize("params", [CLASSES, HIERARCHICAL])
def test_an_epoch_is_the_same_for_the_same_seed_and_another_for_others(params: SamplerParams) -> None:
    first = np.concatenate(batches(MANY, params, seed=5, epoch=2))
    assert np.array_equal(first, np.concatenate(batches(MANY, params, seed=5, epoch=2)))
    assert not np.array_equal(first, np.concatenate(batches(MANY, params, seed=5, epoch=3)))
    assert not np.array_equal(first, np.concatenate(batches(MANY, params, seed=6, epoch=2)))


def test_landmarks_take_turns_and_so_do_their_images() -> None:
    params = SamplerParams(kind="classes", batch=12, per_landmark=3)
    found = np.concatenate(batches(MANY, params, seed=0, epoch=0))
    assert sorted(found) == list(range(len(MANY)))  # 3 visits of 3 images make the 9 of every landmark


def test_a_landmark_with_few_images_shows_some_again() -> None:
    sparse = labels([1, 2, 3, 4, 5, 6, 1, 1])
    for batch in batches(sparse, CLASSES, seed=0, epoch=0):
        for landmark, count in Counter(sparse[batch, 0].tolist()).items():
            own = {int(row) for row in batch if sparse[row, 0] == landmark}
            assert count == 4
            assert len(own) == min(4, int((sparse[:, 0] == landmark).sum()))


def test_hierarchical_batches_are_of_two_coarse_classes_where_these_are_large() -> None:
    for batch in batches(MANY, HIERARCHICAL, seed=0, epoch=0):
        assert sorted(Counter(MANY[batch, 1].tolist()).values()) == [12, 12]


def test_small_coarse_classes_are_joined_by_others_and_large_ones_do_not_take_over() -> None:
    uneven = labels([6] * 30)
    uneven[:, 1] = np.where(uneven[:, 0] < 200, 0, uneven[:, 0])  # 20 landmarks of one label, 10 labels of one
    seen: Counter[int] = Counter()
    for epoch in range(20):
        for batch in batches(uneven, HIERARCHICAL, seed=0, epoch=epoch):
            assert len(batch) == 24
            assert (uneven[batch, 1] == 0).sum() <= 12
            seen.update(uneven[batch, 0].tolist())
    assert len(seen) == 30


def test_a_batch_is_smaller_where_the_classes_have_too_few_landmarks() -> None:
    two = labels([6] * 8)
    two[:, 2] = two[:, 0] // 73  # kinds of 7 and 1 landmarks
    params = SamplerParams(kind="hierarchical", batch=24, per_landmark=4, coarse=2, level="kind")
    assert {len(batch) for batch in batches(two, params, seed=0, epoch=0)} == {16}


def test_images_without_a_label_are_one_class() -> None:
    unknown = MANY.copy()
    unknown[:, 1:] = -1
    assert all(len(batch) == 12 for batch in batches(unknown, HIERARCHICAL, seed=0, epoch=0))


@pytest.mark.parametrize("kind", ["classes", "hierarchical"])
def test_a_cap_bounds_how_many_images_of_a_landmark_an_epoch_shows(kind: str) -> None:
    uneven = labels([60] * 3 + [5] * 9)
    params = SamplerParams(kind=kind, batch=8, per_landmark=4, cap=6)
    found = [batches(uneven, params, seed=0, epoch=epoch) for epoch in (0, 1)]
    assert len(found[0]) == epoch_length(uneven, params) == (3 * 6 + 9 * 5) // 8
    large = [{int(row) for batch in epoch for row in batch if uneven[row, 0] == 3} for epoch in found]
    assert all(0 < len(rows) <= 6 for rows in large)
    assert large[0] != large[1]


@pytest.mark.parametrize("kind", ["classes", "hierarchical"])
def test_a_run_goes_on_anywhere_as_it_would_have(kind: str) -> None:
    recipe = load_recipe("mini", [f"sampler.kind={kind}", "sampler.batch=24", "epochs=3"])
    whole = list(plan(MANY, recipe))
    assert [step.number for step in whole] == list(range(3 * 15))
    assert [step.number for step in whole if step.last] == [14, 29, 44]
    for done in (0, 7, 15, 44, 45):
        rest = list(plan(MANY, recipe, done=done))
        assert len(rest) == len(whole) - done
        for step, expected in zip(rest, whole[done:], strict=True):
            assert (step.epoch, step.within, step.last) == (expected.epoch, expected.within, expected.last)
            assert np.array_equal(step.rows, expected.rows)


def test_processes_share_a_batch_without_gaps_or_overlap() -> None:
    batch = batches(MANY, CLASSES, seed=0, epoch=0)[0]
    for size in (1, 2, 5):
        parts = [Team(rank, size).share(batch) for rank in range(size)]
        assert np.array_equal(np.concatenate(parts), batch)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    with pytest.raises(UsageError, match="24 pictures for 25"):
        Team(0, 25).share(batch)


def test_levels_have_any_names_and_number() -> None:
    params = SamplerParams(kind="hierarchical", batch=24, per_landmark=4, level="family")
    names = ("species", "genus", "family")
    assert len(batches(MANY, params, seed=0, epoch=0, levels=names)) == len(MANY) // 24
    with pytest.raises(UsageError, match=r"sampler.level is unknown; got 'kind'"):
        batches(MANY, SamplerParams(kind="hierarchical", batch=24, level="kind"), seed=0, epoch=0, levels=names)
    flat = MANY[:, :1]
    assert len(batches(flat, CLASSES, seed=0, epoch=0, levels=("class",))) == len(MANY) // 24


def test_every_epoch_has_a_batch() -> None:
    assert len(batches(labels([2] * 6), CLASSES, seed=0, epoch=0)) == 1


def test_the_coarse_weighting_visits_landmarks_evenly() -> None:
    uneven = labels([8] * 40)
    uneven[:, 1] = np.where(uneven[:, 0] < 200, 0, np.where(uneven[:, 0] < 300, 1, 2))  # 20, 10 and 10 landmarks
    seen: Counter[int] = Counter()
    for epoch in range(60):
        for batch in batches(uneven, HIERARCHICAL, seed=0, epoch=epoch):
            seen.update(uneven[batch, 0].tolist())
    assert len(seen) == 40
    assert max(seen.values()) < 2 * min(seen.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "hierarchicl"}, "did you mean hierarchical"),
        ({"kind": "hierarchical", "level": "lable"}, "did you mean label"),
        ({"cap": -1}, "cap -1"),
        ({"batch": 26}, "multiple"),
        ({"per_landmark": 1}, "at least 2"),
        ({"batch": 4}, "multiple"),
        ({"batch": 200}, "too few landmarks for a batch of 200; got 40, expected 50.*lower sampler.batch to 160"),
        ({"kind": "hierarchical", "coarse": 0}, "sampler.coarse"),
    ],
)
def test_what_cannot_be_sampled_is_refused(changes: dict[str, object], message: str) -> None:
    values = {"kind": "classes", "batch": 24, "per_landmark": 4} | changes
    with pytest.raises(UsageError, match=message):
        batches(MANY, SamplerParams(**values), seed=0, epoch=0)
