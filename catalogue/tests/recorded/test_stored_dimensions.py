"""Every measure of every record: a condition names each of its dimensions, or is refused."""

import numpy as np
import pytest

from assay.ask.composing import composed
from assay.ask.text import ClaimEntry, read
from assay.ask.wording import QUANTITIES, claim, condition
from assay.core.columns import Column
from assay.core.errors import ClaimError, ExperimentError
from assay.lab import catalogue
from assay.lab.judge import recording
from assay.lab.records import records

FEW = 20_000
"""Bytes of a record whose measures are few."""


def recorded():
    """Every installed experiment that has a record; those with few measures are asked always."""
    for entry in catalogue.entries():
        if (path := catalogue.record_path(entry.name, entry.origin)).is_file():
            few = records.arrays(path).stat().st_size < FEW
            yield pytest.param(
                entry.name, marks=[] if few else [pytest.mark.thorough], id=entry.name
            )


RECORDED = list(recorded())


def stored(name):
    """Every measure of a record as its file has it: arm, measure, dims, levels of each, numbers
    [run, …], and the runs' fields."""
    for arm, data in records.read(name)["arms"].items():
        runs = [{**data["shared"], **own} for own in data["specs"]]
        for measure, v in data["measures"]["variables"].items():
            values = recording.numbers(v["values"]).astype(float)
            levels = [
                data["measures"]["coords"].get(d, range(n))
                for d, n in zip(v["dims"], values.shape, strict=True)
            ]
            yield arm, measure, v["dims"][1:], levels[1:], values, runs


@pytest.mark.parametrize("name", RECORDED)
def test_of_every_stored_measure_every_dimension_is_named_or_refused(name):
    """Of every arm: refused with each dimension and its levels; else, by name, the numbers that
    NumPy selects from the file."""
    experiment = catalogue.find(name)
    arms, of = recording.arms(experiment, records.read(name)), np.random.default_rng(33)
    for arm, measure, dims, levels, values, runs in stored(name):
        fields = {
            f: runs[0][f] for f in runs[0] if f != "seed" and len({str(run[f]) for run in runs}) > 1
        }
        keep = [i for i, run in enumerate(runs) if all(run[f] == v for f, v in fields.items())]
        keep.sort(key=lambda i: runs[i]["seed"])
        data, plain = arms[arm].isel(run=keep), Column("main", measure)

        def value(holds, data=data):
            return claim(
                ClaimEntry(text=holds, holds=holds, control=("again",), units=("seed",)),
                "main",
                condition(holds),
            ).value(data, {})

        sums = measure in QUANTITIES and all(
            t in data for t in QUANTITIES[measure].terms
        )  # then it means the quantity
        if dims:
            with pytest.raises(ClaimError, match="varies over") as e:
                value(f"{plain} > 0")
            first = (
                ["document ("]
                if sums
                else [f"{d} ({x[0]}" for d, x in zip(dims, levels, strict=True)]
            )
            assert all(told in str(e.value) for told in first)
        at = [int(of.integers(len(x))) for x in levels]
        chosen = tuple((d, x[i]) for d, x, i in zip(dims, levels, at, strict=True))
        for column, right in {
            Column("main", measure, chosen): values[(keep, *at)],
            Column("main", measure, (), tuple(dims)): values[keep].mean(
                tuple(range(1, values.ndim))
            ),
            Column("main", measure, chosen[:1], tuple(dims[1:])): values[(keep, *at[:1])].mean(
                tuple(range(1, values.ndim - len(at[:1])))
            ),
        }.items():
            if not sums:
                found = value(f"{column} > 0")["value"]
                assert found.dims == ("seed",)
                np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-300)


STUDY = """question = "So?"
seeds = "1000000:1000040"

[[experiment]]
name = "{name}"

[[claim]]
text = "so"
holds = '{holds}'
control = ["{control}"]
{where}
"""


@pytest.mark.parametrize("name", [n for n in RECORDED if n.id != "compute-planner"])
def test_it_is_refused_before_anything_runs(name, tmp_path):
    """Refuse in a study's file, too: what a record tells of dimensions and levels is told with the
    line of the condition."""
    path = tmp_path / "asks.toml"
    measured = {(arm, measure) for arm, measure, *_ in stored(name)}
    for arm, measure, dims, levels, _, _ in stored(name):
        others = (a for a in catalogue.find(name).arms if a not in ("main", arm))
        control = next((a for a in others if (a, measure) in measured), None)
        if not dims or measure in QUANTITIES or control is None:
            continue
        path.write_text(
            STUDY.format(name=name, holds=f"{Column(arm, measure)} > 0", control=control, where="")
        )
        with pytest.raises(
            ExperimentError, match=rf"line 9 column 9: .* varies over {dims[0]} \("
        ) as e:
            composed(read(path))
        assert all(f"{d} ({x[0]}" in str(e.value) for d, x in zip(dims, levels, strict=True))
        wrong = str(Column(arm, measure, ((dims[0], "no such"),), tuple(dims[1:])))
        path.write_text(STUDY.format(name=name, holds=f"{wrong} > 0", control=control, where=""))
        with pytest.raises(
            ExperimentError, match=f"line 9 column 9: .* has no {dims[0]} 'no such'"
        ):
            composed(read(path))
        return
