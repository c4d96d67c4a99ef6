"""Board to page: one HTML file with style, script and thumbnails inside; nothing is fetched, every field escaped."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hierlandmarks_benchmark.entries import Example, Picture, pictures_of
from hierlandmarks_benchmark.leaderboard.board import Board
from hierlandmarks_benchmark.leaderboard.metrics import NAMES, PRIMARY, WORDS, interval, match_words, percent

STATIC = Path(__file__).with_name("static")


def render(board: Board, title: str) -> str:
    """The page.

    What entries say is escaped by the template engine; beside that, the page's own policy lets only its own style and
    script run, by their hashes, and nothing be loaded. A picture that several entries show is inlined once.

    Complexity: linear in entries and in the bytes of distinct thumbnails.
    """
    css, script = ((STATIC / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    shown = {metric.family for ranking in board.rankings for metric in ranking.metrics}
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            board=board,
            title=title,
            primary=PRIMARY,
            words=[(NAMES[family], text) for family, text in WORDS.items() if family in shown],
            css=Markup(css),  # our own files
            script=Markup(script),
            policy=_policy(css, script),
            sprites=_sprites(board),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(STATIC),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": percent,
        "web": web_address,
        "settings": partial(json.dumps, indent=2, ensure_ascii=False, sort_keys=True),
    }
    environment.globals |= {
        "credits": credits_of,
        "frame": frame,
        "interval": interval,
        "match_words": match_words,
        "sprite": sprite,
    }
    return environment


def frame(level: int, depth: int) -> int:
    """Which of the four frames a level of match gets: 3 for the same landmark, 2 for one level less, 0 for nothing.

    >>> [frame(level, 3) for level in range(4)], [frame(level, 5) for level in range(6)]
    ([0, 1, 2, 3], [0, 1, 1, 1, 2, 3])
    """
    return max(level - depth + 3, 1) if level else 0


def web_address(text: str) -> str:
    """An address that a link may lead to, "" for anything but https and http: no script, no file.

    >>> web_address("javascript:alert(1)"), web_address("https://commons.wikimedia.org/")
    ('', 'https://commons.wikimedia.org/')
    """
    return text if text.startswith(("https://", "http://")) else ""


def sprite(jpeg: bytes) -> str:
    """The id of a picture within the page, by content."""
    return f"p-{hashlib.sha256(jpeg).hexdigest()[:16]}"


def credits_of(examples: tuple[Example, ...]) -> list[Picture]:
    """Every picture of the examples that somebody is to be named for, once, by name of the landmark and id."""
    pictures = {p.id: p for e in examples for p in pictures_of(e) if p.author or p.license or p.title or p.url}
    return sorted(pictures.values(), key=lambda picture: (picture.name, picture.id))


def _sprites(board: Board) -> Mapping[str, str]:
    pictures = {sprite(jpeg): jpeg for entry in board.entries for jpeg in entry.thumbnails.values()}
    return {id: f"data:image/jpeg;base64,{base64.b64encode(pictures[id]).decode()}" for id in sorted(pictures)}


def _policy(css: str, script: str) -> str:
    style_hash, script_hash = (base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in (css, script))
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "base-uri 'none'; form-action 'none'"
    )
