"""Mining as a whole: every landmark typed or explained, replayed byte for byte, resumed at any request."""

from __future__ import annotations

import tracemalloc

import pyarrow as pa
import pytest

from hierlandmarks import schema, tableparts
from hierlandmarks.errors import IncompleteError, MissingDataError, OfflineError, TableError, UsageError
from hierlandmarks.tables import content_hash, from_rows, read_csv, read_table
from hierlandmarks_pipelines.gldv2 import read_category_file
from hierlandmarks_pipelines.mine import STAGE, MineParams, mine, mine_in_parts, plan
from hierlandmarks_pipelines.mining import add_files, mine_to_folder, plan_for_folder, write_mined
from hierlandmarks_pipelines.wikimedia import landmarks as landmarks_
from hierlandmarks_pipelines.wikimedia import routes
from hierlandmarks_pipelines.wikimedia.archive import Archive
from hierlandmarks_pipelines.wikimedia.client import Client
from hierlandmarks_pipelines.wikimedia.landmarks import Landmarks
from hierlandmarks_pipelines.wikimedia.reasons import REASONS
from tests.faults.wiki import FakeWiki, item, statement

COMMONS = "http://commons.wikimedia.org/wiki/Category:"

PAGES = {
    "Category:Eiffel Tower": {"item": "Q20"},  # a category item
    "Category:Old Tower": {"soft": ["Category redirect"], "text": "{{Category redirect|Eiffel Tower}}"},
    "Category:Louvre": {"item": "Q21"},
    "Category:Bad": {"invalid": True},
    "Category:Round": {"soft": ["Category redirect"], "text": "{{Category redirect|Round}}"},
    "Category:Nowhere": {"soft": ["Category redirect"], "text": "{{Category redirect}}"},
    "Category:No item": {},
    "Category:Only named": {},
    "Category:Named twice": {},
    "Category:Deleted item": {"item": "Q22"},
    "Category:Topicless": {"item": "Q23"},
    "Category:Loop": {"item": "Q24"},
    "Category:Untyped": {"item": "Q26"},
    "Category:Unknown": {"item": "Q27"},
    "Category:Dead type": {"item": "Q28"},
}
ITEMS = [
    item("Q20", "Category:Eiffel Tower", P31="Q4167836", P301="Q243"),
    item("Q243", "Eiffel Tower", P31=["Q1", "Q2", statement("Q3", "deprecated"), statement("Q5", ended=True)]),
    item("Q21", "Louvre", P31=[statement("Q4", "preferred"), "Q1", statement("Q6", "preferred")]),
    item("Q23", P31="Q4167836"),
    item("Q24", P31="Q4167836", P301="Q25"),
    item("Q25", P31="Q4167836", P301="Q24"),
    item("Q26"),
    item("Q27", P31=statement(None, kind="somevalue")),
    item("Q28", P31="Q999"),
    item("Q1", "tower", P279="Q7"),
    item("Q2", "landmark", P279=["Q7", "Q8"]),
    item("Q4", "art museum", P279=statement("Q8", old=True)),
    item("Q5", "exhibit"),
    item("Q7", "structure", P279=["Q8", "Q999"]),
    item("Q8", "", P279="Q2"),  # no English name, and a cycle
]
WIKI = {
    "pages": PAGES,
    "items": ITEMS,
    "redirects": {"Category:Le Louvre": "Category:Louvre"},
    "moved": {"Q6": "Q4"},
    "named": {"Only named": ["Q20"], "Moved": ["Q21"], "Named twice": ["Q21", "Q20"]},
}
REASON_OF = {
    "Eiffel_Tower": "typed",
    "Old_Tower": "typed",
    "Le_Louvre": "typed",
    "Bad": "invalid-title",
    "A%7CB": "invalid-title",
    "Gone": "missing-category",
    "Round": "redirect-loop",
    "Nowhere": "soft-redirect-without-target",
    "No_item": "no-item",
    "Only_named": "typed",
    "Moved": "typed",
    "Named_twice": "ambiguous-name",
    "Deleted_item": "missing-item",
    "Topicless": "category-item-without-topic",
    "Loop": "topic-loop",
    "Untyped": "no-type",
    "Unknown": "type-unknown",
    "Dead_type": "missing-type",
}


@pytest.fixture
def categories():
    rows = [
        {"space": "train", "landmark_id": str(n), "category": COMMONS + name, "name": name}
        for n, name in enumerate(REASON_OF)
    ]
    rows += [{"space": "index", "landmark_id": "0", "category": COMMONS + "Louvre", "name": ""}]
    rows += [{"space": "index", "landmark_id": "1", "category": "", "name": ""}]
    rows += [{"space": "index", "landmark_id": "2", "category": "http://en.wikipedia.org/wiki/Rome", "name": ""}]
    return from_rows(rows, schema.CATEGORIES)


