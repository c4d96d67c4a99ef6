"""The plot of `losses.py`: seconds against batch size."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def plot(frame: pd.DataFrame, path: Path) -> None:
    """Forward + backward of a batch against its size, both logarithmic, as an SVG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "hierlandmarks"  # equal numbers, equal bytes
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    batches = frame[
        (frame["references"] == frame["batch"]) & frame["loss"].isin(["SupHAP", "SmoothAP", "FastAP", "product"])
    ]
    styles = {"direct": "s--", "eager": "o-", "numba": "o-", "triton": "o-", "peer": "^:", "torch": "k--"}
    for (loss, backend), rows in batches.groupby(["loss", "backend"], sort=False):
        axes.plot(rows["batch"], rows["seconds"], styles[str(backend)], label=f"{loss}, {backend}")
    about = frame.iloc[0]
    axes.set(xscale="log", yscale="log", xlabel="batch size", ylabel="seconds, forward + backward")
    axes.set_title(f"{about['processor']}, {about['threads']} threads, d = {about['dim']}, {about['date']}", fontsize=9)
    axes.set_xticks(sorted(set(batches["batch"])), [str(size) for size in sorted(set(batches["batch"]))], minor=False)
    axes.grid(which="both", alpha=0.3)
    axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
