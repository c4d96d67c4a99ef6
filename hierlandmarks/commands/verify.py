"""`hierlandmarks verify`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from hierlandmarks.cli import emit


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--decode/--no-decode", default=True, help="Decode every picture, about 10 ms each [default: yes].")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 64), help="Threads that decode.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="[default: PATH/report.json for a root]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def verify(path: Path, decode: bool, jobs: int, report: Path | None, as_json: bool) -> int:
    """Check a folder file by file: a fetched GLDv2, whose report.json tells what was found, or a release.

    Tables: columns and rows. Tars: checksum, members, every picture decoded, repeats, and that the ids of the tables
    are there. A release: every byte, every row, the content hash, and the pictures that it carries decoded. Exit code
    0: all that is there is right; 2: something is missing or unfinished; 3: something is wrong.
    """
    from hierlandmarks.verification import REPORT, exit_code, is_release, verify_folder, write_report

    findings = verify_folder(path, decode=decode, jobs=jobs)
    code = exit_code(findings)
    if report or not is_release(path):
        write_report(report or path / REPORT, path, findings)
    shown = [finding for finding in findings if finding.state != "absent"]
    lines = [f"{f.state:>10}  {f.path}  {'' if f.count is None else f.count}  {f.detail}".rstrip() for f in shown]
    verdict = {0: "all that is there is right", 2: "incomplete", 3: "something is wrong"}[code]
    emit(
        {"findings": [asdict(f) for f in shown], "exit_code": code}, as_json, "\n".join([*lines, f"{path}: {verdict}"])
    )
    return code
