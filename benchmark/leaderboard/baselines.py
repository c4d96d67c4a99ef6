"""The baselines as entries: every loss trained alike, and what needs no training, each through the public commands.

python benchmark/leaderboard/baselines.py                         the track mini; a few minutes on 2 cores
python benchmark/leaderboard/baselines.py --track photos --release RELEASE --recipe washington

What is in `--work` already is not made again; an entry that is there already is kept as it is.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hierlandmarks import cli

HERE = Path(__file__).resolve().parent
PROXY = "{name: ProxyLoss, weight: 0.1}"
HALF = "{name: SupRecallLoss, weight: 0.5}, {name: ProxyLoss, weight: 0.5}"  # the papers' weights for recall
LOSSES = {
    **{
        name.lower(): f"{{name: {name}Loss, weight: 0.9}}, {PROXY}"
        for name in ("SupAP", "SupHAP", "SupNDCG", "SmoothAP", "SmoothHAP", "SmoothNDCG")
    },
    "suprecall": HALF,
    **{name.lower(): f"{{name: {name}Loss}}" for name in ("Proxy", "Calibration", "CSL", "Triplet")},
}
UNTRAINED = ("random", "oracle", "colour-histogram", "untrained")


def run(*arguments: object) -> None:
    """One command of `hierlandmarks`; ends the script where it fails."""
    if code := cli.run([str(argument) for argument in arguments]):
        sys.exit(code)


def evaluate(loss: str, folder: Path, release: str, recipe: str) -> Path:
    """Train a loss, embed and evaluate, as far as that has not been done; the folder of its evaluation."""
    model, embeddings, evaluation = (folder / step for step in ("model", "embeddings", "evaluation"))
    if not model.is_dir():
        settings = (f"name={loss}", f"loss=[{LOSSES[loss]}]")
        run("bench", "train", "--release", release, "--recipe", recipe, "--out", model,
            *(part for setting in settings for part in ("--set", setting)))  # fmt: skip
    if not embeddings.is_dir():
        run("bench", "embed", "--release", release, "--model", model, "--baseline", "untrained", "--out", embeddings)
    if not evaluation.is_dir():
        run("bench", "evaluate", "--release", release, "--embeddings", embeddings, "--out", evaluation)
    return evaluation / loss


def main() -> None:
    """Make the entries that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--track", default="mini")
    parser.add_argument("--release", default="mini")
    parser.add_argument("--recipe", default="mini")
    parser.add_argument("--work", type=Path, default=Path("out/baselines"))
    parser.add_argument("--out", type=Path, default=HERE / "submissions")
    parser.add_argument("--examples", type=int, default=2, help="queries shown with pictures; 0 where none may be")
    parser.add_argument("--keep", type=int, default=1000, help="results a query that an entry keeps")
    args = parser.parse_args()
    to = ("--track", args.track, "--release", args.release, "--out", args.out, "--examples", args.examples,
          "--keep", args.keep)  # fmt: skip
    for name in UNTRAINED:
        if not (args.out / f"{args.track}-{name}").exists():
            run("bench", "submit", "--model", f"baseline:{name}", "--name", f"{args.track}-{name}",
                "--method", name, "--trained-on", "nothing", *to)  # fmt: skip
    for loss in LOSSES:
        if not (args.out / f"{args.track}-{loss}").exists():
            evaluation = evaluate(loss, args.work / args.track / loss, args.release, args.recipe)
            run("bench", "submit", "--evaluation", evaluation, "--name", f"{args.track}-{loss}", *to)


if __name__ == "__main__":
    main()
