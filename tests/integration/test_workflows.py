"""The workflows of a submission: what runs code has no rights, what has rights runs none; scripts do as said."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hierlandmarks import cli

SUBMISSIONS = "benchmark/leaderboard/submissions"
ATTACK = "| <script>x</script> | @everyone | [here](https://evil.example) | \N{SNOWMAN} |\n"


def load(root: Path, name: str) -> dict[Any, Any]:
    return dict(yaml.safe_load((root / ".github" / "workflows" / name).read_text(encoding="utf-8")))


@pytest.fixture
def validate(root: Path) -> dict[Any, Any]:
    return load(root, "submission.yml")


@pytest.fixture
def table(root: Path) -> dict[Any, Any]:
    return load(root, "submission-table.yml")


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def script(workflow: dict[Any, Any], name: str) -> str:
    return next(str(step["run"]) for step in steps(workflow) if step.get("name", "").startswith(name))


def test_what_may_be_anybodys_code_has_no_rights(validate: dict[Any, Any]) -> None:
    assert set(validate[True]) == {"pull_request"}  # `on`: YAML 1.1 reads it as true
    assert validate["permissions"] == {}
    assert {tuple(job["permissions"].items()) for job in validate["jobs"].values()} == {(("contents", "read"),)}
    assert "secrets" not in str(validate)
    assert "token" not in str(validate).lower()
    checkout = next(step for step in steps(validate) if step.get("uses", "").startswith("actions/checkout"))
    assert checkout["with"]["persist-credentials"] is False


def test_what_may_comment_runs_nothing_of_a_pull_request(table: dict[Any, Any], validate: dict[Any, Any]) -> None:
    assert set(table[True]) == {"workflow_run"}
    assert table[True]["workflow_run"]["workflows"] == [validate["name"]]
    assert table["permissions"] == {}
    assert table["jobs"]["comment"]["permissions"] == {"actions": "read", "pull-requests": "write"}
    used = [step["uses"].split("@")[0] for step in steps(table) if "uses" in step]
    assert used == ["actions/download-artifact"]  # no checkout
    names = {step["with"]["name"] for step in steps(validate) if "upload-artifact" in step.get("uses", "")}
    assert steps(table)[0]["with"]["name"] in names


@pytest.mark.parametrize("name", ["submission.yml", "submission-table.yml"])
def test_scripts_are_sound(name: str, root: Path) -> None:
    for step in steps(load(root, name)):
        assert ("run" in step) != ("uses" in step)
        text = step.get("run", "")
        assert "${{" not in text, "text of a pull request never becomes part of a script"
        assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "actions/checkout@v4"))


def test_the_commands_exist(validate: dict[Any, Any]) -> None:
    lines = [line.strip() for step in steps(validate) for line in step.get("run", "").splitlines()]
    ours = [line.split()[1:] for line in lines if line.startswith("hierlandmarks ")]
    assert ours
    for arguments in ours:
        group = cli.cli.get_command(None, arguments[0])  # type: ignore[arg-type]
        command = group.get_command(None, arguments[1])  # type: ignore[union-attr]
        known = {name for option in command.params for name in option.opts}
        assert {word for word in arguments if word.startswith("--")} <= known


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A main branch with an entry, and a merge checked out that adds one."""
    home = tmp_path / "repository"
    for entry, lines in (("old", "1\n"), ("new", "1\n2\n")):
        (home / SUBMISSIONS / entry).mkdir(parents=True)
        (home / SUBMISSIONS / entry / "meta.yaml").write_text(f"name: {entry}\n")
        (home / SUBMISSIONS / "log.jsonl").write_text(lines)
        commit(home, entry)
    return home


def commit(home: Path, message: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", message]):
        subprocess.run(["git", *arguments], cwd=home, check=True)


def run(text: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A step as GitHub runs it."""
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", text],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("change", ["none", "edit", "remove", "log"])
def test_entries_are_only_added(change: str, repository: Path, validate: dict[Any, Any]) -> None:
    old = repository / SUBMISSIONS / "old" / "meta.yaml"
    if change == "edit":
        old.write_text("name: better\n")
    elif change == "remove":
        old.unlink()
    elif change == "log":
        (repository / SUBMISSIONS / "log.jsonl").write_text("0\n2\n")
    if change != "none":
        amend = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "-a", "--amend", "-mx"]
        subprocess.run(amend, cwd=repository, check=True)
    done = run(script(validate, "Entries are only added"), repository)
    assert (done.returncode == 0) == (change == "none"), done.stderr


GH = r"""#!/bin/sh
echo "$@" >> calls
case "$1 $FAIL" in
  api*) test -z "$CLOSED" && echo 7 ;;
  pr*"first") case "$*" in *--edit-last*) exit 1 ;; esac ;;
esac
exit 0
"""


@pytest.mark.parametrize("fail", ["", "first"])
def test_the_table_is_posted_without_what_could_do_harm(fail: str, table: dict[Any, Any], tmp_path: Path) -> None:
    done = post(table, tmp_path, FAIL=fail)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [line.split()[:3] for line in calls[1:]] == [["pr", "comment", "7"]] * (2 if fail else 1)
    text = (tmp_path / "comment.md").read_text(encoding="utf-8")
    first, *rest = text.splitlines()
    assert first.endswith("[its own run](https://github.com/run/1) scored them.")
    shown = "\n".join(rest)
    assert not re.search(r"[<>@]|https://|\]\(", shown)
    assert "\N{SNOWMAN}" in shown
    assert len(text.encode()) < 65_000  # GitHub takes 65,536 characters


def test_nothing_is_posted_where_the_pull_request_is_gone(table: dict[Any, Any], tmp_path: Path) -> None:
    assert post(table, tmp_path, CLOSED="yes").returncode == 0
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def post(table: dict[Any, Any], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "table").mkdir()
    (folder / "table" / "README.md").write_text(ATTACK * 2000, encoding="utf-8")
    (folder / "bin").mkdir()
    (folder / "bin" / "gh").write_text(GH)
    (folder / "bin" / "gh").chmod(0o755)
    known = {"REPOSITORY": "o/r", "HEAD": "a:b; touch x", "COMMIT": "0" * 40, "RUN": "https://github.com/run/1"}
    known |= {"FAIL": "", "CLOSED": "", "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    return run(script(table, "Post"), folder, **(known | environment))
