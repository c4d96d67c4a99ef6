"""The tree and the review in a real browser: whole without scripts, searchable with, by keyboard, in both themes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hierlandmarks.schema import PROPOSALS
from hierlandmarks.tables import from_rows
from hierlandmarks_pipelines.build import STAGE, BuildParams
from hierlandmarks_pipelines.labelfiles import taxonomy_table
from hierlandmarks_pipelines.reviewpage import Thumbnail, doubts_page, review_page
from hierlandmarks_pipelines.reviewrows import ReviewRow, review_rows
from tests.labelworld import CHURCH, LAKE, TAXONOMY, assigned, assignments, proposal, stated, subclasses, types

pytestmark = pytest.mark.browser
DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw=="
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("pages")
    rows = assignments(
        *(assigned(n, CHURCH, type="Église", name=f"Saint {n}") for n in range(9)),
        assigned(20, CHURCH, type=EVIL, name=EVIL),
        assigned(21, LAKE, type="tarn", name="Loch Ness"),
        assigned(22),
    )
    STAGE.run(BuildParams(), {"assignments": rows, "taxonomy": taxonomy_table(TAXONOMY)}, {"labels": home})
    proposals = from_rows([proposal("chapel", 3), proposal(EVIL, 1)], PROPOSALS)
    todo = review_rows(proposals, types(stated(1, "chapel")), subclasses(), {})
    (home / "review.html").write_text(review_page(todo, {"hl:chapel": [Thumbnail("Saint Anne", "Ann, CC0", DOT)]}))
    long = "Holy Trinity Orthodox Church (Wilkeson, Pierce County, Washington)"
    doubt = ReviewRow(
        f"commons:{long}", long, 1, 1, "train 7", "", "church building", "church", 0.5, note="one clue of two"
    )
    (home / "doubts.html").write_text(doubts_page([doubt], {}, 1))
    return {name: (home / f"{name}.html").as_uri() for name in ("tree", "review", "doubts")}


@pytest.fixture
def show(view: Callable[..., Any], pages: dict[str, str]) -> Callable[..., Any]:
    """Opens a page, and `part` of it; the rest is `view`'s."""
    return lambda name, *how, part="", **more: view(pages[name] + part, *how, **more)


def seen(browser: Any, selector: str) -> list[str]:
    return [e.text for e in browser.find_elements("css selector", selector) if e.is_displayed()]


def test_the_tree_opens_by_pointer_and_keyboard_without_a_script(show: Callable[..., Any]) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = show("tree", scripts=False)
    assert seen(browser, ".label > summary .name") == ["lake", "church"]
    assert not browser.find_element("id", "tools").is_displayed()
    assert seen(browser, ".examples") == []
    church = browser.find_element("css selector", "[id='hl:church'] > summary")
    church.click()
    assert seen(browser, "[id='hl:church'] .type .name") == ["Église", EVIL]
    assert seen(browser, "[id='hl:church'] > .below > .about") == [CHURCH.definition]
    browser.find_element("css selector", "[id='hl:church'] .type > summary").send_keys(Keys.ENTER)
    assert seen(browser, ".examples") == ["Saint 0 · Saint 1 · Saint 2 · Saint 3 · Saint 4 …"]


def test_search_finds_types_and_landmarks_whatever_the_accents(show: Callable[..., Any]) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = show("tree")
    box = browser.find_element("id", "search")
    box.send_keys("eglise")
    assert seen(browser, ".type .name") == ["Église"]
    assert seen(browser, ".label > summary .name") == ["church"]
    assert browser.find_element("id", "found").text == "1 label, 1 type"
    box.clear()
    box.send_keys("Loch")
    assert seen(browser, ".examples") == ["Loch Ness"]
    box.send_keys(Keys.ESCAPE)
    assert seen(browser, ".label > summary .name") == ["lake", "church"]
    browser.find_element("id", "open").click()
    assert len(seen(browser, ".type .name")) == 3
    browser.find_element("id", "close").click()
    assert seen(browser, ".label .name") == []
    assert browser.get_log("browser") == []


def test_a_link_to_a_label_opens_it(show: Callable[..., Any]) -> None:
    assert seen(show("tree", part="#hl:lake"), ".type .name") == ["tarn"]


@pytest.mark.parametrize("name", ["tree", "review", "doubts"])
@pytest.mark.parametrize("width", [320, 1280])
def test_pages_fit_and_change_with_the_theme(show: Callable[..., Any], name: str, width: int) -> None:
    colours = []
    for scheme in ("light", "dark"):
        browser = show(name, width, scheme)
        browser.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        colours.append(browser.find_element("tag name", "body").value_of_css_property("background-color"))
    assert colours[0] != colours[1]


def test_the_review_shows_what_a_reviewer_needs(show: Callable[..., Any]) -> None:
    browser = show("review", scripts=False)
    assert seen(browser, ".rows h3") == ["chapel", EVIL]
    first = browser.find_element("css selector", ".rows li").text
    for words in ("settles 1 landmark", "line 2", "Suggested: church", "0.50", "Such as One; Two", "Saint Anne", "Ann"):
        assert words in first
    photo = browser.find_element("css selector", ".photos img")
    assert photo.size["width"] > 60


@pytest.mark.parametrize("name", ["tree", "review"])
def test_pages_fetch_nothing_and_have_no_serious_fault_of_access(
    show: Callable[..., Any], pages: dict[str, str], name: str
) -> None:
    from axe_core_python.selenium import Axe

    html = Path(pages[name].removeprefix("file://")).read_text(encoding="utf-8")
    assert "://" not in html
    for scheme in ("light", "dark"):
        browser = show(name, scheme=scheme)
        browser.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        faults = [f for f in Axe().run(browser)["violations"] if f["impact"] in ("serious", "critical")]
        assert faults == []
