"""The pages in headless Chromium, as a hand and a keyboard use them. Any console error or request
to another host fails."""

import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from shelf import HOME, replace, shelve, simulated

from assay.explorer.app import application
from assay.explorer.library import Library

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'"
)

CONTRASTS = """() => {
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(v => linear(v / 255)); return .2126 * r + .7152 * g + .0722 * b; };
  const paper = light(getComputedStyle(document.documentElement).backgroundColor), found = {};
  for (const e of document.querySelectorAll("main *")) {
    const written = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!written || e.closest("svg, select, input, button, canvas")) continue;
    const ink = light(getComputedStyle(e).color), ratio = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
    if (ratio < 4.5) found[e.tagName + "." + e.className] = ratio;
  }
  return {paper, found};
}"""  # noqa: E501
"""How light the paper is, and what is written on it with a contrast below 4.5."""

WIDTH = 120
HOSTILE = [
    "<script>document.title='taken'</script>",
    "<img src=//evil.example/x>",
    "\u202egnorw",
    "\x1b[31m",
    "\n",
    " the",
    "(",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("browser")
    index = shelve(
        root,
        "a" * 16,
        simulated.made(root / "made", width=WIDTH),
        fvu=0.16,
        l0=31.0,
        loss=2.0,
        loss_spliced=2.2,
        ablated=WIDTH,
    )
    worth = np.random.default_rng(3).normal(0.01, 0.02, WIDTH)
    columns = {
        "feature": range(WIDTH),
        "importance": worth,
        "importance_low": worth - 0.01,
        "importance_high": worth + 0.01,
    }
    replace(index, "features", columns, "feature")
    words = [HOSTILE[i % len(HOSTILE)] for i in range(simulated.VOCABULARY)]
    replace(index, "tokens", {"token": range(simulated.VOCABULARY), "text": words}, "token")
    shelve(
        root,
        "b" * 16,
        simulated.made(root / "other", width=60, seed=1),
        name="other",
        fvu=0.3,
        l0=12.0,
    )
    return root


@pytest.fixture(scope="module")
def server(store, served):
    with served(application(Library(store))) as address:
        yield address


def column(page, name):
    heads = page.locator("table.features thead th").all_inner_texts()
    at = next(i for i, head in enumerate(heads) if head.split("\n")[0].strip(" ↓↑") == name)
    return page.locator(f"table.features tbody tr > :nth-child({at + 1})").all_inner_texts()


def asked(page):
    return parse_qs(urlsplit(page.url).query)


def settle(page, query):
    """Wait until the address has these words, and the table belongs to it."""
    page.wait_for_url(re.compile(query))
    page.wait_for_load_state("networkidle")


def test_from_the_first_page_to_a_dictionary_and_back(page):
    page.goto("/")
    assert page.title() == "dictionaries · Assay"
    page.click("text=made/up")
    page.wait_for_url(f"**{HOME}")
    assert page.inner_text("h1") == "made/up, TopK"
    page.click("summary:has-text('all features')")
    page.go_back()
    page.wait_for_selector("h1:has-text('Dictionaries')")


def test_a_click_on_a_head_sorts_and_the_page_stays_where_it_is(page):
    page.goto(f"{HOME}?all=1")
    page.locator("#sort-density").scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    page.click("#sort-density")
    settle(page, "sort=density")
    shares = [float(text.removesuffix(" %")) for text in column(page, "density")]
    assert shares == sorted(shares, reverse=True) and len(shares) == 50
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1
    assert abs(page.evaluate("scrollY") - before) < 5
    assert page.evaluate("document.activeElement.id") == "sort-density", (
        "the keyboard stays where it was"
    )
    page.click("#sort-density")
    settle(page, "way=asc")
    assert page.get_attribute("th:has(#sort-density)", "aria-sort") == "ascending"


@pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True)
def test_every_part_works_without_script(page):
    page.goto(f"{HOME}?all=1")
    page.click("#sort-density")
    page.wait_for_url("**sort=density**")
    page.select_option("#filter-column", "density")
    page.fill("#filter-value", "0.05")
    page.click("text=add")
    page.wait_for_url("**where=density**")
    assert asked(page)["where"] == ["density>=0.05"]
    assert asked(page)["sort"] == ["density"]
    page.fill("#filter-value", "1")
    page.click("text=add")
    page.wait_for_url("**maximum**")
    assert "hidden by 2 conditions" in page.inner_text("#told")


@pytest.mark.parametrize(
    "page", [{"viewport": {"width": 400, "height": 800}, "has_touch": True}], indirect=True
)
@pytest.mark.parametrize("path", ["/", HOME])
def test_a_phone_scrolls_one_way_only(page, path):
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize("page", [{"color_scheme": "dark"}], indirect=True)
def test_dark_is_dark_and_legible(page):
    page.goto(f"{HOME}?all=1")
    shown = page.evaluate(CONTRASTS)
    assert shown["paper"] < 0.05 and shown["found"] == {}
