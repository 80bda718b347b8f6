"""The studies of four wishes: short, accepted as they stand, what was frozen, and on their page as
their records have them."""

import json
import re
from pathlib import Path

import pytest

import stand_ins
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.judge import registered
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.subjects import fetch

HERE = Path(__file__).parents[2]
FOLDER = HERE / "studies"
PAGE = (HERE / "docs/studies.md").read_text()
COMMENTS = (HERE.parent / "docs/comments.md").read_text()
NAMES = ("frozen-prediction", "prompt-endings", "sycophancy-study", "unused-tokens-study")
SIGNS = {"●": "holds", "✕": "fails", "◐": "unspecific", "○": "undecided"}
MOST_LINES = 60


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory):
    """The folder of a tiny model that stands in for SmolLM2."""
    files = [path for path in FOLDER.iterdir() if path.suffix in (".toml", ".csv")]
    return stand_ins.make(tmp_path_factory.mktemp("studies"), files)["smollm2"]


def test_there_are_four_and_they_are_short():
    assert tuple(sorted(path.stem for path in FOLDER.glob("*.toml"))) == NAMES
    for path in (*FOLDER.glob("*.toml"), *FOLDER.glob("*.csv")):
        assert len(path.read_text().splitlines()) <= MOST_LINES, path.name


@pytest.mark.parametrize("name", NAMES)
def test_it_is_planned_without_a_refusal_and_is_what_was_frozen(
    smollm2, monkeypatch, tmp_path, name
):
    monkeypatch.setattr(fetch.PackagedModel, "find", lambda packaged: smollm2)
    experiment = catalogue.find(str(FOLDER / f"{name}.toml"))
    assert Lab(tmp_path, Inline()).plan(experiment).missing
    frozen = registered.read(FOLDER / f"{name}.prereg.json")
    assert registered.departures(frozen, experiment, override(experiment)) == []


def test_the_page_has_each_verdict_as_its_record_has_it():
    shown = re.findall(r"^\| ([●✕◐○]) \| `([a-z0-9-]+)` \|", PAGE, re.M)
    recorded = [
        (name, verdict["outcome"])
        for name in NAMES
        for verdict in json.loads((FOLDER / "records" / f"{name}.json").read_text())["verdicts"]
    ]
    assert sorted((name, SIGNS[sign]) for sign, name in shown) == sorted(recorded)


def test_the_page_is_what_the_comments_link_to():
    for name in NAMES:
        assert f"\n## {name}\n" in PAGE
        assert f"(../catalogue/docs/studies.md#{name})" in COMMENTS
