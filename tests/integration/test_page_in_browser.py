"""The page in a real browser: it shows what it should, sorts, opens, adapts, and runs and fetches nothing foreign."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hierlandmarks_benchmark.leaderboard import build
from hierlandmarks_benchmark.submit import submit
from tests.board import make_evaluation, make_hostile, make_release

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of two pages: an honest one of three entries, and one whose every field is an attack."""
    home = tmp_path_factory.mktemp("boards")
    release = make_release(home / "release")
    for name, noise in {"suphap": 0.25, "histogram": 0.5, "untrained": 1.0}.items():
        submit(make_evaluation(home / "evaluation" / name, release, noise), release, home / "submissions")
    build(home / "submissions", home / "honest")
    build(make_hostile(release, home / "attack"), home / "hostile")
    return {name: (home / name / "index.html").as_uri() for name in ("honest", "hostile")}


@pytest.fixture
def show(view: Callable[..., Any], boards: dict[str, str]) -> Callable[..., Any]:
    """Opens a board, and `part` of it; the rest is `view`'s."""
    return lambda name="honest", *how, part="", **more: view(boards[name] + part, *how, **more)


def texts(browser: Any, selector: str) -> list[str]:
    return [element.text for element in browser.find_elements("css selector", selector)]


def test_entry_bars_and_gallery_are_seen(show: Callable[..., Any]) -> None:
    browser = show()
    assert browser.title == "Hierarchical landmark retrieval · leaderboard"
    assert texts(browser, "table.ranking tbody a") == ["suphap", "histogram", "untrained"]
    assert texts(browser, ".panel h4") == ["same landmark", "same label", "same kind"] * 2
    widths = [rect.size["width"] for rect in browser.find_elements("css selector", ".panel:first-child rect.bar")]
    assert widths[0] > widths[1] > widths[2] > 0
    photos = [p for p in browser.find_elements("css selector", ".entry[open] .photo") if p.is_displayed()]
    assert len(photos) == 3 * 9  # the first entry is open: three queries with eight results
    assert min(photo.size["width"] for photo in photos) > 60
    assert {"same landmark", "same label"} <= set(texts(browser, ".entry[open] .mark"))
    assert browser.get_log("browser") == []


def test_pictures_are_drawn(show: Callable[..., Any]) -> None:
    """Pixels, not elements: the inlined photo of the first query has more than one colour."""
    import io

    from PIL import Image

    photo = show().find_element("css selector", ".asked .photo")
    colours = Image.open(io.BytesIO(photo.screenshot_as_png)).convert("RGB").getcolors(1 << 20)
    assert colours is not None
    assert len(colours) > 20


def test_frames_tell_levels_apart_without_colour(show: Callable[..., Any]) -> None:
    browser = show()
    styles = [
        item.value_of_css_property("border-top-style") for item in browser.find_elements("css selector", ".legend li")
    ]
    assert styles == ["solid", "solid", "dashed", "dotted"]
    dots = [
        len(item.find_elements("css selector", ".on")) for item in browser.find_elements("css selector", ".legend li")
    ]
    assert dots == [3, 2, 1, 0]
    assert texts(browser, ".legend li") == ["same landmark", "same label", "same kind", "nothing in common"]


def test_tables_sort_by_pointer_and_by_key(show: Callable[..., Any]) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = show()
    names = "table.ranking tbody a"
    entry, h_ap = browser.find_elements("css selector", "table.ranking thead button")[:2]
    h_ap.click()
    assert texts(browser, names) == ["untrained", "histogram", "suphap"]
    entry.send_keys(Keys.ENTER)
    assert texts(browser, names) == ["histogram", "suphap", "untrained"]
    orders = [th.get_attribute("aria-sort") for th in browser.find_elements("css selector", "thead th[aria-sort]")]
    assert orders == ["ascending"]
    for button in browser.find_elements("css selector", "table.ranking thead button")[1:]:
        column = browser.find_elements("css selector", "table.ranking thead button").index(button)
        button.click()
        cells = browser.find_elements("css selector", f"table.ranking tbody tr > :nth-child({column + 1})")
        values = [float(cell.get_attribute("data-value")) for cell in cells]
        assert values in (sorted(values, reverse=True), sorted(values))
        assert len(values) == 3


def test_a_link_opens_its_entry_and_closes_the_other(show: Callable[..., Any]) -> None:
    browser = show()
    browser.find_element("css selector", "a[href='#entry-untrained']").click()
    assert [d.get_attribute("id") for d in browser.find_elements("css selector", ".entry[open]")] == ["entry-untrained"]
    browser = show(part="#entry-histogram")
    assert [d.get_attribute("id") for d in browser.find_elements("css selector", ".entry[open]")] == ["entry-histogram"]