def mined(folder, categories, respond=None, **settings):
    with Archive(folder, write=respond is not None) as archive:
        return mine(categories, Client(archive, respond, now=lambda: "2026-01-01T00:00:00Z"), **settings)


def test_every_landmark_has_its_reason(tmp_path, categories):
    tables = mined(tmp_path, categories, FakeWiki(**WIKI))
    assert tables["reasons"].num_rows == categories.num_rows
    reasons = {(r["space"], r["category"].removeprefix(COMMONS)): r["reason"] for r in tables["reasons"].to_pylist()}
    assert reasons == {("train", name): reason for name, reason in REASON_OF.items()} | {
        ("index", "Louvre"): "typed",
        ("index", ""): "no-category",
        ("index", "http://en.wikipedia.org/wiki/Rome"): "not-a-category",
    }
    assert set(reasons.values()) == set(REASONS) - {"not-linked"}, "every reason is tested"


def test_unlinked_categories_are_looked_for_by_name_last(tmp_path, categories):
    wiki = FakeWiki(**WIKI)
    rows = mined(tmp_path / "named", categories, wiki)["types"].to_pylist()
    routes = {row["title"]: row["route"] for row in rows}
    assert routes["Category:Only named"] == "category>P373=Q20>P301=Q243"
    assert routes["Category:Moved"] == "category>P373=Q21"
    (asked,) = [params["query"] for api, params in wiki.asked if api == "sparql"]
    assert '"Gone" "Moved" "Named twice" "No item" "Only named"' in asked
    wiki = FakeWiki(**WIKI)
    tables = mined(tmp_path / "not", categories, wiki, by_name=False)
    found = {row["category"]: row["reason"] for row in tables["reasons"].to_pylist()}
    assert {found[COMMONS + name] for name in ("No_item", "Only_named", "Named_twice")} == {"not-linked"}
    assert found[COMMONS + "Moved"] == "missing-category"
    assert all(api != "sparql" for api, _ in wiki.asked)
    assert hashes(mined(tmp_path / "not", categories)) == hashes(tables), "a replay knows what was not asked"


def test_types_carry_their_provenance(tmp_path, categories):
    rows = mined(tmp_path, categories, FakeWiki(**WIKI))["types"].to_pylist()
    tower = {row["type_id"]: row for row in rows if (row["space"], row["landmark_id"]) == ("train", "1")}
    assert {qid: (row["type"], row["rank"], row["ended"]) for qid, row in tower.items()} == {
        "Q1": ("tower", "normal", False),
        "Q2": ("landmark", "normal", False),
        "Q5": ("exhibit", "normal", True),
    }
    assert tower["Q1"]["title"] == "Category:Old Tower"
    assert tower["Q1"]["route"] == "category>redirect=Category:Eiffel Tower>pageprops=Q20>P301=Q243"
    assert (tower["Q1"]["item"], tower["Q1"]["revision"]) == ("Q243", 1243)
    louvre = [row for row in rows if (row["space"], row["landmark_id"]) == ("index", "0")]
    assert [(row["type_id"], row["rank"]) for row in louvre] == [("Q4", "preferred")]  # Q6 was merged into Q4


def test_classes_are_acyclic_and_cycles_are_told(tmp_path, categories):
    tables = mined(tmp_path, categories, FakeWiki(**WIKI))
    edges = {(row["type_id"], row["parent_id"]): row for row in tables["subclasses"].to_pylist()}
    assert {pair: row["depth"] for pair, row in edges.items()} == {
        ("Q1", "Q7"): 1,
        ("Q2", "Q7"): 1,
        ("Q2", "Q8"): 1,
        ("Q4", "Q8"): 1,
        ("Q7", "Q8"): 2,
    }
    assert edges["Q2", "Q8"]["parent"] == "Q8"  # nameless: its id
    assert tables["cycles"].to_pylist() == [{"type_id": "Q8", "parent_id": "Q2", "cycle": "Q8>Q2>Q8"}]
    assert mined(tmp_path, categories, depth=0)["subclasses"].num_rows == 0


