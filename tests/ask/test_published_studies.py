"""The studies of the repository: each lacks nothing, is judged on fresh seeds with a control, and
the page links to it and shows the verdict of each of its claims."""

import re
import tomllib
from pathlib import Path

import pytest

from assay.ask import missing
from assay.ask.text import read
from assay.core.claims import Claim
from assay.core.compute import duration
from assay.core.results import unit_of
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "studies").glob("*.toml"))
PAGE = (ROOT / "docs" / "studies.md").read_text()


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_it_lacks_nothing_and_was_judged_on_fresh_seeds(path):
    text = read(path)
    assert missing.essential(text) == []
    may = {f"claim 1: {what}" for what in ("published", "bounds")} | {"experiment 1: arms"}
    assert {m.where for m in missing.assumed(text)} <= may
    study = catalogue.find(str(path))
    assert min(s.seed for s in study.default) >= missing.FRESH
    assert duration(text.study.budget) == 300
    assert all(isinstance(c, Claim) and c.must_fail and c.near for c in study.claims)


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_its_page_shows_the_verdict_of_each_claim(path):
    shown = PAGE.partition(f"(../studies/{path.name})")[2]
    for claim in tomllib.loads(path.read_text())["claim"]:
        assert re.search(rf"\| [●✕◐○] \| {re.escape(claim['text'])}", shown)


def test_every_study_of_the_docs_is_one(tmp_path):
    """What docs/studies.md shows is read as it stands, and says all that has to be said."""
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        (tmp_path / "shown.toml").write_text(block)
        assert missing.essential(read(tmp_path / "shown.toml")) == []


@pytest.mark.parametrize(
    "name", ["steep-importance", pytest.param("twice-the-size", marks=pytest.mark.thorough)]
)
def test_it_runs(name, tmp_path):
    """The smallest preset, which shows that all of it can be trained, measured and judged."""
    study = catalogue.find(str(ROOT / "studies" / f"{name}.toml"))
    result = Lab(tmp_path, Inline()).run(study, "smoke")
    assert not result.failed
    assert {a for c in study.claims for a in (c.of, *c.must_fail)} <= set(result.arms)
    assert {unit_of(v) for v in result.data.verdicts} == {""}, "a share of yes or no has no unit"
