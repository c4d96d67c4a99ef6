"""`verify`: what is right, missing, unfinished or wrong in a fetched dataset and in a release."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from hierlandmarks import verification
from hierlandmarks.catalog import RemoteDataset, RemoteFile
from hierlandmarks.cli import run
from hierlandmarks.downloads import record_path
from hierlandmarks.errors import MissingDataError
from hierlandmarks.tables import read_json, write_json
from hierlandmarks.verification import exit_code, verify_folder
from tests import tiny
from tests.faults.servers import make_tar

IDS = ["0000e12345678901", "1234567890123456"]

SMALL = RemoteDataset(
    name="gldv2",
    version="2.1",
    base_urls=("https://example.org/",),
    metadata=(
        RemoteFile("metadata/train.csv", "metadata", "", ("id", "url", "landmark_id"), 2),
        RemoteFile("metadata/index.csv", "metadata", "", ("id",)),
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


def test_folders_that_are_neither(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(MissingDataError, match="check the path"):
            verify_folder(folder)


def test_verify_command(root, capsys):
    assert run(["verify", str(root)]) == 0
    assert "all that is there is right" in capsys.readouterr().out
    (root / "metadata/index.csv").unlink()
    assert run(["verify", str(root), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2
    (root / "metadata/train.csv").write_bytes(b"id\n")
    assert run(["verify", str(root)]) == 3
    assert run(["verify", str(root / "nowhere")]) == 2


def test_a_release_is_checked_against_its_manifest(tmp_path, capsys):
    folder = tiny.release(tmp_path / "release")
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
