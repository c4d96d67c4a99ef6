"""kill -9 at random moments, again and again: nothing that was on disk is fetched twice, and the bytes are right.

HIERLANDMARKS_KILLS says how often (`make soak`: 500). A process with everything imported forks the victims, so that
most of a kill's time is spent where it matters.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress

import pytest

from hierlandmarks import schema
from hierlandmarks.tables import content_hash, from_rows
from hierlandmarks_pipelines.mine import mine
from hierlandmarks_pipelines.wikimedia.archive import Archive
from hierlandmarks_pipelines.wikimedia.client import Client
from tests.faults.servers import FileServer, WikiServer, serving
from tests.faults.wiki import FakeWiki, item
from tests.labelworld import LAKE, decide, labels_folder

KILLS = int(os.environ.get("HIERLANDMARKS_KILLS", "50"))
NURSERY = """
import os, signal, sys
sys.path[:0] = sys.argv[2:]
exec(sys.argv[1])
for line in sys.stdin:
    child = os.fork()
    if not child:
        try:
            work(*line.split())
        except BaseException as error:
            os.write(2, f"{error!r}\\n".encode())
            os._exit(1)
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Victims:
    """Starts processes that run `work(*words)` and kills them."""

    def __init__(self, nursery: subprocess.Popen) -> None:
        self._nursery = nursery

    def run(self, words: str, is_time: Callable[[], bool] = lambda: False) -> int:
        """Run one until it ends, or until it is time to kill it: its status, 0 when all went well."""
        self._nursery.stdin.write(words + "\n")
        self._nursery.stdin.flush()
        pid = int(self._nursery.stdout.readline())
        ended = threading.Event()
        status = []
        reader = threading.Thread(target=lambda: (status.append(int(self._nursery.stdout.readline())), ended.set()))
        reader.start()
        while not ended.wait(0.001):
            if is_time():
                with suppress(ProcessLookupError):  # it came to its end in this very moment
                    os.kill(pid, signal.SIGKILL)
                break
        reader.join()
        return status[0]


@contextmanager
def victims(code: str):
    command = [sys.executable, "-c", NURSERY, code, *[path for path in sys.path if path]]
    nursery = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Victims(nursery)
    finally:
        nursery.stdin.close()
        nursery.wait(10)
        nursery.stdout.close()


class SlowServer(FileServer):
    """Sends in small pieces with a pause between, and knows what it sent."""

    pause = 0.002

    def _send(self, request, status, headers, body, cut=False, endless=False) -> None:
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        for start in range(0, len(body), 16_384):
            time.sleep(self.pause)
            try:
                request.wfile.write(body[start : start + 16_384])
            except OSError:
                return
            self.sent += 16_384


FETCH = """
from pathlib import Path
from hierlandmarks.fetch import fetch_file
def work(url, target, md5):
    fetch_file([url], Path(target), md5=[md5])
"""


@pytest.mark.slow
def test_fetching(tmp_path):
    moment = random.Random(2)
    target = tmp_path / "big.tar"
    server = SlowServer({})
    on_disk = kept = kills = 0
    with serving(server), victims(FETCH) as process:
        while kills < KILLS:
            name = f"{kills}.tar"
            body = server.files[name] = moment.randbytes(1_500_000)
            words = f"{server.url}{name} {target} {hashlib.md5(body).hexdigest()}"
            status, size = 1, 0
            while status:
                asked, stop = len(server.asked), server.sent + moment.randrange(400_000)
                late = moment.random() < 0.2  # some at no byte in particular: before the first, or at the rename
                end = time.monotonic() + moment.uniform(0, 0.3)
                status = process.run(words, lambda: time.monotonic() > end if late else server.sent >= stop)  # noqa: B023
                killed = os.WIFSIGNALED(status)
                assert killed or status == 0
                assert not target.exists() or target.read_bytes() == body, "under its name only when it is right"
                spans = [span for _, span in server.asked[asked:]]
                if spans or not killed:  # killed before it asked for anything: nothing to see
                    kept += int((spans[0] or "bytes=0-")[6:-1]) if spans else size
                    on_disk += size
                kills += killed
                parts = [path for path in tmp_path.glob(".big.tar.part*") if path.suffix != ".json"]
                size = sum(path.stat().st_size for path in parts)
            assert target.read_bytes() == body
            assert {path.name for path in tmp_path.iterdir()} <= {"big.tar", ".big.tar.part.json"}
            target.unlink()
    print(f"{kills} kills: {kept / on_disk:.2%} of {on_disk:,} bytes on disk kept")
    assert kept >= 0.99 * on_disk > 0


