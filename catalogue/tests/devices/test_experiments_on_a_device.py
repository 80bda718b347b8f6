"""Every experiment of the catalogue runs its smoke preset on a device, from training to verdicts; a
cheap one in every run of the tests."""

import re

import pytest

from assay.core.claims import Claim
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.subjects.fetch import SMOLLM2

ENTRIES = [e.name for e in catalogue.entries() if e.origin.startswith("assay_catalogue.")]
CHEAP = "superposition"
MODEL = (
    pytest.mark.model,
    pytest.mark.slow,
    pytest.mark.skipif(SMOLLM2.present() is None, reason=SMOLLM2.absent),
)


def reads_a_model(name):
    return re.search(r"\binputs=", catalogue.entry(name).path.read_text()) is not None


EACH = [
    pytest.param(
        name, marks=MODEL if reads_a_model(name) else () if name == CHEAP else pytest.mark.slow
    )
    for name in ENTRIES
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One store for all entries, so that what several harvest is harvested once."""
    return tmp_path_factory.mktemp("devices")


@pytest.mark.parametrize("name", EACH)
def test_smoke_runs_on_a_device(name, device, shared):
    experiment = catalogue.find(name)
    lab = Lab(shared / device.type, Inline(), str(device))
    result = lab.run(experiment, "smoke")
    assert len(result.judged) == sum(isinstance(claim, Claim) for claim in experiment.claims)
    assert {run.provenance["device"] for run in lab.store.list(experiment.name)} == {str(device)}
