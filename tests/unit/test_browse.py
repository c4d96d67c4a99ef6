from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from PIL import Image

import hierlandmarks as hl
from hierlandmarks.browse import page, shelves
from hierlandmarks.commands.browse import browse
from hierlandmarks.describe import describe
from hierlandmarks.errors import MissingDataError, UsageError
from tests import tiny


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.release(tmp_path_factory.mktemp("tiny"))


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))


def html(ds: hl.Dataset) -> str:
    return page(ds, shelves(ds, each=2, side=8), describe(ds))


def test_every_label_has_its_shelf(made: Path) -> None:
    ds = hl.load(made, "train")
    found = shelves(ds, each=4, side=8)
    assert [(s.label, s.kind) for s in found] == [
        ("lake", "natural"),
        ("church", "human-made"),
        ("bridge", "human-made"),
    ]
    assert [(s.images, s.landmarks) for s in found] == [(6, 2), (9, 2), (6, 2)]
    for shelf in found:
        assert len({t.id for t in shelf.thumbnails}) == 4
        assert len({t.name for t in shelf.thumbnails[:2]}) == 2, "each landmark once before any twice"
    assert found == shelves(ds, each=4, side=8)


def test_thumbnails_are_the_pictures(made: Path) -> None:
    ds = hl.load(made, "train")
    for shelf in shelves(ds, each=1, side=8):
        (shown,) = shelf.thumbnails
        content = base64.b64decode(shown.picture.removeprefix("data:image/jpeg;base64,"))
        small = Image.open(io.BytesIO(content))
        assert small.size == (8, 6)
        whole = np.asarray(ds.image(int(ds.find(shown.id)[0]))).mean(axis=(0, 1))
        assert np.abs(np.asarray(small.convert("RGB")).mean(axis=(0, 1)) - whole).max() < 4


def test_the_page_loads_nothing(made: Path) -> None:
    text = html(hl.load(made, "train"))
    tags = Page(text).tags
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert all(facts["src"].startswith("data:image/jpeg;base64,") for tag, facts in tags if tag == "img")
    assert "url(" not in text
    assert "@import" not in text
    policy = next(facts["content"] for tag, facts in tags if facts.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert all(facts.get("alt") for tag, facts in tags if tag == "img")
    assert not any(name.startswith("on") for _, facts in tags for name in facts)


def test_hostile_text_stays_text(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tiny.source

    def hostile(folder: Path, each: int = 3) -> pa.Table:
        table = source(folder, each)
        for name, text in (
            ("author", '"><script>alert(1)</script>'),
            ("url", "javascript:alert(1)"),
            ("license", "{{ 7*7 }}"),
        ):
            table = table.set_column(table.column_names.index(name), name, pa.array([text] * len(table)))
        return table

    monkeypatch.setattr(tiny, "source", hostile)
    text = html(hl.load(tiny.release(tmp_path), "train"))
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "{{ 7*7 }}" in text
    assert not any("javascript" in str(facts.get("href")) for _, facts in Page(text).tags)


def test_the_command(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "a" / "page.html"
    result = CliRunner().invoke(browse, [str(made), "--out", str(out), "--each", "1"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "3 images of 3 labels" in result.output
    assert re.search(r"<h1><bdi>tiny</bdi>", out.read_text(encoding="utf-8"))


def test_what_cannot_be_shown(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a page needs pictures"):
        shelves(hl.load(made), each=0)
    with pytest.raises(MissingDataError, match="root"):
        shelves(hl.load(tiny.release(tmp_path, image_bytes=False)))
    assert shelves(hl.load(made).where(label=-1)) == []
