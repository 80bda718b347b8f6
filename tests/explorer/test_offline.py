"""Pages of features in one file: opens by file:// without asking anybody for anything, and shows
what the explorer shows."""

import re

import pytest

from assay.core.errors import DataError
from assay.explorer import offline, render
from assay.explorer.pages import feature
from assay.features.index.reader import Index

NUMBERS = [4, 5, 0, 17, 1]


@pytest.fixture(scope="module")
def index(world):
    return Index(world.folder)


@pytest.fixture(scope="module")
def html(index):
    return offline.page(index, NUMBERS, "those with the largest importance")


def test_nothing_is_asked_for(html):
    assert not re.findall(r'(?:src|srcset|data|action|poster)="|@import|url\((?!data:)', html)
    assert {link[0] for link in re.findall(r'href="([^"]*)"', html)} == {"#"}
    assert "default-src 'none'" in html
    assert "<script>alert" not in html
    assert "onerror=alert(1)>" not in html


def test_links_lead_to_features_of_the_file_and_nowhere_else(html):
    linked = set(re.findall(r'href="#f(\d+)"', html))
    assert linked == set(map(str, NUMBERS))
    assert all(f'id="f{n}"' in html for n in NUMBERS)
    ids = re.findall(r' id="([^"]*)"', html)
    assert len(ids) == len(set(ids))


def test_it_shows_what_the_explorer_shows(index, html):
    """Every context, sentence and figure of the page from the server is in the file, letter by
    letter, but for the places that only a server is asked about."""
    for number in NUMBERS:
        shown = feature.build_page(index, number, index.about.address)
        server = re.sub(' data-at="[0-9:]+"', "", render.html(shown, "/"))
        wanted = re.findall(
            r'<li>.*?</li>|<svg.*?</svg>|<p class="question">.*?</p>|<dl>.*?</dl>',
            server,
            re.DOTALL,
        )
        assert len(wanted) > (3 if number == 0 else 60)
        assert not [part for part in wanted if 'href="' not in part and part not in html]


def test_the_same_features_give_the_same_bytes(index, html):
    assert offline.page(index, NUMBERS, "those with the largest importance") == html


def test_a_hundred_features_are_small(index):
    """Of an index denser than a real one; ten megabytes for a hundred are allowed."""
    numbers = list(range(40))
    assert len(offline.page(index, numbers).encode()) / len(numbers) < 10e6 / 100


def test_no_feature_is_refused(index):
    with pytest.raises(DataError, match="no feature"):
        offline.page(index, [])


def test_in_a_browser_from_a_file(browser, html, tmp_path):
    path = tmp_path / "features.html"
    path.write_text(html, encoding="utf-8")
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(path.as_uri())

    def visible():
        return page.eval_on_selector_all(
            "main", "all => all.filter(m => m.offsetHeight).map(m => m.id)"
        )

    assert visible() == ["f4"], "the first is shown where none is asked for"
    page.keyboard.press("j")
    page.wait_for_function("location.hash === '#f5'")
    assert visible() == ["f5"]
    page.keyboard.press("j")
    page.wait_for_function("location.hash === '#f0'")
    page.keyboard.press("k")
    page.wait_for_function("location.hash === '#f5'")
    page.click('table.features a[href="#f17"]')
    assert visible() == ["f17"]
    token = page.locator("main:visible .context b").first
    token.focus()
    assert "activation" in page.evaluate(
        "getComputedStyle(document.activeElement, '::after').content"
    )
    page.go_back()
    assert visible() == ["f5"]
    page.goto(path.as_uri() + "#f1")
    assert visible() == ["f1"]
    page.set_viewport_size({"width": 380, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
    assert {url.partition("#")[0] for url in asked} == {path.as_uri()} and not wrong
    page.close()
