"""Every experiment of the catalogue runs its smoke preset on a device, from training to verdicts; cheap ones in every run of the tests."""

import re

import pytest

from assay.core.claims import Claim
from assay.lab import catalogue
from assay.lab.executors import Inline
from assay.lab.lab import Lab
from assay.subjects.fetch import ABSENT, present

ENTRIES = [entry.name for entry in catalogue.entries() if entry.origin.startswith("assay.")]
CHEAP = ("superposition", "sgd-noise")
MODEL = (pytest.mark.model, pytest.mark.slow, pytest.mark.skipif(present() is None, reason=ABSENT))


def marks(name):
    if re.search(r"\binputs=", catalogue.entry(name).path.read_text()):
        return MODEL
    return () if name in CHEAP else (pytest.mark.slow,)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One store for all entries, so that what several harvest is harvested once."""
    return tmp_path_factory.mktemp("devices")


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in ENTRIES])
def test_smoke_runs_on_a_device(name, device, shared):
    experiment = catalogue.find(name)
    lab = Lab(shared / device.type, Inline(), str(device))
    result = lab.run(experiment, "smoke")
    assert len(result.judged) == sum(isinstance(claim, Claim) for claim in experiment.claims)
    assert {run.provenance["device"] for run in lab.store.list(experiment.name)} == {str(device)}
