"""What every store must do, as checks that anyone can run on theirs."""

from dataclasses import dataclass

import numpy as np

from assay.core.fit import Trained
from assay.core.heavy import torch
from assay.core.measures import measures, one_run
from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec
from assay.lab.store.runs import Job
from stored_bytes import put


@dataclass(frozen=True, kw_only=True)
class Sample(Spec):
    """A spec for the checks."""

    rate: PerRun[float] = 0.1
    """Differs between runs."""
    width: int = 3
    """Shared by all runs."""


def sample(seed=0, **fields):
    """A job with measures of several kinds and trained tensors, one run."""
    spec = Sample(seed=seed, **fields)
    runs = Runs([spec])
    data = measures(
        runs,
        coords={"step": [1, 2]},
        loss=("run step", np.array([[0.5 + seed, np.nan]]), "nats"),
        alive=("run feature", np.array([[True, False, True]]), "bool"),
        tally=("run", np.array([seed]), "1"),
    )
    history = {"loss": np.array([[0.5, 0.25]])}
    trained = Trained(
        {"W": torch.full((1, 2, 3), float(seed))},
        {"kind": "sample"},
        history,
        np.array([1, 2]),
        np.array([False]),
    )
    return Job("sample", 1, "main", spec), one_run(data, 0), trained


def check_store(make):
    """Hold a store to its contract; `make` opens the same, at first empty, store anew at every
    call.

    Raises: AssertionError with what failed.
    """
    from xarray import testing

    job, data, trained = sample(3)
    assert make().get(job.key) is None, "an empty store has no runs"
    assert list(make().list()) == []

    put(make(), job, data, trained, {"model": "abc"}, {"machine": "x"}, measured=2)
    stored_run = make().get(job.key)
    assert stored_run is not None, "what was put is found under its key"
    assert stored_run.key == job.key, "what was put is found under its key"
    assert stored_run.status == "done"
    assert Sample.from_json(stored_run.spec_json) == job.spec, "the spec comes back equal"
    assert stored_run.inputs == {"model": "abc"}
    assert stored_run.measured == 2
    assert stored_run.arm == "main"
    testing.assert_identical(
        stored_run.measures(), data.reset_coords(["seed", "rate"], drop=True).drop_attrs(deep=False)
    )
    back = stored_run.trained()
    assert (back.tensors["W"] == trained.tensors["W"]).all() and back.header == trained.header, (
        "parameters come back equal"
    )

    other, other_data, _ = sample(4)
    put(make(), other, other_data, status="diverged")
    assert make().get(other.key).status == "diverged", "a diverged run is stored and says so"
    assert not make().get(other.key).has_params
    assert {s.key for s in make().list("sample")} == {job.key, other.key}
    assert list(make().list("another")) == []

    put(make(), job, data, trained, {"model": "new"}, {})
    assert make().get(job.key).inputs == {"model": "new"}, "the last put of a key is what is found"
    assert len(list(make().list("sample"))) == 2, "a key has one folder"

    built = []

    def build(folder):
        built.append(folder)
        (folder / "part").write_text("whole")

    first, second = make().artefact(job.spec, build), make().artefact(job.spec, build)
    assert first == second and len(built) == 1, "an artefact is built once"
    assert (first / "part").read_text() == "whole", "it takes its name when it is whole"
    assert not built[0].exists(), "it takes its name when it is whole"
