"""Gaps: what a study leaves open, what its claims cannot decide, and whether its budget allows what
is missing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from assay.ask import missing
from assay.ask.contents import asked_in
from assay.ask.planned import Gap, StudyGaps
from assay.ask.text import read
from assay.core.compute import duration
from assay.core.experiment import Experiment
from assay.core.reading import plural
from assay.lab.lab import Lab
from assay.lab.plan.plan import Plan, command_times


def find_gaps(path: Path, known: Experiment | None = None) -> StudyGaps:
    """Report what a study does not say, what is taken in its place, and what that costs; `known` is
    its experiment, which a study that lacks something has not. Raises: ExperimentError."""
    text = read(path)
    lacks = missing.essential(text)
    assumed = missing.assumed(text) if text.study.experiment else []
    if known is not None:
        assumed = [*(_of_models(known) or assumed), *missing.of_claims(known)]
    rows = [Gap(m.where, m.text, m.default, "") for m in lacks]
    rows += [Gap(m.where, m.text, m.default, m.cost) for m in assumed]
    return StudyGaps(study=str(path), gaps=tuple(rows), exit_code=2 if lacks else 0)


def undecidable(study: Experiment) -> list[str]:
    """Say which claims of a study no data could decide, and what would change that."""
    return hopeless([*_of_models(study), *missing.of_claims(study)])


def _of_models(study: Experiment) -> list[missing.Missing]:
    asked = asked_in(study)
    return missing.of_models(asked, study) if asked.parts else []


def hopeless(gaps: Iterable[missing.Missing | Gap]) -> list[str]:
    """Say of what a study does not say which claims it leaves open whatever comes out, those of
    which the same is to be said together."""
    numbers: dict[str, list[str]] = {}
    for gap in gaps:
        claim, _, field = gap.where.partition(": ")
        if field == "units" and gap.cost == "the verdict":
            number = claim.removeprefix("claim ")
            numbers.setdefault(f"{gap.default}; {gap.text}", []).append(number)
    return [
        f"{plural('claim', len(of))} {', '.join(of)} cannot be decided: {words}"
        for words, of in numbers.items()
    ]


def unused(study: Experiment) -> list[str]:
    """Say which prompts of a study nothing uses, and what to write."""
    idle = missing.unused_prompts(asked_in(study).text, tuple(study.arms))
    return [f"{m.where}: {m.default}; {m.text}" for m in idle]


def refuse_beyond_budget(lab: Lab, study: Experiment, planned: Plan) -> None:
    """Refuse a study that is expected to take longer than its budget; where nothing is known of its
    times it may run. Raises: ExperimentError, with what would fit."""
    text = asked_in(study).text
    if not text.study.budget or not planned.missing:
        return
    with text.located("budget"):
        most = duration(text.study.budget)
    width = lab.executor_for([study]).width
    took = command_times(planned, study, width)
    if took is not None and took[0].low > most:
        what = (
            f"the missing runs would take {took[0].low:,.0f} s or more, and the budget is "
            f"{text.study.budget.strip()}; raise it, or name fewer seeds, arms or values; "
            "nothing was run"
        )
        raise text.error(("budget",), what)
