"""The studies of the folder examples: accepted as they stand, and run from end to end on
tiny random models of as many blocks and heads as those that they name."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

import stand_ins
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.subjects import fetch

EXAMPLES = Path(__file__).parents[2] / "examples"
STUDIES = sorted(path.name for path in EXAMPLES.glob("*.toml"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folders that stand in for smollm2 and gemma3-270m."""
    return stand_ins.make(
        tmp_path_factory.mktemp("examples"), (path for path in EXAMPLES.iterdir() if path.is_file())
    )


@pytest.fixture
def named(tiny, monkeypatch):
    monkeypatch.setattr(fetch.PackagedModel, "find", lambda packaged: tiny[packaged.name])


def tables(name):
    return tomllib.loads((EXAMPLES / name).read_text())


def test_they_ask_both_models_in_every_table_and_state_each_threshold_as_planned():
    studies = [tables(name) for name in STUDIES]
    asked = {m.get("name") for study in studies for m in study["model"]}
    assert {"smollm2", "gemma3-270m"} <= asked
    used = {table for study in studies for table in study}
    assert used >= {"direction", "intervene", "read", "probe", "diff", "train", "claim", "estimate"}
    done = {key for study in studies for table in study.get("intervene", ()) for key in table}
    assert done >= {"add", "project_out", "ablate", "patch"}
    claims = [claim for study in studies for claim in study.get("claim", ())]
    assert all(claim["threshold"].startswith("plan: ") for claim in claims)


DEAR = (
    *("agreement.toml", "erasing.toml", "lies.toml", "sentiment.toml", "sparse.toml"),
    *("two_models.toml", "yesno.toml"),
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.thorough] * (name in DEAR)) for name in STUDIES]
)
def test_an_example_is_accepted_and_every_number_is_there(named, tmp_path, name):
    lab = Lab(tmp_path, Inline())
    plan = lab.plan(catalogue.find(str(EXAMPLES / name)))
    assert plan.missing
    result = lab.run(catalogue.find(str(EXAMPLES / name)), preset="smoke")
    assert not result.failed, result.failed
    study = tables(name)
    assert len(result.judged) == len(study.get("claim", ()))
    assert len(result.findings) == len(study.get("estimate", ()))
    for arm, numbers in result.arms.items():
        for measure, values in numbers.data_vars.items():
            assert np.isfinite(values).all(), (arm, measure)
