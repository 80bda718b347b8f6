"""Run: experiments and studies trained where runs are missing, here or elsewhere, and judged."""

from __future__ import annotations

from typing import Any

from assay.core.results import ResultData
from assay.lab import catalogue
from assay.lab.judge.kept import around
from assay.verbs import verdicts
from assay.verbs.judged import judged, warn
from assay.verbs.machine import NOT_ELSEWHERE, Elsewhere
from assay.verbs.several import Several, run_several
from assay.verbs.verb import DEFAULT, HERE, Answer, Choice, Door, Expected, Flag, Name, Place, verb


def results() -> Any:
    """Give the types of what a run answers."""
    return ResultData | Several


@verb("verdicts, with their controls, after what is missing is trained", results=results)
def run(
    name: Name,
    /,
    *more: str,
    verbose: Flag = False,
    choice: Choice = DEFAULT,
    expect: Expected = None,
    machine: Elsewhere = NOT_ELSEWHERE,
    place: Place = HERE,
    door: Door,
) -> Answer[Any]:
    """Train and measure what is missing, then judge the claims. An interrupted run resumes.

    Parameters
    ----------
    more
        Further names or paths. They run one after another; each is printed once it is judged, with
        a table of all at the end. A name may be a pattern: `'monthly-*'`, or `'*'` for the whole
        catalogue.
    verbose
        Show every control, the power, and which other arms satisfy a claim.

    Examples
    --------
    assay run examples/country.toml
    assay run superposition --preset smoke
    assay run superposition gated-sae --preset smoke
    assay run 'monthly-*' --preset smoke
    assay run superposition --on slurm --slurm partition=main --time 2h
    """
    names = tuple(each for typed in (name, *more) for each in catalogue.named(typed))
    if len(names) > 1:
        return run_several(names, choice, expect, machine, place, door, verbose)
    (name,) = names
    experiment, preset = choice.of(name)
    warn(name, experiment, door)
    lab = machine.lab(place.root)
    planned = lab.plan(experiment, preset)
    data = judged(lab, experiment, preset, planned, door.run(experiment.name))
    about, stored = around(experiment, preset, data), not planned.missing
    return verdicts.answer(
        data, about, name, experiment.origin, place, expect, verbose=verbose, stored=stored
    )
