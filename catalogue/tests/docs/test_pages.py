"""The pages of the catalogue: a line for every experiment, an answer to every comment, short
tables."""

import re
from collections import Counter
from pathlib import Path

from assay.lab import catalogue
from marks import kinds

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "catalogue/docs"
PAGES = {
    page: page.read_text()
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *DOCS.glob("*.md"))
}


def test_the_catalogue_has_a_line_for_every_experiment_and_nothing_else() -> None:
    blocks = kinds.BLOCK.finditer(PAGES[DOCS / "catalogue.md"])
    (lines,) = (m[0].splitlines() for m in blocks if m["kind"] == "experiments")
    linked = [found[1] for line in lines if (found := re.match(r"\| \[([\w-]+)\]\(", line))]
    assert sorted(linked) == sorted(entry.name for entry in catalogue.entries())


def test_each_of_the_comments_has_an_answer_which_the_table_counts() -> None:
    page = PAGES[ROOT / "docs/comments.md"]
    entries = re.findall(r"^- \*\*(\d+)\.\*\* .+\n(?:  [^ -].*\n)*((?:  .+\n)+)", page, re.M)
    assert [int(number) for number, _ in entries] == list(range(1, 48))
    assert all("](" in answer for _, answer in entries)
    began = Counter(re.match(r"  - \*\*([A-Za-z ]+)", answer)[1] for _, answer in entries)
    counted = dict[str, int]()
    for words, numbers in re.findall(r"^\| (\*\*.+\*\*) \| .+ \| ([\d, ]+) \|$", page, re.M):
        several = re.findall(r"\*\*(.+?)\*\*", words), map(int, numbers.split(", "))
        counted |= dict(zip(*several, strict=True))
    assert began == counted


def anchors(page: Path) -> set[str]:
    """What links to the headings of a page end in."""
    heads = re.findall(
        r"^#+ (.+?) *$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.M
    )
    return {re.sub(r"[ -]+", "-", re.sub(r"[^\w\- ]", "", head.lower())) for head in heads}


def test_every_link_of_the_comments_to_a_page_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https:)([^)\s]+)\)", PAGES[ROOT / "docs/comments.md"])
    assert len(links) >= 47
    for path, _, anchor in (link.partition("#") for link in links):
        page = (ROOT / "docs" / path).resolve()
        assert page.is_file(), path
        assert not anchor or anchor in anchors(page), f"{path} has no heading #{anchor}"


def test_a_table_is_short() -> None:
    for page, text in PAGES.items():
        for m in kinds.BLOCK.finditer(text):
            if m["kind"] == "verdicts":
                lines = [line for line in m[0].splitlines() if line.startswith("|")]
                assert len(lines) <= 2 + 10, page.name


def test_the_tables_of_a_page_are_as_they_are_made_today() -> None:
    for page, text in PAGES.items():
        blocks = [m for m in kinds.BLOCK.finditer(text) if m["kind"] not in ("first", "picture")]
        for m in blocks:
            assert kinds.filled(m[0]) == m[0], f"{page.name}: {m['kind']} {m['name'] or ''}"


def test_a_page_without_marks_stays_as_it_is() -> None:
    assert kinds.filled("# Title\n\n| a |\n|---|\n") == "# Title\n\n| a |\n|---|\n"
