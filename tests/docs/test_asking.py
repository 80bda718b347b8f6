"""What docs/asking.md and the pages of docs/tables show are the studies in studies/asking, which
plan without a remark that forbids a verdict; docs/asking-tables.md lists every field."""

import os
import re
from pathlib import Path

import msgspec
import pytest

from assay.ask import missing, tables
from assay.ask import near as table
from assay.ask.text import ClaimEntry, EstimateEntry, read
from assay.data import docstrings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs/asking.md", *sorted((ROOT / "docs/tables").glob("*.md"))]
PAGE = "".join(page.read_text() for page in PAGES)
STUDIES = ROOT / "studies" / "asking"


def test_its_blocks_are_the_studies_that_can_be_run():
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    whole = {path.stem: path.read_text() for path in STUDIES.glob("*.toml")}
    assert {name for name, text in whole.items() if text not in blocks} == {"capitals"}
    assert [x for x in blocks if x not in whole.values() and x not in whole["capitals"]] == []
    shown = {part for block in blocks for part in block.removesuffix("\n").split("\n\n")}
    assert shown >= {*whole["capitals"].removesuffix("\n").split("\n\n")}
    assert (STUDIES / "surprise.py").read_text() in PAGE


def test_the_pages_show_the_columns_of_its_files():
    for name in ("reviews.csv", "capitals.csv", "answers.csv"):
        assert (STUDIES / name).read_text().splitlines()[0] in PAGE


LISTED = (ROOT / "docs/asking-tables.md").read_text()
STRUCTS = {
    "[[model]]": (tables.Model, tables.Weights),
    "[[prompts]]": (tables.Prompts,),
    "[[read]]": (tables.Read,),
    "[[direction]]": (tables.Direction,),
    "[[intervene]]": (tables.Intervention, tables.Block, tables.Path),
    "top": (tables.Top,),
    "[[probe]]": (tables.Probe,),
    "[[train]]": (tables.Train,),
    "[[diff]]": (tables.Diff,),
    "[[claim]]": (ClaimEntry,),
    "[[estimate]]": (EstimateEntry,),
}


@pytest.mark.parametrize("table", STRUCTS)
def test_every_field_is_listed_once_with_a_link_to_where_it_is_explained(table):
    (section,) = re.findall(
        rf"^## The fields of `{re.escape(table)}`\n(.*?)(?=^## )", LISTED, re.MULTILINE | re.DOTALL
    )
    rows = re.findall(r"^\| \[`(\w+)`\]\(([\w./-]+)(?:#([\w-]+))?\) \|", section, re.MULTILINE)
    fields = [f.encode_name for s in STRUCTS[table] for f in msgspec.structs.fields(s)]
    assert sorted(name for name, _, _ in rows) == sorted(fields)
    for name, page, place in rows:
        text = (ROOT / "docs" / page).read_text()
        parts = re.split(r"^#+ (.*)$", text, flags=re.MULTILINE)
        under = {anchor(head): part for head, part in zip(parts[1::2], parts[2::2], strict=True)}
        explained = under[place] if place else text
        assert re.search(rf"\b{name}\b", explained), f"{page}#{place} does not explain {name}"


def anchor(head):
    """The name of a heading in a link."""
    return re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-")


@pytest.fixture(scope="module")
def corpus():
    """The text `docs`, which a machine makes once, in seconds that are no single test's."""
    return docstrings.folder()


@pytest.mark.model
@pytest.mark.parametrize("name", sorted(p.stem for p in STUDIES.glob("*.toml")))
def test_it_plans(name, commands, corpus, tmp_path):
    path = STUDIES / f"{name}.toml"
    assert missing.essential(read(path)) == []
    ended = commands.run(["plan", str(path), "--root", str(tmp_path)], tmp_path, os.environ)
    assert ended.code == 0, ended.err
    assert "a verdict needs" not in ended.out


def test_the_pages_name_every_control():
    of_check = [
        "opposite",
        "edges",
        "site",
        "words",
        "length",
        "paraphrase",
        "lengths",
        "spelling",
        "pairs",
        "asked",
        "trained",
    ]
    names = {x.name for x in vars(table).values() if isinstance(x, table.Control)} - {*of_check}
    assert [name for name in sorted(names) if f"`{name}`" not in PAGE] == []
