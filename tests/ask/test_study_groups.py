"""Groups of a study: the numbers of runs that are trained together are those of runs alone; many
are stored at once."""

import numpy as np
import pytest
import torch

from assay.core.bench import Unkept
from assay.core.runs import Runs
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.store.runs import Made
from assay.lab.store.store import Store
from stored_bytes import put

HEAD = (
    'question = "Is it so?"\nseeds = "{seeds}"\n[[experiment]]\nname = "superposition"\narms = '
    '["linear"]\n{fields}\n'
)
CLAIM = (
    "[[claim]]\ntext = \"so\"\nholds = 'mean(main.represented, over=feature) > 0.5'\ncontrol = "
    '["linear"]\nthreshold = "plan: half"\n'
)


def study(folder, fields, seeds="0:12", together=0, name="grouped"):
    path = folder / f"{name}.toml"
    path.write_text(f"together = {together}\n" + HEAD.format(seeds=seeds, fields=fields) + CLAIM)
    return catalogue.find(str(path))


SMALL = "fields = { density = 0.1, steps = 8, batch = 16, features = 6, width = 3 }"
TWO = (
    "fields = { steps = 8, batch = 16, features = 6, width = 3 }\npaired = { density = [0.1, "
    "0.5], lr = [0.003, 0.01] }"
)
SHAPES = (
    "fields = { density = 0.1, steps = 8, batch = 16 }\npaired = { width = [2, 3, 8], features = "
    "[5, 6, 24] }"
)


def alone(experiment, arm, spec):
    """The measures of one run that nothing else is trained with."""
    runs, which = Runs((spec,)), experiment.arms[arm]
    return which.measure(runs, which.train(runs, Unkept()), Unkept())


@pytest.mark.parametrize(
    "fields",
    [SMALL, TWO, SHAPES],
    ids=["one shape", "two values of per-run fields", "three shapes"],
)
def test_the_numbers_are_those_of_runs_alone(tmp_path, fields):
    torch.set_num_threads(1)
    e, lab = study(tmp_path, fields, together=12), Lab(tmp_path / "s", Inline())
    lab.run(e)
    rows = lab.plan(e).rows
    assert len(rows) == 12 * len(e.arms) and all(r.stored is not None for r in rows)
    for row in rows[:: max(1, len(rows) // 9)]:
        own = alone(e, row.job.arm, row.job.spec).isel(run=0)
        stored = row.stored.measures()
        for name in ("loss", "held_out", "norm", "error"):
            np.testing.assert_allclose(stored[name].values, own[name].values, rtol=1e-5, atol=1e-7)


def test_many_runs_stored_at_once_are_the_bytes_of_runs_stored_one_by_one(tmp_path):
    e = study(tmp_path, SMALL)
    first = Lab(tmp_path / "a", Inline())
    first.run(e)
    store, made = Store(tmp_path / "b"), []
    for row in first.plan(e).rows:
        made.append(Made(row.job, row.stored.measures(), None, {}, {"note": row.job.arm}))
    for one in made[:4]:
        put(store, one.job, one.measures, None, one.inputs, one.provenance)
    together = Store(tmp_path / "c")
    assert [together.at(f).key for f in together.put_all(made[:4])] == [m.job.key for m in made[:4]]
    ours, theirs = (
        {p.relative_to(s.root): p.read_bytes() for p in (s.root / "runs").rglob("*") if p.is_file()}
        for s in (store, together)
    )
    assert ours == theirs and len(ours) == 4 * 5
    assert together.get_all({m.job.key for m in made}, e.name).keys() == {
        m.job.key for m in made[:4]
    }
