"""Fetching from a server that misbehaves: the right bytes in the end, or a clear error and nothing under the name."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hierlandmarks.errors import ChecksumError, IncompleteError, OfflineError, UsageError
from hierlandmarks.fetch import Fetched, Manners, fetch_file
from hierlandmarks.network import HostLimit, Patience
from hierlandmarks.parts import BusyError, Part, _host
from tests.faults.servers import FileServer, serving

BODY = random.Random(0).randbytes(300_000)
MD5 = hashlib.md5(BODY).hexdigest()


@pytest.fixture
def server():
    with serving(FileServer({"a.tar": BODY})) as running:
        yield running


class Fetch:
    """Fetches with recorded waits instead of real ones."""

    def __init__(self, server: FileServer, path: Path) -> None:
        self.server, self.path, self.waits = server, path, []

    def __call__(self, tries: int = 4, urls: tuple[str, ...] = (), **settings) -> Fetched:
        patience = Patience(tries=tries, first=2.0, longest=60.0, longest_asked=240.0, sleep=self.waits.append)
        manners = Manners(patience=patience, read=5.0, **settings.pop("manners", {}))
        settings = {"md5": (MD5,), **settings}
        return fetch_file(urls or (self.server.url + "a.tar",), self.path, manners=manners, **settings)

    def assert_nothing_final(self) -> None:
        assert not self.path.exists()


@pytest.fixture
def fetch(server, tmp_path):
    return Fetch(server, tmp_path / "to" / "a.tar")


def test_plain(fetch, server):
    result = fetch()
    assert fetch.path.read_bytes() == BODY
    assert (result.size, result.md5, result.received) == (len(BODY), MD5, len(BODY))
    assert result.sha256 == hashlib.sha256(BODY).hexdigest()
    assert [p.name for p in fetch.path.parent.iterdir()] == ["a.tar"]
    assert fetch.waits == []


@pytest.mark.parametrize(
    "faults",
    [
        ["cut", "cut", "cut"],
        ["html", "gzip"],
        ["503", "429 7", "503 date"],
        ["cut", "416"],
        ["cut", "412"],
        ["cut", "lie"],
        ["cut", "whole"],
        ["cut", "renew"],
        ["cut", "html", "cut", "503"],
    ],
    ids=" ".join,
)
def test_gets_there_in_the_end(fetch, server, faults):
    server.faults["a.tar"] = list(faults)
    assert fetch().md5 == MD5
    assert fetch.path.read_bytes() == BODY
    assert [p.name for p in fetch.path.parent.iterdir()] == ["a.tar"]


def test_continues_where_it_was_cut(fetch, server):
    server.faults["a.tar"] = ["cut"]
    assert fetch().received == len(BODY)
    assert [span for _, span in server.asked] == [None, f"bytes={len(BODY) // 2}-"]


def test_new_etag_means_from_the_start(fetch, server):
    server.faults["a.tar"] = ["cut", "renew"]
    assert fetch().received == len(BODY) // 2 + len(BODY)


def test_retry_after_is_waited_for(fetch, server):
    server.faults["a.tar"] = ["503 7", "503 date", "503"]
    fetch()
    assert 7 <= fetch.waits[0] < 8
    assert 0 <= fetch.waits[1] < 1
    assert 4 <= fetch.waits[2] <= 8  # third step of 2, 4, 8 with jitter


def test_a_wait_beyond_reason_ends_the_run(fetch, server):
    server.faults["a.tar"] = ["503 9999"]
    with pytest.raises(IncompleteError, match="503"):
        fetch()
    assert fetch.waits == []


@pytest.mark.parametrize("fault", ["html", "gzip", "503", "cut"])
def test_gives_up_in_a_bounded_number_of_tries(fetch, server, fault):
    server.faults["a.tar"] = [fault] * 1000
    server.faults["a.tar"] += ["cut"] * 1000
    with pytest.raises(IncompleteError, match="tries"):
        fetch(tries=3)
    fetch.assert_nothing_final()
    assert len(server.asked) < 40


def test_what_came_is_kept_for_the_next_run(fetch, server):
    server.faults["a.tar"] = ["cut", "503", "503"]
    with pytest.raises(IncompleteError):
        fetch(tries=2)
    fetch.assert_nothing_final()
    assert fetch().received == len(BODY) - len(BODY) // 2
    assert fetch.path.read_bytes() == BODY


def test_wrong_checksum_is_said_once_and_leaves_nothing(fetch, server):
    with pytest.raises(ChecksumError, match=MD5):
        fetch(md5=("0" * 32,))
    fetch.assert_nothing_final()
    assert len(server.asked) == 1
    assert list(fetch.path.parent.glob(".*.part")) == []


def test_a_spoilt_part_is_fetched_anew(fetch, server):
    server.faults["a.tar"] = ["cut", "503", "503"]
    with pytest.raises(IncompleteError):
        fetch(tries=2)
    (part,) = fetch.path.parent.glob(".a.tar.part")
    part.write_bytes(b"x" * part.stat().st_size)
    assert fetch().md5 == MD5


def test_a_replaced_file_without_checksum_is_never_mixed(fetch, server):
    server.faults["a.tar"] = ["cut", "503", "503"]
    with pytest.raises(IncompleteError):
        fetch(tries=2, md5=())
    server.files["a.tar"] = BODY[::-1]
    server.version["a.tar"] += 1
    fetch(md5=())
    assert fetch.path.read_bytes() == BODY[::-1]


def test_no_length_and_no_checksum_is_not_trusted(fetch, server):
    server.faults["a.tar"] = ["endless", "endless"]
    with pytest.raises(IncompleteError, match="no size"):
        fetch(tries=2, md5=())
    server.faults["a.tar"] = ["endless"]
    assert fetch().md5 == MD5


def test_files_that_would_fill_the_disk(fetch, server, monkeypatch):
    server.faults["a.tar"] = ["endless"]
    with pytest.raises(IncompleteError, match="does not end"):
        fetch(at_most=1000)
    with pytest.raises(IncompleteError, match="larger than the file can be"):
        fetch(at_most=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(IncompleteError, match="disk is too small"):
        fetch()
    fetch.assert_nothing_final()


def test_wrong_size(fetch):
    with pytest.raises(ChecksumError, match="size"):
        fetch(size=5)
    fetch.assert_nothing_final()


def test_mirrors_are_tried_in_order(fetch, server):
    urls = (server.url + "gone.tar", server.url + "a.tar")
    assert fetch(urls=urls).url == urls[1]
    with serving(FileServer({"a.tar": b"bad"})) as bad:
        fetch.path.unlink()
        assert fetch(urls=(bad.url + "a.tar", server.url + "a.tar")).md5 == MD5


def test_missing_file_is_not_asked_for_again(fetch, server):
    with pytest.raises(IncompleteError, match="404"):
        fetch(urls=(server.url + "gone.tar",))
    assert len(server.asked) == 1


def test_redirects(fetch, server):
    server.files["b.tar"] = BODY
    server.faults["a.tar"] = [">/b.tar"]
    assert fetch().md5 == MD5
    for target in ("http://localhost:9/a.tar", "ftp://127.0.0.1/a.tar", "file:///etc/passwd"):
        server.faults["a.tar"] = [f">{target}"]
        fetch.path.unlink(missing_ok=True)
        with pytest.raises(IncompleteError, match="not followed"):
            fetch()
        fetch.assert_nothing_final()
    server.faults["a.tar"] = [">/a.tar"] * 20
    with pytest.raises(IncompleteError, match="on and on"):
        fetch()


def test_a_redirect_to_a_listed_host_is_followed(fetch, server):
    server.faults["a.tar"] = [f">{server.url.replace('127.0.0.1', 'localhost')}a.tar"]
    assert fetch(manners={"hosts": ("localhost",)}).md5 == MD5


def test_https_is_never_followed_by_http(fetch, server):
    with pytest.raises(UsageError, match="without encryption"):
        fetch(urls=("https://127.0.0.1:1/a.tar", server.url + "a.tar"))
    assert server.asked == []


def test_a_host_sees_a_few_connections_at_once(tmp_path):
    server = CrowdServer({f"{n}.tar": BODY for n in range(8)})
    manners = Manners(limit=HostLimit(3))
    with serving(server), ThreadPoolExecutor(8) as pool:
        urls = [f"{server.url}{n}.tar" for n in range(8)]
        list(pool.map(lambda url: fetch_file([url], tmp_path / url[-5:], md5=(MD5,), manners=manners), urls))
    assert 2 <= server.most <= 3


class CrowdServer(FileServer):
    """Counts the requests it works on at the same time."""

    now = most = 0

    def answer(self, request) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        time.sleep(0.05)
        self.now -= 1  # before the answer: whoever has it may come again at once
        super().answer(request)


def test_what_a_server_says_reaches_no_path(fetch, server, tmp_path):
    server.version["a.tar"] = '../../"/etc/passwd'
    server.faults["a.tar"] = ["cut", "503", "503"]
    with pytest.raises(IncompleteError):
        fetch(tries=2)
    assert {path.parent for path in tmp_path.rglob("*")} == {tmp_path, fetch.path.parent}
    server.faults["a.tar"] = [">/%2e%2e/%2e%2e/etc/passwd"]
    with pytest.raises(IncompleteError, match="404"):
        fetch()
    assert fetch().md5 == MD5
    assert [path.name for path in fetch.path.parent.iterdir()] == ["a.tar"]


def test_slow_drip_is_given_up(fetch, server):
    server.faults["a.tar"] = []
    with pytest.raises(IncompleteError, match="only"):
        fetch(tries=1, manners={"slowest": 1e12, "window": 0.0})


def test_refusals_before_any_socket(fetch, server, monkeypatch):
    with pytest.raises(UsageError, match="no address"):
        fetch(urls=("ftp://host/a.tar",))
    monkeypatch.setenv("HIERLANDMARKS_OFFLINE", "1")
    with pytest.raises(OfflineError):
        fetch()
    assert server.asked == []


def test_two_processes_do_not_share_a_part(fetch, server, tmp_path):
    fetch.path.parent.mkdir()
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        theirs = fetch.path.with_name(f".a.tar.part.{_host()}.{owner.pid}")
        theirs.write_bytes(BODY[:1000])
        with pytest.raises(BusyError, match="another process"):
            fetch()
        assert theirs.read_bytes() == BODY[:1000]
    finally:
        owner.kill()
        owner.wait()
    assert fetch().md5 == MD5  # its owner is gone: taken over
    assert [p.name for p in fetch.path.parent.iterdir()] == ["a.tar"]


def test_a_process_that_comes_back_under_its_number_goes_on(fetch, server):
    """As in a container, where the first process is number 1 each time."""
    server.faults["a.tar"] = ["cut", "503", "503"]
    with pytest.raises(IncompleteError):
        fetch(tries=2)
    part = fetch.path.with_name(".a.tar.part")
    part.rename(part.with_name(f"{part.name}.{_host()}.{os.getpid()}"))
    assert fetch().received == len(BODY) - len(BODY) // 2
    ours = Part(fetch.path.with_name("b.tar"))
    with pytest.raises(BusyError):
        Part(fetch.path.with_name("b.tar"))
    ours.release()


def test_an_owner_on_another_machine_counts_as_gone_after_a_while(fetch, server):
    fetch.path.parent.mkdir()
    theirs = fetch.path.with_name(".a.tar.part.elsewhere.1")
    theirs.write_bytes(BODY[:1000])
    with pytest.raises(BusyError):
        fetch()
    os.utime(theirs, (time.time() - 3600,) * 2)
    assert fetch().md5 == MD5


def test_records_are_json_and_the_part_says_what_it_is_of(fetch, server):
    server.faults["a.tar"] = ["cut", "503", "503"]
    with pytest.raises(IncompleteError):
        fetch(tries=2)
    facts = json.loads(fetch.path.with_name(".a.tar.part.json").read_text())
    assert facts == {"etag": '"a.tar-0"', "total": len(BODY)}
