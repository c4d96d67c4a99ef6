"""Several opinions about labels to one calibrated probability: a weighting learnt on held-out answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FLOOR = 1e-3  # added to every probability, so that no opinion alone can rule a label out
_WEIGHTS, _SCALES, _OFFSETS = 1.0, 20.0, 1.0  # strengths of the pull towards equal weights, scale 1, offset 0


@dataclass(frozen=True)
class Blend:
    """How much each opinion counts.

    With opinions log p of M clues, the score of label l is scale_l · Σ_m weight_m · log p_ml + offset_l, and its
    probability the softmax of the scores: a logarithmic pool with vector scaling (Guo et al. 2017, arXiv 1706.04599,
    section 4.2). A clue that has no opinion on a landmark adds nothing there.

    Attributes:
        weights: M, one a clue.
        scales: L, one a label.
        offsets: L, one a label.
    """

    weights: Floats
    scales: Floats
    offsets: Floats

    def probabilities(self, opinions: Floats) -> Floats:
        """N × L, rows sum to 1.

        Args:
            opinions: M × N × L from `opinion`; zeros where a clue says nothing.
        """
        return np.exp(log_softmax(np.tensordot(self.weights, opinions, 1) * self.scales + self.offsets))


def opinion(probabilities: Floats) -> Floats:
    """Probabilities as a blend takes them: logarithms of a bounded range, zeros for rows that are all zero."""
    spoken = probabilities.any(axis=-1, keepdims=True)
    return np.asarray(np.where(spoken, np.log(probabilities + FLOOR), 0.0))


def learn_blend(opinions: Floats, codes: Ints) -> Blend:
    """The blend under which held-out answers are likeliest, with weak pulls towards plain averaging.

    Args:
        opinions: M × N × L, made by clues that did not see the landmark they speak about.
        codes: N label codes, 0 ≤ code < L.

    O(M·N·L) a step of L-BFGS, some 50 steps.
    """
    from scipy.optimize import minimize

    clues, rows, labels = opinions.shape
    everyone = np.arange(rows)
    spoke = opinions.any(axis=(1, 2))
    even = np.where(spoke, 1 / max(int(spoke.sum()), 1), 1.0)  # one never heard is taken at its word

    def loss(point: Floats) -> tuple[float, Floats]:
        weights, scales, offsets = np.split(point, [clues, clues + labels])
        pooled = np.tensordot(weights, opinions, 1)
        log_p = log_softmax(pooled * scales + offsets)
        error = np.exp(log_p)
        error[everyone, codes] -= 1
        scaled = error * scales
        pulls = (weights - even, scales - 1, offsets)
        strengths = (_WEIGHTS, _SCALES, _OFFSETS)
        gradients = (np.tensordot(opinions, scaled, ([1, 2], [0, 1])), (error * pooled).sum(0), error.sum(0))
        value = -log_p[everyone, codes].sum() + sum(s * (p @ p) / 2 for s, p in zip(strengths, pulls, strict=True))
        slope = [g + s * p for g, s, p in zip(gradients, strengths, pulls, strict=True)]
        return float(value), np.concatenate(slope)

    start = np.concatenate([even, np.ones(labels), np.zeros(labels)])
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    return Blend(*np.split(best, [clues, clues + labels]))


def log_softmax(scores: Floats) -> Floats:
    """Logarithms of the softmax along the last axis."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
