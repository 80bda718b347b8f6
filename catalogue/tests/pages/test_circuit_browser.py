"""Pages of small models in headless Chromium: pointed at, by keyboard, on a phone, in the dark,
from a file, with names that mean harm."""

from __future__ import annotations

import re

import circuit_world
import pytest

from assay.explorer.app import application
from assay_catalogue.pages import circuit
from assay_catalogue.pages.shelf import shelf
from browser_fixtures import CONTRAST, SHAPES

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'"
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    with circuit_world.world(tmp_path_factory.mktemp("world") / "store") as made:
        yield made


@pytest.fixture(scope="module")
def server(library, served):
    shelf(library.root).picture("redundant", score=True)  # so that no page waits for it
    shelf(library.root).picture("hostile")
    with served(application(library)) as address:
        yield address


def test_every_page_fits_and_is_read_in_both_lights(page):
    for address in ("/circuits", "/circuits/redundant", "/circuits/hostile"):
        page.goto(address)
        assert page.evaluate("document.querySelectorAll('h1').length") == 1
        for shape in SHAPES:
            page.emulate_media(color_scheme=shape["color_scheme"])
            page.set_viewport_size(shape["viewport"])
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= shape["viewport"]["width"], (address, shape)
            poor = page.evaluate(CONTRAST)
            assert not poor, (address, shape, poor[:3])


def point(page, svg, row: int, column: int) -> None:
    """Move the pointer to the middle of a cell."""
    svg.scroll_into_view_if_needed()
    box = svg.bounding_box()
    left, top, wide = (
        float(svg.get_attribute(name)) for name in ("data-left", "data-top", "width")
    )
    scale = box["width"] / wide
    page.mouse.move(
        box["x"] + scale * (left + 17 * (column + 0.5)), box["y"] + scale * (top + 17 * (row + 0.5))
    )


def test_a_cell_that_is_pointed_at_tells_its_value_and_both_tokens_on_every_head(page, library):
    page.goto("/circuits/redundant")
    page.get_by_label("3 2 4 2").or_(page.locator("#input-2")).last.check()
    shown = shelf(library.root).picture("redundant").attention
    maps = page.locator("#attention svg.map:visible")
    playwright.expect(maps).to_have_count(len(shown))
    point(page, maps.first, 5, 4)
    for i, pattern in enumerate(shown):
        drawn = pattern.examples[1]
        said = f"{drawn.rows[5]} at 5 looks at {drawn.columns[4]} at 4: {drawn.values[5][4]:.3g}"
        playwright.expect(page.locator("#attention .mapped:visible .tip").nth(i)).to_have_text(said)
    point(page, maps.first, 2, 6)
    assert page.locator("#attention .mapped:visible .tip").first.inner_text() == "", (
        "what comes later is not looked at"
    )


@pytest.mark.thorough
def test_inputs_and_heads_are_chosen_by_keyboard_and_the_link_says_which(page):
    page.goto("/circuits/redundant")
    page.locator("#input-0").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("#input-2").is_checked() and page.url.endswith("#input=2")
    page.locator("#head-0").focus()
    page.keyboard.press("ArrowRight")
    visible = page.locator("#attention .mapped:visible")
    playwright.expect(visible).to_have_count(1)
    assert (
        visible.first.locator("figcaption").inner_text() == "a0.0"
        and page.locator(".example:visible").count() == 1
    )
    other = page.context.new_page()
    other.goto(page.url)
    assert other.locator("#head-1").is_checked() and other.locator("#input-2").is_checked()
    other.close()


@pytest.mark.thorough
def test_a_map_is_walked_by_arrow_keys(page):
    page.goto("/circuits/redundant")
    svg = page.locator("#patching svg.map").first
    page.locator("#attention svg.map:visible").last.focus()
    page.keyboard.press("Tab")
    page.locator("#patching .scroll").first.focus()
    page.keyboard.press("Tab")
    tip = page.locator("#patching .tip").first
    svg.focus()
    page.keyboard.press("ArrowUp")
    before = tip.inner_text()
    page.keyboard.press("ArrowRight")
    playwright.expect(tip).not_to_have_text(before)
    playwright.expect(tip).to_have_text(
        re.compile(r"^without \S+ at position \d+ −?[\d.e−]+ of all there is gets lost$")
    )
    page.keyboard.press("Escape")
    playwright.expect(tip).to_have_text("")


@pytest.mark.thorough
def test_a_node_shows_what_it_reads_and_leads_to_its_row(page):
    page.goto("/circuits/redundant?score=1")
    node = page.locator('.causal [data-node="copied"]')
    node.hover()
    on = page.locator(".causal g.on")
    playwright.expect(on).to_have_count(2)
    assert {(g.get_attribute("data-from"), g.get_attribute("data-to")) for g in on.all()} == {
        ("before", "copied"),
        ("copied", "answer"),
    }
    node.click()
    assert "before" in page.locator("tr:target").inner_text()


@pytest.mark.thorough
def test_scores_come_by_themselves_once_the_spoiler_is_opened(page):
    page.goto("/circuits/two_hops")
    playwright.expect(page.locator("#explained .causal")).not_to_be_visible()
    page.wait_for_timeout(500)
    playwright.expect(page.locator("#explained .scores")).to_have_count(0)
    page.locator(".spoiler > summary").click()
    playwright.expect(page.locator("#explained .scores")).to_be_visible(timeout=240_000)
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1


def test_names_that_mean_harm_are_text(page):
    page.goto("/circuits/hostile")
    svg = page.locator("#attention svg.map:visible").first
    page.locator("#input-1").check()
    svg = page.locator("#attention svg.map:visible").first
    point(page, svg, 9, 3)
    tip = page.locator("#attention .mapped:visible .tip").first
    playwright.expect(tip).to_contain_text("</script><scr")
    assert (
        page.locator("img").count() == 0
        and page.evaluate("document.querySelectorAll('main script').length") == 0
    )


@pytest.mark.thorough
@pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True)
def test_without_script_inputs_and_heads_are_still_chosen(page):
    page.goto("/circuits/redundant?score=1")
    page.locator("#input-1").check()
    page.locator("#head-2").check()
    playwright.expect(page.locator("#attention .mapped:visible")).to_have_count(1)
    assert page.locator("#attention .mapped:visible figcaption").inner_text() == "a0.1"


@pytest.mark.thorough
def test_in_a_browser_from_a_file(browser, library, tmp_path):
    for name in ("redundant", "hostile"):
        path = tmp_path / f"{name}.html"
        path.write_text(
            circuit.render_standalone(shelf(library.root).picture(name)), encoding="utf-8"
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        asked, wrong = [], []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.on("console", lambda message, wrong=wrong: wrong.append(message.text))
        page.on("pageerror", lambda error, wrong=wrong: wrong.append(str(error)))
        page.on("dialog", lambda dialog, wrong=wrong: wrong.append(dialog.message))
        page.goto(path.as_uri())
        page.locator("#input-1").check()
        svg = page.locator("#attention svg.map:visible").first
        point(page, svg, 4, 3)
        playwright.expect(page.locator("#attention .mapped:visible .tip").first).to_contain_text(
            "looks at"
        )
        page.set_viewport_size({"width": 380, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
        assert {url.partition("#")[0] for url in asked} == {path.as_uri()} and not wrong
        page.close()
