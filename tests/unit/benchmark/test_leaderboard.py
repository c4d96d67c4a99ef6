"""The board ranks what can be compared, the page is safe whatever an entry says, and equal input gives equal bytes."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hierlandmarks import cli
from hierlandmarks.errors import ChecksumError, CorruptInputError, HierlandmarksError, IncompleteError, MissingDataError
from hierlandmarks.tables import file_sha256, read_json
from hierlandmarks_benchmark.entries import read_entries
from hierlandmarks_benchmark.leaderboard import STAGE, Leaderboard, build, read_board
from hierlandmarks_benchmark.leaderboard.board import make_board
from hierlandmarks_benchmark.leaderboard.groups import groups, separated
from hierlandmarks_benchmark.leaderboard.notes import twins
from hierlandmarks_benchmark.leaderboard.pairs import telling, versus
from hierlandmarks_benchmark.submit import Submit, submit
from tests.board import edit_file, edit_meta, make_evaluation, make_hostile, make_release

NOISE = {"suphap": 0.25, "histogram": 0.5, "untrained": 1.0}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def three(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three entries on one ground truth; not to be changed."""
    home = tmp_path_factory.mktemp("three")
    for name, noise in NOISE.items():
        submit(make_evaluation(home / "evaluation" / name, release, noise), release, home / "submissions")
    return home / "submissions"


@pytest.fixture
def submissions(three: Path, tmp_path: Path) -> Path:
    """The same three entries, to be changed."""
    return shutil.copytree(three, tmp_path / "submissions")


OWN = re.compile(
    r"#[\w.-]+|(\.\./)?(entries/[\w.-]+\.html|(?:compare|queries)-\d+\.html|index\.html)(#[\w.,-]+)?|[\w.-]+\.html"
)


