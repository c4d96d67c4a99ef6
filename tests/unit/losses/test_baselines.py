from __future__ import annotations

import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import ContrastiveLoss, NormalizedSoftmaxLoss, SoftTripleLoss
from pytorch_metric_learning.reducers import AvgNonZeroReducer

from hierlandmarks_benchmark.losses import (
    CalibrationLoss,
    CrossBatchMemory,
    CSLLoss,
    ProxyLoss,
    SupAPLoss,
    SupHAPLoss,
    TripletLoss,
    WeightedLoss,
)
from tests.unit.losses.batches import CASES, tree_labels, unit

BATCH = CASES["batch"].to(torch.float32)
REFS = CASES["references"].to(torch.float32)


@pytest.mark.parametrize("call", [BATCH, REFS], ids=["batch", "references"])
@pytest.mark.parametrize("level", [0, 1])
def test_calibration_is_the_contrastive_loss_of_the_peer(call, level) -> None:
    peer = ContrastiveLoss(0.9, 0.6, distance=CosineSimilarity(), reducer=AvgNonZeroReducer())
    refs = () if call.ref_emb is None else (call.ref_emb, call.ref_labels)
    codes = call.labels[:, level]
    ref_codes = None if call.ref_labels is None else call.ref_labels[:, level]
    expected = peer(call.embeddings, codes, None, call.ref_emb, ref_codes)
    assert CalibrationLoss(level)(call.embeddings, call.labels, *refs) == pytest.approx(float(expected), rel=1e-5)


def test_triplet_takes_the_semi_hard_negative() -> None:
    embeddings = torch.nn.functional.normalize(
        torch.tensor([[1.0, 0.0], [0.9, 0.3], [0.8, 0.5], [0.95, 0.1], [0.0, 1.0]]), dim=1
    )
    labels = torch.tensor([0, 0, 1, 1, 1])
    scores = (embeddings @ embeddings.T).tolist()
    terms = []
    for i, mine in enumerate(labels.tolist()):
        for k, theirs in enumerate(labels.tolist()):
            if i == k or mine != theirs:
                continue
            negatives = [scores[i][j] for j, other in enumerate(labels.tolist()) if other != mine]
            below = [s for s in negatives if s < scores[i][k]]
            terms.append(0.1 + (max(below) if below else min(negatives)) - scores[i][k])
    expected = [term for term in terms if term > 0]
    assert float(TripletLoss()(embeddings, labels)) == pytest.approx(sum(expected) / len(expected), rel=1e-5)


@pytest.mark.parametrize("loss", [TripletLoss(), CalibrationLoss()])
def test_no_pair_gives_zero_and_no_nan(loss) -> None:
    leaf = unit(3, 4, 1).requires_grad_()
    loss(leaf, torch.zeros(3).long(), unit(2, 4, 2), torch.zeros(2).long()).backward()
    lonely = loss(unit(1, 4, 1).requires_grad_(), torch.tensor([0]))
    assert lonely.item() == 0
    assert leaf.grad.isfinite().all()


def test_proxy_loss_is_the_peers_normalised_softmax() -> None:
    loss = ProxyLoss(8, 6)
    peer = NormalizedSoftmaxLoss(8, 6, temperature=0.05)
    peer.W.data = loss.proxies.data.T.clone()
    assert float(loss(BATCH.embeddings, BATCH.labels)) == pytest.approx(
        float(peer(BATCH.embeddings, BATCH.labels[:, 0])), rel=1e-5
    )


def test_several_centres_are_the_peers_soft_triple() -> None:
    loss = ProxyLoss(8, 6, temperature=1 / 20, centres=3, centre_temperature=0.1)
    peer = SoftTripleLoss(8, 6, centers_per_class=3, la=20, gamma=0.1, margin=0.0)
    peer.fc.data = loss.proxies.data.T.clone()
    assert float(loss(BATCH.embeddings, BATCH.labels)) == pytest.approx(
        float(peer(BATCH.embeddings, BATCH.labels[:, 0])), rel=1e-4
    )


def test_proxy_loss_leaves_unknown_images_out() -> None:
    loss = ProxyLoss(8, 6)
    labels = BATCH.labels[:, 0].clone()
    labels[::2] = -1
    assert torch.allclose(loss(BATCH.embeddings, labels), loss(BATCH.embeddings[1::2], labels[1::2]))
    assert float(loss(BATCH.embeddings, torch.full_like(labels, -1))) == 0


