"""What strangers hand in: every good form gives the same lists, everything wrong is named with its line."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierlandmarks.errors import CorruptInputError, HierlandmarksError, MissingDataError, UsageError
from hierlandmarks_benchmark.intake import limits
from hierlandmarks_benchmark.intake.embeddings import rank, read_embeddings
from hierlandmarks_benchmark.intake.problems import RefusedError
from hierlandmarks_benchmark.intake.rankings import read_rankings
from hierlandmarks_benchmark.intake.truth import GroundTruth, load_truth
from hierlandmarks_benchmark.tracks import FOLDER, load_track
from tests.board import make_release
from tests.handin import RANKINGS, Ranked, ranked, truth_of, vectors, write_csv, write_lists, write_track, write_vectors

KINDS = ("npz", "npy", "safetensors", "parquet")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def truth(release: Path, tmp_path_factory: pytest.TempPathFactory) -> GroundTruth:
    return truth_of(release, tmp_path_factory.mktemp("track"))


def expected(truth: GroundTruth, lists: Ranked) -> np.ndarray:
    place = {id: row for row, id in enumerate(truth.searched.ids)}
    rows = [[place[id] for id in lists[query]] for query in truth.queries.ids]
    return np.array([row + [-1] * (truth.depth - len(row)) for row in rows])


@pytest.mark.parametrize("name", RANKINGS)
def test_every_form_of_rankings_says_the_same(name: str, truth: GroundTruth, tmp_path: Path) -> None:
    lists = ranked(truth)
    short = {query: items[: 3 + i] for i, (query, items) in enumerate(lists.items())}
    for given in (lists, short):
        found = read_rankings(RANKINGS[name](tmp_path / name, given), truth)
        assert np.array_equal(found.rows, expected(truth, given))


def test_order_of_lines_does_not_matter(truth: GroundTruth, tmp_path: Path) -> None:
    lists = ranked(truth)
    backwards = dict(reversed(lists.items()))
    assert np.array_equal(read_rankings(write_csv(tmp_path / "a.csv", backwards), truth).rows, expected(truth, lists))


def test_a_csv_may_have_a_mark_quotes_spaces_and_windows_ends(truth: GroundTruth, tmp_path: Path) -> None:
    lists = ranked(truth)
    lines = ['"id","images"', *(f'"{query}"," {"  ".join(items)} "' for query, items in lists.items())]
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert np.array_equal(read_rankings(tmp_path / "a.csv", truth).rows, expected(truth, lists))


def test_a_run_is_ordered_by_score_and_ties_by_id(truth: GroundTruth, tmp_path: Path) -> None:
    a, b, c = truth.searched.ids[:3]
    lines = [f"{query} Q0 {id} 9 {score} tag" for query in truth.queries.ids for id, score in ((a, 1), (b, 1), (c, 2))]
    (tmp_path / "a.run").write_text("\n".join(lines))
    assert read_rankings(tmp_path / "a.run", truth).rows[:, :4].tolist() == [[2, 1, 0, -1]] * len(truth.queries.ids)


def spoil(lists: Ranked, what: str) -> Ranked:
    """Break one rule in the second list, which is on line 3 of a CSV and row 2 of a Parquet file."""
    first, second, *rest = lists
    items = lists[second]
    changed = {
        "unknown": {second: [items[0], "0" * 16, *items[2:]]},
        "repeated": {second: [*items[:5], items[0], *items[6:]]},
        "other split": {second: [first, *items[1:]]},
        "too many": {second: [*items, *items[:1]]},
    }.get(what)
    if changed:
        return lists | changed
    if what == "unknown query":
        return {first: lists[first], "0" * 16: items, **{query: lists[query] for query in rest}}
    if what == "index query":
        return {first: lists[first], items[0]: items, **{query: lists[query] for query in rest}}
    return {first: lists[first], **{query: lists[query] for query in rest}}


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("unknown", "'0000000000000000' is no image of the gallery: remove it"),
        ("repeated", "is listed twice"),
        ("other split", "is no image of the gallery, it is of the split query: remove it"),
        ("too many", "too many results; got 25, expected at most 24"),
        ("unknown query", "'0000000000000000' is no query of the track tiny: remove it"),
        ("index query", "is no query of the track tiny, it is of the split index: remove it"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(what: str, words: str, truth: GroundTruth, tmp_path: Path) -> None:
    lists = spoil(ranked(truth), what)
    for name, where in (("lists.csv", "line 3"), ("lists.parquet", "row 2"), ("lists.trec", "line")):
        if name == "lists.csv":
            text = "".join(f"{query},{' '.join(items)}\n" for query, items in lists.items())
            (tmp_path / name).write_text(f"id,images\n{text}")
        else:
            RANKINGS[name](tmp_path / name, lists)
        with pytest.raises(RefusedError) as caught:
            read_rankings(tmp_path / name, truth)
        assert words in caught.value.problems[0]
        assert f"{name} {where}" in caught.value.problems[0]


def test_lines_of_a_run_are_named(truth: GroundTruth, tmp_path: Path) -> None:
    query, item = truth.queries.ids[0], truth.searched.ids[0]
    good = f"{query} Q0 {item} 1 0.5 tag"
    lines = [good, "", good, f"{query} Q0 {item} 1 nan tag", "cut short", f"{query} Q0 x 1 1 t", f"x Q0 {item} 1 1 t"]
    (tmp_path / "a.trec").write_text("\n".join(lines))
    with pytest.raises(RefusedError, match=r"--check` lists 5 more") as caught:
        read_rankings(tmp_path / "a.trec", truth)
    named = [
        problem.split(".trec ")[1].split(" is")[0].split(":")[0].split(",")[0] for problem in caught.value.problems
    ]
    assert named[:3] + sorted(named[3:]) == [
        "line 4",
        "line 5",
        "line 6",
        "lacks 5 of 6 queries",
        "line 3",
        "line 7",
    ]


def test_missing_and_repeated_queries(truth: GroundTruth, tmp_path: Path) -> None:
    lists = ranked(truth)
    first = next(iter(lists))
    text = "id,images\n" + "".join(f"{q},{' '.join(i)}\n" for q, i in [*lists.items(), (first, lists[first])][1:])
    (tmp_path / "a.csv").write_text(text)
    assert read_rankings(tmp_path / "a.csv", truth).rows.shape == (6, 24)
    (tmp_path / "a.csv").write_text(text + f"{first},\n")
    with pytest.raises(RefusedError, match=rf"line 8: the query '{first}' is listed twice"):
        read_rankings(tmp_path / "a.csv", truth)
    write_csv(tmp_path / "a.csv", dict(list(lists.items())[2:]))
    with pytest.raises(RefusedError, match="lacks 2 of 6 queries, the first"):
        read_rankings(tmp_path / "a.csv", truth)


def test_problems_are_listed_up_to_a_number(truth: GroundTruth, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", {query: [f"{i:016x}" for i in range(20)] for query in truth.queries.ids})
    with pytest.raises(RefusedError) as caught:
        read_rankings(tmp_path / "a.csv", truth)
    assert len(caught.value.problems) == 20
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "line 1 is no header"),
        ("a.csv", b"id;images\n", "line 1 is no header; got 'id;images', expected id,images"),
        ("a.csv", b"id,images\n\xff\xfe,a\n", "is no CSV of rankings"),
        ("a.csv", b"id,images\na,b,c\n", "is no CSV of rankings"),
        ("a.csv", b'id,images\n"a\n', "is no CSV of rankings|is no query"),
        ("a.csv", b"id,images\n" + b"x" * (20 << 20), "is no CSV of rankings"),
        ("a.trec", b"\xff\xfe", "is no TREC run"),
        ("a.trec", b"x" * 10_000, "line 1 is no result; got 1 fields"),
        ("a.parquet", b"PAR1 not really PAR1", "is no Parquet file of rankings"),
        ("a.parquet", b"", "is no Parquet file of rankings"),
        ("a.zip", b"", "is no file of rankings; got ending '.zip'"),
    ],
)
def test_what_is_no_such_file(name: str, content: bytes, words: str, truth: GroundTruth, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HierlandmarksError, match=words) as caught:
        read_rankings(tmp_path / name, truth)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("table", [{"id": ["a"]}, {"query_id": [1], "images": [["a"]]}, {"id": ["a"], "images": ["a"]}])
def test_parquet_of_other_columns(table: Any, truth: GroundTruth, tmp_path: Path) -> None:
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(CorruptInputError, match=r"lacks a column|columns of another type"):
        read_rankings(tmp_path / "a.parquet", truth)


def test_a_large_file_is_not_read(truth: GroundTruth, tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("wb") as file:
        file.truncate(limits.MOST_BYTES + 1)
    with pytest.raises(CorruptInputError, match="is too large"):
        read_rankings(tmp_path / "a.csv", truth)


def test_a_parquet_bomb_is_not_unpacked(truth: GroundTruth, tmp_path: Path) -> None:
    """A word of a megabyte, stored once and referred to 300,000 times; and a file that admits what it unpacks to."""
    word = pa.DictionaryArray.from_arrays(pa.array(np.zeros(300_000, np.int32)), pa.array(["x" * 1_000_000]))
    lists = pa.ListArray.from_arrays(pa.array([0, 300_000], pa.int32()), word)
    pq.write_table(pa.table({"query_id": ["a"], "images": lists}), tmp_path / "a.parquet", store_schema=False)
    assert (tmp_path / "a.parquet").stat().st_size < 2_000_000
    with pytest.raises(CorruptInputError, match=r"too much memory|unpacks to too much"):
        read_rankings(tmp_path / "a.parquet", truth)
    zeros = pa.table({"query_id": ["a"], "images": [["\0" * (1 << 30)]]})
    pq.write_table(zeros, tmp_path / "b.parquet", compression="zstd", use_dictionary=False)
    with pytest.raises(CorruptInputError, match="unpacks to too much"):
        read_rankings(tmp_path / "b.parquet", truth)


def save(folder: Path, kind: str, truth: GroundTruth, change: Callable[[Any, Any], Any] = lambda i, v: (i, v)) -> Path:
    for split, images, seed in (("query", truth.queries, 1), ("index", truth.searched, 2)):
        ids, array = list(images.ids), vectors(len(images.ids), seed)
        write_vectors(folder, kind, split, *(change(ids, array) if split == "index" else (ids, array)))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_every_form_of_embeddings_ranks_the_same(kind: str, truth: GroundTruth, tmp_path: Path) -> None:
    folder = save(tmp_path, kind, truth, lambda ids, array: (ids[::-1], array[::-1]))
    files, *sides = read_embeddings(folder, truth)
    assert len(files) == (2 if kind in ("npz", "parquet") else 4)
    query, gallery = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (vectors(6, 1), vectors(24, 2)))
    assert np.array_equal(rank(truth, *sides).rows, np.argsort(-(query @ gallery.T), axis=1, kind="stable"))


def put(array: np.ndarray, row: int, value: float) -> np.ndarray:
    array[row, 3] = value
    return array


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ids, x: (ids, put(x, 4, np.nan)), "row 5 holds NaN or infinity"),
        (lambda ids, x: (ids, put(x, 4, -np.inf)), "row 5 holds NaN or infinity"),
        (lambda ids, x: (ids, x[:, :5]), "vectors of queries and gallery differ in length; got 12 and 5"),
        (lambda ids, x: (ids[1:], x[1:]), "lacks 1 of 24 images of the split index, the first"),
        (lambda ids, x: ([*ids[:-1], ids[0]], x), "row 24: .* is there twice: keep one"),
        (lambda ids, x: (["stranger", *ids], np.concatenate([x[:1], x])), "row 1: 'stranger' is no image of the split"),
        (lambda ids, x: (ids, x.astype(np.int32)), "are no embeddings|no column of lists of numbers"),
        (lambda ids, x: (ids, x[:, :0]), "are no embeddings|is no file of embeddings"),
    ],
)
def test_wrong_embeddings(kind: str, change: Any, words: str, truth: GroundTruth, tmp_path: Path) -> None:
    save(tmp_path, kind, truth, change)
    with pytest.raises(CorruptInputError, match=words) as caught:
        read_embeddings(tmp_path, truth)
    assert "\n" not in str(caught.value)


def test_embeddings_of_too_few_ids_or_splits(truth: GroundTruth, tmp_path: Path) -> None:
    save(tmp_path, "npy", truth)
    (tmp_path / "index.txt").write_text("one\n")
    with pytest.raises(CorruptInputError, match=r"shape \(24, 12\), expected 1 × d"):
        read_embeddings(tmp_path, truth)
    (tmp_path / "index.txt").unlink()
    with pytest.raises(MissingDataError, match=r"has no ids beside it; expected index.txt"):
        read_embeddings(tmp_path, truth)
    (tmp_path / "index.npy").unlink()
    with pytest.raises(MissingDataError, match="no embeddings of the split index"):
        read_embeddings(tmp_path, truth)


class Trap:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.touch, (self.trace,)


def test_no_pickle_is_ever_loaded(truth: GroundTruth, tmp_path: Path) -> None:
    save(tmp_path, "npz", truth)
    trap = np.array([Trap(tmp_path / "trace")] * 24, dtype=object)
    np.savez(tmp_path / "index.npz", ids=np.array(list(truth.searched.ids)), embeddings=trap)
    with pytest.raises(CorruptInputError, match="no plain array"):
        read_embeddings(tmp_path, truth)
    (tmp_path / "index.npz").unlink()
    np.save(tmp_path / "index.npy", trap)
    (tmp_path / "index.txt").write_text("\n".join(truth.searched.ids))
    with pytest.raises(CorruptInputError):
        read_embeddings(tmp_path, truth)
    (tmp_path / "index.npy").write_bytes(pickle.dumps(trap))
    with pytest.raises(CorruptInputError):
        read_embeddings(tmp_path, truth)
    assert not (tmp_path / "trace").exists()


def test_an_npz_bomb_is_not_unpacked(truth: GroundTruth, tmp_path: Path) -> None:
    save(tmp_path, "npz", truth)
    ids = np.array(list(truth.searched.ids))
    np.savez_compressed(tmp_path / "index.npz", ids=ids, embeddings=np.zeros((24, 1 << 20), np.float32))
    with pytest.raises(CorruptInputError, match="unpacks to too much"):
        read_embeddings(tmp_path, truth)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (24, 1 << 40)})
    with zipfile.ZipFile(tmp_path / "index.npz", "w") as archive:
        for name, content in (("ids", b""), ("embeddings", header.getvalue())):
            with archive.open(f"{name}.npy", "w") as member:
                np.save(member, ids) if name == "ids" else member.write(content)
    with pytest.raises(CorruptInputError, match="no plain array"):
        read_embeddings(tmp_path, truth)


def test_memory_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(CorruptInputError, match="too much memory"), limits.guarded(tmp_path, "file"):
        np.ones(limits.MEMORY // 4, np.float64)
    assert np.ones(limits.MEMORY // 16, np.float64).sum()  # and afterwards as before


def test_depth_cuts_lists_and_vectors(release: Path, tmp_path: Path) -> None:
    truth = truth_of(release, tmp_path, depth=5)
    lists = ranked(truth)
    with pytest.raises(RefusedError, match="got 24, expected at most 5"):
        read_rankings(write_lists(tmp_path / "a.parquet", lists), truth)
    cut = {query: items[:5] for query, items in lists.items()}
    assert read_rankings(write_lists(tmp_path / "a.parquet", cut), truth).rows.shape == (6, 5)
    assert rank(truth, vectors(6), vectors(24)).rows.shape == (6, 5)


def test_queries_among_each_other(release: Path, tmp_path: Path) -> None:
    truth = truth_of(release, tmp_path, gallery_split=None)
    rows = rank(truth, vectors(6), None).rows
    assert all(
        query not in line[line >= 0] and (line >= 0).sum() == 5 for query, line in enumerate(rows.tolist() and rows)
    )


def solution(path: Path, truth: GroundTruth, ignored: int) -> Path:
    place = {landmark: truth.searched.ids[truth.searched.labels[:, 0] == landmark] for landmark in range(6)}
    rows = [
        (id, " ".join(place[int(label)]), part)
        for id, label, part in zip(truth.queries.ids, truth.queries.labels[:, 0], truth.queries.parts, strict=True)
    ]
    rows += [(f"{i:016x}", "None", "Ignored") for i in range(ignored)]
    pd.DataFrame(rows, columns=["id", "images", "Usage"]).to_csv(path, index=False)
    return path


def test_an_official_solution_names_who_is_not_scored(truth: GroundTruth, release: Path, tmp_path: Path) -> None:
    path = solution(tmp_path / "solution.csv", truth, 3)
    official = load_truth(truth.track, release, path)
    lists = ranked(truth)
    extra = lists | {f"{i:016x}": lists[next(iter(lists))] for i in range(2)}
    write_csv(tmp_path / "a.csv", extra)
    assert np.array_equal(read_rankings(tmp_path / "a.csv", official).rows, expected(truth, lists))
    with pytest.raises(RefusedError, match="or give the official solution"):
        read_rankings(tmp_path / "a.csv", truth)
    write_csv(tmp_path / "a.csv", extra | {f"{1:016x}": ["nothing"]})
    with pytest.raises(RefusedError, match="'nothing' is no image"):  # lists that are not scored are checked, too
        read_rankings(tmp_path / "a.csv", official)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-4]))
    with pytest.raises(UsageError, match="do not score the same queries; got 1 in one only"):
        load_truth(truth.track, release, path)


def test_tracks_are_versioned(release: Path, tmp_path: Path) -> None:
    current = truth_of(release, tmp_path).content_hash
    assert truth_of(release, tmp_path, ground_truths=["0" * 64, current])
    for hashes, words in ((["0" * 64], "is no version"), ([current, "0" * 64], "is an older version")):
        with pytest.raises(UsageError, match=words):
            truth_of(release, tmp_path, ground_truths=hashes)
    with pytest.raises(UsageError, match="no track 'min': did you mean mini"):
        load_track("min")
    with pytest.raises(UsageError, match="unknown metric"):
        write_track(tmp_path / "t.yaml", metrics=["hap"])
    assert {load_track(path.stem).name for path in FOLDER.glob("*.yaml")} == {"mini", "photos", "h-gldv2"}
