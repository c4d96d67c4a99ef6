"""How everything here is compiled: without the interpreter lock, once for all runs, sums in any order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Compiled = TypeVar("Compiled", bound=Callable[..., object])


def jit(function: Compiled) -> Compiled:
    """`function` compiled by numba at its first call; NaN is kept, so no other liberty of fast arithmetic is taken.

    The result is kept in `__pycache__` as long as its own file does not change: after a change to a function that is
    called from another file, delete the `.nbi` files there.
    """
    compiler = njit(nogil=True, cache=True, fastmath={"reassoc", "nsz", "contract"})
    return cast(Compiled, compiler(function))
