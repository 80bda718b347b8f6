"""The rating page in headless Chromium: by keys alone, by hand, on a phone, in the dark, and
without script."""

from __future__ import annotations

import pytest
import rate_world
from test_feature_browser import CONTRAST

from assay.explorer.app import rating_application
from assay.explorer.pages.rate import Sheet

playwright = pytest.importorskip("playwright.sync_api")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return rate_world.make(tmp_path_factory.mktemp("rate"))


@pytest.fixture
def server(world, served):
    for answers in world.folder.glob("*.jsonl"):
        answers.unlink()
    with served(rating_application(Sheet(world.rating("ann")))) as address:
        yield address


def scores(world) -> list[float]:
    return [a.score for a in world.rating("ann").answers.answers.values()]


def at(page, number: int) -> None:
    playwright.expect(page.locator("[role=status] b")).to_have_text(f"{number} of 24")
    page.wait_for_load_state("networkidle")


def test_by_keys_alone(page, world):
    page.goto("/")
    at(page, 1)
    page.keyboard.press("2")
    at(page, 2)
    page.keyboard.press("w")
    page.keyboard.type("123 wb")
    page.keyboard.press("Enter")
    assert scores(world) == [0.5]
    page.keyboard.press("1")
    at(page, 3)
    page.keyboard.press("b")
    at(page, 2)
    assert page.input_value("input[name=words]") == "123 wb" and page.locator(
        "[aria-pressed=true]"
    ).inner_text().endswith("one meaning")
    page.keyboard.press("3")
    at(page, 3)
    assert scores(world) == [0.5, 0.0]
    page.keyboard.press("7")
    page.keyboard.press("Control+1")
    at(page, 3)


@pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True)
def test_without_script(page, world):
    page.goto("/rate")
    page.locator("button[value='3']").click()
    at(page, 2)
    assert scores(world) == [0.0]


@pytest.mark.parametrize(
    "page",
    [
        {"viewport": {"width": w, "height": 900}, "color_scheme": light}
        for w in (1280, 400)
        for light in ("light", "dark")
    ],
    indirect=True,
)
def test_it_fits_and_is_read_in_both_lights(page):
    for address in ("/rate?item=2", "/rate?item=25"):
        page.goto(address, wait_until="networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
        assert not page.evaluate(CONTRAST)
