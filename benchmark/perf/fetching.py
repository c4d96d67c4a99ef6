"""Fetching, indexing, reading and mining at GLDv2's full size, beside curl, plain reading and the targets.

python benchmark/perf/fetching.py           everything, about three minutes on two cores, 4 GB of disk
python benchmark/perf/fetching.py --small   a hundredth of it, in seconds

Every part runs in a process of its own, whose peak memory is its own. Writes results/fetching.csv with provenance.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
PATHS = [str(ROOT), str(ROOT / "pipelines"), str(ROOT / "benchmark")]
sys.path[:0] = PATHS

ROUNDS = 3
DOWNLOADS = 7  # rounds of curl and fetch, in turn
Rows = dict[str, float]
# A web server that costs little itself: the kernel copies the file to the socket.
SERVER = """
import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        size = os.path.getsize(sys.argv[1])
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        with open(sys.argv[1], "rb") as stream:
            sent = 0
            while sent < size:
                sent += os.sendfile(self.connection.fileno(), stream.fileno(), sent, 2**20)
    def log_message(self, *_): pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


def seconds(function: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def peak_mb() -> float:
    """Highest resident memory of this process so far; not of the one that started it, as `getrusage` has it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def write_tar(path: Path, scale: float) -> None:
    """A tar like GLDv2's train tars: 1 GB in 8,266 members."""
    noise = os.urandom(2**20)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for number in range(int(8266 * scale)):
            name = hashlib.md5(str(number).encode()).hexdigest()[:16]
            member = tarfile.TarInfo(f"{name[0]}/{name[1]}/{name[2]}/{name}.jpg")
            member.size = 40_000 + number * 7919 % 160_000
            tar.addfile(member, io.BytesIO(noise[number : number + member.size]))


def download(scale: float) -> Rows:
    """curl, curl with the two checksums after it, and fetch_file, which has them at the end; in turn.

    As for a tar, the MD5 is known beforehand. None of them waits for the disk: `fetch` does so before its record; each
    begins when the one before is on disk. MD5 alone, which no file can be verified faster than, is measured beside.
    """
    from hierlandmarks.digests import digest
    from hierlandmarks.fetch import fetch_file

    taken: dict[str, list[float]] = {"curl": [], "checks": [], "ours": [], "md5": []}
    with tempfile.TemporaryDirectory() as folder:
        served, there = Path(folder, "served.tar"), Path(folder, "there.tar")
        write_tar(served, scale)
        size, md5 = served.stat().st_size, digest(served)[0]
        server = subprocess.Popen([sys.executable, "-c", SERVER, str(served)], stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/a.tar"
        ways: dict[str, Callable[[], object]] = {
            "curl": lambda: subprocess.run(["curl", "-sf", "-o", there, url], check=True),
            "ours": lambda: fetch_file([url], there, md5=[md5]),
        }
        try:
            for number in range(DOWNLOADS):
                for name in sorted(ways, reverse=bool(number % 2)):
                    taken[name].append(seconds(ways[name]))
                    os.sync()
                    if name == "curl":
                        taken["checks"].append(seconds(lambda: check(there)))
                        taken["md5"].append(seconds(lambda: md5_of(there)))
                    there.unlink()
        finally:
            server.kill()
            server.wait()
    return rates(size, taken)


def rates(size: int, taken: dict[str, list[float]]) -> Rows:
    """Medians of rates, and of ratios within a round."""
    times = pd.DataFrame(taken)
    checked = times["curl"] + times["checks"]
    return {
        "curl, MB/s": size / times["curl"].median() / 1e6,
        "curl then md5sum and sha256sum, MB/s": size / checked.median() / 1e6,
        "MD5 alone, MB/s": size / times["md5"].median() / 1e6,
        "fetch, MB/s": size / times["ours"].median() / 1e6,
        "MD5 alone / curl": (times["curl"] / times["md5"]).median(),
        "fetch / curl": (times["curl"] / times["ours"]).median(),
        "fetch / curl with checks": (checked / times["ours"]).median(),
    }


def md5_of(path: Path) -> None:
    """MD5 of a file in the page cache."""
    with open(path, "rb") as stream:
        hashlib.file_digest(stream, "md5")


def check(path: Path) -> None:
    """What a careful person does after curl."""
    for command in ("md5sum", "sha256sum"):
        subprocess.run([command, path], check=True, capture_output=True)


def index(scale: float) -> Rows:
    """Reading a tar from the page cache, and indexing it."""
    from hierlandmarks.images import index_tar

    def read() -> None:
        buffer = bytearray(2**20)
        with open(path, "rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "images_000.tar")
        write_tar(path, scale)
        size = path.stat().st_size
        read()
        reading = statistics.median(seconds(read) for _ in range(ROUNDS))
        indexing = statistics.median(seconds(lambda: index_tar(path)) for _ in range(ROUNDS))
    return {
        "reading, MB/s": size / reading / 1e6,
        "indexing, MB/s": size / indexing / 1e6,
        "indexing / reading": reading / indexing,
    }


def tables(scale: float) -> Rows:
    """All CSVs of GLDv2 at full size into checked tables."""
    from hierlandmarks.schema import HIERARCHICAL_CSV, SPACES
    from hierlandmarks.tables import read_csv
    from hierlandmarks_pipelines.sources import read_metadata

    folder = Path(os.environ["FETCHING_ROOT"])
    before = peak_mb()
    found: dict[str, Any] = {}

    def read() -> None:
        found.update(read_metadata(folder))
        found["clean"] = read_csv(
            folder / "metadata" / "train_clean.csv", ("landmark_id", "images"), key=("landmark_id",)
        )
        for space in SPACES:
            path = folder / "metadata" / f"{space}_label_to_hierarchical.csv"
            found[space] = read_csv(path, HIERARCHICAL_CSV, key=("landmark_id",))

    taken = seconds(read)
    return {
        "seconds": taken,
        "peak MiB": peak_mb(),
        "peak MiB before": before,
        "rows of images": found["images"].num_rows,
        "landmarks": found["categories"].num_rows,
        "gigabytes of CSV": sum(path.stat().st_size for path in folder.rglob("*.csv")) / 1e9,
    }


def mining(scale: float) -> Rows:
    """Mining with a transport that answers at once, so that all time is ours; every ninth category is unlinked."""
    from hierlandmarks_pipelines.mine import mine_in_parts
    from hierlandmarks_pipelines.mining import add_files, write_mined
    from hierlandmarks_pipelines.wikimedia.archive import Archive
    from hierlandmarks_pipelines.wikimedia.client import Client
    from hierlandmarks_pipelines.wikimedia.landmarks import Landmarks

    count = int(203_094 * scale)
    before = peak_mb()

    def mine(client: Client) -> None:
        with Landmarks() as landmarks:
            add_files(landmarks, [path])
            write_mined(mine_in_parts(landmarks, client), path.parent, 10)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "train_label_to_category.csv")
        with open(path, "w") as stream:
            stream.write("landmark_id,category\n")
            stream.writelines(f"{n},http://commons.wikimedia.org/wiki/Category:Place_{n}\n" for n in range(count))
        with Archive(folder, write=True) as archive:
            live = seconds(lambda: mine(Client(archive, answer)))
            calls = len(archive)
        with Archive(folder) as archive:
            replay = seconds(lambda: mine(Client(archive)))
    return {
        "landmarks": count,
        "calls": calls,
        "ms a landmark": live / count * 1e3,
        "ms a landmark, replayed": replay / count * 1e3,
        "peak MiB": peak_mb(),
        "peak MiB before": before,
    }


def answer(api: str, params: dict[str, str]) -> dict[str, Any]:
    """What Wikimedia would say of places that are numbered through; items of some 6 kB."""
    if api == "sparql":
        return {"results": {"bindings": []}}
    if api == "commons":
        titles = params["titles"].split("|")
        numbers = [int(title.split()[-1]) for title in titles]
        linked = [{"pageprops": {"wikibase_item": f"Q{10**6 + n}"}} if n % 9 else {} for n in numbers]
        pages = [{"pageid": 1, "ns": 14, "title": t, **more} for t, more in zip(titles, linked, strict=True)]
        return {"query": {"pages": pages}}
    entities = {qid: {"id": qid, "lastrevid": 1, "claims": claims(int(qid[1:]))} for qid in params["ids"].split("|")}
    return {"entities": entities, "success": 1}


def claims(number: int) -> dict[str, Any]:
    """A place is one of 5,000 types; a type has a third of its number above it."""
    if number < 10**6:
        return {"P279": [statement(max(1, number // 3))]} if number > 1 else {}
    return {"P31": [statement(1000 + number % 5000)], "P17": [statement(10**7 + place) for place in range(20)]}


def statement(number: int) -> dict[str, Any]:
    """A statement that points at an item, as long as real ones."""
    value = {"entity-type": "item", "id": f"Q{number}", "numeric-id": number}
    snak = {"snaktype": "value", "datavalue": {"value": value, "type": "wikibase-entityid"}}
    return {
        "mainsnak": snak,
        "type": "statement",
        "id": f"Q{number}$0542FDAB-7B8D-4729-8367-1393AB53E8DF",
        "rank": "normal",
    }


PARTS = {"download": download, "index": index, "tables": tables, "mining": mining}


def alone(part: str, scale: float, folder: Path) -> Rows:
    """Run a part in a process of its own."""
    environment = {**os.environ, "FETCHING_ROOT": str(folder), "PYTHONPATH": os.pathsep.join(PATHS)}
    environment.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # as the command line does
    command = [sys.executable, __file__, "--part", part, "--scale", str(scale)]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    rows: Rows = json.loads(found.stdout.splitlines()[-1])
    print(part, scale, {name: round(value, 3) for name, value in rows.items()}, file=sys.stderr)
    return rows


def main() -> None:
    """Measure everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a hundredth, not written down")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--scale", type=float, default=1.0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        print(json.dumps(PARTS[given.part](given.scale)))
        return
    whole = 0.01 if given.small else 1.0
    folder = Path(tempfile.mkdtemp())
    try:
        from hierlandmarks_pipelines.synthetic import write_metadata

        write_metadata(folder, whole)
        parts = [
            ("download", whole),
            ("index", whole),
            ("tables", whole),
            *(("mining", whole * share) for share in (0.1, 0.3, 1.0)),
        ]
        found = [(part, scale, alone(part, scale, folder)) for part, scale in parts]
    finally:
        shutil.rmtree(folder)
    if not given.small:
        write(found)


def write(found: list[tuple[str, float, Rows]]) -> None:
    """The table, a row for each quantity, with provenance."""
    from hierlandmarks_benchmark.provenance import code_version

    with open("/proc/cpuinfo") as stream:
        processor = next((line.split(":")[1].strip() for line in stream if line.startswith("model name")), "")
    origin = {
        "date": date.today().isoformat(),
        "code": code_version(),
        "processor": processor,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    rows = [
        {"part": part, "scale": scale, "quantity": name, "value": float(f"{value:.6g}"), **origin}
        for part, scale, each in found
        for name, value in each.items()
    ]
    pd.DataFrame(rows).to_csv(ROOT / "benchmark" / "perf" / "results" / "fetching.csv", index=False)


if __name__ == "__main__":
    main()
