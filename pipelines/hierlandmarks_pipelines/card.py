"""The dataset card of a release: Markdown from computed numbers, with the front matter Hugging Face reads.

No number here is typed by hand; sentences say what holds of every release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from hierlandmarks.progress import counted
from hierlandmarks_pipelines.qualitycard import section

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
LARGEST = "1M<n<10M"

INTRODUCTION = """\
Images of landmarks with labels on three levels, from fine to coarse: **landmark → label → natural or human-made**. \
Made for image retrieval in which a near miss counts for more than a far one: another church is a better answer to a \
church than a lake is.\
"""

LABELS = """\
As in Google Landmarks v2 (Weyand et al.) and the hierarchy added to it (Ramzi et al.), each landmark is a Wikimedia \
Commons category, and the Wikidata item of that category says what it is an instance of. These types were embedded as \
text and clustered into proposals; people decided, type by type, which label a type belongs to. Their decisions are a \
file, `labels/decisions.csv` of the project, keyed by Wikidata id; whether a label is natural or human-made is part of \
its definition (`labels/taxonomy.csv`). The column `label_source` says how an image's landmark came to its label: by \
such a `decision`, by one about classes above its type (`ancestor`), by its `name`, with the other landmark of the \
same category (`same place`), or not at all (`none`).\
"""

TRAPS = """\
* `landmark_id` in train and in index count separately: the same number is another place. Join on `space` and
  `landmark_id` together, or on the integer code `landmark`, which is the place itself in both.
* An empty label is an empty cell and the code -1; it is no class of its own and matches nothing, another empty one
  included.
* The label `"ocean area "` ends in a space, in GLDv2's files and here; `castle / fort` holds a slash.
* Ids are text: 16 hex digits, some of which look like numbers.
* Canal, garden, parks, trail and agricultural land count as natural.
* Integer codes mean the same in every version that continues this one: `classes.csv` only grows. Across other releases
  join on the ids in `hierarchy.csv`.
* `usage` is Public or Private for the queries that GLDv2's retrieval ground truth scores, and empty elsewhere.\
"""

LICENCE = """\
Labels, hierarchy and this card: [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/), after the annotations of \
Google Landmarks v2 (CC BY 4.0, Google). Images carry their own licences, named row by row in `license` with `author`, \
`title` and `url`. Of photos from GLDv2, Google gives the train images as CC-BY without ND and the index and test \
images as CC0 or public domain, each to be verified by whoever uses it; it names authors and licences of train images \
only, so the others are counted as not recorded.\
"""

CITATION = """\
```bibtex
@inproceedings{weyand2020gldv2,
  title     = {Google Landmarks Dataset v2: A Large-Scale Benchmark for Instance-Level Recognition and Retrieval},
  author    = {Weyand, Tobias and Araujo, Andr{\\'e} and Cao, Bingyi and Sim, Jack},
  booktitle = {CVPR},
  year      = {2020},
  note      = {arXiv 2004.01804},
}
@article{ramzi2025rank,
  title   = {Optimization of Rank Losses for Image Retrieval},
  author  = {Ramzi, Elias and Audebert, Nicolas and Rambour, Cl{\\'e}ment and Araujo, Andr{\\'e} and Bitot, Xavier
             and Thome, Nicolas},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  year    = {2025},
  note    = {arXiv 2309.08250},
}
```\
"""


