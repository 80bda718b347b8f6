"""Gaps: what a study leaves open, what its claims cannot decide, and what a store has of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from assay.ask import missing
from assay.ask.composing import composed
from assay.ask.planned import Gap, StudyGaps
from assay.ask.text import read
from assay.core.experiment import Experiment
from assay.core.reading import plural


def find_gaps(path: Path, known: Experiment | None = None) -> StudyGaps:
    """Report what a study does not say, what is taken in its place, and what that costs; `known` is
    its experiment, where it was composed already. Raises: ExperimentError."""
    text = read(path)
    lacks = missing.essential(text)
    assumed = missing.assumed(text) if text.study.experiment else []
    if not lacks and (text.study.model or text.study.train or text.study.claim):
        known = known or composed(text)
        if text.study.model or text.study.train:
            assumed = missing.of_models(text, known)
        assumed = [*assumed, *missing.of_claims(known)]
    rows = [Gap(m.where, m.text, m.default, "") for m in lacks]
    rows += [Gap(m.where, m.text, m.default, m.cost) for m in assumed]
    return StudyGaps(study=str(path), gaps=tuple(rows), exit_code=2 if lacks else 0)


def undecidable(path: Path, known: Experiment) -> list[str]:
    """Say which claims of a study no data could decide, and what would change that."""
    text = read(path)
    lacks = missing.of_models(text, known) if text.study.model or text.study.train else []
    return hopeless([*lacks, *missing.of_claims(known)])


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


def unused(path: Path, experiment: Experiment) -> list[str]:
    """Say which prompts of a study nothing uses, and what to write."""
    idle = missing.unused_prompts(read(path), tuple(experiment.arms))
    return [f"{m.where}: {m.default}; {m.text}" for m in idle]
