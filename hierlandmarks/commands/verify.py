"""`hierlandmarks verify`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from hierlandmarks.cli import emit


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def verify(path: Path, as_json: bool) -> int:
    """Check a folder file by file: a fetched GLDv2, or a release.

    Exit code 0: all that is there is right; 2: something is missing or unfinished; 3: something is wrong.
    """
    from hierlandmarks.verification import exit_code, verify_folder

    findings = verify_folder(path)
    code = exit_code(findings)
    shown = [finding for finding in findings if finding.state != "absent"]
    lines = [f"{f.state:>10}  {f.path}  {'' if f.count is None else f.count}  {f.detail}".rstrip() for f in shown]
    verdict = {0: "all that is there is right", 2: "incomplete", 3: "something is wrong"}[code]
    emit(
        {"findings": [asdict(f) for f in shown], "exit_code": code}, as_json, "\n".join([*lines, f"{path}: {verdict}"])
    )
    return code
