"""Templates to HTML pages and SVG pictures of one file: style and script inside, all text escaped, nothing fetched."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hierlandmarks.progress import counted

HERE = Path(__file__).with_name("web")


def render(template: str, *, script: str = "", **facts: Any) -> str:
    """A page as HTML; equal arguments give equal text.

    The page's own policy lets it run and load nothing but what is written here: its style, its one script, and
    pictures that are inside.

    Args:
        template: name of a template in `web/`.
        script: name of a script there; none when empty.
        facts: what the template needs.
    """
    css = _read("page.css")
    code = _read(script) if script else ""
    sources = f"'{_digest(code)}'" if code else "'none'"
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(css)}'; script-src {sources}; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template(template)
    return page.render(css=Markup(css), script=Markup(code), policy=policy, **facts)


def drawing(template: str, **facts: Any) -> str:
    """A picture as SVG, in the reader's colours; equal arguments give equal text."""
    return _environment().get_template(template).render(css=Markup(_read("picture.css")), **facts) + "\n"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["counted"] = counted
    environment.filters["grouped"] = "{:,}".format
    return environment


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
