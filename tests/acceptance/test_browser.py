"""Pages of a dictionary and its features, and search, in headless Chromium. Any console error or
request to another host fails."""

import re

import pytest

import pages_world
from assay.explorer.app import application
from assay.explorer.library import Library
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


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Two made-up indexes; never written to."""
    return pages_world.world(tmp_path_factory.mktemp("world"))


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
