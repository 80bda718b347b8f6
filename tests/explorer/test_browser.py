"""Pages of a dictionary and its features, and search, in headless Chromium. Any console error or
request to another host fails."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from acceptance.test_browser import server
from assay.explorer.pages import dictionary
from pages_world import BASE

__all__ = ["server"]


def test_a_text_is_sent_without_leaving_the_page_and_the_address_says_it(page):
    page.goto(f"{BASE}/4")
    page.fill("#text", "import <b>os</b>")
    page.click("text=Show where it fires")
    page.wait_for_selector("#activation .warning")
    assert "does not say where its dictionary is" in page.inner_text("#activation")
    page.wait_for_url("**activation?text=import**")
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1
    page.reload()
    assert page.input_value("#text") == "import <b>os</b>"
    assert page.locator("#activation .warning").count() == 1


def column(page, name):
    heads = page.locator("table.features thead th").all_inner_texts()
    at = next(i for i, head in enumerate(heads) if head.split("\n")[0].strip(" ↓↑") == name)
    return page.locator(f"table.features tbody tr > :nth-child({at + 1})").all_inner_texts()


def settle(page, query):
    """Wait until the address has these words, and the table belongs to it."""
    page.wait_for_url(re.compile(query))
    page.wait_for_load_state("networkidle")


def test_a_click_on_a_head_sorts_and_the_page_stays_where_it_is(page):
    page.goto(f"{BASE}?all=1")
    page.locator("#sort-density").scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    page.click("#sort-density")
    settle(page, "sort=density")
    shares = [float(text.removesuffix("%")) for text in column(page, "density")]
    assert shares == sorted(shares, reverse=True) and len(shares) == 40
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1
    assert abs(page.evaluate("scrollY") - before) < 5
    assert page.evaluate("document.activeElement.id") == "sort-density", (
        "the keyboard stays where it was"
    )
    page.click("#sort-density")
    settle(page, "way=asc")
    assert page.get_attribute("th:has(#sort-density)", "aria-sort") == "ascending"


def test_the_next_page_of_the_table_is_read_from_its_first_row(page, monkeypatch):
    monkeypatch.setattr(dictionary, "ROWS", 15)
    page.set_viewport_size({"width": 1000, "height": 500})
    page.goto(f"{BASE}?all=1")
    page.click("#after")
    settle(page, "page=2")
    assert page.inner_text("#range").startswith("16–30 of 40")
    assert 0 < page.locator("#range").bounding_box()["y"] < 150


def test_the_shade_of_a_token_that_is_cut_off_fades_with_its_letters(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{BASE}/4")
    for end in ("::before", "::after"):
        width, image = page.locator(".examples .context").first.evaluate(
            "(line, end) => { const s = getComputedStyle(line, end); "
            "return [parseFloat(s.width), s.backgroundImage] }",
            end,
        )
        assert width > 20 and "rgb(255, 255, 255)" in image
    right = page.locator(".examples .context > i:last-child").first
    assert right.evaluate("i => getComputedStyle(i).textOverflow") == "clip", "no … on a shade"


@pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True)
def test_every_part_works_without_script(page):
    page.goto(f"{BASE}?all=1")
    page.click("#sort-density")
    page.wait_for_url("**sort=density**")
    page.select_option("#filter-column", "density")
    page.fill("#filter-value", "0.05")
    page.click("text=add")
    page.wait_for_url("**where=density**")
    assert parse_qs(urlsplit(page.url).query)["where"] == ["density>=0.05"]
    assert parse_qs(urlsplit(page.url).query)["sort"] == ["density"]
    page.fill("#filter-value", "1")
    page.click("text=add")
    page.wait_for_url("**maximum**")
    assert "hidden by 2 conditions" in page.inner_text("#range")