def test_a_replay_is_the_same(tmp_path, categories):
    wiki = FakeWiki(**WIKI, paged=True)
    first = mined(tmp_path, categories, wiki)
    asked = len(wiki.asked)
    assert hashes(mined(tmp_path, categories)) == hashes(first)
    assert hashes(mined(tmp_path, categories, wiki)) == hashes(first)
    assert len(wiki.asked) == asked, "a finished run asks nothing"
    shuffled = categories.take(list(range(categories.num_rows))[::-1])
    assert hashes(mined(tmp_path, shuffled)) == hashes(first)


def hashes(tables):
    return {name: content_hash(table) for name, table in tables.items()}


def test_stopped_at_any_request_it_goes_on(tmp_path, categories):
    wiki = FakeWiki(**WIKI, paged=True)
    whole = mined(tmp_path / "whole", categories, wiki)
    requests = wiki.asked
    assert len(requests) == 8
    assert len({str(one) for one in requests}) == len(requests), "nothing is asked twice"
    for stop in range(len(requests)):
        asked = []

        def respond(api, params, asked=asked, stop=stop):
            if len(asked) == stop:
                raise ConnectionResetError
            asked.append((api, dict(params)))
            return FakeWiki(**WIKI, paged=True)(api, params)

        folder = tmp_path / str(stop)
        with pytest.raises(ConnectionResetError):
            mined(folder, categories, respond)
        with pytest.raises(MissingDataError):
            mined(folder, categories)
        rest = FakeWiki(**WIKI, paged=True)
        assert hashes(mined(folder, categories, rest)) == hashes(whole)
        assert asked + rest.asked == requests
        for path in (tmp_path / "whole").iterdir():
            assert (folder / path.name).read_bytes() == path.read_bytes()


def test_big_batches_are_cut_at_fifty(tmp_path):
    names = [f"Place {n:03d}" for n in range(120)]
    rows = [{"space": "train", "landmark_id": n, "category": COMMONS + n.replace(" ", "_"), "name": n} for n in names]
    pages = {f"Category:{name}": {"item": f"Q{1000 + n}"} for n, name in enumerate(names)}
    items = [item(f"Q{1000 + n}", P31=f"Q{2000 + n}") for n in range(120)]
    items += [item(f"Q{2000 + n}", f"type {n}") for n in range(120)]
    wiki = FakeWiki(pages, items)
    tables = mined(tmp_path, from_rows(rows, schema.CATEGORIES), wiki)
    assert tables["types"].num_rows == 120
    assert len(wiki.asked) == 9  # three batches each of titles, items and types


def test_negative_depth(tmp_path, categories):
    with pytest.raises(UsageError, match="depth"):
        mined(tmp_path, categories, FakeWiki(**WIKI), depth=-1)


def test_plan_counts_what_is_left(categories):
    with Landmarks() as landmarks:
        landmarks.add(categories)
        cost = plan(landmarks, archived=0)
        assert (cost["landmarks"], cost["titles"]) == (21, 19)
        assert 0 < cost["calls_at_least"] < cost["calls_at_most"]
        assert plan(landmarks, archived=10**6)["calls_at_most"] == 0


# -- stage and files --


def test_the_stage_replays_the_archive_in_source(tmp_path, categories):
    whole = mined(tmp_path, categories, FakeWiki(**WIKI))
    inputs = {"categories": categories, "source": tmp_path}
    made = STAGE.run(MineParams(replay=True), inputs, {})
    assert hashes(made) == hashes(whole)
    assert set(made) == set(STAGE.makes)
    with pytest.raises(MissingDataError, match="archived answers"):
        STAGE.run(MineParams(replay=True, archive=tmp_path / "nothing"), inputs, {})


def test_mining_needs_a_contact_and_the_network(tmp_path, categories, monkeypatch):
    monkeypatch.delenv("HIERLANDMARKS_CONTACT", raising=False)
    inputs = {"categories": categories}
    with pytest.raises(UsageError, match="HIERLANDMARKS_CONTACT"):
        STAGE.run(MineParams(archive=tmp_path / "new"), inputs, {})
    monkeypatch.setenv("HIERLANDMARKS_OFFLINE", "1")
    with pytest.raises(OfflineError):
        STAGE.run(MineParams(archive=tmp_path / "new", contact="me@example.org"), inputs, {})
    assert not (tmp_path / "new").exists()


@pytest.fixture
def csv_file(tmp_path, categories):
    path = tmp_path / "train_label_to_category.csv"
    rows = [row for row in categories.to_pylist() if row["space"] == "train"]
    path.write_text("landmark_id,category\n" + "".join(f"{row['landmark_id']},{row['category']}\n" for row in rows))
    return path


