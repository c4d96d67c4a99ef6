"""The curves of a training run as one picture."""

from __future__ import annotations

from pathlib import Path

from hierlandmarks.tables import atomic_path
from hierlandmarks_benchmark.recipe import Recipe
from hierlandmarks_benchmark.train.journal import Record


def draw_curves(history: list[Record], recipe: Recipe, path: Path) -> None:
    """Draw loss and its terms over epochs, and H-AP on validation where it was followed; a PNG at `path`."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [record["epoch"] for record in history]
    looked = [record for record in history if record["h_ap"] == record["h_ap"]]
    figure = Figure(figsize=(10 if looked else 5.4, 3.8), dpi=120, layout="constrained")
    axes = figure.subplots(1, 2 if looked else 1, squeeze=False)[0]
    axes[0].plot(epochs, [record["loss"] for record in history], color="black", linewidth=2, label="loss")
    for i, term in enumerate(recipe.loss):
        values = [record[f"{term.name}_{i}"] for record in history]
        axes[0].plot(epochs, values, linewidth=1, label=f"{term.name} (weight {term.weight:g})")
    axes[0].set(xlabel="epoch", ylabel="mean over images", title=f"{recipe.name}: training loss", ylim=(0, None))
    axes[0].legend(frameon=False)
    if looked:
        values = [record["h_ap"] for record in looked]
        axes[1].plot([record["epoch"] for record in looked], values, color="tab:green", marker="o")
        axes[1].set(xlabel="epoch", ylabel="H-AP", title=recipe.data.validation, ylim=(0, 1.15 * max(values)))
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    with atomic_path(path) as part:
        figure.savefig(part, format="png")
