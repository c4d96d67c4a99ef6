"""Labels in the terminal and in the browser: text at 80 columns, and a page with the tree."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby

from hierlandmarks.progress import counted
from hierlandmarks_pipelines.labeltree import Branch, LabelView
from hierlandmarks_pipelines.webpage import render

WIDTH = 80
_MOST = 20  # types of a label in the terminal


def page(views: Sequence[LabelView], title: str, unplaced: int | None = None) -> str:
    """The tree as an HTML page: expandable without a script, searchable with its own; linear in types.

    Args:
        views: as `labeltree.grow` gives them.
        title: what the tree is of.
        unplaced: landmarks without a label, None where that is not known.
    """
    kinds = [(kind, list(group)) for kind, group in groupby(views, lambda view: view.kind)]
    largest = max((view.landmarks for view in views), default=0)
    return render("tree.html.j2", script="tree.js", title=title, kinds=kinds, largest=largest or 1, unplaced=unplaced)


def text(views: Sequence[LabelView], *, tree: bool) -> str:
    """Labels for the terminal, no line over 80 columns unless a name is.

    Args:
        views: one to look at closely, or several for an overview.
        tree: draw what is below: labels below kinds, types and examples below a label.
    """
    if len(views) > 1:
        return _overview(views, tree)
    (view,) = views
    blocks = [_facts(view)]
    if tree:
        blocks.append("\n".join([f"{view.label.strip()}  {_counts(view)}".rstrip(), *_types(view.types[:_MOST])]))
        if (rest := len(view.types) - _MOST) > 0:
            landmarks = sum(branch.landmarks for branch in view.types[_MOST:])
            blocks.append(f"and {counted(rest, 'more type')} with {counted(landmarks, 'landmark')} (--json: all)")
    else:
        names = [name for branch in view.types for name in branch.examples][:6]
        blocks.append(_wrapped("Such as ", " · ".join(names)) if names else "")
        blocks.append("With --tree: the types below it, and why they are here.")
    return "\n\n".join(block for block in blocks if block)


def _facts(view: LabelView) -> str:
    lines = [" › ".join(name.strip() for name in view.path)]
    if view.definition:
        lines.append(_wrapped("", view.definition))
    lines.append(f"{view.label_id}{f' · Wikidata {view.wikidata}' if view.wikidata else ''}")
    if view.landmarks:
        spaces = f"{view.train:,} train, {view.index:,} index"
        lines.append(f"{counted(view.landmarks, 'landmark')} ({spaces}), {counted(view.places, 'place')}")
        lines.append("Label by " + ", ".join(f"{name} {count:,}" for name, count in view.sources.items()))
    return "\n".join([*lines, counted(len(view.types), "type")])


def _overview(views: Sequence[LabelView], tree: bool) -> str:
    lines = []
    for kind, group in groupby(views, lambda view: view.kind):
        below = list(group)
        lines.append(f"{kind}  {_sum(below)}")
        if tree:
            for view, edge in zip(below, _edges(len(below)), strict=True):
                lines.append(f"{edge}{view.label.strip()}  {_counts(view) or counted(len(view.types), 'type')}")
        else:
            lines.append(_wrapped("  ", ", ".join(_short(view) for view in below)))
    return "\n".join(lines)


def _short(view: LabelView) -> str:
    return f"{view.label.strip()} {view.landmarks:,}" if view.landmarks else view.label.strip()


def _sum(views: Iterable[LabelView]) -> str:
    listed = list(views)
    landmarks = sum(view.landmarks for view in listed)
    return counted(len(listed), "label") + (f", {counted(landmarks, 'landmark')}" if landmarks else "")


def _types(branches: Sequence[Branch]) -> list[str]:
    lines = []
    for branch, edge in zip(branches, _edges(len(branches)), strict=True):
        bar = "│   " if edge.startswith("├") else "    "
        lines.append(_cut(f"{edge}{branch.type}  {_counts(branch)}".rstrip()))
        lines.append(_cut(f"{bar}  {branch.why}"))
        if branch.examples:
            lines.append(_cut(f"{bar}  {' · '.join(branch.examples)}"))
    return lines


def _edges(count: int) -> list[str]:
    return ["├── "] * (count - 1) + ["└── "] * min(count, 1)


def _counts(view: Branch | LabelView) -> str:
    return f"{view.landmarks:,} (train {view.train:,}, index {view.index:,})" if view.landmarks else ""


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 1].rstrip() + "…"


def _wrapped(first: str, words: str) -> str:
    return textwrap.fill(words, WIDTH, initial_indent=first, subsequent_indent=" " * (2 if first else 0))
