"""Pages of a dictionary and its features, and search, in headless Chromium. Any console error or
request to another host fails."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from assay.explorer.app import application
from assay.explorer.library import Library
from assay.explorer.pages import dictionary
from browser_fixtures import CONTRAST, CUT_OFF, SHAPES
from pages_world import BASE

PAGES = [
    "/",
    f"{BASE}?all=1",
    f"{BASE}/4",
    f"{BASE}/0",
    f"{BASE}/1",
    f"{BASE}/4/activation?text=import",
    f"{BASE}/search?by=token&q=name",
    f"{BASE}/search?order=density",
]


@pytest.fixture(scope="module")
def server(world, served):
    with served(application(Library(world.store))) as address:
        yield address


def tip(page, token):
    """What a token shows below its line when it is pointed at or focused; nothing otherwise."""
    said = token.evaluate(
        "t => { const s = getComputedStyle(t, '::after'); return s.content === 'none' ? '' : "
        "s.content }"
    )
    return said.strip('"')


def test_every_page_fits_and_is_read_in_both_lights(page):
    for address in PAGES:
        page.goto(address)
        assert page.evaluate("document.querySelectorAll('h1').length") == 1
        for shape in SHAPES:
            page.emulate_media(color_scheme=shape["color_scheme"])
            page.set_viewport_size(shape["viewport"])
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= shape["viewport"]["width"], (address, shape)
            assert page.evaluate(CUT_OFF) == [], (address, shape)
            poor = page.evaluate(CONTRAST)
            assert not poor, (address, shape, poor[:3])


def test_a_token_tells_its_activation_when_pointed_at_and_when_focused(page):
    page.goto(f"{BASE}/4")
    token = page.locator(".context b.fires").first
    assert tip(page, token) == ""
    token.hover()
    assert re.fullmatch(r"activation [\d.]+", tip(page, token))
    page.mouse.move(0, 0)
    assert tip(page, token) == ""
    token.focus()
    assert tip(page, token) == token.get_attribute("data-tip")


@pytest.mark.thorough
def test_one_context_is_one_stop_of_the_tab_key_and_arrows_go_from_token_to_token(page):
    page.goto(f"{BASE}/1")
    line = page.locator(".context").first
    tokens = line.locator("[data-tip]")
    assert line.locator("[tabindex='0']").count() == 1 and tokens.count() > 3
    line.locator("[tabindex='0']").focus()
    at = page.evaluate("document.activeElement.innerText")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.matches('[data-tip]')")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.innerText") == at
    page.keyboard.press("Tab")
    assert not page.evaluate("document.querySelector('.context').contains(document.activeElement)")


@pytest.mark.thorough
def test_keys_go_to_other_features_but_not_while_typing(page):
    page.goto(f"{BASE}/4")
    page.keyboard.press("j")
    page.wait_for_url(f"**{BASE}/5")
    page.keyboard.press("k")
    page.wait_for_url(f"**{BASE}/4")
    page.fill("#text", "jkr")
    page.focus("#text")
    page.keyboard.press("j")
    assert page.url.endswith(f"{BASE}/4") and page.input_value("#text").count("j") == 2
    page.locator("h1").click()
    page.keyboard.press("r")
    page.wait_for_url(re.compile(rf"{BASE}/(?!4$)\d+$"))
    page.go_back()
    page.wait_for_url(f"**{BASE}/4")


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


@pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True)
def test_without_script_a_text_is_a_page_of_its_own(page):
    page.goto(f"{BASE}/4")
    page.locator("#text").fill("import")
    page.locator("text=Show where it fires").click()
    page.wait_for_url("**activation?text=import**")
    assert page.locator("#activation .warning").count() == 1


def test_a_slash_searches_and_a_key_sends(page):
    page.goto("/model/made-up~text/3")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "find"
    page.goto("/model/made-up~text/4")
    page.fill("#text", "import")
    page.press("#text", "Control+Enter")
    page.wait_for_selector("#activation .warning")


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
