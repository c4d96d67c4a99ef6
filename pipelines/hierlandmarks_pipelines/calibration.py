"""How far confidences can be trusted: reliability, expected calibration error, and what may be accepted unseen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hierlandmarks.errors import UsageError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

BINS = 15
CURVE = pa.schema(
    [
        pa.field("from", pa.float64(), nullable=False),
        pa.field("to", pa.float64(), nullable=False),
        pa.field("landmarks", pa.int64(), nullable=False),
        pa.field("confidence", pa.float64()),  # mean of the bin, null where it is empty
        pa.field("right", pa.float64()),  # share of the bin, null where it is empty
    ]
)


@dataclass(frozen=True)
class Reliability:
    """Confidences beside the share that was right, in bins of equal width.

    Attributes:
        counts: landmarks in each of the bins.
        confidence: mean confidence of each bin, NaN where it is empty.
        right: share of each bin that was right, NaN where it is empty.
    """

    counts: npt.NDArray[np.int64]
    confidence: Floats
    right: Floats

    @property
    def error(self) -> float:
        """The expected calibration error (Guo et al. 2017, arXiv 1706.04599, equation 3); 0 when there are no rows."""
        filled = self.counts > 0
        gaps = np.abs(self.confidence - self.right)[filled]
        return float(np.average(gaps, weights=self.counts[filled])) if filled.any() else 0.0

    def table(self) -> pa.Table:
        """The curve, one row a bin, as `CURVE`."""
        edges = np.linspace(0, 1, len(self.counts) + 1)
        means = {"confidence": self.confidence, "right": self.right}
        columns: dict[str, Any] = {"from": edges[:-1], "to": edges[1:], "landmarks": self.counts}
        columns |= {name: pa.array(values, from_pandas=True) for name, values in means.items()}
        return pa.table(columns, schema=CURVE)


def reliability(confidence: Floats, right: Bools, bins: int = BINS) -> Reliability:
    """Put answers into bins by confidence.

    Args:
        confidence: N values in 0..1.
        right: N answers, whether each was right.
        bins: how many of equal width; 1.0 falls into the last.

    Raises:
        UsageError: a confidence outside 0..1, or lengths that differ.
    """
    if confidence.shape != right.shape or not np.all((confidence >= 0) & (confidence <= 1)):
        expected = "as many answers as confidences, each 0 to 1"
        raise UsageError("confidences cannot be compared with answers", got=confidence.shape, expected=expected)
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(place, weights, minlength=bins) / counts for weights in (confidence, right)]
    return Reliability(counts, *means)


def accepted_share(confidence: Floats, right: Bools, precision: float = 0.95) -> float:
    """The largest share of answers, surest first, of which at least `precision` are right.

    Answers of equal confidence are accepted together or not at all.

    Args:
        confidence: N values.
        right: N answers.
        precision: share that must be right, 0..1.
    """
    if not len(confidence):
        return 0.0
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    precise = np.cumsum(right[order]) / np.arange(1, len(order) + 1) >= precision
    last_of_equals = np.append(ordered[1:] != ordered[:-1], True)
    ends = np.flatnonzero(precise & last_of_equals)
    return float((ends[-1] + 1) / len(order)) if len(ends) else 0.0
