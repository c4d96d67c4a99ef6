from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import hierlandmarks as hl
from hierlandmarks.errors import CorruptInputError, IncompleteError, MissingDataError, UsageError
from hierlandmarks.tables import read_json, write_json
from hierlandmarks_benchmark.baselines import colour_histogram
from hierlandmarks_benchmark.embed import EmbedParams, embed
from hierlandmarks_benchmark.models import build_network, load_network, save_network
from hierlandmarks_benchmark.vectors import (
    Embeddings,
    find_entries,
    query_and_gallery,
    read_embeddings,
    read_ids,
    read_skipped,
    shard_path,
    write_embeddings,
    write_shard,
)
from tests.coloured import release as write_release


def test_every_entry_has_every_split_with_ids(tmp_path: Path, release: Path, model: Path) -> None:
    done = embed(release, model, tmp_path)
    assert done.entries == ("tiny", "untrained", "colour-histogram")
    assert done.images == 36
    assert 0 < done.waited < 1
    for name, dim in (("tiny", 16), ("untrained", 16), ("colour-histogram", 512)):
        for split in ("query", "index"):
            found = read_embeddings(tmp_path / name, split)
            assert list(found.ids) == hl.load(release, split=split).images["id"].tolist()
            assert found.vectors.shape == (len(found.ids), dim)
            assert found.vectors.dtype == np.float32
            assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)


def test_an_entry_says_what_made_it(tmp_path: Path, release: Path, model: Path) -> None:
    embed(release, model, tmp_path)
    about = read_json(tmp_path / "tiny" / "entry.json")
    assert about["model"]["trained_on"] == "coloured (train)"
    assert about["model"]["loss"] == "0.9 SupHAPLoss + 0.1 ProxyLoss"
    assert about["model"]["recipe"]["epochs"] == 4
    assert about["dataset"]["content_hash"] == hl.load(release).content_hash
    assert about["splits"]["query"] == {"images": 12, "skipped": []}
    assert read_json(tmp_path / "untrained" / "entry.json")["model"]["trained_on"] == "nothing"


def test_trained_and_untrained_differ_and_untrained_is_the_start_of_training(
    tmp_path: Path, release: Path, model: Path
) -> None:
    embed(release, model, tmp_path)
    trained, fresh = (read_embeddings(tmp_path / name, "query").vectors for name in ("tiny", "untrained"))
    assert not np.allclose(trained, fresh, atol=1e-3)
    network, recipe = load_network(model)
    start = build_network(recipe)
    assert not torch.equal(network.projection.weight, start.projection.weight)
    save_network(start, recipe, tmp_path / "start")
    shutil.copy(model / "summary.json", tmp_path / "start")
    embed(release, tmp_path / "start", tmp_path / "again", EmbedParams(baselines=()))
    assert np.array_equal(read_embeddings(tmp_path / "again" / "tiny", "query").vectors, fresh)


def test_without_query_and_index_it_is_validation(tmp_path: Path, validated: Path, model: Path) -> None:
    embed(validated, model, tmp_path, EmbedParams(baselines=("colour-histogram",)))
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.safetensors")}
    assert names == {f"{name}/validation-00000-of-00001.safetensors" for name in ("tiny", "colour-histogram")}