def test_files_in_files_out(tmp_path, csv_file):
    out = tmp_path / "out"
    with Archive(out, write=True) as archive:
        mine(read_category_file(csv_file, "train"), Client(archive, FakeWiki(**WIKI)))
    counts = mine_to_folder([csv_file], out, MineParams(replay=True))
    assert counts["typed"] == 5
    assert sum(counts.values()) == 18
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    expected = {"types.parquet", "types.json", "subclasses.parquet", "subclasses.json", "reasons.csv", "cycles.csv"}
    assert set(before) == expected | {"summary.json", "responses-00000.jsonl.zst"}
    mine_to_folder([csv_file], out, MineParams(replay=True))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert read_table(out / "types.parquet", schema.TYPES).num_rows == 11
    assert read_csv(out / "reasons.csv", schema.REASONS.schema.names).num_rows == 18
    assert plan_for_folder([csv_file], out, MineParams())["archived"] > 5


def spaces(paths, space=None):
    with Landmarks() as landmarks:
        add_files(landmarks, paths, space)
        return {landmark["space"] for part in landmarks.routed() for landmark, _ in part}


def test_whose_ids_a_file_uses(tmp_path, csv_file):
    other = tmp_path / "mine.csv"
    other.write_text(csv_file.read_text())
    with pytest.raises(UsageError, match="--space"):
        spaces([other])
    assert spaces([other], "index") == {"index"}
    assert spaces([csv_file.rename(tmp_path / "index_x.csv")]) == {"index"}


def test_a_landmark_in_two_files_is_refused(tmp_path, csv_file):
    twin = tmp_path / "train_again.csv"
    twin.write_text(csv_file.read_text())
    with pytest.raises(TableError, match=r"train_again\.csv row 2: the train landmark 0 is repeated"):
        spaces([csv_file, twin])
    twin.write_text("landmark_id,category\n7,x\n8,y\n7,z\n")
    with pytest.raises(TableError, match=r"row 4: .* landmark 7 is repeated"):
        spaces([twin])


def test_landmarks_come_sorted_with_their_routes():
    rows = [("train", "9", "B"), ("train", "10", "A"), ("index", "9", "A"), ("index", "1", "")]
    cells = [{"space": s, "landmark_id": n, "category": t and COMMONS + t, "name": ""} for s, n, t in rows]
    with Landmarks() as landmarks:
        landmarks.add(pa.Table.from_pylist(cells[:2]))
        landmarks.add(pa.Table.from_pylist(cells[2:]))
        assert len(landmarks) == 4
        assert list(landmarks.titles()) == ["Category:A", "Category:B"]
        landmarks.add_routes({"Category:A": {"reason": "é"}})
        (part,) = landmarks.routed()
    found = [(landmark["space"], landmark["landmark_id"], route) for landmark, route in part]
    route = {"reason": "é"}
    assert found == [("index", "1", None), ("index", "9", route), ("train", "10", route), ("train", "9", None)]


def test_memory_does_not_grow_with_the_landmarks(tmp_path, monkeypatch):
    monkeypatch.setattr(routes, "CHUNK", 200)
    monkeypatch.setattr(landmarks_, "SLICE", 200)
    monkeypatch.setattr(tableparts, "READ_ROWS", 200)
    items = [item(f"Q{n}", P31="Q5") for n in range(1000, 5000)]
    wiki = FakeWiki(
        {f"Category:Place {n}": {"item": f"Q{n}"} for n in range(1000, 5000)}, [*items, item("Q5", "place")]
    )

    def peak(count):
        path = tmp_path / "train_label_to_category.csv"
        rows = [f"{n},{COMMONS}Place_{n}\n" for n in range(1000, 1000 + count)]
        path.write_text("landmark_id,category\n" + "".join(rows))
        with Archive(tmp_path / str(count), write=True) as archive, Landmarks() as landmarks:
            tracemalloc.start()
            add_files(landmarks, [path])
            write_mined(mine_in_parts(landmarks, Client(archive, wiki)), tmp_path / str(count), 10)
            highest = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return highest

    peak(400)  # what is imported and cached at first use
    assert peak(4000) - peak(800) < 3200 * 100, (
        "what is left: where each answer lies, and what the fake Wikimedia was asked"
    )


def test_a_full_disk_is_told():
    with Landmarks() as landmarks:
        landmarks._db.execute("PRAGMA max_page_count = 20")
        many = {f"Category:{n}": {"reason": "no-item"} for n in range(10_000)}
        with pytest.raises(IncompleteError, match="disk is full: make room, or set TMPDIR"):
            landmarks.add_routes(many)
