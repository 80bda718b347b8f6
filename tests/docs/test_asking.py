"""What docs/asking.md and docs/asking-tables.md show are the studies in studies/asking, which plan
without a remark that forbids a verdict."""

import os
import re
from pathlib import Path

import pytest

from assay.ask import missing
from assay.ask.text import read
from assay.controls import table
from assay.core.measures import taken_names
from assay.data import docstrings

ROOT = Path(__file__).parents[2]
PAGE = "".join((ROOT / f"docs/{name}.md").read_text() for name in ("asking", "asking-tables"))
STUDIES = ROOT / "studies" / "asking"


def test_its_blocks_are_the_studies_that_can_be_run():
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    whole = {path.stem: path.read_text() for path in STUDIES.glob("*.toml")}
    parts = [block for block in blocks if block not in whole.values()]
    assert "\n".join(parts) == whole["capitals"]
    assert {name for name, text in whole.items() if text not in blocks} == {"capitals"}
    assert (STUDIES / "surprise.py").read_text() in PAGE


def test_the_pages_show_the_columns_of_its_files():
    for name in ("reviews.csv", "capitals.csv", "answers.csv"):
        assert (STUDIES / name).read_text().splitlines()[0] in PAGE


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


def test_the_pages_name_every_control_and_every_name_that_no_read_can_have():
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
    names |= {name for name in taken_names() if "_" not in name}
    assert [name for name in sorted(names) if f"`{name}`" not in PAGE] == []
