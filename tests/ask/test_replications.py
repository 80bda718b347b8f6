"""The studies of the folder replications: short, accepted as they stand, what was frozen, and told
by docs/replications.md as their records have it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import stand_ins
from assay.ask.measure import dictionaries
from assay.data import docstrings
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.judge import registered
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.subjects import fetch

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "replications"
PAGE = ROOT / "docs" / "replications.md"
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))
MARKS = {"●": "holds", "✕": "fails", "◐": "unspecific", "○": "undecided"}
MOST_BYTES = 50_000


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    files = [p for p in FOLDER.iterdir() if p.suffix in (".toml", ".csv", ".txt", ".jsonl")]
    return stand_ins.make(tmp_path_factory.mktemp("replications"), files)


@pytest.fixture(scope="session")
def docs(tmp_path_factory):
    """A text that stands in for the documentation of packages, which takes a minute to collect."""
    folder = tmp_path_factory.mktemp("docs")
    for n, path in enumerate(sorted((ROOT / "docs").glob("*.md"))):
        (folder / f"{n}.txt").write_text(path.read_text())
    return folder


@pytest.fixture
def named(tiny, docs, monkeypatch):
    monkeypatch.setattr(fetch.PackagedModel, "find", lambda packaged: tiny[packaged.name])
    monkeypatch.setattr(docstrings, "folder", lambda: docs)
    opened = dictionaries.opened

    def as_wide(name, folder, root):
        """A dictionary of the real model cut to the width of what stands in for it."""
        whole = opened(name, folder, root)
        d = (stand_ins.GEMMA if "gemma" in name else stand_ins.LLAMA)["hidden_size"]
        cut = {"W_enc": whole.W_enc[:, :d], "W_dec": whole.W_dec[..., :d]}
        return replace(whole, **cut, b_dec=whole.b_dec[:, :d])

    monkeypatch.setattr(dictionaries, "opened", as_wide)


def record(name):
    return json.loads((FOLDER / "records" / f"{name}.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_it_is_accepted_and_is_what_was_frozen(named, tmp_path, name):
    experiment = catalogue.find(str(FOLDER / f"{name}.toml"))
    assert Lab(tmp_path, Inline()).plan(experiment).missing
    frozen = registered.read(FOLDER / f"{name}.prereg.json")
    assert registered.departures(frozen, experiment, override(experiment)) == []


@pytest.mark.parametrize("name", NAMES)
def test_its_record_is_of_what_was_frozen_and_small(name):
    frozen = registered.read(FOLDER / f"{name}.prereg.json").content
    known = record(name)
    assert [v["text"] for v in known["verdicts"]] == [c["text"] for c in frozen["claims"]]
    for path in (FOLDER / "records").glob(f"{name}.*"):
        assert path.stat().st_size <= MOST_BYTES, path


def test_the_page_has_each_verdict_as_its_record_has_it():
    rows = [line for line in PAGE.read_text().splitlines() if re.match("\\| [●✕◐○] ", line)]
    told = [
        (match[1], MARKS[line[2]]) for line in rows if (match := re.search(r"`([a-z0-9-]+)`", line))
    ]
    assert len(told) == len(rows)
    recorded = [(name, v["outcome"]) for name in NAMES for v in record(name)["verdicts"]]
    assert sorted(told) == sorted(recorded)
