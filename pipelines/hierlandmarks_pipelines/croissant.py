"""The description of a release in MLCommons' Croissant 1.1: its files, and the columns of every split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from hierlandmarks.schema import NODES, RELEASE
from hierlandmarks_pipelines.citation import ANNOTATIONS, PAPERS, SUMMARY

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    **{
        name: f"cr:{name}"
        for name in (
            *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject"),
            *("fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5"),
            *("parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate"),
            *("separator", "source", "subField", "transform"),
        )
    },
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
}
WORDS = {
    "id": "Image id, 16 hex digits.",
    "split": "The split the row belongs to.",
    "usage": "Public or Private for a query that the official ground truth scores, else empty.",
    "space": "Id space of landmark_id: train or index. The two number their landmarks independently.",
    "landmark_id": "The landmark's id within its space; empty for a distractor.",
    "name": "Name of the landmark.",
    "category": "Wikimedia Commons category the landmark was made from.",
    "item": "Wikidata item of the landmark.",
    "type": "What the item is an instance of.",
    "hierarchical_label": "One of the labels; empty where the landmark has none.",
    "natural_or_human_made": "Kind of the label; empty where there is none.",
    "landmark": "Integer code of the landmark as a place, -1 for none.",
    "label": "Integer code of the label, -1 for none.",
    "kind": "Integer code of the kind, -1 for none.",
    "label_source": "How the landmark came to its label: decision, name or none.",
    "url": "Where the image comes from.",
    "author": "Author of the image.",
    "license": "Licence of the image.",
    "title": "Title of the image.",
    "file": "File that holds the image in the layout of Google Landmarks v2.",
    "offset": "First byte of the image in its tar.",
    "size": "Bytes of the image.",
    "image": "The image, JPEG.",
    "node_id": "Permanent id of the node.",
    "parent_id": "Id of the node above; empty for the root.",
    "level": "Level of the node: root, kind, label or landmark.",
    "code": "Integer code of the node within its level.",
}


def croissant(facts: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The content of `croissant.json`; equal facts give equal content.

    Args:
        facts: `name`, `version`, `title`, `published`, `image_bytes` and `splits`, as the card's.
        files: bytes and SHA-256 of the shards by path.
    """
    published = {"datePublished": facts["published"]} if facts["published"] else {}
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "@id": facts["name"],
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": facts["name"],
        "alternateName": facts["title"],
        "description": SUMMARY,
        "version": facts["version"],
        "license": [ANNOTATIONS],
        "citeAs": "; ".join(paper["title"] for paper in PAPERS),
        "creator": {"@type": "sc:Organization", "name": "The hierlandmarks founders"},
        **published,
        "isLiveDataset": False,
        "keywords": ["image retrieval", "hierarchical labels", "landmarks"],
        "distribution": [_nodes_file(), *(_shards(split, files) for split in facts["splits"])],
        "recordSet": [_nodes(), *(_rows(split, facts["image_bytes"]) for split in facts["splits"])],
    }


def _nodes_file() -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": "hierarchy-file",
        "name": "hierarchy-file",
        "description": "The tree of labels.",
        "encodingFormat": "text/csv",
        "includes": "hierarchy.csv",
    }


def _shards(split: str, files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    count = sum(name.startswith(f"data/{split}-") for name in files)
    return {
        "@type": "cr:FileSet",
        "@id": f"{split}-shards",
        "name": f"{split}-shards",
        "description": f"The split {split} in {count} Parquet files.",
        "encodingFormat": "application/x-parquet",
        "includes": f"data/{split}-*.parquet",
    }


def _nodes() -> dict[str, Any]:
    fields = [_field("hierarchy", "hierarchy-file", field) for field in NODES.schema]
    return _records("hierarchy", "The nodes of the tree of labels.", fields, "node_id")


def _rows(split: str, image_bytes: bool) -> dict[str, Any]:
    columns = [field for field in RELEASE.schema if field.name != "image" or image_bytes]
    fields = [_field(split, f"{split}-shards", field) for field in columns]
    return _records(split, f"The images of the split {split}.", fields, "id")


def _records(name: str, about: str, fields: list[dict[str, Any]], key: str) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": about,
        "key": {"@id": f"{name}/{key}"},
        "field": fields,
    }


def _field(records: str, files: str, field: pa.Field) -> dict[str, Any]:
    kind = "sc:ImageObject" if field.name == "image" else "sc:Integer" if field.type == pa.int64() else "sc:Text"
    return {
        "@type": "cr:Field",
        "@id": f"{records}/{field.name}",
        "name": f"{records}/{field.name}",
        "description": WORDS[field.name],
        "dataType": kind,
        "source": {"fileSet": {"@id": files}, "extract": {"column": field.name}},
    }
