"""The catalog, orders, and fetching a dataset's files into a folder."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import tarfile

import pytest

import hierlandmarks as hl
from hierlandmarks import downloads
from hierlandmarks.catalog import find_dataset, parse_shards, select
from hierlandmarks.cli import run
from hierlandmarks.downloads import fetch_order, inspect_order, make_order, read_md5, read_record
from hierlandmarks.errors import (
    ChecksumError,
    CorruptInputError,
    IncompleteError,
    MissingDataError,
    OfflineError,
    TableError,
    UsageError,
)
from hierlandmarks.extraction import extract_tars
from hierlandmarks.fetch import Manners
from hierlandmarks.network import Patience
from hierlandmarks.parts import BusyError
from hierlandmarks.tarindex import find_index, keep_index, read_ids
from tests.faults.servers import FileServer, make_tar, serving

QUICK = Manners(patience=Patience(tries=2, sleep=lambda seconds: None))
IDS = ["0000e12345678901", "1234567890123456"]


TAR = make_tar(IDS)


@pytest.fixture
def server():
    files = {
        file.path: (",".join(file.columns) + "\n").encode() + b"1," * (len(file.columns) - 1) + b"1\n"
        for file in find_dataset("gldv2").metadata
    }
    for split, style in (("test", "{}  images_000.tar\n"), ("index", "{} *images_000.tar\n"), ("train", "{}\n")):
        files[f"{split}/images_000.tar"] = TAR
        files[f"md5sum/{split}/md5.images_000.txt"] = style.format(hashlib.md5(TAR).hexdigest()).encode()
    with serving(FileServer(files)) as running:
        yield running


# -- catalog --


def test_catalog_has_every_file_of_the_dataset():
    dataset = find_dataset("gldv2")
    assert {split: len(tars) for split, tars in dataset.images.items()} == {"train": 500, "index": 100, "test": 20}
    assert dataset.images["train"][499].path == "train/images_499.tar"
    assert dataset.images["index"][7].md5_path == "md5sum/index/md5.images_007.txt"
    assert len(dataset.images["train"][0].also_seen) == 2
    assert all(not tar.also_seen for tar in dataset.images["train"][1:])


@pytest.mark.shared
def test_catalog_names_what_the_specification_names(shared):
    text = (shared / "spec/gldv2.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\b[a-z_]+(?:_v2\.1)?\.csv", text)) - {"_label_to_subcategory_with_clusters.csv"}
    paths = {file.path.rpartition("/")[2] for file in find_dataset("gldv2").metadata}
    assert paths == {name for name in named if not name.startswith("_")}


def test_unknown_dataset_names_the_nearest():
    with pytest.raises(UsageError, match="gldv2"):
        find_dataset("gldv3")


def test_shards():
    dataset = find_dataset("gldv2")
    paths = [file.path for file in select(dataset, ["images"], ["test", "train"], "0,19-20")]
    assert paths == [f"train/images_{n:03d}.tar" for n in (0, 19, 20)] + [f"test/images_{n:03d}.tar" for n in (0, 19)]
    assert len(select(dataset, ["metadata", "images"])) == 12 + 620
    with pytest.raises(UsageError, match="0 to 19"):
        select(dataset, ["images"], ["test"], "20")
    for bad in ("", "a", "3-1", "1,,2", "-1"):
        with pytest.raises(UsageError, match="7-9"):
            parse_shards(bad)
    for what, splits in ((["image"], []), (["images"], ["tset"]), ([], [])):
        with pytest.raises(UsageError):
            select(dataset, what, splits)


# -- orders --


def test_flag_over_environment_over_default(monkeypatch, tmp_path):
    monkeypatch.setenv("HIERLANDMARKS_HOME", str(tmp_path))
    order = make_order("gldv2")
    assert order.urls("metadata/train.csv") == ["https://s3.amazonaws.com/google-landmark/metadata/train.csv"]
    assert order.root == tmp_path / "gldv2"
    monkeypatch.setenv("HIERLANDMARKS_BASE_URL", "https://a.org/x https://b.org/")
    assert make_order("gldv2").urls("m") == ["https://a.org/x/m", "https://b.org/m"]
    assert make_order("gldv2", base_url="https://c.org").urls("m") == ["https://c.org/m"]


def test_metadata_arrives_once(server, tmp_path):
    order = make_order("gldv2", tmp_path, base_url=server.url)
    assert {item.state for item in inspect_order(order)} == {"missing"}
    items = fetch_order(order, manners=QUICK)
    assert {item.state for item in items} == {"fetched"}
    assert (tmp_path / "metadata/train.csv").read_bytes() == server.files["metadata/train.csv"]
    record = read_record(tmp_path, "metadata/train.csv")
    assert record["sha256"] == hashlib.sha256(server.files["metadata/train.csv"]).hexdigest()
    asked = len(server.asked)
    assert {item.state for item in fetch_order(order, manners=QUICK)} == {"there"}
    assert len(server.asked) == asked
    assert hl.download("gldv2", root=tmp_path, what=("metadata",), base_url=server.url) == tmp_path


def test_images_arrive_with_their_checksum(server, tmp_path):
    order = make_order("gldv2", tmp_path, ["images"], shards="0", base_url=server.url)
    fetch_order(order, manners=QUICK, jobs=3)
    for split in ("train", "index", "test"):
        assert (tmp_path / split / "images_000.tar").read_bytes() == TAR
        assert read_record(tmp_path, f"{split}/images_000.tar")["md5"] == hashlib.md5(TAR).hexdigest()


def test_a_tar_that_was_put_there_is_taken_over_or_refused(server, tmp_path):
    path = tmp_path / "test/images_000.tar"
    path.parent.mkdir()
    path.write_bytes(TAR)
    order = make_order("gldv2", tmp_path, ["images"], splits=["test"], shards="0", base_url=server.url)
    assert [item.state for item in fetch_order(order, manners=QUICK)] == ["there"]
    assert [path for path, _ in server.asked] == ["md5sum/test/md5.images_000.txt"]
    assert read_record(tmp_path, "test/images_000.tar")["size"] == len(TAR)
    path.write_bytes(TAR[:-1])
    with pytest.raises(ChecksumError, match="was changed"):
        fetch_order(order, manners=QUICK)
    (tmp_path / ".fetched/test/images_000.tar.json").unlink()
    with pytest.raises(ChecksumError, match="is there and has the wrong checksum"):
        fetch_order(order, manners=QUICK)
    assert path.read_bytes() == TAR[:-1], "what a person put there is never overwritten"


def test_one_bad_file_does_not_cost_the_others(server, tmp_path):
    del server.files["metadata/test.csv"]
    order = make_order("gldv2", tmp_path, base_url=server.url)
    with pytest.raises(IncompleteError, match=r"metadata/test.csv failed, and 1 of 12.*404"):
        fetch_order(order, manners=QUICK)
    assert sum(item.state == "there" for item in inspect_order(order)) == 11
    server.files["md5sum/test/md5.images_000.txt"] = b"0" * 32
    order = make_order("gldv2", tmp_path, ["images"], splits=["test"], shards="0", base_url=server.url)
    with pytest.raises(ChecksumError, match="wrong checksum"):
        fetch_order(order, manners=QUICK)
    assert not (tmp_path / "test/images_000.tar").exists()


def test_a_file_that_another_process_fetched_meanwhile_is_there(server, tmp_path, monkeypatch):
    order = make_order("gldv2", tmp_path, ["images"], splits=["test"], shards="0", base_url=server.url)
    elsewhere = downloads.fetch_file

    def finished(*arguments, **settings):
        monkeypatch.setattr(downloads, "fetch_file", elsewhere)
        fetch_order(order, manners=QUICK)  # the other process
        raise BusyError("another process is fetching it")

    monkeypatch.setattr(downloads, "fetch_file", finished)
    assert [(item.path, item.state) for item in fetch_order(order, manners=QUICK)] == [("test/images_000.tar", "there")]

    def busy(*arguments, **settings):
        raise BusyError("another process is fetching it")

    shutil.rmtree(tmp_path)
    monkeypatch.setattr(downloads, "fetch_file", busy)
    with pytest.raises(IncompleteError, match="another process is fetching it"):
        fetch_order(order, manners=QUICK)


def test_a_second_checksum_on_record_is_accepted_and_said(server, tmp_path, capsys, monkeypatch):
    order = make_order("gldv2", tmp_path, ["images"], splits=["train"], shards="0", base_url=server.url)
    monkeypatch.setitem(order.files[0].also_seen, hashlib.md5(TAR).hexdigest(), "seen by us")
    server.files["md5sum/train/md5.images_000.txt"] = b"825975950b2e22f0f66aa8fd26c1f153  images_000.tar"
    fetch_order(order, manners=QUICK)
    assert "not the published" in capsys.readouterr().err
    assert read_record(tmp_path, "train/images_000.tar")["note"] == "seen by us"


def test_too_little_room_is_said_before_anything_is_asked(server, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10**9})())
    with pytest.raises(IncompleteError, match="room"):
        fetch_order(make_order("gldv2", tmp_path / "new", ["images"], base_url=server.url))
    assert server.asked == []
    assert not (tmp_path / "new").exists()


def test_offline(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HIERLANDMARKS_OFFLINE", "1")
    with pytest.raises(OfflineError):
        hl.download("gldv2", root=tmp_path, base_url=server.url)
    assert server.asked == []


@pytest.mark.parametrize("text", ["{}", "{}  images_000.tar\n", "{} *images_000.tar", "\ufeff{}\r\n"])
def test_forms_of_md5_files(tmp_path, text):
    path = tmp_path / "md5.txt"
    path.write_text(text.format("AB" * 16), encoding="utf-8")
    assert read_md5(path) == "ab" * 16
    path.write_text("<html>" + "ab" * 16)
    with pytest.raises(CorruptInputError, match="no MD5"):
        read_md5(path)


# -- pictures by id, and as files --


def fetched(server, root, **settings):
    order = make_order("gldv2", root, ["images"], base_url=server.url, **settings)
    return [item.path for item in fetch_order(order, manners=QUICK)]


def add_tar(server, path, ids):
    split, _, name = path.partition("/")
    server.files[path] = make_tar(ids)
    digest = hashlib.md5(server.files[path]).hexdigest().encode()
    server.files[f"md5sum/{split}/md5.{name.removesuffix('.tar')}.txt"] = digest


def test_only_the_tars_that_hold_the_images(server, tmp_path):
    add_tar(server, "test/images_001.tar", ["00000000000000aa", "00000000000000ab"])
    with pytest.raises(IncompleteError, match="0 of 20 tars indexed"):
        fetched(server, tmp_path, splits=["test"], ids=["00000000000000aa"])
    fetched(server, tmp_path, splits=["test"], shards="0-1")
    new = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "tar_index", new / "tar_index")
    assert fetched(server, new, splits=["test"], ids=["00000000000000ab"]) == ["test/images_001.tar"]
    assert fetched(server, new, splits=["test"], ids=["00000000000000aa", IDS[0]]) == [
        f"test/images_00{n}.tar" for n in (0, 1)
    ]
    with pytest.raises(IncompleteError, match="does not know 1 of 2 images, such as 00000000000000ff"):
        fetched(server, new, ids=["00000000000000ff", IDS[1]])
    with pytest.raises(UsageError, match="no tars"):
        make_order("gldv2", new, ["metadata"], ids=IDS)


def test_a_tar_that_was_there_is_indexed_too(server, tmp_path):
    fetched(server, tmp_path, splits=["test"], shards="0")
    index = tmp_path / "tar_index/test/images_000.parquet"
    index.unlink()
    asked = len(server.asked)
    fetched(server, tmp_path, splits=["test"], shards="0")
    assert index.is_file()
    assert len(server.asked) == asked


def test_a_changed_tar_is_indexed_anew(server, tmp_path):
    fetched(server, tmp_path, splits=["test"], shards="0")
    tar = tmp_path / "test/images_000.tar"
    assert find_index(tmp_path, "test/images_000.tar").num_rows == 2
    tar.write_bytes(make_tar(["00000000000000aa"]))
    assert find_index(tmp_path, "test/images_000.tar") is None
    assert keep_index(tmp_path, "test/images_000.tar")["id"].to_pylist() == ["00000000000000aa"]
    (tmp_path / "tar_index/test/images_000.parquet").write_bytes(b"PAR1")
    with pytest.raises(TableError, match="no index"):
        find_index(tmp_path, "test/images_000.tar")


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("0000e12345678901\n1234567890123456\n", IDS),
        ("\ufeffid,landmark_id\r\n0000e12345678901,5\r\n", IDS[:1]),
        ('"1234567890123456" x\n\n', IDS[1:]),
    ],
)
def test_lists_of_ids(tmp_path, text, ids):
    path = tmp_path / "ids.txt"
    path.write_text(text, encoding="utf-8", newline="")
    assert list(read_ids(path)) == ids
    path.write_text(text + "../../etc/passwd\n", encoding="utf-8", newline="")
    with pytest.raises(TableError, match="no image id"):
        read_ids(path)
    path.write_text("id\n")
    with pytest.raises(TableError, match="lists no image"):
        read_ids(path)
    with pytest.raises(MissingDataError):
        read_ids(tmp_path / "nothing")


def test_pictures_as_files(server, tmp_path):
    fetched(server, tmp_path, splits=["test"], shards="0")
    assert extract_tars(tmp_path, ["test/images_000.tar"], IDS[:1]) == {"test/images_000.tar": 1}
    assert (tmp_path / "test/0/0/0/0000e12345678901.jpg").read_bytes() == b"jpg"
    other = tmp_path / "test/1/2/3/1234567890123456.jpg"
    assert not other.exists()
    extract_tars(tmp_path, ["test/images_000.tar"])
    assert other.read_bytes() == b"jpg"
    other.write_bytes(b"j")  # stopped half way by something else
    extract_tars(tmp_path, ["test/images_000.tar"])
    assert other.read_bytes() == b"jpg"
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("name", ["../0000000000000001.jpg", "/tmp/0000000000000001.jpg", "a/b/evil.sh"])
def test_an_unsafe_tar_is_refused_before_anything_is_written(server, tmp_path, name):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member in (f"0/0/0/{IDS[0]}.jpg", name):
            tar.addfile(tarfile.TarInfo(member))
    server.files["test/images_000.tar"] = buffer.getvalue()
    server.files["md5sum/test/md5.images_000.txt"] = hashlib.md5(buffer.getvalue()).hexdigest().encode()
    with pytest.raises(CorruptInputError, match="member"):
        fetched(server, tmp_path, splits=["test"], shards="0")
    with pytest.raises(CorruptInputError, match="member"):
        extract_tars(tmp_path, ["test/images_000.tar"])
    assert sorted(path.name for path in tmp_path.rglob("*") if path.suffix in (".jpg", ".sh", ".parquet")) == []


def test_a_checksum_file_cannot_fill_the_disk(server, tmp_path):
    server.files["md5sum/test/md5.images_000.txt"] = b"0" * 70_000
    with pytest.raises(IncompleteError, match="larger than the file can be"):
        fetched(server, tmp_path, splits=["test"], shards="0")


# -- command line --


def test_no_wait_is_silent(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Patience, "wait", lambda patience, attempt, asked=None: True)
    server.faults["metadata/test.csv"] = ["503"]
    assert run(["fetch", "metadata", "--split", "test", "--root", str(tmp_path), "--base-url", server.url]) == 0
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (again,) = [fact for fact in told if fact["state"] == "retrying"]
    assert again["url"].endswith("metadata/test.csv")
    assert ("503" in again["error"], again["attempt"]) == (True, 2)


def test_fetch_command(server, tmp_path, capsys):
    arguments = ["fetch", "metadata", "--root", str(tmp_path), "--base-url", server.url]
    assert run([*arguments, "--dry-run"]) == 0
    assert "12 files" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert run([*arguments, "--json"]) == 0
    streams = capsys.readouterr()
    assert len(json.loads(streams.out)["files"]) == 12
    assert all(json.loads(line)["state"] == "fetched" for line in streams.err.splitlines())
    del server.files["md5sum/test/md5.images_000.txt"]
    images = ["fetch", "images", "--split", "test", "--shards", "0", *arguments[2:]]
    assert run(images) == 2
    (line,) = capsys.readouterr().err.splitlines()[:1]
    assert json.loads(line)["state"] == "failed"
    add_tar(server, "test/images_000.tar", IDS)
    assert run([*images, "--extract", "--json"]) == 0
    assert (tmp_path / "test/1/2/3/1234567890123456.jpg").is_file()
    (tmp_path / "ids.txt").write_text(IDS[1])
    by_id = ["fetch", "images", "--ids", str(tmp_path / "ids.txt"), *arguments[2:], "--json"]
    capsys.readouterr()
    assert run(by_id) == 0
    assert [file["path"] for file in json.loads(capsys.readouterr().out)["files"]] == ["test/images_000.tar"]
    assert run(["fetch", "images", "--shards", "x"]) == 1
