"""Soft category redirects: what their templates are called, and where they point."""

from __future__ import annotations

import re

from hierlandmarks_pipelines.wikimedia.titles import PREFIX, is_valid, normalise, upper_first

# Commons' own list of templates that move a category without a real redirect; `redirects=1` passes them by.
SOFT_REDIRECTS = (
    "Category redirect",
    "Endashcatredirect",
    "Invalid taxon category redirect",
    "Monotypic taxon category redirect",
    "Synonym taxon category redirect",
)
_LONGEST = 20_000  # characters looked at: the template stands at the top, and a page could be made to cost hours
_COMMENT = re.compile(r"<!--.*?-->|<nowiki\s*/>", re.DOTALL)
_TEMPLATE = re.compile(r"\{\{([^{}|]+)\|([^{}]*)\}\}")
_LINK = re.compile(r"\[\[:?([^\[\]|]*)(?:\|[^\[\]]*)?\]\]")


def redirect_target(wikitext: str) -> str:
    """The category a soft redirect points to, or "" when its wikitext names none.

    The target is the template's first argument, plain or as `1=`, with or without `Category:`, perhaps linked.
    The caller knows from `prop=templates` that the page is a soft redirect; where no template carries a known name,
    one of their many aliases was used, and the first template with an argument is taken.

    >>> redirect_target("{{Category redirect|Space Needle}}"), redirect_target("{{seecat|1=:Category:space_Needle}}")
    ('Category:Space Needle', 'Category:Space Needle')
    >>> redirect_target("{{Category redirect}}")
    ''
    """
    calls = [
        (upper_first(normalise(name)), _first_argument(arguments))
        for name, arguments in _TEMPLATE.findall(_LINK.sub(r"\1", _COMMENT.sub("", wikitext[:_LONGEST])))
    ]
    known = [target for name, target in calls if name in SOFT_REDIRECTS]
    for target in known or [target for _, target in calls]:
        if target:
            return target
    return ""


def _first_argument(arguments: str) -> str:
    named = [part.partition("=") for part in arguments.split("|")]
    plain = [name for name, equals, _ in named if not equals]
    first = next((value for name, equals, value in named if equals and name.strip() == "1"), plain[0] if plain else "")
    text = normalise(first).lstrip(":").strip()
    prefix, colon, rest = text.partition(":")
    text = rest.strip() if colon and prefix.strip().lower() in ("category", "cat") else text
    title = PREFIX + upper_first(text) if text else ""
    return title if is_valid(title) else ""