def test_a_model_of_another_release_of_that_name_is_said_aloud(
    tmp_path: Path, release: Path, validated: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embed(release, model, tmp_path / "same", EmbedParams(baselines=()))
    assert "another" not in capsys.readouterr().err
    embed(validated, model, tmp_path / "other", EmbedParams(baselines=()))
    assert "the model was trained on another coloured" in capsys.readouterr().err


def test_a_release_with_nothing_to_rank(tmp_path: Path, model: Path) -> None:
    only_train = write_release(tmp_path, {"train": (range(4), 2)})
    with pytest.raises(MissingDataError, match=r"nothing to evaluate on; got splits train, expected query and index"):
        embed(only_train, model, tmp_path / "out")
    assert query_and_gallery(("train", "index", "query", "validation"), "x") == ("query", "index")
    assert query_and_gallery(("train", "test", "validation"), "x") == ("test", None)


def test_unreadable_pictures_are_left_out_and_listed(tmp_path: Path, model: Path) -> None:
    spoilt = write_release(tmp_path, {"validation": (range(8), 13)}, spoilt=1)
    embed(spoilt, model, tmp_path / "out", EmbedParams(baselines=()))
    found = read_embeddings(tmp_path / "out" / "tiny", "validation")
    (skipped,) = read_json(tmp_path / "out" / "tiny" / "entry.json")["splits"]["validation"]["skipped"]
    assert len(found.ids) == 103
    assert skipped.split()[0] not in found.ids


def test_mistakes_are_named(tmp_path: Path, release: Path, model: Path) -> None:
    with pytest.raises(UsageError, match="did you mean untrained"):
        EmbedParams(baselines=("untraind",))
    with pytest.raises(UsageError, match="batch"):
        EmbedParams(batch=0)
    with pytest.raises(MissingDataError, match="holds no model"):
        embed(release, tmp_path, tmp_path)
    network, recipe = load_network(model)
    save_network(network, dataclasses.replace(recipe, name="untrained"), tmp_path)
    shutil.copy(model / "summary.json", tmp_path)
    with pytest.raises(UsageError, match="is called untrained, as a baseline is"):
        embed(release, tmp_path, tmp_path / "out")


def test_histograms_tell_colours_and_places_apart() -> None:
    red, blue = np.zeros((2, 3, 8, 8), np.uint8)
    red[0], blue[2] = 255, 255
    half = np.concatenate([red[:, :4], blue[:, 4:]], axis=1)
    found = colour_histogram(np.stack([red, blue, half, half[:, ::-1]]))
    similar = found @ found.T
    assert found.shape == (4, 512)
    assert np.allclose(np.diag(similar), 1, atol=1e-6)
    assert similar[0, 1] == 0
    assert similar[0, 2] == pytest.approx(0.5)
    assert similar[2, 3] == 0  # the same colours in other quarters


def test_histogram_bins_by_hand() -> None:
    picture = np.zeros((3, 2, 2), np.uint8)
    picture[:, 0, 0] = 255  # white: hue 0, saturation 0, value 255
    found = colour_histogram(picture[None])[0].reshape(4, 8, 4, 4)
    assert found[0, 0, 0, 3] == pytest.approx(0.5)
    assert found[1:, 0, 0, 0].tolist() == pytest.approx([0.5, 0.5, 0.5])


def test_embeddings_that_are_spoilt_are_refused(tmp_path: Path) -> None:
    write_embeddings(tmp_path, "query", Embeddings(("a", "b"), np.eye(2, dtype=np.float32)))
    assert read_embeddings(tmp_path, "query").ids == ("a", "b")
    with pytest.raises(MissingDataError, match="no embeddings of the split index"):
        read_embeddings(tmp_path, "index")
    write_embeddings(tmp_path / "other", "query", Embeddings(("a",), np.eye(1, dtype=np.float32)))
    shutil.copy(tmp_path / "other" / "query-00000-of-00001.parquet", tmp_path)
    with pytest.raises(CorruptInputError, match="does not fit its ids"):
        read_embeddings(tmp_path, "query")
    (tmp_path / "query-00000-of-00001.safetensors").write_bytes(b"x")
    with pytest.raises(CorruptInputError, match="holds no embeddings"):
        read_embeddings(tmp_path, "query")


def test_shards_are_read_in_order_and_only_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = [Embeddings((f"{n}a", f"{n}b"), rng.random((2, 3), dtype=np.float32)) for n in range(3)]
    for number in (2, 0, 1):
        write_shard(shard_path(tmp_path, "index", number, 3), parts[number], skipped=[f"lost {number}"])
    found = read_embeddings(tmp_path, "index")
    assert found.ids == read_ids(tmp_path, "index") == ("0a", "0b", "1a", "1b", "2a", "2b")
    assert np.array_equal(found.vectors, np.concatenate([part.vectors for part in parts]))
    assert read_skipped(tmp_path, "index") == ["lost 0", "lost 1", "lost 2"]
    shard_path(tmp_path, "index", 1, 3).with_suffix(".parquet").unlink()
    with pytest.raises(IncompleteError, match=r"are not whole; got no index-00001-of-00003.safetensors.*goes on"):
        read_embeddings(tmp_path, "index")
    write_shard(shard_path(tmp_path, "index", 1, 3), parts[1])
    write_embeddings(tmp_path, "index", parts[0])
    with pytest.raises(IncompleteError, match="not whole"):
        read_embeddings(tmp_path, "index")


PROGRAM = str(Path(sys.executable).with_name("hierlandmarks"))
SMALL = EmbedParams(baselines=("colour-histogram",), batch=4, shard=8, workers=0)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_is_written_stays_and_the_end_is_the_same(tmp_path: Path, release: Path, model: Path) -> None:
    embed(release, model, tmp_path / "whole", SMALL)
    whole = contents(tmp_path / "whole")
    assert len([name for name in whole if name.endswith(".safetensors")]) == 2 * (2 + 3)
    shutil.copytree(tmp_path / "whole", tmp_path / "again")
    for name in ("tiny/index-00001-of-00003.safetensors", "colour-histogram/query-00000-of-00002.parquet"):
        (tmp_path / "again" / name).unlink()
    (tmp_path / "again" / "tiny" / "entry.json").unlink()
    kept = tmp_path / "again" / "tiny" / "index-00000-of-00003.safetensors"
    before = kept.stat().st_mtime_ns
    assert embed(release, model, tmp_path / "again", SMALL).images == 16
    assert contents(tmp_path / "again") == whole
    assert kept.stat().st_mtime_ns == before


def test_workers_and_shards_change_nothing_but_the_files(tmp_path: Path, release: Path, model: Path) -> None:
    embed(release, model, tmp_path / "one", SMALL)
    embed(release, model, tmp_path / "two", dataclasses.replace(SMALL, workers=2, shard=12))
    for name in ("tiny", "colour-histogram"):
        one, two = (read_embeddings(tmp_path / folder / name, "index") for folder in ("one", "two"))
        assert one.ids == two.ids
        assert np.array_equal(one.vectors, two.vectors)


def test_a_killed_run_goes_on(tmp_path: Path, release: Path, model: Path) -> None:
    """kill -9 as soon as the first shard is there; what was written stays, the end is that of a whole run."""
    command = [sys.executable, PROGRAM, "bench", "embed", "--release", str(release)]
    command += ["--model", str(model), "--shard", "2", "--batch", "2", "--workers", "0", "--no-baselines"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen([*command, "--out", str(tmp_path / "killed")], env=environment, stderr=subprocess.DEVNULL)
    while run.poll() is None and not list((tmp_path / "killed").glob("tiny/*.safetensors")):
        time.sleep(0.002)
    run.kill()
    run.wait()
    before = contents(tmp_path / "killed")
    assert "tiny/entry.json" not in before
    params = EmbedParams(baselines=(), batch=2, shard=2, workers=0)
    with one_thread():
        embed(release, model, tmp_path / "killed", params)
        embed(release, model, tmp_path / "whole", params)
    after = contents(tmp_path / "killed")
    assert after == contents(tmp_path / "whole")
    assert all(after[name] == content for name, content in before.items() if not name.endswith(".part"))


def test_what_a_kill_left_half_written_goes(tmp_path: Path, release: Path, model: Path) -> None:
    embed(release, model, tmp_path, SMALL)
    before = contents(tmp_path)
    left = [
        tmp_path / ".plan.json.0a1b2c3d.part",
        tmp_path / "tiny" / ".query-00000-of-00002.safetensors.0a1b2c3d.part",
    ]
    for path in left:
        path.write_bytes(b"half")
    embed(release, model, tmp_path, SMALL)
    assert contents(tmp_path) == before


def test_a_kill_while_the_plan_was_written_does_not_bar_the_folder(tmp_path: Path, release: Path, model: Path) -> None:
    (tmp_path / ".plan.json.0a1b2c3d.part").write_bytes(b"{")
    embed(release, model, tmp_path, SMALL)
    assert not list(tmp_path.rglob("*.part"))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def test_two_processes_share_the_shards(tmp_path: Path, release: Path, model: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", PROGRAM, "bench", "embed"]
    command += ["--release", str(release), "--model", str(model), "--out", str(tmp_path / "two"), "--no-baselines"]
    command += ["--shard", "8", "--batch", "4", "--workers", "0", "--json"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)  # one of the two speaks
    assert said["entries"] == ["tiny"]
    assert said["images"] == 36
    with one_thread():
        embed(release, model, tmp_path / "one", EmbedParams(baselines=(), batch=4, shard=8, workers=0))
    two, one = contents(tmp_path / "two"), contents(tmp_path / "one")
    assert set(two) == set(one)
    assert all(two[name] == one[name] for name in one if not name.endswith("entry.json"))  # where the version stands


def test_a_folder_of_other_embeddings_is_refused(tmp_path: Path, release: Path, model: Path) -> None:
    embed(release, model, tmp_path / "out", SMALL)
    with pytest.raises(UsageError, match="holds embeddings made otherwise; got another entries, batch, shard: remove"):
        embed(release, model, tmp_path / "out", EmbedParams())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else"):
        embed(release, model, tmp_path / "full", SMALL)


def test_entries_of_another_dataset_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="holds no embeddings"):
        find_entries(tmp_path, "abc")
    write_json(tmp_path / "one" / "entry.json", {"dataset": {"name": "old", "content_hash": "123"}})
    with pytest.raises(
        CorruptInputError, match=r"the embeddings one are of another dataset; got old 123, expected abc"
    ):
        find_entries(tmp_path, "abc")
    write_json(tmp_path / "one" / "entry.json", {"dataset": 3})
    with pytest.raises(CorruptInputError, match="says nothing of its dataset"):
        find_entries(tmp_path, "abc")
