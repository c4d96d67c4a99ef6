"""The answer archive: what is written is read, a torn end costs one line, damage elsewhere is said."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap

import pyarrow as pa
import pytest

from hierlandmarks.errors import ChecksumError, CorruptInputError, UsageError
from hierlandmarks_pipelines.wikimedia.archive import Archive

FILE = "responses-00000.jsonl.zst"


def fill(folder, numbers, **settings):
    with Archive(folder, write=True, **settings) as archive:
        for n in numbers:
            archive.append("commons", {"titles": f"Category:Ä{n}"}, {"n": n, "text": "é" * n}, "2026-01-01T00:00:00Z")


def read(folder):
    with Archive(folder) as archive:
        return [line["body"]["n"] for line in archive]


def test_answers_come_back(tmp_path):
    fill(tmp_path, range(5))
    with Archive(tmp_path) as archive:
        assert len(archive) == 5
        assert archive.get("commons", {"titles": "Category:Ä3"}) == {"n": 3, "text": "ééé"}
        assert archive.get("commons", {"titles": "Category:B"}) is None
        assert archive.get("wikidata", {"titles": "Category:Ä3"}) is None


def test_any_zstd_reader_reads_it(tmp_path):
    fill(tmp_path, range(3))
    with pa.CompressedInputStream(pa.OSFile(str(tmp_path / FILE)), "zstd") as stream:
        lines = [json.loads(line) for line in stream.read().decode().splitlines()]
    assert lines[2] == {
        "request": {"api": "commons", "params": {"titles": "Category:Ä2"}},
        "status": 200,
        "time": "2026-01-01T00:00:00Z",
        "body": {"n": 2, "text": "éé"},
    }


def test_same_answers_same_bytes(tmp_path):
    for name in ("a", "b"):
        fill(tmp_path / name, range(3))
    assert (tmp_path / "a" / FILE).read_bytes() == (tmp_path / "b" / FILE).read_bytes()


def test_begins_new_files(tmp_path):
    fill(tmp_path, range(6), shard_bytes=200)
    fill(tmp_path, range(6, 9), shard_bytes=200)
    assert len(list(tmp_path.glob("responses-*"))) > 3
    assert read(tmp_path) == list(range(9))


def test_a_line_torn_anywhere_costs_that_line_only(tmp_path):
    fill(tmp_path / "whole", range(2))
    kept = (tmp_path / "whole" / FILE).stat().st_size
    fill(tmp_path / "whole", [2])
    whole = (tmp_path / "whole" / FILE).read_bytes()
    for size in range(kept, len(whole)):
        folder = tmp_path / "torn"
        folder.mkdir()
        (folder / FILE).write_bytes(whole[:size])
        assert read(folder) == [0, 1]
        assert (folder / FILE).stat().st_size == size, "a reader changes nothing"
        fill(folder, [2])
        assert (folder / FILE).read_bytes() == whole
        shutil.rmtree(folder)


@pytest.mark.parametrize("spoil", ["zeros behind", "zeros in the last line"])
def test_power_lost_while_writing(tmp_path, spoil):
    fill(tmp_path, range(3))
    path = tmp_path / FILE
    content = path.read_bytes()
    path.write_bytes(content + bytes(500) if spoil == "zeros behind" else content[:-20] + bytes(20))
    expected = [0, 1, 2] if spoil == "zeros behind" else [0, 1]
    assert read(tmp_path) == expected
    fill(tmp_path, [7])
    assert read(tmp_path) == [*expected, 7]


def test_damage_in_the_middle_is_said(tmp_path):
    fill(tmp_path, range(3))
    path = tmp_path / FILE
    content = bytearray(path.read_bytes())
    content[70] ^= 255
    path.write_bytes(content)
    with pytest.raises(ChecksumError, match="byte 52"):
        read(tmp_path)
    path.write_bytes(b"not ours" + bytes(content))
    with pytest.raises(CorruptInputError, match="not written by hierlandmarks"):
        read(tmp_path)


def test_only_the_last_file_may_be_torn(tmp_path):
    fill(tmp_path, range(3), shard_bytes=1)
    path = tmp_path / "responses-00001.jsonl.zst"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptInputError, match="breaks off"):
        read(tmp_path)


def test_one_writer_at_a_time(tmp_path):
    with Archive(tmp_path, write=True):
        with pytest.raises(UsageError, match="another process"):
            Archive(tmp_path, write=True)
        Archive(tmp_path).close()
    fill(tmp_path, [1])


def test_an_empty_folder_is_an_empty_archive(tmp_path):
    with Archive(tmp_path / "nowhere") as archive:
        assert len(archive) == 0


def test_killed_writers_lose_at_most_a_line(tmp_path):
    child = textwrap.dedent(
        """
        import sys
        from hierlandmarks_pipelines.wikimedia.archive import Archive
        with Archive(sys.argv[1], write=True) as archive:
            for n in range(len(archive), 10**6):
                archive.append("commons", {"titles": str(n)}, {"n": n, "text": "x" * 5000}, "")
                print(n, flush=True)
        """
    )
    said = -1
    for round_ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", child, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=_environment()
        ) as process:
            for _ in range(20 + 7 * round_):
                said = int(process.stdout.readline())
            process.kill()
        numbers = read(tmp_path)
        assert numbers == list(range(len(numbers)))
        assert len(numbers) > said


def _environment():
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
