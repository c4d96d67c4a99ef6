"""What runs on Codabench: the rankings in `input/res`, scored against `input/ref`, into `output`."""

from __future__ import annotations

import html
import json
import math
import sys
from pathlib import Path

from hierlandmarks.errors import HierlandmarksError, UsageError
from hierlandmarks.metrics import Report
from hierlandmarks.tables import write_json, write_text
from hierlandmarks_benchmark.intake.problems import RefusedError
from hierlandmarks_benchmark.intake.rankings import read_rankings
from hierlandmarks_benchmark.intake.reference import read_reference
from hierlandmarks_benchmark.intake.score import score

ENDINGS = (".csv", ".parquet", ".trec", ".run", ".txt")


def main(arguments: list[str]) -> int:
    """`INPUT OUTPUT` → exit code; what is wrong with a submission goes to stderr, a sentence each."""
    folders = [Path(argument) for argument in arguments]
    try:
        evaluate(*folders)
    except RefusedError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return error.exit_code
    except HierlandmarksError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def evaluate(given: Path, out: Path) -> Report:
    """Score the one file of rankings in `given/res` against `given/ref`.

    Args:
        given: folder with `ref` and `res`.
        out: existing folder; gets `scores.json` (column → mean), the same as `scores.txt`, and `detailed_results.html`.

    Returns:
        The report; a column that is not defined for any query is left out of the files.

    Raises:
        UsageError: there is not one file of rankings.
        HierlandmarksError: see `read_rankings`.
    """
    truth = read_reference(given / "ref")
    report = score(read_rankings(find_rankings(given / "res"), truth), truth)
    means = {column: value for column, value in report.mean.items() if not math.isnan(value)}
    write_text(out / "scores.txt", "".join(f"{column}: {value!r}\n" for column, value in means.items()))
    write_text(out / "detailed_results.html", f"<!doctype html><pre>{html.escape(report.to_text())}</pre>\n")
    write_json(out / "scores.json", json.loads(json.dumps(means)))
    return report


def find_rankings(folder: Path) -> Path:
    """The one file of rankings somewhere in a folder.

    Raises:
        UsageError: there is none, or more than one.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix in ENDINGS and path.is_file())
    if len(found) != 1:
        raise UsageError(
            "a submission is a zip of one file of rankings",
            got=", ".join(path.name for path in found) or "none",
            expected=f"one file that ends with {', '.join(ENDINGS)}",
        )
    return found[0]
