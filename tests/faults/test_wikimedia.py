"""Mining over HTTP from a MediaWiki that misbehaves: the same tables in the end, or a clear error and no loss."""

from __future__ import annotations

import json

import pytest

from hierlandmarks import schema
from hierlandmarks.cli import run
from hierlandmarks.errors import IncompleteError, OfflineError, UsageError
from hierlandmarks.network import Patience
from hierlandmarks.tables import from_rows
from hierlandmarks_pipelines.mine import mine
from hierlandmarks_pipelines.wikimedia import client as client_module
from hierlandmarks_pipelines.wikimedia.archive import Archive
from hierlandmarks_pipelines.wikimedia.client import Client, Http
from hierlandmarks_pipelines.wikimedia.pace import Bucket
from tests.faults.servers import WikiServer, serving
from tests.faults.wiki import FakeWiki, item

COMMONS = "http://commons.wikimedia.org/wiki/Category:"
WIKI = FakeWiki(
    {"Category:Tour Eiffel": {"item": "Q243"}, "Category:Château d'If & Co+": {"item": "Q244"}},
    [item("Q243", P31="Q1"), item("Q244", P31="Q2"), item("Q1", "tower"), item("Q2", "château")],
    paged=True,
)
CATEGORIES = from_rows(
    [
        {"space": "train", "landmark_id": "1", "category": COMMONS + "Tour_Eiffel", "name": ""},
        {"space": "train", "landmark_id": "2", "category": COMMONS + "Ch%C3%A2teau_d'If_%26_Co%2B", "name": ""},
    ],
    schema.CATEGORIES,
)


@pytest.fixture
def server():
    with serving(WikiServer(WIKI)) as running:
        yield running


class Mine:
    def __init__(self, server, folder):
        self.server, self.folder, self.waits = server, folder, []

    def transport(self, tries=5):
        apis = {"commons": self.server.url + "commons", "wikidata": self.server.url + "wikidata"}
        return Http(
            "me@example.org",
            apis,
            Bucket(sleep=lambda seconds: None, clock=iter(range(0, 10**6, 60)).__next__),
            Patience(tries=tries, sleep=self.waits.append),
        )

    def __call__(self, **settings):
        with Archive(self.folder, write=True) as archive:
            return mine(CATEGORIES, Client(archive, self.transport(**settings)))


@pytest.fixture
def mining(server, tmp_path):
    return Mine(server, tmp_path)


def names(tables):
    return [(row["landmark_id"], row["type"]) for row in tables["types"].to_pylist()]


TYPES = [("1", "tower"), ("2", "château")]


def test_plain(mining, server):
    assert names(mining()) == TYPES
    assert mining.waits == []
    (agent,) = server.agents
    assert agent.startswith("hierlandmarks/")
    assert "(me@example.org)" in agent


@pytest.mark.parametrize(
    "faults",
    [["maxlag"], ["ratelimited", "maxlag"], ["503 7"], ["429"], ["html"], ["drop", "drop"], ["502", "html", "maxlag"]],
    ids=" ".join,
)
def test_gets_there_in_the_end(mining, server, faults):
    server.faults = list(faults)
    assert names(mining()) == TYPES
    assert len(mining.waits) == len(faults)
    assert len(server.asked) == 4 + len(faults)


def test_waits_grow_and_are_what_the_server_asks_for(mining, server):
    server.faults = ["503", "503", "503 7", "maxlag"]
    mining()
    assert 2.5 <= mining.waits[0] <= 5
    assert 5 <= mining.waits[1] <= 10
    assert 7 <= mining.waits[2] < 8
    assert 5 <= mining.waits[3] < 6


@pytest.mark.parametrize("fault", ["503", "html", "drop", "maxlag"])
def test_gives_up_and_goes_on_later(mining, server, fault, capsys):
    server.faults = ["", *[fault] * 3]
    with pytest.raises(IncompleteError, match=r"after 3 tries.*later"):
        mining(tries=3)
    said = capsys.readouterr().err
    assert [said.count(f"trying again, {number} of 3") for number in (2, 3, 4)] == [1, 1, 0], "no wait is silent"
    assert len(server.asked) == 4
    assert names(mining()) == TYPES
    assert len(server.asked) == 4 + 3, "what was answered is not asked again"


def test_a_server_that_wants_us_gone_for_long(mining, server):
    server.faults = ["429 86400"]
    with pytest.raises(IncompleteError, match="429"):
        mining()
    assert mining.waits == []


@pytest.mark.parametrize(
    ("fault", "message"), [("403", "contact"), ("404", "404"), (">https://example.org/", "not followed")]
)
def test_refusals_end_at_once(mining, server, fault, message):
    server.faults = [fault]
    with pytest.raises(IncompleteError, match=message):
        mining()
    assert len(server.asked) == 1


def test_answers_too_large_are_cut_off(mining, monkeypatch):
    monkeypatch.setattr(client_module, "MAX_BYTES", 10)
    with pytest.raises(IncompleteError, match="too large"):
        mining()


def test_offline_opens_no_socket(mining, server, monkeypatch):
    transport = mining.transport()
    monkeypatch.setenv("HIERLANDMARKS_OFFLINE", "1")
    with pytest.raises(OfflineError):
        transport("commons", {"titles": "A"})
    with pytest.raises(OfflineError):
        mining.transport()
    assert server.asked == []


@pytest.mark.parametrize("address", ["http://commons.wikimedia.org/w/api.php", "ftp://127.0.0.1/", "commons"])
def test_addresses_that_are_not_safe(address):
    with pytest.raises(UsageError, match="https"):
        Http("me@example.org", {"commons": address})


def test_mine_command_against_a_mirror(server, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("HIERLANDMARKS_CONTACT", raising=False)
    table = tmp_path / "train_label_to_category.csv"
    rows = [f"{row['landmark_id']},{row['category']}" for row in CATEGORIES.to_pylist()]
    table.write_text("\n".join(["landmark_id,category", *rows, "3,"]))
    arguments = ["mine", "--categories", str(table), "--out", str(tmp_path / "out")]
    assert run([*arguments, "--plan", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["titles"] == 2
    assert run(arguments) == 1
    assert "--contact" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    monkeypatch.setenv("HIERLANDMARKS_COMMONS_API", server.url + "commons")
    live = ["--contact", "me@example.org", "--wikidata-api", server.url + "wikidata", "--json"]
    assert run([*arguments, *live]) == 0
    assert json.loads(capsys.readouterr().out)["reasons"] == {"typed": 2, "no-category": 1}
    made = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    monkeypatch.setenv("HIERLANDMARKS_OFFLINE", "1")
    assert run([*arguments, "--replay"]) == 0
    assert "3  landmarks in all" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == made
    assert run([*arguments[:-1], str(tmp_path / "other"), "--replay"]) == 2
    assert run(["mine", "--categories", str(tmp_path / "no.csv"), "--out", str(tmp_path)]) == 1
