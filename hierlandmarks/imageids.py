"""Image ids, 16 hex digits, as 64-bit numbers: checked, written and found in whole columns at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

DIGITS = 16
Keys = npt.NDArray[np.uint64]

_VALUE = np.full(256, 255, dtype=np.uint8)
_VALUE[np.frombuffer(b"0123456789abcdef", dtype=np.uint8)] = np.arange(16)
_DIGIT = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


def keys_of(ids: pa.Array | pa.ChunkedArray) -> tuple[Keys, int | None]:
    """Ids as numbers that sort as the ids do; linear, about 50 M ids a second.

    Args:
        ids: text.

    Returns:
        The numbers, and the position of the first id that is not 16 lower-case hex digits (its number means nothing),
        None when all are.
    """
    chunks = ids.chunks if isinstance(ids, pa.ChunkedArray) else [ids]
    keys, start = [np.empty(0, dtype=np.uint64)], 0
    for chunk in chunks:
        found, bad = _keys_of_chunk(chunk)
        if bad is not None:
            return np.concatenate(keys), start + bad
        keys.append(found)
        start += len(chunk)
    return np.concatenate(keys), None


def _keys_of_chunk(ids: pa.Array) -> tuple[Keys, int | None]:
    offsets = _offsets(ids)
    wrong = (np.diff(offsets) != DIGITS) | ~ids.is_valid().to_numpy(zero_copy_only=False)
    if wrong.any():
        return np.empty(0, dtype=np.uint64), int(np.argmax(wrong))
    if not len(ids):
        return np.empty(0, dtype=np.uint64), None
    text = np.frombuffer(ids.buffers()[2], dtype=np.uint8)[offsets[0] : offsets[-1]].reshape(-1, DIGITS)
    keys = np.empty(len(ids), dtype=np.uint64)
    for first in range(0, len(ids), 1 << 16):  # blocks that stay in the processor's cache
        digits = _VALUE[text[first : first + (1 << 16)]]
        if (digits > 15).any():
            return keys, first + int(np.argmax((digits > 15).any(axis=1)))
        pairs = (digits[:, ::2] << 4) | digits[:, 1::2]
        keys[first : first + len(pairs)] = pairs.view(">u8")[:, 0]
    return keys, None


def _offsets(ids: pa.Array) -> npt.NDArray[np.int64]:
    wide = pa.types.is_large_string(ids.type)
    offsets = np.frombuffer(ids.buffers()[1], dtype=np.int64 if wide else np.int32)
    return offsets[ids.offset : ids.offset + len(ids) + 1].astype(np.int64)


def ids_of(keys: Keys) -> pa.Array:
    """Numbers as ids; the way back from `keys_of`.

    >>> ids_of(np.array([1, 2**63], dtype=np.uint64)).to_pylist()
    ['0000000000000001', '8000000000000000']
    """
    octets = keys.astype(">u8").view(np.uint8).reshape(-1, 8)
    digits = np.empty((len(keys), DIGITS), dtype=np.uint8)
    digits[:, ::2], digits[:, 1::2] = _DIGIT[octets >> 4], _DIGIT[octets & 15]
    offsets = np.arange(len(keys) + 1, dtype=np.int32) * DIGITS
    return pa.StringArray.from_buffers(len(keys), pa.py_buffer(offsets), pa.py_buffer(digits.tobytes()))
