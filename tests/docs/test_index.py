"""docs/README.md names every page once; the README explains its signs before it shows them."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_page_is_in_the_index_once():
    docs = ROOT / "docs"
    pages = {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")} - {"README.md"}
    # a table's line begins with its page; what other pages are mentioned in passing does not count
    named = Counter(
        re.findall(
            r"^(?:\| )?\[.+?\]\(([^)]+\.md)\)(?: \||\.$| ·$)",
            (docs / "README.md").read_text(),
            re.MULTILINE,
        )
    )
    assert not pages - set(named), f"docs/README.md lacks {sorted(pages - set(named))}"
    assert not {page for page in named if not page.startswith("../")} - pages
    assert not [page for page, times in named.items() if times > 1]


def test_no_sign_stands_in_the_readme_before_it_is_explained():
    text = " ".join((ROOT / "README.md").read_text().split())
    assert text.index("●") == text.index("● marks a claim that holds")
    explained = text.index("● marks a claim that holds, and ✓ a control that does not satisfy")
    assert not re.search("[✕◐○≡✓!?] [a-zA-Z0-9]", text[:explained])
    assert text.index("◐") == text.index("◐ marks an unspecific claim, and ! the control that sat")
    assert not re.search("[✕○≡]", text)
