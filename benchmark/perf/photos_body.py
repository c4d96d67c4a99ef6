"""Remembers what the frozen part of EfficientNet-Lite0 gives, so that many trainings on the same pictures take little.

With the same seed, every loss and every setting sees the same batches, cropped in the same way, and the frozen part
makes the same maps of them: most of a run. What is remembered is what was computed, so results are the same bit for
bit (`tests/unit/benchmark/test_photos.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from hierlandmarks_benchmark.efficientnet import EfficientNetLite0


@contextmanager
def remembered() -> Iterator[dict[bytes, Tensor]]:
    """While this lasts, no frozen part is asked twice about the same batch; gives what is known so far.

    A batch is known by the digest of its numbers and of the frozen weights. Memory: 12 kB a picture of 112 px.
    """
    known: dict[bytes, Tensor] = {}
    compute = EfficientNetLite0.body

    def body(network: EfficientNetLite0, pictures: Tensor) -> Tensor:
        if not network.frozen:
            return compute(network, pictures)
        key = _digest(pictures, *(tensor for layer in network._kept() for tensor in layer.state_dict().values()))
        if key not in known:
            known[key] = compute(network, pictures)
        return known[key]

    EfficientNetLite0.body = body  # type: ignore[method-assign]
    try:
        yield known
    finally:
        EfficientNetLite0.body = compute  # type: ignore[method-assign]


def _digest(*tensors: Tensor) -> bytes:
    found = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        found.update(f"{tuple(tensor.shape)}{tensor.dtype}".encode())
        found.update(tensor.detach().cpu().contiguous().numpy())
    return found.digest()
