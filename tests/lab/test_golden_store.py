"""A finished store of each released format still opens, from a folder that is only read."""

from pathlib import Path

from assay.lab.store.store import Store
from assay.testing.store_contract import Sample, sample

GOLDEN = Path(__file__).parents[1] / "golden"


def test_format_1():
    store = Store(GOLDEN / "store-1")
    assert {
        (s.status, s.arm, s.measured, Sample.from_json(s.spec_json).seed) for s in store.list()
    } == {
        ("done", "main", 2, 3),
        ("diverged", "main", 2, 4),
    }
    assert list(store.damaged()) == []
    job, data, trained = sample(3)
    found = store.get(job.key)  # keys never move
    assert found.inputs == {"model": "abc"}
    for name in data.data_vars:
        assert (found.measures()[name].fillna(-1) == data[name].fillna(-1)).all()
    assert (found.trained().tensors["W"] == trained.tensors["W"]).all()