class Page(HTMLParser):
    """Every tag and attribute of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(folder: Path) -> Page:
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def test_entries_are_ranked_by_h_ap(three: Path) -> None:
    (ranking,) = make_board(read_entries(three)).rankings
    assert (ranking.track, ranking.current) == ("tiny", True)
    assert [(row.rank, row.entry.meta.name) for row in ranking.rows] == [
        (1, "suphap"),
        (2, "histogram"),
        (3, "untrained"),
    ]
    scores = [row.entry.scores["h_ap"].value or 0 for row in ranking.rows]
    assert scores == sorted(scores, reverse=True)
    assert [metric.column for metric in ranking.metrics] == [
        *("h_ap", "ndcg", "asi"),
        *("map_at_r_0", "map_at_r_1", "map_at_r_2", "recall_at_1_0", "recall_at_1_1", "recall_at_1_2"),
    ]


def test_equal_scores_share_a_place(three: Path, submissions: Path) -> None:
    shutil.copytree(three / "suphap", submissions / "again")
    edit_meta(submissions / "again", lambda meta: meta.update(name="again"))
    (ranking,) = make_board(read_entries(submissions)).rankings
    assert [(r.rank, r.entry.meta.name) for r in ranking.rows][:3] == [(1, "again"), (1, "suphap"), (3, "histogram")]


def test_the_board_as_data(three: Path, tmp_path: Path) -> None:
    build(three, tmp_path / "board")
    (ranking,) = read_json(tmp_path / "board" / "board.json")["rankings"]
    best = ranking["entries"][0]
    report = read_json(three / "suphap" / "scores.json")["report"]
    assert (best["rank"], best["name"], best["model"]["trained_on"]) == (1, "suphap", "tiny (train)")
    assert {column: score["value"] for column, score in best["scores"].items()} == report["mean"]
    assert [best["scores"]["h_ap"]["low"], best["scores"]["h_ap"]["high"]] == report["confidence"]["h_ap"]
    assert ranking["truth"]["queries"] == 6


def test_the_page_shows_every_entry(three: Path, tmp_path: Path) -> None:
    build(three, tmp_path / "board")
    shown = page(tmp_path / "board")
    for name in NOISE:
        assert {"href": f"#entry-{name}"} in shown.all("a")
        assert any(d.get("id") == f"entry-{name}" for d in shown.all("details"))
        mean = read_json(three / name / "scores.json")["report"]["mean"]
        for column in ("h_ap", "ndcg", "asi", "map_at_r_0", "recall_at_1_2"):
            assert any(c["data-value"] == f"{mean[column]:.5g}" for c in shown.all("td"))
    for words in (
        "same landmark",
        "same label",
        "same kind",
        "nothing in common",
        "Niagara Falls",
        "قلعة حلب",
        "A. Painter",
    ):
        assert words in shown.text
    assert len([rect for rect in shown.all("rect") if rect["class"] == "bar"]) == 3 * 6  # entries x (metrics x levels)
    ids = [attributes["id"] for _, attributes in shown.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {use["href"] for use in shown.all("use")} <= {f"#{id}" for id in ids}


def test_a_picture_is_inlined_once(three: Path, tmp_path: Path) -> None:
    build(three, tmp_path / "board")
    shown = page(tmp_path / "board")
    addresses = [image["href"] for image in shown.all("image")]
    assert len(addresses) == len(set(addresses))
    assert len(shown.all("use")) == 3 * 3 * 9  # entries x queries x (query and results)


def test_nothing_outside_the_page_is_fetched(three: Path, tmp_path: Path) -> None:
    build(three, tmp_path / "board")
    html = (tmp_path / "board" / "index.html").read_text()
    shown = Page(html)
    (policy,) = [m["content"] or "" for m in shown.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for tag, attributes in shown.tags:
        for key in ("src", "href", "srcset", "action", "data", "poster"):
            address = attributes.get(key) or "#"
            assert address.startswith(("#", "data:image/jpeg;base64,")) or (
                (tag == "a" and OWN.fullmatch(address)) or address.startswith("https://")
            )
        assert tag not in ("link", "base", "iframe", "object", "embed", "form")
        assert "style" not in attributes
    assert not re.search(r"@import|url\(", html)


def test_no_field_becomes_markup(release: Path, tmp_path: Path) -> None:
    build(make_hostile(release, tmp_path), tmp_path / "board", Leaderboard(title="Board <script>hacked=1</script>"))
    html = (tmp_path / "board" / "index.html").read_text(encoding="utf-8")
    shown = Page(html)
    assert [attributes for tag, attributes in shown.tags if tag == "script"] == [{}]
    assert not shown.all("img")
    assert not any(name.startswith("on") for _, attributes in shown.tags for name in attributes)
    assert all(OWN.fullmatch(a["href"] or "") for a in shown.all("a"))
    assert "<script>hacked=1" in shown.text  # there, as text
    assert "{{ 7*7 }}" in shown.text
    assert not set("\u202e\u2066\ud800") & set(html)
    readme = (tmp_path / "board" / "README.md").read_text(encoding="utf-8")
    assert "<script" not in readme
    assert not re.search(r"(?<!\\)\]\(javascript", readme)
    table = [line for line in readme.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {14}
    assert "hacked" in json.dumps(read_json(tmp_path / "board" / "board.json"))


def test_web_addresses_become_links(three: Path, tmp_path: Path) -> None:
    build(three, tmp_path / "board")
    links = [a for a in page(tmp_path / "board").all("a") if (a["href"] or "").startswith("https://example.org/")]
    assert links
    assert {a["rel"] for a in links} == {"noopener noreferrer nofollow"}


def test_same_submissions_same_bytes(three: Path, release: Path, tmp_path: Path) -> None:
    home = tmp_path / "backwards"
    for name, noise in reversed(NOISE.items()):
        submit(make_evaluation(home / "evaluation" / name, release, noise), release, home / "submissions")
    build(three, tmp_path / "one")
    build(home / "submissions", tmp_path / "two")
    files = sorted(str(p.relative_to(tmp_path / "one")) for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert files == [
        "README.md",
        "board.json",
        "compare-1.html",
        *(f"entries/{n}.html" for n in sorted(NOISE)),
        "index.html",
        "queries-1.html",
    ]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_other_ground_truth_is_ranked_apart(submissions: Path, tmp_path: Path) -> None:
    def renew(meta: Any) -> None:
        meta["truth"]["content_hash"] = "f" * 64
        meta["date"] = "2026-11-24"

    edit_meta(submissions / "untrained", renew)
    board = build(submissions, tmp_path / "board")
    assert [(r.current, [row.entry.meta.name for row in r.rows]) for r in board.rankings] == [
        (True, ["untrained"]),
        (False, ["suphap", "histogram"]),
    ]
    assert [row.rank for ranking in board.rankings for row in ranking.rows] == [1, 1, 2]
    shown = page(tmp_path / "board")
    assert "another ground truth" in shown.text
    assert "cannot be compared" in shown.text
    assert len(shown.all("table")) == 2
    assert "another ground truth, ranked apart" in (tmp_path / "board" / "README.md").read_text()


def test_tracks_have_tables_of_their_own(submissions: Path, tmp_path: Path) -> None:
    edit_meta(submissions / "suphap", lambda meta: meta.update(track="another"))
    board = build(submissions, tmp_path / "board")
    assert [(r.track, r.current, len(r.rows)) for r in board.rankings] == [("another", True, 1), ("tiny", True, 2)]
    shown = page(tmp_path / "board")
    assert len(shown.all("nav")) == 1
    assert "another ground truth" not in shown.text


def test_a_single_entry_is_a_board(submissions: Path, tmp_path: Path) -> None:
    shutil.rmtree(submissions / "suphap")
    shutil.rmtree(submissions / "histogram")
    (submissions / "README.md").write_text("what an entry is")
    (submissions / ".untrained.part").mkdir()
    assert len(build(submissions, tmp_path / "board").entries) == 1
    assert len(page(tmp_path / "board").all("table")) == 1


def test_a_score_that_is_not_defined_is_a_dash(submissions: Path, tmp_path: Path) -> None:
    def undefine(scores: Any) -> None:
        scores["report"]["mean"]["recall_at_1_0"] = None
        scores["report"]["confidence"]["recall_at_1_0"] = [None, None]
        del scores["report"]["mean"]["asi"]

    edit_file(submissions / "suphap", "scores.json", undefine)
    rows = submissions / "suphap" / "per_query.parquet"
    pd.read_parquet(rows).assign(recall_at_1_0=float("nan")).to_parquet(rows)
    edit_meta(submissions / "suphap", lambda meta: meta["files"].update({rows.name: file_sha256(rows)}))
    build(submissions, tmp_path / "board")
    assert len([cell for cell in page(tmp_path / "board").all("td") if cell["data-value"] == "-1"]) == 2
    assert "| – |" in (tmp_path / "board" / "README.md").read_text()


def test_no_entries_no_board(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="does not exist: make it with `bench submit`"):
        build(tmp_path / "submissions", tmp_path / "board")
    (tmp_path / "submissions").mkdir()
    with pytest.raises(MissingDataError, match=r"there is no entry in .*: add one with `bench submit`"):
        build(tmp_path / "submissions", tmp_path / "board")
    assert not (tmp_path / "board").exists()


def drop(name: str) -> Callable[[Path], object]:
    return lambda entry: (entry / name).unlink()


def thumbnail(entry: Path) -> Path:
    return sorted((entry / "examples").iterdir())[0]


def no_jpeg(entry: Path) -> None:
    path = thumbnail(entry)
    path.write_bytes(b"<svg onload=alert(1)>")
    edit_meta(entry, lambda meta: meta["files"].update({f"examples/{path.name}": file_sha256(path)}))


def unlisted(entry: Path) -> None:
    path = thumbnail(entry)
    path.unlink()
    edit_meta(entry, lambda meta: meta["files"].pop(f"examples/{path.name}"))


def link(entry: Path) -> None:
    (entry / "scores.json").rename(entry.parent.parent / "scores.json")
    (entry / "scores.json").symlink_to(entry.parent.parent / "scores.json")


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (drop("meta.yaml"), MissingDataError, "suphap is no entry: it lacks meta.yaml"),
        (drop("scores.json"), MissingDataError, "suphap lacks scores.json"),
        (drop("per_query.parquet"), MissingDataError, "suphap lacks per_query.parquet"),
        (drop("examples.json"), MissingDataError, "suphap lacks examples.json"),
        (lambda e: thumbnail(e).unlink(), MissingDataError, "suphap lacks examples/"),
        (unlisted, MissingDataError, "jpg does not exist"),
        (no_jpeg, CorruptInputError, "is no small JPEG"),
        (lambda e: (e / "scores.json").write_text("{}"), ChecksumError, "scores.json of .* is not the file"),
        (lambda e: (e / "more.txt").write_text("x"), ChecksumError, "more.txt of .* is not the file"),
        (link, CorruptInputError, "is no plain file"),
        (lambda e: (e / "meta.yaml").write_text("a: [1"), CorruptInputError, "not valid YAML"),
        (lambda e: (e / "meta.yaml").write_text("[" * 5000), CorruptInputError, "not valid YAML"),
        (lambda e: (e / "meta.yaml").write_text("a: &x [1]\nb: *x"), CorruptInputError, "aliases are not allowed"),
        (lambda e: (e / "meta.yaml").write_text("!!python/object/apply:os.system [x]"), CorruptInputError, "not valid"),
        (lambda e: (e / "meta.yaml").write_bytes(b"\xff\xfe\xff"), CorruptInputError, "not valid YAML"),
        (lambda e: (e / "meta.yaml").write_text("- 1"), CorruptInputError, "is no mapping"),
        (lambda e: edit_meta(e, lambda m: m.pop("truth")), CorruptInputError, "lacks truth"),
        (lambda e: edit_meta(e, lambda m: m.update(date=7)), CorruptInputError, "date has the wrong type"),
        (lambda e: edit_meta(e, lambda m: m.update(name="b")), CorruptInputError, "name is not that of its folder"),
        (lambda e: edit_meta(e, lambda m: m.update(wat=1)), CorruptInputError, "unknown key 'wat'"),
        (
            lambda e: edit_file(e, "scores.json", lambda s: s["report"]["mean"].pop("h_ap")),
            IncompleteError,
            "suphap has no h_ap",
        ),
        (
            lambda e: edit_file(e, "examples.json", lambda x: x[0]["results"][0].update(level=4)),
            CorruptInputError,
            r"a level is out of range; got 4, expected 0 to 3",
        ),
        (
            lambda e: edit_file(e, "examples.json", lambda x: x[0]["query"].update(id="../x")),
            CorruptInputError,
            "not safe as a file name",
        ),
        (
            lambda e: edit_file(e, "examples.json", lambda x: x[0].pop("query")),
            CorruptInputError,
            "example 1 lacks query",
        ),
    ],
)
def test_a_broken_entry_is_named(
    damage: Callable[[Path], object], error: type[HierlandmarksError], words: str, submissions: Path, tmp_path: Path
) -> None:
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "index.html").write_text("as it was")
    damage(submissions / "suphap")
    with pytest.raises(error, match=words) as caught:
        build(submissions, tmp_path / "board")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.glob("board/*")] == ["index.html"]
    assert (tmp_path / "board" / "index.html").read_text() == "as it was"


def test_the_stage_and_the_command_make_the_same(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stage").mkdir()
    STAGE.run(Leaderboard(), {"submissions": three}, {"leaderboard": tmp_path / "stage"})
    arguments = ["bench", "leaderboard", "--submissions", str(three), "--out", str(tmp_path / "command")]
    assert cli.run(arguments) == 0
    assert str(tmp_path / "command" / "index.html") in capsys.readouterr().out
    assert cli.run([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == read_json(tmp_path / "command" / "board.json")
    for path in (path for path in (tmp_path / "stage").rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "command" / path.relative_to(tmp_path / "stage")).read_bytes()
    assert cli.run([*arguments[:2], "--submissions", str(tmp_path / "none"), "--out", str(tmp_path / "x")]) == 2


def clone(submissions: Path, name: str, **changes: Any) -> None:
    shutil.copytree(submissions / "suphap", submissions / name)
    edit_meta(submissions / name, lambda meta: meta.update(name=name, **changes))


def test_twins_and_entries_outside_of_the_log_are_noted(submissions: Path, tmp_path: Path) -> None:
    clone(submissions, "again")
    rows = {row.entry.meta.name: row for row in read_board(submissions).rankings[0].rows}
    assert rows["again"].entry.notes == ("not as the log of submissions has it",)
    assert rows["suphap"].entry.notes in ((), ("near-identical to again",))  # six queries, some of them perfect
    assert rows["histogram"].entry.notes == ()


def test_twins_are_found_among_queries_that_tell() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((200, 4))
    values[:, 2] = values[:, 0]
    values[3, 2] = 0.5
    values[:, 3] = 1.0
    assert twins(values) == {2: 0}
    assert twins(np.ones((200, 3))) == {}


def test_the_log_is_only_added_to(submissions: Path, tmp_path: Path) -> None:
    log = submissions / "log.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    assert [json.loads(line)["entry"] for line in lines] == list(NOISE)
    for changed in ([lines[0].replace("suphap", "supxxx"), *lines[1:]], [lines[0], lines[2]], ["{}\n"], ["x" * 9]):
        log.write_text("".join(changed))
        with pytest.raises(CorruptInputError, match=r"log.jsonl line \d does not follow"):
            build(submissions, tmp_path / "board")
    log.unlink()
    build(submissions, tmp_path / "board")


def test_contamination_is_shown_and_changes_no_place(submissions: Path, tmp_path: Path) -> None:
    edit_meta(submissions / "suphap", lambda meta: meta.update(contamination="its photos are from the same site"))
    build(submissions, tmp_path / "board")
    assert [row.entry.meta.name for row in read_board(submissions).rankings[0].rows] == list(NOISE)
    own = (tmp_path / "board" / "entries" / "suphap.html").read_text()
    for html in (own, (tmp_path / "board" / "index.html").read_text()):
        assert "Declared contamination: <bdi>its photos are from the same site</bdi>" in html


def test_neighbours_that_cannot_be_told_apart_share_a_group() -> None:
    rng = np.random.default_rng(1)
    easy = rng.random((300, 1)) * 0.5
    noise = rng.normal(0, 0.02, (300, 4))
    values = easy + noise + np.array([0.4, 0.2, 0.2, 0.0])
    assert groups(values) == [(1, 1), (2, 3), (2, 3), (4, 4)]
    assert groups(values[:, :1]) == [(1, 1)]
    values[:, 0] = np.nan
    assert groups(values) == [(1, 3), (1, 3), (1, 3), (4, 4)]


def test_a_long_ranking_can_still_be_separated() -> None:
    values = np.linspace(1, 0, 600)[None] + np.random.default_rng(0).normal(0, 1e-4, (200, 600))
    assert groups(values)[:2] == [(1, 1), (2, 2)]


@pytest.mark.parametrize("p_values", [[0.2], [0.04, 0.01], [0.001, 0.04, 0.03, 0.011], list(np.linspace(0, 0.1, 9))])
def test_holm_is_the_definition(p_values: list[float]) -> None:
    rejected = [False] * len(p_values)
    for step, p in enumerate(sorted(p_values)):
        if p > 0.05 / (len(p_values) - step):
            break
        rejected[p_values.index(p)] = True
    assert separated(p_values) == rejected


def test_strengths_are_the_means_of_a_label(three: Path) -> None:
    (ranking,) = read_board(three).rankings
    for row in ranking.rows:
        rows = pd.read_parquet(three / row.entry.meta.name / "per_query.parquet").groupby("label")["h_ap"]
        assert {s.label: s.value for s in row.strengths} == pytest.approx(rows.mean().to_dict())
        assert {s.label: s.queries for s in row.strengths} == rows.size().to_dict()
        assert [s.value for s in row.strengths] == sorted(s.value for s in row.strengths)
    best = {s.label: s.best for s in ranking.rows[0].strengths}
    assert all(s.value <= best[s.label] for row in ranking.rows for s in row.strengths)


def test_comparisons_carry_every_score(three: Path, tmp_path: Path) -> None:
    build(three, tmp_path / "board")
    html = (tmp_path / "board" / "compare-1.html").read_text()
    data = json.loads(unescape(html.split('<pre id="data" hidden>')[1].split("</pre>")[0]))
    (ranking,) = read_board(three).rankings
    scores = np.frombuffer(base64.b64decode(data["scores"]), "<u2").reshape(3, 6) / 65534
    assert data["queries"] == list(ranking.rows[0].entry.per_query.ids)
    assert np.abs(scores.T - ranking.primary_values).max() < 1e-5


def test_any_two_entries_stand_side_by_side_without_scripts(three: Path, tmp_path: Path) -> None:
    build(three, tmp_path / "board")
    (ranking,) = read_board(three).rankings
    shown = (tmp_path / "board" / "queries-1.html").read_text()
    rows = re.findall(r'<tr><th scope="row"><bdi>(\w+)</bdi>.*?</th>((?:<td>\d+</td>)+)</tr>', shown)
    found = {id: [int(score) for score in re.findall(r"\d+", cells)] for id, cells in rows}
    ids = ranking.rows[0].entry.per_query.ids
    assert found == {id: [round(100 * v) for v in row] for id, row in zip(ids, ranking.primary_values, strict=True)}
    assert "<script" not in shown


def test_an_entry_is_held_against_every_other(three: Path, tmp_path: Path) -> None:
    build(three, tmp_path / "board")
    (ranking,) = read_board(three).rankings
    values = ranking.primary_values
    for place, others in enumerate(versus(values)):
        assert [pair.other for pair in others] == [i for i in range(3) if i != place]
        for pair in others:
            assert pair.difference == pytest.approx(values[:, place].mean() - values[:, pair.other].mean())
            assert pair.ahead == (values[:, place] > values[:, pair.other]).sum()
            assert pair.ahead + pair.behind + pair.equal == 6
    html = (tmp_path / "board" / "entries" / "suphap.html").read_text()
    for name in ("histogram", "untrained"):
        assert f'<th scope="row"><a href="{name}.html">{name}</a></th><td>+' in html


def test_queries_without_a_score_count_for_nothing() -> None:
    values = np.array([[0.5, 0.1], [np.nan, np.nan], [0.2, 0.4]])
    first, second = versus(values)
    assert (first[0].difference, first[0].ahead, first[0].behind, first[0].equal) == (pytest.approx(0.1), 1, 1, 0)
    assert second[0].difference == pytest.approx(-0.1)
    assert telling(values) == [0, 2, 1]


def test_entries_without_pictures_have_no_gallery(release: Path, tmp_path: Path) -> None:
    for name, noise in NOISE.items():
        evaluation = make_evaluation(tmp_path / "evaluation" / name, release, noise)
        submit(evaluation, release, tmp_path / "submissions", params=Submit(examples=0))
    build(tmp_path / "submissions", tmp_path / "board")
    shown = page(tmp_path / "board")
    assert "What they find" not in shown.text
    assert {a["href"] for a in shown.all("a")} >= {f"entries/{name}.html" for name in NOISE}
    assert "What it finds" not in (tmp_path / "board" / "entries" / "suphap.html").read_text()


def test_the_current_ground_truth_is_the_one_the_track_pins(submissions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However new other entries are."""
    pinned = read_board(submissions).rankings[0].truth.content_hash
    edit_meta(
        submissions / "untrained", lambda m: (m["truth"].update(content_hash="f" * 64), m.update(date="2030-01-01"))
    )
    assert read_board(submissions).rankings[0].truth.content_hash == "f" * 64
    monkeypatch.setattr("hierlandmarks_benchmark.leaderboard.board.pins", lambda: {"tiny": pinned})
    assert [(r.truth.content_hash, r.current) for r in read_board(submissions).rankings] == [
        (pinned, True),
        ("f" * 64, False),
    ]


