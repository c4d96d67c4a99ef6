"""The quality report in words and pictures: Markdown for the card, text for the terminal, SVG for both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hierlandmarks.progress import counted
from hierlandmarks.tables import write_json, write_text
from hierlandmarks_pipelines.webpage import drawing

REPORT, CONFUSION, CALIBRATION = "quality.json", "confusion.svg", "calibration.svg"
_WORST = 10  # confusions told in words
_CELL = 15  # pixels of a cell of the picture
_SIDE = 320  # pixels of the calibration curve


def write_quality(folder: Path, report: Mapping[str, Any]) -> list[str]:
    """Write the report as JSON, and its pictures where there is something to draw; equal reports, equal bytes.

    Returns:
        Names of the files written.
    """
    write_json(folder / REPORT, report)
    pictures = {CONFUSION: confusion_picture(report["agreement"]), CALIBRATION: curve_picture(report["calibration"])}
    for name, picture in pictures.items():
        if picture:
            write_text(folder / name, picture)
    return [REPORT, *(name for name, picture in pictures.items() if picture)]


def section(report: Mapping[str, Any], pictures: str = "") -> str:
    """The report as Markdown, without a heading.

    Args:
        report: as `quality.quality` gives it.
        pictures: what stands before the name of a picture.
    """
    parts = [f"**{name}.** {words}" for name, words in _words(report).items()]
    if report["agreement"] and report["agreement"]["landmarks"]:
        parts.append(_table(report["agreement"]))
        parts.append(f"![Confusion table: published labels against these]({pictures}{CONFUSION})")
    if report["calibration"]:
        parts.append(f"![Calibration curve: confidence against the share that was right]({pictures}{CALIBRATION})")
    return "\n\n".join(parts)


def text(report: Mapping[str, Any]) -> str:
    """The report for the terminal."""
    lines = [f"{name}: {words}" for name, words in _words(report).items()]
    confusions = _confusions(report["agreement"]) if report["agreement"] else []
    return "\n".join([*lines, *(f"{n:>6}  {a.strip()} -> {b.strip()}" for a, b, n in confusions[:_WORST])])


def confusion_picture(agreement: Mapping[str, Any] | None) -> str:
    """The confusion table as an SVG: published labels down, these across, shaded by the share of the row."""
    if not agreement or not agreement["landmarks"]:
        return ""
    names = [row["label"] for row in agreement["labels"]]
    totals = {row["label"]: row["published"] for row in agreement["labels"]}
    place = {name: number for number, name in enumerate(names)}
    cells = [
        {"x": place[b], "y": place[a], "count": n, "share": n / totals[a], "title": f"{a.strip()} → {b.strip()}: {n}"}
        for a, b, n in agreement["confusions"]
    ]
    return drawing("confusion.svg.j2", names=[name.strip() for name in names], cells=cells, cell=_CELL)


def curve_picture(calibration: Mapping[str, Any] | None) -> str:
    """The calibration curve as an SVG: mean confidence across, share right up, dots as large as their bins."""
    if not calibration:
        return ""
    most = max(row["landmarks"] for row in calibration["bins"])
    dots = [
        {
            "x": round(_SIDE * row["confidence"], 1),
            "y": round(_SIDE * (1 - row["right"]), 1),
            "r": round(2.5 + 7 * (row["landmarks"] / most) ** 0.5, 1),
            "title": f"{row['landmarks']} landmarks: confidence {row['confidence']:.2f}, right {row['right']:.2f}",
        }
        for row in calibration["bins"]
    ]
    return drawing("calibration.svg.j2", dots=dots, side=_SIDE, error=calibration["error"], n=calibration["landmarks"])


def _words(report: Mapping[str, Any]) -> dict[str, str]:
    words = {"Coverage": _coverage(report["coverage"])}
    if report["shape"]:
        words |= {"Depth": _depth(report["shape"]["depth"]), "Branching": _branching(report["shape"]["branching"])}
    words["Balance"] = _balance(report["balance"])
    words["Agreement"] = _agreement(report["agreement"])
    words["Calibration"] = _calibration(report["calibration"])
    return words


def _coverage(facts: Mapping[str, Any]) -> str:
    spaces = [
        f"{n['labelled']:,} of {n['landmarks']:,} {space} landmarks ({n['labelled'] / n['landmarks']:.1%}) have a label"
        for space, n in facts["spaces"].items()
    ]
    sources = ", ".join(f"{source} {count:,}" for source, count in facts["sources"].items())
    return "; ".join(spaces) + (f". Labels come by {sources}." if sources else ".")


def _depth(depth: Mapping[str, int]) -> str:
    parts = [f"{count:,} leaves {counted(int(steps), 'step')}" for steps, count in depth.items()]
    return f"{'; '.join(parts)} below the root."


def _branching(branching: Mapping[str, Any]) -> str:
    parts = [
        f"{counted(n['nodes'], level)} with {n['fewest']:,} to {n['most']:,} children (median {n['median']:g}, "
        f"mean {n['mean']:.1f})"
        for level, n in branching.items()
    ]
    return f"{'; '.join(parts)}."


def _balance(facts: Mapping[str, Any]) -> str:
    if not facts["labels"]:
        return "no landmark has a label."
    largest, smallest = facts["largest"], facts["smallest"]
    return (
        f"{counted(facts['labels'], 'label')} in use, as diverse as {facts['effective']:.1f} of equal size "
        f"(evenness {facts['evenness']:.2f}). The largest, {largest['label'].strip()}, has {largest['share']:.1%} of "
        f"landmarks, the ten largest {facts['top_share']:.1%}, the smallest, {smallest['label'].strip()}, "
        f"{counted(smallest['landmarks'], 'landmark')}."
    )


def _agreement(facts: Mapping[str, Any] | None) -> str:
    if facts is None:
        return "not compared with published labels: none were given."
    if not facts["landmarks"]:
        return f"no landmark has a label both here and in {facts['file']}."
    share = facts["same"] / facts["landmarks"]
    return (
        f"{facts['same']:,} of {counted(facts['landmarks'], 'landmark')} labelled both here and in `{facts['file']}` "
        f"have the same label ({share:.1%})."
    )


def _calibration(facts: Mapping[str, Any] | None) -> str:
    if facts is None:
        return "not measured: there are no published labels to compare confidences with."
    return (
        f"expected calibration error {facts['error']:.3f} over the {counted(facts['landmarks'], 'landmark')} compared. "
        "Confidence in a person's decision about a type is an order, not a measured share."
    )


def _table(agreement: Mapping[str, Any]) -> str:
    lines = ["| label | published | here | same |", "| --- | --: | --: | --: |"]
    lines += [
        f"| {row['label'].strip()} | {row['published']:,} | {row['assigned']:,} | {row['same']:,} |"
        for row in agreement["labels"]
    ]
    return "\n".join(lines)


def _confusions(agreement: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    wrong = [(a, b, n) for a, b, n in agreement["confusions"] if a != b]
    return sorted(wrong, key=lambda item: (-item[2], item[0], item[1]))
