"""How a release is cited: CITATION.cff and, saying the same, .zenodo.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

ANNOTATIONS = "https://creativecommons.org/licenses/by/4.0/"
MAKERS = "The hierlandmarks founders"
SUMMARY = (
    "Images of landmarks with labels on three levels, landmark, label, and natural or human-made, for image retrieval "
    "in which a near miss counts for more than a far one. Labels are CC BY 4.0; each image has a licence of its own."
)
KEYWORDS = ["image retrieval", "hierarchical labels", "landmarks", "Google Landmarks v2"]
PAPERS: tuple[dict[str, Any], ...] = (
    {
        "title": "Google Landmarks Dataset v2: A Large-Scale Benchmark for Instance-Level Recognition and Retrieval",
        "authors": (("Weyand", "Tobias"), ("Araujo", "André"), ("Cao", "Bingyi"), ("Sim", "Jack")),
        "year": 2020,
        "arxiv": "2004.01804",
    },
    {
        "title": "Optimization of Rank Losses for Image Retrieval",
        "authors": (
            *(("Ramzi", "Elias"), ("Audebert", "Nicolas"), ("Rambour", "Clément"), ("Araujo", "André")),
            *(("Bitot", "Xavier"), ("Thome", "Nicolas")),
        ),
        "year": 2025,
        "arxiv": "2309.08250",
    },
)


def citation(facts: Mapping[str, Any]) -> str:
    """The text of `CITATION.cff` (format 1.2.0, type dataset).

    Args:
        facts: `title`, `version` and `published`, as the card's.
    """
    content = {
        "cff-version": "1.2.0",
        "message": "If you use this dataset, please cite it together with the papers it builds on.",
        "type": "dataset",
        "title": facts["title"],
        "abstract": SUMMARY,
        "version": facts["version"],
        **({"date-released": facts["published"]} if facts["published"] else {}),
        "license": "CC-BY-4.0",
        "keywords": KEYWORDS,
        "authors": [{"name": MAKERS}],
        "references": [_reference(paper) for paper in PAPERS],
    }
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120))


def zenodo(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The content of `.zenodo.json`, the metadata of a deposit; arguments as `citation`."""
    return {
        "upload_type": "dataset",
        "title": facts["title"],
        "description": SUMMARY,
        "version": facts["version"],
        **({"publication_date": facts["published"]} if facts["published"] else {}),
        "license": "cc-by-4.0",
        "access_right": "open",
        "keywords": KEYWORDS,
        "creators": [{"name": MAKERS}],
        "related_identifiers": [
            {"identifier": f"arXiv:{paper['arxiv']}", "relation": "isDerivedFrom", "scheme": "arxiv"}
            for paper in PAPERS
        ],
    }


def _reference(paper: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "article",
        "title": paper["title"],
        "authors": [{"family-names": family, "given-names": given} for family, given in paper["authors"]],
        "year": paper["year"],
        "identifiers": [{"type": "other", "value": f"arXiv:{paper['arxiv']}"}],
    }
