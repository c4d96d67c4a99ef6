"""What `photos.py` and `photos_search.py` share: the release, the losses, what is tried for each and what is taken."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pandas as pd

TRIALS = Path(__file__).resolve().parent / "results/photos_search.csv"
RATES = (3e-4, 1e-3, 3e-3, 1e-2)  # of the network; that of proxies is the recipe's


@dataclass(frozen=True)
class Candidate:
    """One loss.

    Attributes:
        title: as tables call it.
        terms: the recipe's `loss`, with `%s` where the loss's own parameter goes.
        parameter: what that is called.
        values: those that are tried; the loss's own default is among them.
    """

    title: str
    terms: str
    parameter: str
    values: tuple[float, ...]

    def trials(self) -> list[tuple[float, float]]:
        """Learning rate and parameter of every trial."""
        return list(product(RATES, self.values))

    def settings(self, rate: float, value: float) -> list[str]:
        """What a trial sets over the recipe."""
        own = f", params: {{{self.parameter}: {value:g}}}"
        return [f"loss={self.terms % own}", f"optimiser.learning_rate={rate:g}"]


def _ranked(name: str, title: str) -> Candidate:
    terms = f"[{{name: {name}, weight: 0.9%s}}, {{name: ProxyLoss, weight: 0.1}}]"
    return Candidate(f"{title} + proxy", terms, "tau", (0.01, 0.02, 0.05))


def _alone(name: str, title: str, parameter: str, values: tuple[float, ...]) -> Candidate:
    return Candidate(title, f"[{{name: {name}%s}}]", parameter, values)


RECALL = "[{name: SupRecallLoss, weight: 0.5%s}, {name: ProxyLoss, weight: 0.5}]"  # as its paper
LOSSES = {
    "suphap": _ranked("SupHAPLoss", "SupHAP"),
    "smoothhap": _ranked("SmoothHAPLoss", "SmoothHAP"),
    "supndcg": _ranked("SupNDCGLoss", "SupNDCG"),
    "smoothndcg": _ranked("SmoothNDCGLoss", "SmoothNDCG"),
    "csl": _alone("CSLLoss", "CSL", "scale", (16, 32, 64)),
    "triplet": _alone("TripletLoss", "triplet", "margin", (0.05, 0.1, 0.2)),
    "supap": _ranked("SupAPLoss", "SupAP"),
    "smoothap": _ranked("SmoothAPLoss", "SmoothAP"),
    "suprecall": Candidate("SupRecall + proxy", RECALL, "temperature", (0.5, 1, 2)),
    "proxy": _alone("ProxyLoss", "proxy alone", "temperature", (0.03, 0.05, 0.1)),
    "calibration": _alone("CalibrationLoss", "calibration alone", "negative_margin", (0.3, 0.45, 0.6)),
}


def best(trials: pd.DataFrame) -> pd.DataFrame:
    """The trial of each loss with the highest H-AP: a row a loss, with `rate`, `value` and `h_ap`."""
    return trials.loc[trials.groupby("loss")["h_ap"].idxmax()].set_index("loss")


def chosen(loss: str) -> list[str]:
    """What the best trial of a loss set over the recipe."""
    row = best(pd.read_csv(TRIALS)).loc[loss]
    return LOSSES[loss].settings(float(row["rate"]), float(row["value"]))


def make_release(folder: Path) -> Path:
    """The release of the real photos, made where it is not there; the pipelines are asked, never imported."""
    command = Path(sys.executable).with_name("hierlandmarks")
    asked = [command, "run", "washington", "--until", "export", "--out", folder / "dataset"]
    subprocess.run(asked, check=True, stdout=subprocess.DEVNULL)
    return folder / "dataset/release"
