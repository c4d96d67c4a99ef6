"""Measured values beside their targets, as a CSV with provenance."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from hierlandmarks_benchmark.provenance import code_version

Targets = Mapping[str, tuple[float, str]]  # what is measured → the most it may be, and its unit


def row(targets: Targets, what: str, value: float, unit: str, detail: str = "") -> dict[str, Any]:
    """A line of the result; its verdict where there is a target."""
    limit = targets.get(what, (None, unit))[0]
    verdict = "" if limit is None else "met" if value <= limit else "missed"
    return {"what": what, "value": value, "unit": unit, "target": limit, "verdict": verdict, "detail": detail}


def write(path: Path, rows: Sequence[Mapping[str, Any]], scale: float) -> None:
    """Write lines of `row` as a CSV, each with scale, date, code, machine and software, and print them."""
    about = {
        "scale": scale,
        "date": datetime.date.today().isoformat(),
        "code": code_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "software": f"Python {platform.python_version()}, pyarrow {pa.__version__}",
    }
    frame = pd.DataFrame(rows)
    path.parent.mkdir(exist_ok=True)
    frame.assign(**about).to_csv(path, index=False, lineterminator="\n", float_format="%.4g")
    print(frame.to_string(index=False))