def test_a_perfect_score_is_noted_whatever_the_entry_says(submissions: Path) -> None:
    def perfect(scores: Any) -> None:
        scores["report"]["mean"]["h_ap"], scores["report"]["confidence"]["h_ap"] = 1.0, [1.0, 1.0]

    home = submissions / "suphap"
    frame = pd.read_parquet(home / "per_query.parquet").assign(h_ap=1.0)
    frame.to_parquet(home / "per_query.parquet", index=False)
    edit_meta(home, lambda m: m["files"].update({"per_query.parquet": file_sha256(home / "per_query.parquet")}))
    edit_file(home, "scores.json", perfect)
    assert "every score is perfect" in read_board(submissions).rankings[0].rows[0].entry.notes


def test_a_page_of_ones_own_is_filled_between_its_marks(three: Path, tmp_path: Path) -> None:
    mine = tmp_path / "MINE.md"
    mine.write_text("# Mine\n\n<!-- leaderboard: begin -->\nold\n<!-- leaderboard: end -->\nand so on\n")
    given = ["--submissions", three, "--out", tmp_path / "board", "--readme", mine]
    for _ in range(2):  # again is the same
        assert cli.run(["bench", "leaderboard", *map(str, given)]) == 0
        text = mine.read_text()
        assert text.startswith("# Mine\n\n<!-- leaderboard: begin -->\n\n## tiny\n")
        assert text.endswith("|\n\n<!-- leaderboard: end -->\nand so on\n")
        assert text.count("suphap") == 1
    for wrong in ("no marks", "<!-- leaderboard: end --><!-- leaderboard: begin -->"):
        mine.write_text(wrong)
        assert cli.run(["bench", "leaderboard", *map(str, given)]) == 1
        assert mine.read_text() == wrong


