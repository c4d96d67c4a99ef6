"""Titles, redirects, statements, topics and cycles, on made-up and on recorded answers."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from itertools import pairwise

import networkx as nx
import pytest

from hierlandmarks.errors import CorruptInputError, IncompleteError, MissingDataError, UsageError
from hierlandmarks_pipelines.wikimedia.archive import Archive
from hierlandmarks_pipelines.wikimedia.client import Client, user_agent
from hierlandmarks_pipelines.wikimedia.closure import break_cycles, close
from hierlandmarks_pipelines.wikimedia.entities import (
    Statement,
    best_statements,
    get_entities,
    item_id,
    read_entities,
    read_entity,
)
from hierlandmarks_pipelines.wikimedia.pace import Bucket
from hierlandmarks_pipelines.wikimedia.pages import Found, find_items
from hierlandmarks_pipelines.wikimedia.titles import category_title, is_valid
from hierlandmarks_pipelines.wikimedia.topics import find_topics
from hierlandmarks_pipelines.wikimedia.wikitext import redirect_target
from tests.faults.wiki import FakeWiki, item, statement
from tests.reference.cycles import break_cycles_slowly

COMMONS = "http://commons.wikimedia.org/wiki/"


@pytest.fixture
def client(tmp_path):
    """A client over a fake world: `client(pages, items, ...)`."""
    archives = []

    def make(*arguments, **settings):
        archives.append(Archive(tmp_path / str(len(archives)), write=True))
        return Client(archives[-1], FakeWiki(*arguments, **settings))

    yield make
    for archive in archives:
        archive.close()


# -- titles --


@pytest.mark.parametrize(
    ("url", "title"),
    [
        (COMMONS + "Category:Mercado_Modelo", "Category:Mercado Modelo"),
        (COMMONS.replace("http:", "https:") + "Category:Mercado_Modelo", "Category:Mercado Modelo"),
        (COMMONS + "Category:St._Andrews_(Chelan,_Washington)", "Category:St. Andrews (Chelan, Washington)"),
        (COMMONS + "Category:%C3%89cole", "Category:École"),
        (COMMONS + "Category:E%CC%81cole", "Category:École"),  # decomposed
        (COMMONS + "Category:%C3%A9cole", "Category:École"),  # lower case
        (COMMONS + "category:_a__b_", "Category:A b"),
        (COMMONS + "Category:A:b/c", "Category:A:b/c"),
        (COMMONS + "Category:A?uselang=de", "Category:A"),
        (COMMONS + "Category:A%3F", "Category:A?"),
        (COMMONS + "Category:A#History", "Category:A"),
        (COMMONS + "Category:A%C2%A0b%E2%80%8E", "Category:A b"),
        (COMMONS + "Category:", ""),
        (COMMONS + "File:A.jpg", ""),
        ("http://en.wikipedia.org/wiki/Category:A", ""),
        ("Category:A", ""),
        ("", ""),
    ],
)
def test_titles(url, title):
    assert category_title(url) == title


@pytest.mark.parametrize("bad", ["A|B", "A#B", "A[B]", "A{B}", "A<B>", "A\nB", "é" * 128, "A\ufffd"])
def test_titles_that_would_break_a_batch_are_never_asked(bad):
    assert not is_valid(f"Category:{bad}")
    assert is_valid("Category:" + "é" * 127)


@pytest.mark.shared
def test_every_category_of_gldv2_is_a_title(shared):
    with open(shared / "data/gldv2/train_label_sample.csv", encoding="utf-8", newline="") as stream:
        titles = [category_title(row["category"]) for row in csv.DictReader(stream)]
    assert all(title.startswith("Category:") and is_valid(title) for title in titles)
    assert not any("%" in title or "_" in title for title in titles)


# -- soft redirects --


@pytest.mark.parametrize(
    ("wikitext", "target"),
    [
        ("{{Category redirect|Space Needle}}", "Category:Space Needle"),
        ("{{category_redirect|1=Category:Space Needle|reason=x}}", "Category:Space Needle"),
        ("{{Category redirect|reason=moved|Space Needle}}", "Category:Space Needle"),
        (
            "<!-- {{Category redirect|No}} -->\n{{Synonym taxon category redirect | Parus major }}",
            "Category:Parus major",
        ),
        ("{{Wikidata Infobox|qid=Q1}}\n{{Endashcatredirect|A–B}}", "Category:A–B"),
        ("{{Category redirect|[[:Category:Space Needle|here]]}}", "Category:Space Needle"),
        ("{{seecat|Space Needle}}", "Category:Space Needle"),
        ("{{Category redirect}}", ""),
        ("{{Category redirect|}}", ""),
        ("{{Category redirect|A{{!}}B}}", ""),
        ("moved", ""),
    ],
)
def test_target_of_a_soft_redirect(wikitext, target):
    assert redirect_target(wikitext) == target


def soft(target, **more):
    return {"soft": ["Category redirect"], "text": "{{Category redirect|" + target + "}}", **more}


@pytest.mark.parametrize("paged", [False, True])
def test_titles_to_items(client, paged):
    pages = {
        "Category:A": {"item": "Q1"},
        "Category:B": {"item": "Q2"},
        "Category:No item": {},
        "Category:Bad": {"invalid": True},
        "Category:Soft": soft("B"),
        "Category:Soft twice": soft("Soft"),
        "Category:Soft to hard": soft("Old"),
        "Category:Soft with item": soft("A", item="Q9"),
        "Category:Soft nowhere": {"soft": ["Category redirect"], "text": "{{Category redirect}}"},
        "Category:Round": soft("About"),
        "Category:About": soft("Round"),
        "Category:Self": soft("Self"),
        "Category:Soft to nothing": soft("Gone"),
    } | {f"Category:Chain {n}": soft(f"Chain {n + 1}") for n in range(9)}
    redirects = {"Category:Old": "Category:Older", "Category:Older": "Category:A"}
    asked = [*pages, *redirects, "Category:Gone"]
    found = find_items(client(pages, [], redirects, paged=paged), asked)
    assert found.keys() == set(asked)
    assert found["Category:A"] == Found("Q1", ("pageprops=Q1",))
    assert found["Category:Old"] == Found("Q1", ("redirect=Category:A", "pageprops=Q1"))
    assert found["Category:Soft"] == Found("Q2", ("redirect=Category:B", "pageprops=Q2"))
    assert found["Category:Soft twice"].steps == ("redirect=Category:Soft", "redirect=Category:B", "pageprops=Q2")
    assert found["Category:Soft to hard"].steps == ("redirect=Category:Old", "redirect=Category:A", "pageprops=Q1")
    assert found["Category:Soft with item"].item == "Q1"
    reasons = {title.removeprefix("Category:"): one.reason for title, one in found.items() if one.reason}
    assert reasons == {
        "No item": "not-linked",
        "Bad": "invalid-title",
        "Gone": "missing-category",
        "Soft to nothing": "missing-category",
        "Soft nowhere": "soft-redirect-without-target",
        "Round": "redirect-loop",
        "About": "redirect-loop",
        "Self": "redirect-loop",
    } | {f"Chain {n}": "redirect-loop" for n in range(5)} | {f"Chain {n}": "missing-category" for n in range(5, 9)}


def test_answers_are_mapped_back_through_normalisation_and_circles(client):
    class Renaming(FakeWiki):
        def _pages(self, titles, params):
            return {
                "query": {
                    "normalized": [{"fromencoded": False, "from": "Category:Ａ", "to": "Category:A1"}],
                    "converted": [{"from": "Category:A1", "to": "Category:A2"}],
                    "redirects": [
                        {"from": "Category:A2", "to": "Category:A"},
                        {"from": "Category:X", "to": "Category:Y"},
                        {"from": "Category:Y", "to": "Category:X"},
                    ],
                    "pages": [{"title": "Category:A", "pageprops": {"wikibase_item": "Q1"}}],
                }
            }

    asking = client({}, [])
    asking._respond = Renaming({}, [])
    found = find_items(asking, ["Category:Ａ", "Category:X", "Category:Unheard of"])
    assert found["Category:Ａ"].item == "Q1"
    assert found["Category:X"].reason == "redirect-loop"
    assert found["Category:Unheard of"].reason == "missing-category"


# -- items --


def test_rank_rules():
    normal, preferred, deprecated = (statement("Q1"), statement("Q2", "preferred"), statement("Q3", "deprecated"))
    assert best_statements([normal, preferred, deprecated]) == (Statement("Q2", "preferred", False),)
    assert best_statements([normal, deprecated]) == (Statement("Q1", "normal", False),)
    assert best_statements([deprecated]) == ()


def test_several_statements_of_one_type_are_one():
    entity = read_entity(
        "Q5", item("Q5", P31=[statement("Q1", ended=True), statement("Q2"), statement("Q1", old=True)])
    )
    assert entity.values("P31") == (Statement("Q1", "normal", False), Statement("Q2", "normal", False))


def test_unknown_values_are_no_types_and_no_silence():
    entity = read_entity("Q5", item("Q5", P31=[statement(None, kind="somevalue"), statement(None, kind="novalue")]))
    assert entity.values("P31") == ()
    assert entity.says_unknown("P31")
    assert not read_entity("Q5", item("Q5")).says_unknown("P31")


@pytest.mark.parametrize(
    "raw", [None, {"id": "Q5", "missing": ""}, {"id": "Q5", "missing": True}], ids=["absent", "old", "new"]
)
def test_missing_items(raw):
    assert read_entity("Q5", raw).missing


def test_redirected_items_under_either_id():
    moved = {**item("Q2", "two"), "redirects": {"from": "Q1", "to": "Q2"}}
    for key in ("Q1", "Q2"):
        assert read_entities(["Q1"], {"entities": {key: moved}})["Q1"].id == "Q2"


def test_a_refused_id_does_not_cost_its_batch(client):
    class Refusing(FakeWiki):
        def _entities(self, ids):
            if "Q13" in ids:
                return {"error": {"code": "no-such-entity", "info": "no such entity", "id": "Q13"}}
            return super()._entities(ids)

    asking = client({}, [])
    asking._respond = Refusing({}, [item(f"Q{n}", P31="Q1") for n in range(1, 41)])
    entities = get_entities(asking, [f"Q{n}" for n in range(1, 41)], "")
    assert [qid for qid, entity in entities.items() if entity.missing] == ["Q13"]
    assert len(entities) == 40


@pytest.mark.shared
def test_recorded_answers_parse_without_loss(shared):
    folder = shared / "data/wikidata"
    for name in ("wptools/wikidata.json", "wptools/wikidata_images.json", "wptools/wikidata_novalue_snak.json"):
        body = json.loads((folder / name).read_text())["response"]
        for qid, raw in body["entities"].items():
            assert_lossless(qid, raw)
    for name in (
        "wikibase_sdk/Q1.json",
        "wikibase_sdk/Q571.json",
        "wikibase_sdk/Q2112.json",
        "wikibase_sdk/Q217447.json",
    ):
        raw = json.loads((folder / name).read_text())
        assert_lossless(raw["id"], raw)
    for name in ("pywikibot/Q60.wd", "pywikibot/Q60_unknown_datatype.wd", "pywikibot/Q60_only_sitelinks.wd"):
        assert_lossless("Q60", json.loads((folder / name).read_text()))
    for name in ("labels_1", "labels_2", "labels_3"):
        body = json.loads((folder / f"wptools/{name}.json").read_text())["response"]
        found = read_entities(list(body["entities"]), body)
        assert {i: e.label for i, e in found.items()} == {
            i: e["labels"].get("en", {}).get("value", "") for i, e in body["entities"].items()
        }
    old = json.loads((folder / "wikibase_sdk/old_claim_format.json").read_text())
    assert [item_id(one["mainsnak"]) for one in old] == ["Q123", ""]
    body = json.loads((folder / "wikibase_sdk/wbgetentities_response.json").read_text())
    entity = read_entities(["Q3235026"], body)["Q3235026"]
    assert (entity.values("P31")[0].item, entity.revision) == ("Q14406742", 879149929)


def assert_lossless(qid, raw):
    """Every live statement of our properties is there, by an independent reading of the JSON."""
    entity = read_entity(qid, raw)
    assert entity.id == raw.get("id", qid)
    for name in ("P31", "P279", "P301"):
        claims = raw["claims"].get(name, []) if isinstance(raw.get("claims"), dict) else []
        ranks = {claim["rank"] for claim in claims}
        wanted = "preferred" if "preferred" in ranks else "normal"
        expected = {
            f"Q{claim['mainsnak']['datavalue']['value']['numeric-id']}"
            for claim in claims
            if claim["rank"] == wanted and claim["mainsnak"]["snaktype"] == "value"
        }
        assert {s.item for s in entity.values(name)} == expected


def test_topics(client):
    items = [
        item("Q1", P31="Q900"),
        item("Q2", P31="Q4167836", P301="Q1"),
        item("Q3", P31="Q4167836", P301=["Q2", "Q1"]),
        item("Q4", P31="Q4167836"),
        item("Q5", P31="Q4167836", P301="Q6"),
        item("Q6", P31="Q4167836", P301="Q5"),
        item("Q7", P31="Q4167836", P301="Q8"),
        item(
            "Q9",
            P31=["Q4167836", statement("Q900", "deprecated")],
            P301=[statement("Q4"), statement("Q1", "preferred")],
        ),
        item("Q10", P31=statement("Q4167836", "deprecated")),
    ] + [item(f"Q{n}", P31="Q4167836", P301=f"Q{n + 1}") for n in range(100, 110)]
    asked = [*(f"Q{n}" for n in (1, 2, 3, 4, 5, 7, 8, 9, 10, 11)), "Q100"]
    found = find_topics(client({}, items, moved={"Q11": "Q2"}), asked)
    ends = {start: (topic.entity.id, topic.steps) for start, topic in found.items() if not topic.reason}
    assert ends == {
        "Q1": ("Q1", ()),
        "Q2": ("Q1", ("P301=Q1",)),
        "Q3": ("Q1", ("P301=Q2", "P301=Q1")),
        "Q9": ("Q1", ("P301=Q1",)),
        "Q10": ("Q10", ()),
        "Q11": ("Q1", ("redirect=Q2", "P301=Q1")),
    }
    assert {start: topic.reason for start, topic in found.items() if topic.reason} == {
        "Q4": "category-item-without-topic",
        "Q5": "topic-loop",
        "Q7": "missing-item",
        "Q8": "missing-item",
        "Q100": "topic-loop",
    }


# -- closure --


def test_depth_cap():
    parents = {"Q1": ["Q2"], "Q2": ["Q3"], "Q3": ["Q4"]}
    closure = close(["Q1"], lambda level: {one: parents[one] for one in level}, 2)
    assert closure.depth == {"Q1": 0, "Q2": 1, "Q3": 2}
    assert closure.edges == (("Q1", "Q2"), ("Q2", "Q3"))
    assert close(["Q1"], parents.get, 0).edges == ()


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "columns", "cycles"),
    [
        ("p279_edges_from_superclasses_ttl.csv", ("child", "parent"), 0),
        ("p279_edges_from_wikidata_gml.csv", ("child_qid", "parent_qid"), 3),
    ],
)
def test_real_subclass_graphs(shared, name, columns, cycles):
    parents = defaultdict(list)
    with open(shared / "data/wikidata" / name, encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            parents[row[columns[0]]].append(row[columns[1]])
    closure = close(list(parents), lambda level: {one: parents.get(one, []) for one in level}, 50)
    edges = {(child, parent) for child, of in parents.items() for parent in of}
    assert set(closure.edges) | set(closure.cycles) == edges
    assert not set(closure.edges) & set(closure.cycles)
    assert nx.is_directed_acyclic_graph(nx.DiGraph(closure.edges))
    for (child, parent), cycle in closure.cycles.items():
        assert cycle[0] == cycle[-1] == child
        assert cycle[1] == parent
        assert set(pairwise(cycle[1:])) <= set(closure.edges)
    assert (closure.edges, dict(closure.cycles)) == break_cycles_slowly(edges, closure.depth)
    assert len(closure.cycles) == cycles


def test_cycles_do_not_depend_on_the_order_of_edges():
    edges = [("Q1", "Q2"), ("Q2", "Q3"), ("Q3", "Q1"), ("Q3", "Q3"), ("Q10", "Q9"), ("Q9", "Q10")]
    depth = {"Q1": 0, "Q2": 1, "Q3": 2, "Q9": 0, "Q10": 0}
    assert break_cycles(edges, depth) == break_cycles(edges[::-1], depth)
    assert break_cycles(edges, depth)[1] == {
        ("Q3", "Q1"): ("Q3", "Q1", "Q2", "Q3"),
        ("Q3", "Q3"): ("Q3", "Q3"),
        ("Q10", "Q9"): ("Q10", "Q9", "Q10"),
    }


# -- client --


def test_a_replay_never_asks(client, tmp_path):
    with Archive(tmp_path / "empty") as archive, pytest.raises(MissingDataError, match="without replay"):
        Client(archive).ask("commons", {"titles": "Category:A"})


def test_continuation_in_a_circle_is_noticed(client):
    asking = client({}, [])
    turns = iter(range(100))
    asking._respond = lambda api, params: {"continue": {"c": str(next(turns) % 2)}}
    with pytest.raises(CorruptInputError, match="circle"):
        list(asking.follow("commons", {"titles": "A"}))


def test_an_error_is_raised_and_not_archived(client):
    asking = client({}, [])
    asking._respond = lambda api, params: {"error": {"code": "badvalue", "info": "no"}}
    with pytest.raises(IncompleteError, match="badvalue"):
        asking.ask("commons", {"titles": "A"})
    assert len(asking._archive) == 0


@pytest.mark.parametrize("contact", ["", "  ", "nobody", "a@b.c\nX: y", "a@b.c (me)", "ä@b.c"])
def test_contacts_that_reach_nobody(contact):
    with pytest.raises(UsageError, match="contact"):
        user_agent(contact)


def test_the_bucket_keeps_the_pace():
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    bucket = Bucket(per_minute=60, burst=3, clock=lambda: now[0], sleep=sleep)
    times = []
    for _ in range(10):
        bucket.take()
        times.append(now[0])
    assert times[:3] == [0, 0, 0]
    assert times[3:] == pytest.approx([1, 2, 3, 4, 5, 6, 7], abs=1e-3)
    with pytest.raises(UsageError, match="200"):
        Bucket(per_minute=1000)