def test_it_reads_the_same_without_scripts(show: Callable[..., Any]) -> None:
    browser = show(scripts=False)
    assert texts(browser, "table.ranking tbody a") == ["suphap", "histogram", "untrained"]
    assert browser.find_elements("css selector", "thead button") == []
    summary = browser.find_element("css selector", "#entry-untrained > summary")
    summary.click()
    assert [d.get_attribute("id") for d in browser.find_elements("css selector", ".entry[open]")] == ["entry-untrained"]


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_it_fits_the_window(width: int, show: Callable[..., Any]) -> None:
    browser = show(width=width)
    fits = "return arguments[0].scrollWidth <= arguments[0].clientWidth"
    assert browser.execute_script(fits, browser.find_element("css selector", "html"))
    if width == 1280:  # narrower, the table scrolls within its frame
        assert browser.execute_script(fits, browser.find_element("css selector", ".scroll"))


def test_dark_follows_the_reader(show: Callable[..., Any]) -> None:
    def light(colour: str) -> float:
        return sum(float(part) for part in colour.split("(")[1].rstrip(")").split(",")[:3]) / 765

    for scheme, is_light in (("light", True), ("dark", False)):
        body = show(scheme=scheme).find_element("css selector", "body")
        assert (light(body.value_of_css_property("background-color")) > 0.5) == is_light
        assert (light(body.value_of_css_property("color")) < 0.5) == is_light


def test_nothing_is_fetched(show: Callable[..., Any]) -> None:
    browser = show()
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in fetched if not name.startswith("data:")] == []


def test_no_field_runs_a_script(show: Callable[..., Any]) -> None:
    browser = show("hostile")
    assert browser.execute_script("return typeof window.hacked") == "undefined"
    assert len(browser.find_elements("css selector", "script")) == 1
    assert browser.find_elements("css selector", "img") == []
    assert "<script>hacked=1" in browser.find_element("css selector", "h2").text
    for link in browser.find_elements("css selector", "a"):
        assert link.get_attribute("href").startswith("file://")
    assert browser.get_log("browser") == []


def test_the_policy_stops_what_escaping_missed(show: Callable[..., Any]) -> None:
    """Were a field to become markup after all, its script, handler, style and picture still would not load."""
    browser = show()
    browser.execute_script(
        """const box = document.createElement('div');
        box.innerHTML = '<img src="https://example.org/x.png" onerror="window.hacked=1"><b style="color:red">x</b>';
        document.body.append(box);
        const script = document.createElement('script');
        script.textContent = 'window.hacked = 1';
        document.body.append(script);"""
    )
    assert browser.execute_script("return typeof window.hacked") == "undefined"
    refused = " ".join(line["message"] for line in browser.get_log("browser"))
    for directive in ("img-src", "script-src", "style-src"):
        assert directive in refused


PAGES = ("index.html", "entries/suphap.html", "compare-1.html", "queries-1.html")


def open_beside(browser: Any, page: str) -> Any:
    browser.get(browser.current_url.split("#")[0].replace("index.html", page))
    return browser


def test_filters_hide_what_was_not_asked_for(show: Callable[..., Any]) -> None:
    browser = show()
    browser.find_element("css selector", "input[type=search]").send_keys("HIST")
    names = [row.text for row in browser.find_elements("css selector", "table.ranking tbody a") if row.is_displayed()]
    assert names == ["histogram"]
    assert texts(browser, ".filters output") == ["1 entry"]
    browser = show("hostile")
    options = browser.find_elements("css selector", "[data-filter=trained] option")
    assert len(options) == 2
    options[1].click()
    assert texts(browser, ".filters output") == ["1 entry"]


def test_two_entries_are_compared_query_by_query(show: Callable[..., Any], boards: dict[str, str]) -> None:
    browser = open_beside(show(), "compare-1.html")
    assert "suphap" in browser.find_element("id", "summary").text
    browser.get(boards["honest"].replace("index.html", "compare-1.html#untrained,histogram"))
    browser.refresh()
    summary = browser.find_element("id", "summary").text
    assert summary.startswith("A, untrained, does better on")
    assert "B, histogram," in summary
    assert len(browser.find_elements("css selector", "#queries tr")) == 6
    assert len(browser.find_elements("css selector", "#labels tr")) == 4
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_no_serious_fault(page: str, scheme: str, show: Callable[..., Any]) -> None:
    from importlib.resources import files

    pytest.importorskip("axe_core_python")
    browser = open_beside(show(scheme=scheme, width=800), page)
    browser.execute_script(files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    found = browser.execute_async_script("const done = arguments[0]; axe.run().then((r) => done(r.violations));")
    serious = [(v["id"], v["nodes"][0]["html"][:120]) for v in found if v["impact"] in ("serious", "critical")]
    assert serious == []


@pytest.mark.parametrize("width", [320, 390])
@pytest.mark.parametrize("page", PAGES[1:])
def test_every_page_fits_the_window(page: str, width: int, show: Callable[..., Any]) -> None:
    browser = open_beside(show(width=width), page)
    fits = "return arguments[0].scrollWidth <= arguments[0].clientWidth"
    assert browser.execute_script(fits, browser.find_element("css selector", "html"))
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in fetched if not name.startswith("data:")] == []


def test_no_field_runs_a_script_on_the_page_of_an_entry(show: Callable[..., Any]) -> None:
    browser = open_beside(show("hostile"), "entries/hostile.html")
    assert browser.execute_script("return typeof window.hacked") == "undefined"
    assert browser.find_elements("css selector", "img, script") == []
    assert browser.get_log("browser") == []
