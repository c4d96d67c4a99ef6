"""The plot of `metrics.py`: seconds against gallery size."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def plot(frame: pd.DataFrame, path: Path) -> None:
    """Time of 256 queries against gallery size, both logarithmic, as an SVG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "hierlandmarks"  # equal numbers, equal bytes
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for what, rows in frame[(frame["queries"] == 256) & (frame["gallery"] > 0)].groupby("what", sort=False):
        own = "metrics" in str(what)
        style = "o-" if own else "k--" if what == "matrix product" else "^:"
        axes.plot(rows["gallery"], rows["seconds"], style, label=str(what), linewidth=2 if own else 1)
    about = frame.iloc[0]
    axes.set(xscale="log", yscale="log", xlabel="gallery items", ylabel="seconds for 256 queries")
    axes.set_title(f"{about['cpu']}, {about['threads']} threads, d = {about['dim']}, {about['date']}", fontsize=9)
    axes.grid(which="both", alpha=0.3)
    axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