def test_a_page_for_every_entry(three: Path, tmp_path: Path) -> None:
    build(three, tmp_path / "board")
    for name in NOISE:
        shown = Page((tmp_path / "board" / "entries" / f"{name}.html").read_text())
        assert "Settings and provenance" in shown.text
        assert len([a for a in shown.all("a") if (a["href"] or "").startswith("../compare-1.html#")]) == 1
        ids = [attributes["id"] for _, attributes in shown.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        for a in shown.all("a"):
            address = (a["href"] or "").split("#")[0]
            if address and not address.startswith("https://"):
                assert (tmp_path / "board" / "entries" / address).resolve().is_file()


def test_other_queries_on_one_truth_are_refused(submissions: Path) -> None:
    rows = submissions / "suphap" / "per_query.parquet"
    frame = pd.read_parquet(rows)
    frame["query_id"] = ["stranger", *frame["query_id"][1:]]
    frame.to_parquet(rows)
    edit_meta(submissions / "suphap", lambda meta: meta["files"].update({rows.name: file_sha256(rows)}))
    with pytest.raises(IncompleteError, match="have one ground truth and not the same queries"):
        read_board(submissions)


def test_scores_that_are_not_those_of_the_rows_are_refused(submissions: Path) -> None:
    edit_file(submissions / "suphap", "scores.json", lambda s: s["report"]["mean"].update(h_ap=0.99))
    edit_file(submissions / "suphap", "scores.json", lambda s: s["report"]["confidence"].update(h_ap=[0.9, 1.0]))
    with pytest.raises(CorruptInputError, match="mean of h_ap is not the one in the scores"):
        read_board(submissions)
