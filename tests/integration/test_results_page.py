"""The page of results in a real browser: light and dark, wide and narrow, and nothing fetched."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hierlandmarks.metrics.sources import ArraySource
from hierlandmarks_benchmark.datasets import open_dataset
from hierlandmarks_benchmark.retrieve import Searched, Side, write_page
from tests.layouts import inat18

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Seven levels, vectors that follow them with some noise."""
    home = tmp_path_factory.mktemp("page")
    inat18(home)
    test = open_dataset(f"inat18:{home}", "test")
    rng = np.random.default_rng(0)
    axes = [rng.standard_normal((int(codes.max()) + 1, 16)) for codes in test.labels.T]
    vectors = sum(axis[codes] for axis, codes in zip(axes, test.labels.T, strict=True)) + rng.normal(size=(12, 16))
    side = Side(test, test.images.set_index("id").index, ArraySource(np.asarray(vectors, np.float32)))
    write_page(Searched("noisy", side, side, np.arange(12)), home / "page.html", count=4, results=11)
    return (home / "page.html").as_uri()


def show(browser: Any, page: str, width: int = 1280, scheme: str = "light") -> Any:
    screen = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get("about:blank")
    browser.get(page)
    return browser


def styles(browser: Any, selector: str, name: str) -> list[str]:
    return [element.value_of_css_property(name) for element in browser.find_elements("css selector", selector)]


def test_every_level_has_words_dots_and_a_colour(chromium: Any, page: str) -> None:
    browser = show(chromium, page)
    legend = browser.find_elements("css selector", ".legend li")
    assert [item.text for item in legend][:2] == ["same species", "same genus"]
    assert legend[-1].text == "nothing in common"
    assert [len(item.find_elements("css selector", ".on")) for item in legend] == list(range(7, -1, -1))
    assert len(set(styles(browser, ".legend li", "border-top-color"))) == 8
    assert len(browser.find_elements("css selector", ".query")) == 4
    assert len(browser.find_elements("css selector", ".found img")) == 44
    assert browser.get_log("browser") == []


def test_pictures_are_drawn_and_framed_by_level(chromium: Any, page: str) -> None:
    browser = show(chromium, page)
    photo = browser.find_element("css selector", ".found img")
    colours = Image.open(io.BytesIO(photo.screenshot_as_png)).convert("RGB").getcolors(1 << 20)
    assert colours is not None
    assert len(colours) > 20
    for item in browser.find_elements("css selector", ".found li"):
        frame = item.find_element("css selector", "img").value_of_css_property("border-top-color")
        name = item.get_attribute("class")
        assert frame == browser.find_element("css selector", f".legend .{name}").value_of_css_property(
            "border-top-color"
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_scheme_and_fits_a_phone(chromium: Any, page: str, scheme: str) -> None:
    browser = show(chromium, page, width=380, scheme=scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    (paper,) = set(styles(browser, "body", "background-color"))
    dark = sum(int(part) for part in re.findall(r"\d+", paper)[:3]) < 200
    assert dark == (scheme == "dark")


def test_nothing_is_fetched(chromium: Any, page: str) -> None:
    browser = show(chromium, page)
    assert (
        browser.execute_script(
            "return performance.getEntriesByType('resource').filter(r => !r.name.startsWith('data:')).length"
        )
        == 0
    )
