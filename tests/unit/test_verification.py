"""`verify`: what is right, missing, unfinished or wrong in a fetched dataset and in a release."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace

import pytest
from PIL import Image

from hierlandmarks import verification
from hierlandmarks.catalog import RemoteDataset, RemoteFile
from hierlandmarks.cli import run
from hierlandmarks.downloads import record_path
from hierlandmarks.errors import MissingDataError, TableError
from hierlandmarks.tables import read_json, write_json
from hierlandmarks.verification import exit_code, verify_folder
from tests import tiny
from tests.faults import servers

IDS = ["0000e12345678901", "1234567890123456"]


def picture(image_id: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (int(image_id[-2:], 16), 40, 200)).save(buffer, "JPEG")
    return buffer.getvalue()


def make_tar(ids):
    return servers.make_tar(ids, picture)


SMALL = RemoteDataset(
    name="gldv2",
    version="2.1",
    base_urls=("https://example.org/",),
    metadata=(
        RemoteFile("metadata/train.csv", "metadata", "", ("id", "url", "landmark_id"), 2),
        RemoteFile("metadata/index.csv", "metadata", "", ("id",)),
        RemoteFile("metadata/test.csv", "metadata", "", ("id",), 3),
    ),
    images={
        "test": tuple(
            RemoteFile(f"test/images_00{n}.tar", "test", "", md5_path=f"md5sum/test/md5.images_00{n}.txt")
            for n in (0, 1)
        )
    },
    pictures={"test": 3},
)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(verification, "find_dataset", lambda name: SMALL)
    put(tmp_path, "metadata/train.csv", b'\xef\xbb\xbfid,url,landmark_id\n0000e12345678901,"a\nb",1\nx,y,2\n')
    put(tmp_path, "metadata/index.csv", b"id\n1234567890123456\n")
    put(tmp_path, "metadata/test.csv", "\n".join(["id", *IDS, "00000000000000ff"]).encode())
    for number, ids in enumerate((IDS, ["00000000000000ff"])):
        tar = make_tar(ids)
        put(tmp_path, f"test/images_00{number}.tar", tar)
        put(tmp_path, f"md5sum/test/md5.images_00{number}.txt", hashlib.md5(tar).hexdigest().encode())
    return tmp_path


def put(root, path, content):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)
    write_json(record_path(root, path), {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()})


def states(root):
    return {finding.path: (finding.state, finding.count) for finding in verify_folder(root)}


def test_all_is_well(root):
    assert states(root) == {
        "metadata/train.csv": ("ok", 2),
        "metadata/index.csv": ("ok", 1),
        "metadata/test.csv": ("ok", 3),
        "test/images_000.tar": ("ok", 2),
        "test/images_001.tar": ("ok", 1),
        "test": ("ok", 3),
    }
    assert exit_code(verify_folder(root)) == 0


def test_missing_absent_unfinished(root):
    (root / "metadata/index.csv").unlink()
    (root / "test/images_000.tar").unlink()
    record_path(root, "test/images_000.tar").unlink()
    (root / "test/images_001.tar").rename(root / "test/.images_001.tar.part")
    assert states(root) == {
        "metadata/train.csv": ("ok", 2),
        "metadata/index.csv": ("missing", None),
        "metadata/test.csv": ("ok", 3),
        "test/images_000.tar": ("absent", None),
        "test/images_001.tar": ("unfinished", None),
    }
    assert exit_code(verify_folder(root)) == 2


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("metadata/train.csv", b"id,url,landmark_id\n1,2,3\n", "number of rows"),
        ("metadata/train.csv", b"id,landmark_id\n1,2\n3,4\n", "other columns"),
        ("metadata/train.csv", b"id,url,landmark_id\n1,2\n", "no CSV"),
        ("test/images_000.tar", make_tar(IDS)[:-1], "wrong checksum"),
        ("test/images_000.tar", b"", "wrong checksum"),
    ],
)
def test_wrong(root, path, content, message):
    put(root, path, content)
    (finding,) = [one for one in verify_folder(root) if one.path == path]
    assert finding.state == "wrong"
    assert message in finding.detail
    assert exit_code(verify_folder(root)) == 3


def test_changed_after_it_was_fetched(root):
    (root / "metadata/index.csv").write_bytes(b"id\n1234567890123457\n")
    assert states(root)["metadata/index.csv"][0] == "wrong"


def test_a_tar_that_is_none(root):
    put(root, "test/images_000.tar", b"no tar" * 1000)
    put(root, "md5sum/test/md5.images_000.txt", hashlib.md5(b"no tar" * 1000).hexdigest().encode())
    assert states(root)["test/images_000.tar"] == ("wrong", None)


def test_too_few_pictures_in_a_split(root, monkeypatch):
    monkeypatch.setattr(verification, "find_dataset", lambda name: replace(SMALL, pictures={"test": 4}))
    assert states(root)["test"] == ("wrong", 3)


def judged(root, **settings):
    (finding,) = [one for one in verify_folder(root, **settings) if one.path == "test"]
    return finding


def replace_tar(root, number, content):
    put(root, f"test/images_00{number}.tar", content)
    put(root, f"md5sum/test/md5.images_00{number}.txt", hashlib.md5(content).hexdigest().encode())


def test_pictures_are_looked_at(root):
    finding = judged(root, jobs=2)
    assert finding.state == "ok"
    assert finding.facts == {
        "same_bytes": 0,
        "twice": 0,
        "smallest_side": 7,
        "undecodable": 0,
        "undecodable_ids": [],
        "ids_in_no_tar": 0,
        "ids_in_no_csv": 0,
    }
    assert finding.size == sum(len(picture(one)) for one in [*IDS, "00000000000000ff"])
    replace_tar(root, 1, servers.make_tar(["00000000000000ff"], lambda image_id: picture(image_id)[:-200]))
    finding = judged(root)
    assert finding.state == "wrong"
    assert "1 pictures do not decode, such as 00000000000000ff" in finding.detail
    assert finding.facts["undecodable_ids"] == ["00000000000000ff"]
    assert judged(root, decode=False).state == "ok"


def test_every_id_of_the_csv_is_in_a_tar(root):
    replace_tar(root, 1, make_tar(["00000000000000fe"]))
    finding = judged(root)
    assert finding.state == "wrong"
    assert (finding.facts["ids_in_no_tar"], finding.facts["ids_in_no_csv"]) == (1, 1)
    (root / "test/images_001.tar").unlink()
    record_path(root, "test/images_001.tar").unlink()
    finding = judged(root)
    assert (finding.state, finding.detail) == ("ok", "1 of 2 tars"), "what was never fetched is not missed"
    assert finding.facts["ids_in_no_tar"] == 1


def test_repeats_are_told(root):
    replace_tar(root, 1, servers.make_tar(["00000000000000ff"], lambda _: picture(IDS[0])))
    finding = judged(root)
    assert (finding.state, finding.facts["same_bytes"]) == ("ok", 1), "GLDv2 has such pictures"
    replace_tar(root, 1, make_tar([IDS[0]]))
    finding = judged(root)
    assert finding.state == "wrong"
    assert "1 ids are in two tars" in finding.detail


def test_a_root_may_say_that_it_holds_something_else(root):
    put(root, "metadata/train.csv", b"id,url,landmark_id\n1,2,3\n")
    (root / "test/images_001.tar").unlink()
    put(root, "metadata/test.csv", "\n".join(["id", *IDS]).encode())
    assert exit_code(verify_folder(root)) == 3
    own = {"name": "mine", "rows": {"metadata/train.csv": 1, "metadata/test.csv": 2}}
    write_json(root / "dataset.json", {**own, "pictures": {"test": 2}, "tars": {"test": 1}})
    assert exit_code(verify_folder(root)) == 0
    assert judged(root).detail == ""
    write_json(root / "dataset.json", {**own, "pictures": {"test": 3}, "tars": {"test": 1}})
    assert "3 pictures were expected" in judged(root).detail
    write_json(root / "dataset.json", {**own, "pictures": {"test": "3"}, "tars": {}})
    with pytest.raises(TableError, match=r"dataset\.json"):
        verify_folder(root)


def test_folders_that_are_neither(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(MissingDataError, match="check the path"):
            verify_folder(folder)


def test_verify_command(root, capsys):
    assert run(["verify", str(root)]) == 0
    assert "all that is there is right" in capsys.readouterr().out
    report = (root / "report.json").read_bytes()
    assert json.loads(report)["states"] == {"ok": 6, "absent": 0, "missing": 0, "unfinished": 0, "wrong": 0}
    assert run(["verify", str(root)]) == 0
    assert (root / "report.json").read_bytes() == report, "the same folder, the same report"
    capsys.readouterr()
    (root / "metadata/index.csv").unlink()
    assert run(["verify", str(root), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2
    (root / "metadata/train.csv").write_bytes(b"id\n")
    assert run(["verify", str(root)]) == 3
    assert run(["verify", str(root / "nowhere")]) == 2


def test_a_release_is_checked_against_its_manifest(tmp_path, capsys):
    folder = tiny.release(tmp_path / "release")
    assert run(["verify", str(folder), "--report", str(tmp_path / "found.json")]) == 0
    assert read_json(tmp_path / "found.json")["exit_code"] == 0
    assert not (folder / "report.json").exists(), "a release is what its manifest says and nothing else"
    capsys.readouterr()
    found = {finding.path: finding.count for finding in verify_folder(folder)}
    assert sum(found.values()) == sum(split["rows"] for split in read_json(folder / "MANIFEST.json")["splits"].values())
    shard = next((folder / "data").glob("*.parquet"))
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    assert run(["verify", str(folder)]) == 3
    assert str(shard) in capsys.readouterr().err
    shard.unlink()
    assert run(["verify", str(folder)]) == 2


def test_the_pictures_of_a_release_are_decoded(tmp_path, capsys, monkeypatch):
    own = tiny.picture
    monkeypatch.setattr(tiny, "picture", lambda number: own(number)[:-40] if number == 5 else own(number))
    folder = tiny.release(tmp_path / "release")
    findings = {finding.path: finding for finding in verify_folder(folder, jobs=2)}
    assert [split for split, finding in findings.items() if finding.state == "wrong"] == ["train"]
    assert findings["train"].facts["undecodable_ids"] == [f"{5 * 0x9E3779B97F4A7C15 % 2**64:016x}"]
    assert findings["index"].facts["smallest_side"] == 12
    assert run(["verify", str(folder)]) == 3
    assert "1 pictures do not decode, such as " in capsys.readouterr().out
    assert run(["verify", str(folder), "--no-decode"]) == 0
    plain = tiny.release(tmp_path / "plain", image_bytes=False)
    assert all(finding.facts is None for finding in verify_folder(plain))