MINE = """
from pathlib import Path
from hierlandmarks_pipelines.wikimedia.archive import Archive
from hierlandmarks_pipelines.wikimedia.client import Client, Http
from hierlandmarks_pipelines.wikimedia.pace import Bucket
from tests.faults.test_kills import CATEGORIES, TIME
from hierlandmarks_pipelines.mine import mine
def work(url, folder):
    bucket = Bucket(sleep=lambda seconds: None, clock=iter(range(0, 10**9, 60)).__next__)
    http = Http("me@example.org", {name: url + name for name in ("commons", "wikidata", "sparql")}, bucket)
    with Archive(Path(folder), write=True) as archive:
        mine(CATEGORIES, Client(archive, http, now=lambda: TIME))
"""
TIME = "2026-01-01T00:00:00Z"
PLACES = 600
CATEGORIES = from_rows(
    [
        {
            "space": "train",
            "landmark_id": str(n),
            "category": f"http://commons.wikimedia.org/wiki/Category:Place_{n}",
            "name": "",
        }
        for n in range(PLACES)
    ],
    schema.CATEGORIES,
)


@pytest.mark.slow
def test_mining(tmp_path):
    pages = {f"Category:Place {n}": {"item": f"Q{1000 + n}"} if n % 9 else {} for n in range(PLACES)}
    items = [item(f"Q{1000 + n}", P31=f"Q{10 + n % 50}") for n in range(PLACES)]
    wiki = FakeWiki(pages, [*items, *(item(f"Q{10 + n}", f"type {n}") for n in range(50))])
    with Archive(tmp_path / "whole", write=True) as archive:
        whole = mine(CATEGORIES, Client(archive, wiki, now=lambda: TIME))
    requests = len(wiki.asked)
    moment = random.Random(3)
    kills = runs = 0
    server = WikiServer(wiki)
    with serving(server), victims(MINE) as process:
        while kills < KILLS:
            runs += 1
            folder = tmp_path / f"run {runs}".replace(" ", "-")
            before, own, status = len(server.asked), 0, 1
            while status:
                stop = len(server.asked) + moment.randrange(10)
                status = process.run(f"{server.url} {folder}", lambda: len(server.asked) > stop)  # noqa: B023
                own += os.WIFSIGNALED(status)
                assert os.WIFSIGNALED(status) or status == 0
            kills += own
            assert len(server.asked) - before <= requests + own, "a kill costs the request under way, no more"
            with Archive(folder) as archive:
                tables = mine(CATEGORIES, Client(archive))
            assert {name: content_hash(table) for name, table in tables.items()} == {
                name: content_hash(table) for name, table in whole.items()
            }
            assert [path.read_bytes() for path in folder.iterdir()] == [
                path.read_bytes() for path in (tmp_path / "whole").iterdir()
            ]


APPLY = """
from pathlib import Path
from hierlandmarks_pipelines.review import apply_sheets
def work(labels, *sheets):
    for sheet in sheets:
        apply_sheets([Path(sheet)], Path(labels), reviewer="ann", date="2026-11-24")
"""
SHEETS = 40


def _sheets(folder):
    """Sheets of ten decisions each, all about different types."""
    for number in range(SHEETS):
        rows = [f"hl:type-{number}-{n},type {number} {n},{('lake', 'church', 'drop')[n % 3]}" for n in range(10)]
        (folder / f"{number}.csv").write_text("\n".join(["type_id,type,decision", *rows]) + "\n")
    return [str(folder / f"{number}.csv") for number in range(SHEETS)]


@pytest.mark.slow
def test_applying_decisions(tmp_path):
    """Whole sheets or none of them, in order, and what stood there before stays as it was."""
    labels = labels_folder(tmp_path / "labels", [decide("old", LAKE, reason="it was, already")])
    old = (labels / "decisions.csv").read_bytes()
    sheets = _sheets(tmp_path)
    moment = random.Random(5)
    kills = 0
    with victims(APPLY) as process:
        while kills < KILLS:
            (labels / "decisions.csv").write_bytes(old)
            status, runs = 1, 0
            while status:
                runs += 1
                end = time.monotonic() + moment.uniform(0, 0.05) * runs  # later and later, so that it comes to an end
                status = process.run(" ".join([str(labels), *sheets]), lambda: time.monotonic() > end)  # noqa: B023
                assert os.WIFSIGNALED(status) or status == 0
                kills += os.WIFSIGNALED(status)
                lines = (labels / "decisions.csv").read_bytes().removeprefix(old).decode().splitlines()
                assert (labels / "decisions.csv").read_bytes().startswith(old)
                assert len(lines) % 10 == 0, "a sheet is applied whole or not at all"
                assert [line.split(",")[1] for line in lines] == [
                    f"type {number} {n}" for number in range(len(lines) // 10) for n in range(10)
                ]
            assert len(lines) == 10 * SHEETS


def test_two_who_apply_at_once_lose_nothing(tmp_path):
    labels = labels_folder(tmp_path / "labels", [])
    sheets = _sheets(tmp_path)
    code = f"import sys\n{APPLY}\nwork(*sys.argv[1:])"
    at_once = [
        subprocess.Popen([sys.executable, "-c", code, str(labels), *sheets[start::3]], env=os.environ)
        for start in range(3)
    ]
    assert [process.wait(120) for process in at_once] == [0, 0, 0]
    lines = (labels / "decisions.csv").read_text().splitlines()[1:]
    assert len({line.split(",")[0] for line in lines}) == len(lines) == 10 * SHEETS
