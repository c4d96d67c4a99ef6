"""The surrogate step between one positive and a span of references, and what its slope gives back to them.

`visit` sums step and slope over a span and leaves each slope in a buffer, so that one division a pair is enough: when
the positive's rank is known, so is its weight, and `give_back` adds weight · slope to the gradient.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hierlandmarks_benchmark.losses.compiled_layout import Array
from hierlandmarks_benchmark.losses.compiled_math import exp, jit


class Step(NamedTuple):
    """A surrogate step in the scores' own type: σ(min(t, δ)/τ) + start·[t > 0] + (ρ(t − δ) + jump)·[t > δ]."""

    rate: float  # 1/τ
    delta: float
    rho: float
    start: float
    jump: float
    largest: float  # of e^(t/τ), which cuts t at δ


@jit
def powers_of(values: Array, end: int, frame: Array, tau: float, spread: float, powers: Array) -> bool:
    """Fill powers with e^((value − middle)/τ), rounded once from float64, unless they spread too far for their type.

    `spread`, in units of τ, is how far the scores may lie apart.
    """
    low, high = np.float64(frame[0]), np.float64(frame[2])
    if (high - low) / tau > spread:
        return False
    for place in range(np.uintp(end)):
        powers[place] = exp((np.float64(values[place]) - (low + high) / 2) / tau)
    return True


@jit
def visit(values: Array, powers: Array, slopes: Array, first: int, last: int, score: float, inverse: float,
          step: Step) -> tuple[float, float]:  # fmt: skip
    """Σ step(values − score) over first … last − 1 and Σ of its slopes, which are left in `slopes`.

    With an inverse that is not 0, e^(t/τ) is power · inverse, a product in place of an exponential.
    """
    real = values.dtype.type
    zero, one = real(0), real(1)
    limit = score + step.delta
    total, total_slope = zero, zero
    # Unsigned, here and below: numba then leaves out the wrap-around of negative indices, which hinders vector code.
    span = np.uintp(first), np.uintp(last)
    if inverse:
        for place in range(span[0], span[1]):
            value = values[place]
            power = min(powers[place] * inverse, step.largest)
            rest = one / (one + power)
            near, beyond = power * rest, value > limit
            slope = step.rho if beyond else step.rate * near * rest
            total += near + (step.start if value > score else zero)
            total += step.rho * (value - score - step.delta) + step.jump if beyond else zero
            total_slope += slope
            slopes[place] = slope
        return np.float64(total), np.float64(total_slope)
    for place in range(span[0], span[1]):
        value = values[place]
        power = min(exp((value - score) * step.rate), step.largest)
        rest = one / (one + power)
        near, beyond = power * rest, value > limit
        slope = step.rho if beyond else step.rate * near * rest
        total += near + (step.start if value > score else zero)
        total += step.rho * (value - score - step.delta) + step.jump if beyond else zero
        total_slope += slope
        slopes[place] = slope
    return np.float64(total), np.float64(total_slope)


@jit
def give_back(grads: Array, slopes: Array, first: int, last: int, weight: float) -> None:
    """Add weight · slopes to grads over first … last − 1."""
    for place in range(np.uintp(first), np.uintp(last)):
        grads[place] += weight * slopes[place]


@jit
def count_not_below(values: Array, start: int, end: int, above: int, first: int, last: int, counts: Array) -> None:
    """For each of the values first … last − 1 count how many of start … end − 1 are at least as high, plus above."""
    zero, one = values.dtype.type(0), values.dtype.type(1)
    counts[first:last] = above
    for other in range(np.uintp(start), np.uintp(end)):
        score = values[other]
        for place in range(np.uintp(first), np.uintp(last)):
            counts[place] += one if score >= values[place] else zero
