"""e^x as LLVM arithmetic, so that numba loops over it become vector code.

numba calls the C library for `exp`, one number at a time, unless Intel's SVML is installed. Here e^x is
2^n · e^f with n = round(x/ln 2) and the Taylor polynomial of e^f on |f| ≤ ln 2/2, accurate to about two units in
the last place of float32 and float64.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])

# float32 and float64: bits, exponent bias, bits of the mantissa, degree of the polynomial, largest |x|
_FORMATS = {types.float32: (32, 127, 23, 6, 87.0), types.float64: (64, 1023, 52, 13, 700.0)}


def jit(function: F) -> F:
    """Compile for speed: sums in any order, no Python exceptions inside."""
    return _compile(function, fastmath=True)


def jit_strict(function: F) -> F:
    """Compile with IEEE arithmetic: the same numbers give the same result wherever this is inlined."""
    return _compile(function, fastmath=False)


@lru_cache(maxsize=1)
def _sources_digest() -> str:
    files = sorted(Path(__file__).parent.glob("compiled*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _compile(function: F, *, fastmath: bool) -> F:
    """Compile without the interpreter lock, and cache on disk where a place for it is writable.

    numba looks only at the file of a function to tell whether its cache is stale, yet functions of other files are
    compiled into it: the digest of all of them in the name makes an edit of any count.
    """
    function.__qualname__ += f"_{_sources_digest()}"
    options = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
    try:
        return cast(F, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # no writable place
        return cast(F, numba.njit(**options)(function))


def _call(builder: ir.IRBuilder, name: str, *args: ir.Value) -> ir.Value:
    real = args[0].type
    signature = ir.FunctionType(real, [real] * len(args))
    return builder.call(builder.module.declare_intrinsic(name, [real], signature), args)


def _clamped_exp(builder: ir.IRBuilder, number: types.Float, x: ir.Value) -> ir.Value:
    bits, bias, mantissa, degree, largest = _FORMATS[number]
    real, integer = x.type, ir.IntType(bits)

    x = _call(builder, "llvm.minnum", _call(builder, "llvm.maxnum", x, real(-largest)), real(largest))
    n = _call(builder, "llvm.rint", builder.fmul(x, real(1.0 / math.log(2.0))))
    fraction = _call(builder, "llvm.fmuladd", n, real(-math.log(2.0)), x)
    power = real(1.0 / math.factorial(degree))
    for term in reversed(range(degree)):
        power = _call(builder, "llvm.fmuladd", power, fraction, real(1.0 / math.factorial(term)))
    exponent = builder.add(builder.fptosi(n, integer), integer(bias))
    return builder.fmul(power, builder.bitcast(builder.shl(exponent, integer(mantissa)), real))


@intrinsic  # type: ignore[untyped-decorator]  # numba ships it without types
def exp(_context: Any, x: types.Float) -> Any:
    """e^x; x beyond ± 87 (float32) or ± 700 (float64) counts as that."""

    def codegen(_context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> ir.Value:
        return _clamped_exp(builder, x, args[0])

    return x(x), codegen
