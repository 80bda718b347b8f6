"""Tables and pictures in README.md and docs/ that are made from headers, claims and records are as
they would be made now."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.lab import catalogue, records
from assay.report import docs, first, pictures

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MARKS = [
    (page, m["kind"], m["name"]) for page in PAGES for m in docs.BLOCK.finditer(page.read_text())
]
AGAIN = "write it again with: python -m assay.report.docs README.md docs/*.md"


@pytest.fixture(scope="module", autouse=True)
def drawn_once() -> Iterator[None]:
    """Each figure is made once, for the line that shows it and for its picture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "figure", functools.cache(pictures.figure))
        yield


@pytest.mark.parametrize(
    ("page", "kind", "name"),
    MARKS,
    ids=[f"{page.stem}-{kind}-{name}" for page, kind, name in MARKS],
)
def test_a_table_is_as_made_now(page: Path, kind: str, name: str | None) -> None:
    [found] = [
        m[0]
        for m in docs.BLOCK.finditer(page.read_text())
        if (m["kind"], m["name"]) == (kind, name)
    ]
    assert found == docs.filled(found), (
        f"{page.name}: the table {kind} {name or ''} is older than its source; {AGAIN}"
    )


@pytest.mark.parametrize(
    "name",
    [name for _, kind, name in MARKS if kind == "picture" and records.read(name) is not None],
)
def test_a_picture_shows_what_would_be_drawn_now(name: str) -> None:
    figure = pictures.figure(name)
    assert figure is not None and pictures.drawn_from(pictures.path(name)) == pictures.stamp(
        figure
    ), f"{name} is older; {AGAIN}"


def test_the_first_picture_shows_what_would_be_drawn_now() -> None:
    assert {file.name: file.read_text() for file in first.files()} == {
        file.name: drawn for file, drawn in first.files().items()
    }, AGAIN


def test_the_catalogue_lists_every_experiment_as_its_header_says() -> None:
    lines = [
        line
        for line in (ROOT / "docs/catalogue.md").read_text().splitlines()
        if line.startswith("| `")
    ]
    for entry in catalogue.entries():
        header = entry.header()
        assert any(
            f"`{entry.name}`" in line and header.claim in line and header.cost in line
            for line in lines
        ), entry.name


def test_every_experiment_has_a_page_with_its_claims_and_verdicts() -> None:
    for entry in catalogue.entries():
        assert {
            kind for page, kind, name in MARKS if (page.stem, name) == (entry.name, entry.name)
        } >= {
            "arms",
            "claims",
            "verdicts",
            "budget",
        }


def test_a_page_without_marks_stays_as_it_is() -> None:
    assert docs.filled("# Title\n\n| a |\n|---|\n") == "# Title\n\n| a |\n|---|\n"
