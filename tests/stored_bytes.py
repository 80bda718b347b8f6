"""What two stores are compared by: the bytes of their runs."""

from pathlib import Path

from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.store.runs import Made, Stored, opened


def measures_of(root):
    """The measures of every run of a store, by the name of its folder."""
    return {
        p.parent.name: p.read_bytes()
        for p in sorted(Path(root).glob("runs/*/*/measures.safetensors"))
    }


def files_of(root, *without):
    """Every file of every run of a store but what says where and when it was made, and files of
    these names."""
    left_out = {"provenance.json", "status.json", *without}
    return {
        f"{path.parent.name}/{path.name}": path.read_bytes()
        for path in sorted(Path(root).glob("runs/*/*/*"))
        if path.name not in left_out
    }


def same_as_alone(root, alone, experiment, preset):
    """Whether a store has the runs and the verdicts that one process comes to in another store;
    what a process read depends on what else it did, and prices on what its runs cost."""
    Lab(alone, Inline()).run(experiment, preset)
    results = [Lab(store, Inline()).judge(experiment, preset).to_json() for store in (root, alone)]
    judged, expected = ([{**v, "price": None} for v in r["verdicts"]] for r in results)
    stored = files_of(root, "read.json")
    return bool(stored) and stored == files_of(alone, "read.json") and judged == expected


def put(
    store, job, measures, trained=None, inputs=None, provenance=None, measured=1, status="done"
):
    """One run as a store has it."""
    run = Made(job, measures, trained, inputs or {}, provenance or {}, status)
    stored = opened(store.put_all([run], measured=measured)[0])
    assert isinstance(stored, Stored), stored
    return stored
