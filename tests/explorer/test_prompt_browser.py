"""The pages about a text in headless Chromium: type, choose, change, go back, a deep link, a phone,
the dark, a keyboard alone."""

import re
import shutil

import pytest
from tiny_world import TEXT

from assay.explorer.app import application
from assay.explorer.library import Library

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'"
)


FAILED = """<html><body><main id="main"><h1>Something went wrong</h1><p id="problem" role="alert">This page failed.</p></main></body></html>"""  # noqa: E501


@pytest.fixture(scope="module")
def server(tiny, served):
    with served(application(tiny.library())) as address:
        yield address


def test_type_choose_take_out_go_back_and_follow_the_link(page, tiny, browser, server):
    page.goto(f"{tiny.base}/prompt")
    page.locator("#text").fill(TEXT)
    page.keyboard.press("Control+Enter")
    why = page.locator("#why")
    playwright.expect(why).to_contain_text("Features that matter to", timeout=60_000)
    page.locator(".strip a").nth(6).click()
    playwright.expect(page.locator("#prediction h2")).to_have_text("The prediction of token 7")
    playwright.expect(page.locator("#why")).to_contain_text("Features that matter to")
    page.get_by_role("link", name=re.compile("^ablate feature")).first.click()
    playwright.expect(page.locator("#changed h2")).to_have_text("With 1 feature changed")
    first = page.locator("#changed .question").inner_text()
    page.get_by_role("link", name=re.compile("^set feature")).nth(1).click()
    playwright.expect(page.locator("#changed h2")).to_have_text("With 2 features changed")
    assert "out=" in page.url and "clamp=" in page.url and "at=7" in page.url
    page.go_back()
    playwright.expect(page.locator("#changed h2")).to_have_text("With 1 feature changed")
    other = browser.new_context(base_url=server).new_page()
    other.goto(page.url)
    playwright.expect(other.locator("#changed .question")).to_have_text(first)
    other.close()
    page.locator("#change input[name=feature]").fill("7")
    page.locator("#change select").select_option("clamp")
    page.locator("#change input[name=amount]").fill("3.5")
    page.locator("#change button").click()
    playwright.expect(page.locator("#changed .chosen")).to_contain_text("set to 3.50")
    page.get_by_role("link", name="undo the change of feature 7").click()
    playwright.expect(page.locator("#changed .chosen")).not_to_contain_text("set to 3.50")


def test_the_heat_map_of_a_long_text_opens_at_the_token_that_is_asked_about(page, tiny):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{tiny.base}/prompt?text={TEXT}")
    playwright.expect(page.locator("#heat .heat")).to_be_visible(timeout=60_000)
    column, frame = page.evaluate(
        "() => [...document.querySelectorAll('.heat thead th:last-child, #heat .scroll')]"
        ".map(e => e.getBoundingClientRect().right).sort((a, b) => a - b)"
    )
    assert frame - column < 2 and page.evaluate(
        "document.querySelector('#heat .scroll').scrollLeft"
    )


def test_the_table_of_the_headline_comes_before_the_grid_on_any_screen(page, tiny):
    page.goto(f"{tiny.base}/prompt?text={TEXT}")
    playwright.expect(page.locator("#why table.mattering")).to_be_visible(timeout=60_000)
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        parts = ("#why .question", "table.mattering", "#heat")
        tops = [page.locator(part).first.bounding_box()["y"] for part in parts]
        assert tops == sorted(tops)


def test_a_text_box_of_another_height_leaves_the_links_without_errors(page, tiny):
    page.goto(f"{tiny.base}/prompt?text={TEXT}")
    playwright.expect(page.locator("#why table.mattering")).to_be_visible(timeout=60_000)
    page.evaluate("document.querySelector('#text').style.height = '120px'")
    page.locator(".strip a").nth(6).click()
    playwright.expect(page.locator("#prediction h2")).to_have_text("The prediction of token 7")


def test_an_error_takes_nothing_from_the_page(tiny, browser, server):
    # its console has the error that this is about
    page = browser.new_page(base_url=server)
    page.route(
        "**/prompt?*exact=1*",
        lambda route: route.fulfill(status=500, content_type="text/html", body=FAILED),
    )
    page.goto(f"{tiny.base}/prompt?text=def+add(self)%3A")
    playwright.expect(page.locator("#why")).to_contain_text("This page failed")
    playwright.expect(page.locator("#why table.mattering")).to_be_visible()
    playwright.expect(page.locator("#text")).to_have_value("def add(self):")
    page.close()


def test_a_feature_is_ablated_at_the_press_of_a_button(tiny, browser, served, tmp_path):
    store = shutil.copytree(tiny.store, tmp_path / "store")
    shutil.copytree(tiny.model, tmp_path / "llama")
    shutil.copy(tiny.store.parent / "one.safetensors", tmp_path)
    k = next(
        k for k in tiny.index.alive.tolist() if tiny.index.feature(k).numbers["importance"] is None
    )
    with served(application(Library(store))) as address:
        page = browser.new_page(base_url=address)
        page.goto(f"{tiny.base}/{k}")
        playwright.expect(page.get_by_text("ablating …")).to_be_hidden()
        page.get_by_role("button", name="Ablate this one on the indexed text").click()
        playwright.expect(page.get_by_text("per token where it is off")).to_be_attached()
        assert page.url.endswith(f"{tiny.base}/{k}") and page.locator("#main").count() == 1
        page.close()


@pytest.mark.thorough
def test_steering_writes_by_itself_and_can_be_stopped(page, tiny):
    page.goto(f"{tiny.base}/steer")
    page.locator("#text").fill("def add(self")
    page.locator("input[name=feature]").fill("3")
    page.locator("select[name=way]").select_option("clamp")
    page.locator("input[name=amount]").fill("6")
    page.locator("input[name=new]").fill("12")
    page.get_by_role("button", name="Write").click()
    playwright.expect(page.locator("#written[data-done]")).to_contain_text(
        "12 of 12 tokens", timeout=60_000
    )
    playwright.expect(page.locator(".stop")).to_be_hidden()
    page.get_by_role("link", name="20 tokens more").click()
    playwright.expect(page.locator("#written[data-done]")).to_contain_text(
        "32 of 32 tokens", timeout=60_000
    )


@pytest.mark.parametrize(
    "page",
    [
        {"viewport": {"width": 400, "height": 800}},
        pytest.param({"color_scheme": "dark"}, marks=pytest.mark.thorough),
    ],
    indirect=True,
)
def test_a_phone_and_the_dark(page, tiny):
    for address in (
        f"{tiny.base}/prompt?text=def+add(self)&out=3",
        f"{tiny.base}/steer?text=def+add(self&clamp=3:6&new=3",
    ):
        page.goto(address)
        page.wait_for_selector("#heat, [data-done]", state="attached")
        width = page.evaluate("document.documentElement.clientWidth")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ink, paper = page.evaluate(
            "[getComputedStyle(document.body).color, "
            "getComputedStyle(document.documentElement).backgroundColor]"
        )
        assert ink != paper
        # what a page that is left still asks for fails
        page.wait_for_load_state("networkidle")
