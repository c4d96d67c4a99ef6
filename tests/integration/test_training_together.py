"""`bench train` in two processes on one machine: as one process would, and after kill -9 as if nothing had happened."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from hierlandmarks.params import to_mapping
from hierlandmarks_benchmark.recipe import load_recipe
from tests.coloured import release as write_release
from tests.trainable import transformer

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ("epochs=4", "sampler.batch=16", "sampler.chunk=3", "checkpoint.steps=2", "data.validate_every=2")
RUN = "from hierlandmarks import cli; import sys; sys.exit(cli.run(sys.argv[1:]))"
BREAK = """
import os
from hierlandmarks.errors import CorruptInputError
from hierlandmarks_benchmark.train import loop
readable, calls = loop._readable, []
def broken(*arguments):
    calls.append(1)
    if os.environ["RANK"] == os.environ["BREAKS"] and len(calls) == 3:
        raise CorruptInputError("too many pictures of this process cannot be read")
    return readable(*arguments)
loop._readable = broken
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    write_release(folder, {"train": (range(10), 8), "validation": (range(10, 16), 4)})
    for name, dropout in (("plain", 0.0), ("dropout", 0.2)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(to_mapping(transformer(dropout))))
        recipe = load_recipe(str(folder / f"{name}.yaml"), SETTINGS)
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(to_mapping(recipe)))
    (folder / "run.py").write_text(RUN)
    (folder / "broken.py").write_text(BREAK + RUN)
    return folder


def start(world: Path, recipe: str, out: str, processes: int, program: str = "run.py") -> subprocess.Popen:
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "ACCELERATE_USE_CPU": "true"}
    env |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    together = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(together if processes > 1 else []), str(world / program), "bench", "train"]
    command += ["--release", str(world / "release"), "--recipe", str(world / f"{recipe}.yaml"), "--out"]
    return subprocess.Popen([*command, str(world / out)], env=env, stderr=subprocess.PIPE)


def finish(run: subprocess.Popen) -> str:
    _, talk = run.communicate(timeout=120)
    assert run.returncode == 0, talk.decode()[-3000:]
    return talk.decode()


def history(folder: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader((folder / "history.csv").open()))
    return [{name: row[name] for name in row if name not in ("images_per_second", "waiting")} for row in rows]


def test_two_processes_train_as_one_does(world: Path) -> None:
    for processes in (1, 2):
        finish(start(world, "plain", f"by-{processes}", processes))
    for one, two in zip(history(world / "by-1"), history(world / "by-2"), strict=True):
        for name, value in one.items():
            assert value == two[name] == "" or float(two[name]) == pytest.approx(float(value), rel=1e-3), name
    names = {path.name for path in (world / "by-2").iterdir()}
    assert names == {"model.safetensors", "recipe.yaml", "history.csv", "curves.png", "summary.json", "tensorboard"}
    assert not (world / "by-2.training").exists()


def test_two_processes_go_on_after_a_kill_bit_for_bit(world: Path) -> None:
    finish(start(world, "dropout", "quiet", 2))
    checkpoint = world / "disturbed.training" / "checkpoint.safetensors"
    killed = start(world, "dropout", "disturbed", 2)
    while not checkpoint.exists():
        assert killed.poll() is None
        time.sleep(0.002)
    agent = psutil.Process(killed.pid)
    for process in (*agent.children(recursive=True), agent):  # torchrun's workers outlive it otherwise
        process.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (world / "disturbed").exists()
    assert "going on after step" in finish(start(world, "dropout", "disturbed", 2))
    assert history(world / "disturbed") == history(world / "quiet")
    weights = [(world / name / "model.safetensors").read_bytes() for name in ("quiet", "disturbed")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("breaks", ["0", "1"])
def test_where_one_stops_all_do_and_say_why(world: Path, breaks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREAKS", breaks)
    run = start(world, "plain", f"broken-{breaks}", 2, "broken.py")
    talk = run.communicate(timeout=120)[1].decode()  # a hang would end here
    assert run.returncode != 0
    assert "hierlandmarks: too many pictures of this process cannot be read" in talk
    assert "[rank" not in talk  # no traceback of the other's
    assert not (world / f"broken-{breaks}").exists()
    for process in psutil.process_iter(["cmdline"]):
        assert str(world / "broken.py") not in (process.info["cmdline"] or [])
