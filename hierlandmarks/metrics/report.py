"""The result of an evaluation: per-query scores, means with intervals, and what is needed to reproduce them."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks.metrics.confidence import Comparison, bootstrap, permutation_test
from hierlandmarks.metrics.relevance import Floats
from hierlandmarks.tables import atomic_path

KEYS = ("query_id", "part")
FORMAT = 1


@dataclass(frozen=True)
class Report:
    """One evaluation.

    Attributes:
        per_query: a row a query: `query_id`, `part`, and a column a metric, NaN where it is not defined for the query.
        mean: the mean of each metric over the queries it is defined for; NaN where there is none.
        confidence: the 95 % bootstrap interval of each mean, (low, high).
        skipped: for each metric, the queries left out of its mean.
        parts: means by split part, where there is more than one.
        ties: `share` of queries that ties between different levels touch, and, on request, the means `optimistic` and
            `pessimistic`, with the best or the worst item of each tie first.
        settings: everything that decides the numbers: relevance, cutoffs, seed, resamples.
        provenance: code version, back end, shapes and checksums of the inputs.
    """

    per_query: pd.DataFrame
    mean: dict[str, float]
    confidence: dict[str, tuple[float, float]]
    skipped: dict[str, int]
    parts: dict[str, dict[str, float]] = field(default_factory=dict)
    ties: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The names of the metrics."""
        return list(self.mean)

    def to_json(self, per_query: bool = False) -> str:
        """The report as JSON (NaN as null), without the per-query table unless asked for."""
        content = {"format": FORMAT} | {k: v for k, v in vars(self).items() if k != "per_query"}
        if per_query:
            content["per_query"] = {name: column.tolist() for name, column in self.per_query.items()}
        return json.dumps(_null(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what `to_json` wrote; the per-query table is empty where it was left out.

        Raises:
            CorruptInputError: no JSON, or not of a report.
        """
        try:
            content = json.loads(text)
            if content.pop("format") != FORMAT:
                raise CorruptInputError("this report has another format", expected=FORMAT)
            mean = {name: _nan(value) for name, value in content.pop("mean").items()}
            bounds = {name: (_nan(low), _nan(high)) for name, (low, high) in content.pop("confidence").items()}
            rows = content.pop("per_query", {name: [] for name in (*KEYS, *mean)})
            frame = pd.DataFrame({k: v if k in KEYS else np.array(v, dtype=np.float64) for k, v in rows.items()})
            parts = {part: {k: _nan(v) for k, v in row.items()} for part, row in content.pop("parts").items()}
            return cls(per_query=frame, mean=mean, confidence=bounds, parts=parts, **content)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise CorruptInputError(
                "this is no report", got=repr(error), expected="what Report.to_json wrote"
            ) from error

    def save(self, folder: str | Path) -> None:
        """Write `report.json` and `per_query.parquet` into a folder, each atomically."""
        with atomic_path(Path(folder) / "per_query.parquet") as part:
            pq.write_table(pa.Table.from_pandas(self.per_query, schema=self._schema(), preserve_index=False), part)
        with atomic_path(Path(folder) / "report.json") as part:
            part.write_text(self.to_json(), encoding="utf-8")

    def _schema(self) -> pa.Schema:
        """The declared types of the per-query table: ids as they are, integers or text."""
        numbers = pd.api.types.is_integer_dtype(self.per_query["query_id"])
        keys = [("query_id", pa.int64() if numbers else pa.string()), ("part", pa.string())]
        return pa.schema(keys + [(name, pa.float64()) for name in self.columns])

    @classmethod
    def load(cls, folder: str | Path) -> Report:
        """Read what `save` wrote."""
        summary = cls.from_json((Path(folder) / "report.json").read_text(encoding="utf-8"))
        frame = pd.read_parquet(Path(folder) / "per_query.parquet")
        return cls(**(vars(summary) | {"per_query": frame}))

    def table(self) -> pd.DataFrame:
        """A row a metric: mean, low, high, queries scored, queries skipped."""
        total = len(self.per_query) or int(self.provenance.get("queries", 0))
        rows = [
            (name, self.mean[name], *self.confidence[name], total - self.skipped[name], self.skipped[name])
            for name in self.columns
        ]
        return pd.DataFrame(rows, columns=["metric", "mean", "low", "high", "queries", "skipped"])

    def to_csv(self) -> str:
        """`table` as CSV."""
        buffer = io.StringIO()
        self.table().to_csv(buffer, index=False, lineterminator="\n")
        return buffer.getvalue()

    def to_text(self) -> str:
        """The report for a terminal: a line a metric, in percent, with its interval."""
        lines = [f"{'metric':<22} {'mean %':>7}  {'95 % interval':<16} queries"]
        for name, value, low, high, queries, skipped in self.table().itertuples(index=False):
            scale = 1.0 if name.startswith(("tree_distance", "position")) else 100.0  # no shares
            note = f" ({skipped} skipped)" if skipped else ""
            lines.append(
                f"{name:<22} {scale * value:>7.2f}  [{scale * low:.2f}, {scale * high:.2f}]".ljust(49)
                + f"{queries}{note}"
            )
        for part, mean in self.parts.items():
            lines.append(f"{part}: " + ", ".join(f"{k} {v:.4f}" for k, v in mean.items()))
        if "share" in self.ties:
            lines.append(f"ties between levels touch {100 * self.ties['share']:.1f} % of the queries")
        return "\n".join(lines) + "\n"

    def to_latex(self, columns: list[str] | None = None, name: str = "") -> str:
        """One row of a LaTeX table, in percent with half the width of the interval.

        Raises:
            UsageError: a column that is not in the report.
        """
        cells = [name] if name else []
        for column in columns or self.columns:
            if column not in self.mean:
                raise UsageError("the report has no such metric", got=repr(column), expected=", ".join(self.columns))
            low, high = self.confidence[column]
            cells.append(rf"${100 * self.mean[column]:.1f}_{{\pm {50 * (high - low):.1f}}}$")
        return " & ".join(cells) + r" \\"

    def compare(self, other: Report, permutations: int = 10_000, seed: int = 0) -> dict[str, Comparison]:
        """Paired permutation test of another report against this one, metric by metric, matched by query id.

        Raises:
            UsageError: the reports are of different queries, or lack their per-query tables.
        """
        mine, theirs = self.per_query.set_index("query_id"), other.per_query.set_index("query_id")
        if (missing := mine.index.symmetric_difference(theirs.index)).size or mine.empty:
            got = f"{len(mine)} and {len(theirs)} rows" + (f", {missing[0]!r} in one only" if missing.size else "")
            raise UsageError("the reports are not of the same queries", got=got)
        columns = [name for name in self.columns if name in other.mean]
        first = mine[columns].to_numpy(np.float64)
        second = theirs.loc[mine.index, columns].to_numpy(np.float64)
        return dict(zip(columns, permutation_test(first, second, permutations, seed), strict=True))


def summarise(
    per_query: pd.DataFrame,
    *,
    ties: Mapping[str, Any],
    settings: Mapping[str, Any],
    provenance: Mapping[str, Any],
    resamples: int = 10_000,
    seed: int = 0,
) -> Report:
    """A report from its per-query table: means, intervals, skipped queries, parts.

    Args:
        per_query: `query_id`, `part` and a column a metric.
        ties: see `Report`.
        settings: what decides the numbers, but for the two below.
        provenance: where they come from.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    names = [name for name in per_query.columns if name not in KEYS]
    values = per_query[names].to_numpy(np.float64)
    codes, parts = pd.factorize(per_query["part"], sort=True)
    bounds = bootstrap(values, codes.astype(np.int64), resamples, seed)
    by_part = {str(part): means(names, values[codes == i]) for i, part in enumerate(parts)} if len(parts) > 1 else {}
    return Report(
        per_query=per_query,
        mean=means(names, values),
        confidence={name: (float(low), float(high)) for name, (low, high) in zip(names, bounds, strict=True)},
        skipped={name: int(n) for name, n in zip(names, np.isnan(values).sum(axis=0), strict=True)},
        parts=by_part,
        ties=dict(ties),
        settings=dict(settings) | {"resamples": resamples, "seed": seed},
        provenance=dict(provenance) | {"queries": len(per_query)},
    )


def means(names: Sequence[str], values: Floats) -> dict[str, float]:
    """Means of the columns of a Q × C array over what is defined in each; NaN where nothing is."""
    defined = np.isfinite(values)
    total = np.where(defined, values, 0.0).sum(axis=0)
    return {k: float(t / n) if n else math.nan for k, t, n in zip(names, total, defined.sum(axis=0), strict=True)}


def _null(value: Any) -> Any:
    """JSON has no NaN: null stands for it."""
    if isinstance(value, dict):
        return {k: _null(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_null(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value


def _nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
