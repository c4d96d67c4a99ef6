"""The step functions that stand in for H(t) when a rank must have a gradient (definitions, section 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hierlandmarks.errors import UsageError


@dataclass(frozen=True)
class SupSurrogate:
    """H⁻ of SupRank: smooth only against items of strictly lower level, the true step elsewhere.

    For a score difference t, H⁻(t) = σ(t/τ) up to 0, σ(t/τ) + start up to δ, ρ(t − δ) + offset beyond.
    With ``start=0.5`` and the continuous offset, H⁻ ≥ H, so 1 − SupAP is an upper bound of 1 − AP. The papers'
    configurations use ``offset=1.44`` (a small downward step at δ) or, for iNaturalist, ``start=0, offset=1``,
    which is no upper bound.

    Source: Ramzi et al., ROADMAP (arXiv 2110.01445), eq. 6; SupRank (arXiv 2309.08250), eq. 6.

    Args:
        tau: temperature of the sigmoid, in units of the score; positive.
        rho: slope beyond delta; not negative.
        delta: where the linear part begins; not negative.
        start: step added at t > 0.
        offset: value just beyond delta; None makes H⁻ continuous there (1.4933… by default).

    Raises:
        UsageError: a parameter is not finite or out of its range.
    """

    tau: float = 0.01
    rho: float = 100.0
    delta: float = 0.05
    start: float = 0.5
    offset: float | None = None

    def __post_init__(self) -> None:
        _require_finite("tau", self.tau, above=0.0)
        _require_finite("rho", self.rho, least=0.0)
        _require_finite("delta", self.delta, least=0.0)
        _require_finite("start", self.start)
        if self.offset is not None:
            _require_finite("offset", self.offset)

    @property
    def plateau(self) -> float:
        """σ(δ/τ), where the sigmoid is cut."""
        return 1.0 / (1.0 + math.exp(-self.delta / self.tau))

    @property
    def jump(self) -> float:
        """How far H⁻ jumps at δ: offset − (σ(δ/τ) + start); 0 where it is continuous."""
        return 0.0 if self.offset is None else self.offset - self.plateau - self.start

    @property
    def slope(self) -> float:
        """Derivative of the sigmoid where it is cut: σ'(δ/τ)/τ."""
        return self.plateau * (1.0 - self.plateau) / self.tau


@dataclass(frozen=True)
class SmoothSurrogate:
    """σ(t/τ) against every other item, as in Smooth-AP (Brown et al., ECCV 2020, arXiv 2007.12163, eq. 6).

    Args:
        tau: temperature, in units of the score; positive.

    Raises:
        UsageError: tau is not a positive finite number.
    """

    tau: float = 0.01

    def __post_init__(self) -> None:
        _require_finite("tau", self.tau, above=0.0)


Surrogate = SupSurrogate | SmoothSurrogate


def _require_finite(name: str, value: float, *, above: float | None = None, least: float | None = None) -> None:
    low_enough = above is not None and not value > above
    low_enough = low_enough or (least is not None and not value >= least)
    if not math.isfinite(value) or low_enough:
        bound = f" above {above:g}" if above is not None else f" of at least {least:g}" if least is not None else ""
        raise UsageError(f"{name} is out of range", got=value, expected=f"a finite number{bound}")