def test_proxy_loss_trains_and_owns_no_optimiser() -> None:
    loss = ProxyLoss(8, 6)
    assert [name for name, _ in loss.named_parameters()] == ["proxies"]
    before = float(loss(BATCH.embeddings, BATCH.labels))
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        loss(BATCH.embeddings, BATCH.labels).backward()
        optimizer.step()
    assert float(loss(BATCH.embeddings, BATCH.labels)) < before


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ProxyLoss(0, 6), "num_classes is out of range"),
        (lambda: ProxyLoss(8, 6, temperature=0), "temperature is out of range"),
        (lambda: ProxyLoss(3, 6)(BATCH.embeddings, BATCH.labels), "labels are out of range in column 0"),
        (lambda: ProxyLoss(8, 5)(BATCH.embeddings, BATCH.labels), "another dimension than the proxies"),
        (lambda: CSLLoss(torch.tensor([[1, 0], [0, 0]]), 6, (0.1, 0.2)), "class_labels are not a table"),
        (lambda: CSLLoss(torch.tensor([[0, 0], [1, 0]]), 6), "margins do not fit"),
        (lambda: CSLLoss(torch.tensor([[0, 0, 0]]), 6)(BATCH.embeddings, BATCH.labels), "labels do not fit"),
        (lambda: WeightedLoss([], []), "weights do not fit the losses"),
        (lambda: CrossBatchMemory(SupAPLoss(), 0, 4), "size is out of range"),
        (lambda: CrossBatchMemory(SupAPLoss(), 9, 4)(BATCH.embeddings, BATCH.labels), "do not fit the memory"),
    ],
)
def test_bad_settings_are_named(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_csl_item_by_item() -> None:
    classes = torch.stack([torch.arange(8), torch.arange(8) % 5, torch.arange(8) % 5 % 2], dim=1)
    loss = CSLLoss(classes, 6, margins=(0.1, 0.2, 0.3), scale=4.0)
    proxies = torch.nn.functional.normalize(loss.proxies.detach(), dim=1)
    total = 0.0
    for embedding, labels in zip(BATCH.embeddings, BATCH.labels, strict=True):
        own = float(embedding @ proxies[labels[0]])
        for column, margin in enumerate(loss.margins):
            others = sum(
                torch.exp(4 * embedding @ proxies[c]) for c in range(8) if classes[c, column] != labels[column]
            )
            total += float(torch.log1p(torch.exp(torch.log(others) - 4 * own + 4 * margin)))
    value = loss(BATCH.embeddings, BATCH.labels)
    assert float(value) == pytest.approx(total / len(BATCH.labels), rel=1e-5)


def test_csl_survives_unknown_images_and_a_single_class() -> None:
    labels = BATCH.labels.clone()
    labels[0] = -1
    loss = CSLLoss(torch.stack([torch.arange(8), torch.arange(8) % 5, torch.zeros(8).long()], dim=1), 6)
    leaf = BATCH.embeddings.clone().requires_grad_()
    loss(leaf, labels * torch.tensor([1, 1, 0])).backward()
    assert leaf.grad.isfinite().all()
    assert loss.proxies.grad.isfinite().all()
    assert (leaf.grad[0] == 0).all()


def test_weighted_loss_adds() -> None:
    parts = [SupHAPLoss(), ProxyLoss(8, 6)]
    loss = WeightedLoss(parts, [0.9, 0.1])
    expected = 0.9 * parts[0](BATCH.embeddings, BATCH.labels) + 0.1 * parts[1](BATCH.embeddings, BATCH.labels)
    assert torch.allclose(loss(BATCH.embeddings, BATCH.labels), expected)
    assert [name for name, _ in loss.named_parameters()] == ["losses.1.proxies"]


def batches(count: int, size: int = 5):
    return [(unit(size, 6, seed).float(), tree_labels(size, 6, seed)) for seed in range(count)]


def test_memory_holds_the_latest_across_the_wrap() -> None:
    memory = CrossBatchMemory(SupHAPLoss(), 12, 6, 3)
    seen = batches(5)
    for embeddings, labels in seen:
        memory(embeddings, labels)
    latest = torch.cat([embeddings for embeddings, _ in seen])[-12:]
    assert {tuple(row) for row in memory.embeddings.tolist()} == {tuple(row) for row in latest.tolist()}
    codes = dict(zip(map(tuple, memory.embeddings.tolist()), memory.labels.tolist(), strict=True))
    for row, label in zip(latest.tolist(), torch.cat([y for _, y in seen])[-12:].tolist(), strict=True):
        assert codes[tuple(row)] == label


def test_memory_is_the_reference_set_as_it_was_before_the_batch() -> None:
    loss = SupHAPLoss()
    memory = CrossBatchMemory(loss, 12, 6, 3)
    first, second, third = batches(3)
    assert memory(*first) == loss(*first)
    leaf = second[0].clone().requires_grad_()
    value = memory(leaf, second[1])
    memory(*third)  # overwriting the ring must not reach what backward saved
    value.backward()
    expected = second[0].clone().requires_grad_()
    loss(expected, second[1], *first).backward()
    assert torch.equal(leaf.grad, expected.grad)
    extended = memory(first[0], first[1], third[0], third[1])
    assert extended.isfinite()


def test_memory_keeps_the_end_of_a_larger_batch() -> None:
    memory = CrossBatchMemory(SupAPLoss(), 3, 6, 3)
    memory(*batches(1)[0])
    assert {tuple(row) for row in memory.embeddings.tolist()} == {tuple(row) for row in batches(1)[0][0][2:].tolist()}


def test_memory_is_in_the_state_dict_and_rests_in_evaluation() -> None:
    memory = CrossBatchMemory(SupHAPLoss(), 12, 6, 3)
    for call in batches(4):
        memory(*call)
    other = CrossBatchMemory(SupHAPLoss(), 12, 6, 3)
    other.load_state_dict(memory.state_dict())
    call = batches(5)[4]
    assert other(*call) == memory(*call)
    memory.eval()
    before = memory.embeddings.clone()
    memory(*call)
    assert torch.equal(memory.embeddings, before)
