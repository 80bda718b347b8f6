"""docs/README.md names every page once, and the README stays short."""

import re
from collections import Counter
from pathlib import Path

from assay.report.docs import BLOCK

ROOT = Path(__file__).parents[2]
MOST = 1200
"""Words of the README outside of what is made and of code that is shown."""


def test_every_page_is_in_the_index_once() -> None:
    docs = ROOT / "docs"
    pages = {
        page.relative_to(docs).as_posix()
        for page in (*docs.glob("*.md"), *docs.glob("decisions/*.md"))
    } - {"README.md"}
    # a table's line begins with its page; what other pages are mentioned in passing does not count
    named = Counter(
        re.findall(
            r"^(?:\| )?\[[^]]+\]\(([^)]+\.md)\)(?: \||\.$| ·$)",
            (docs / "README.md").read_text(),
            re.MULTILINE,
        )
    )
    assert not pages - set(named), f"docs/README.md lacks {sorted(pages - set(named))}"
    assert not set(named) - pages
    assert not [page for page, times in named.items() if times > 1]


def test_the_readme_is_short() -> None:
    text = BLOCK.sub("", (ROOT / "README.md").read_text())
    assert len(text.split()) <= MOST