def card(facts: Mapping[str, Any]) -> str:
    """The card as Markdown with YAML front matter; equal facts give equal text.

    Args:
        facts: `name`, `version`, `title`, `about`, `left_out` (split -> images, landmarks), `quality` (as
            `quality.quality` gives it, or none), and what `hierlandmarks.overview.overview` counts: `splits`, `tree`,
            `labels`, `licences`, `sources`, `shared`.
    """
    splits, labels = facts["splits"], facts["labels"]
    sections = [
        f"---\n{yaml.safe_dump(front_matter(facts), sort_keys=False, allow_unicode=True)}---",
        f"# {facts['title']}",
        INTRODUCTION,
        facts["about"],
        "## Sizes",
        _table(("split", "images", "landmarks", "labels", "images without a label"), _sizes(splits)),
        _left_out(facts["left_out"]),
        _shared(facts["shared"]),
        "## Use",
        _use(facts),
        "## Hierarchy",
        _tree(facts["tree"]),
        _table(("label", "kind", "landmarks", *(f"{name} images" for name in splits)), _labels(labels, splits)),
        "## Quality" if facts.get("quality") else "",
        section(facts["quality"]) if facts.get("quality") else "",
        "## How the labels came about",
        LABELS,
        _table(("label_source", "landmarks"), facts["sources"].items()),
        "## Known traps",
        TRAPS,
        "## Licences",
        LICENCE,
        _table(
            ("licence of the image", "images"), ((_cell(k) or "not recorded", n) for k, n in facts["licences"].items())
        ),
        "## Citation",
        CITATION,
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def front_matter(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The YAML block of the card, in the fields of Hugging Face's dataset cards."""
    images = sum(split["images"] for split in facts["splits"].values())
    return {
        "pretty_name": facts["title"],
        "language": ["en"],
        "license": "other",
        "license_name": "annotations-cc-by-4.0-images-individual",
        "license_link": "https://creativecommons.org/licenses/by/4.0/",
        "task_categories": ["image-feature-extraction", "image-classification"],
        "tags": ["image-retrieval", "hierarchical-labels", "landmarks", "google-landmarks-v2"],
        "size_categories": [next((name for limit, name in SIZES if images < limit), LARGEST)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": name, "path": f"data/{name}-*.parquet"} for name in facts["splits"]],
            }
        ],
    }


def _table(header: Sequence[str], rows: Any) -> str:
    """A Markdown table; numbers to the right."""
    rows = [tuple(row) for row in rows]
    if not rows:
        return ""
    marks = ["--:" if isinstance(value, int) else "---" for value in rows[0]]
    lines = [header, marks, *((f"{v:,}" if isinstance(v, int) else str(v) for v in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """Text from data, which must not break out of its cell."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _sizes(splits: Mapping[str, Mapping[str, int]]) -> list[tuple[str | int, ...]]:
    return [(n, s["images"], s["landmarks"], s["labels"], s["unlabelled"]) for n, s in splits.items()]


def _labels(labels: Sequence[Mapping[str, Any]], splits: Mapping[str, Any]) -> list[tuple[str | int, ...]]:
    return [(_cell(r["label"]), r["kind"], r["landmarks"], *(r["images"][name] for name in splits)) for r in labels]


def _left_out(left_out: Mapping[str, Mapping[str, int]]) -> str:
    parts = [
        f"{counted(n['images'], 'image')} of {counted(n['landmarks'], 'landmark')} from {name}"
        for name, n in left_out.items()
    ]
    return f"Left out, because their landmark has no label: {'; '.join(parts)}." if parts else ""


def _shared(shared: Mapping[str, int]) -> str:
    parts = [f"{count:,} in {pair}" for pair, count in shared.items() if count]
    return f"Landmarks that are in two splits: {'; '.join(parts)}." if parts else "No landmark is in two splits."


def _tree(tree: Mapping[str, int]) -> str:
    parts = " → ".join(counted(count, name) for name, count in tree.items())
    return (
        f"{parts}, in `hierarchy.csv` (node_id, parent_id, level, name, code). The integer columns `landmark`, `label` "
        "and `kind` are the codes of the image's path."
    )


def _use(facts: Mapping[str, Any]) -> str:
    split = next(iter(facts["splits"]))
    return f"""\
```python
import hierlandmarks as hl

data = hl.load("path/to/{facts["name"]}", split="{split}")
data.images, data.labels, data.hierarchy, data.image(0)
```

or without the library: `datasets.load_dataset("parquet", data_files={{"{split}": "data/{split}-*.parquet"}})`."""
