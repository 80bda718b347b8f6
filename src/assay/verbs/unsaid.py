"""Unsaid: what a study does not say, what its claims cannot decide, and what a store has of it
already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from assay.ask import missing
from assay.ask.composing import composed
from assay.ask.model_study import ModelStudy
from assay.ask.text import Text, read
from assay.core.errors import AssayError
from assay.core.experiment import Experiment
from assay.core.reading import plural
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset, override
from assay.lab.store.journal import Ledger, subject
from assay.verbs.plan import Planned, StudyGaps, Unsaid


def find_unsaid(path: Path, lab: Lab, known: Experiment | None = None) -> StudyGaps:
    """Tell what a study does not say, what is taken in its place, and what that costs; `known` is
    its experiment, where it was composed already. Raises: ExperimentError."""
    text = read(path)
    lacks = missing.essential(text)
    assumed = missing.assumed(text) if text.study.experiment else []
    if not lacks and (text.study.model or text.study.train or text.study.claim):
        known = known or composed(text)
        if text.study.model or text.study.train:
            assumed = missing.of_models(text, known)
        assumed = [*assumed, *missing.of_claims(known)]
    seed_cost = _each_seed(text, lab, known) if text.study.experiment else ""
    rows = [Unsaid(m.where, m.text, m.default, "") for m in lacks]
    rows += [Unsaid(m.where, m.text, m.default, seed_cost if m.each else m.cost) for m in assumed]
    return StudyGaps(study=str(path), unsaid=tuple(rows), exit_code=2 if lacks else 0)


def undecidable(path: Path, known: Experiment) -> list[str]:
    """Say which claims of a study no data could decide, and what would change that."""
    text = read(path)
    lacks = missing.of_models(text, known) if text.study.model or text.study.train else []
    return hopeless([*lacks, *missing.of_claims(known)])


def hopeless(gaps: Iterable[missing.Missing | Unsaid]) -> list[str]:
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


def unused(path: Path) -> list[str]:
    """Say which prompts of a study nothing uses, and what to write."""
    return [f"{m.where}: {m.default}; {m.text}" for m in missing.unused_prompts(read(path))]


def _each_seed(text: Text, lab: Lab, known: Experiment | None) -> str:
    """What a seed costs, with all arms, whatever is claimed."""
    try:
        experiment = replace(known or composed(text.bare), name="study")
        seeds = missing.seeds(text)
        plan = lab.plan(experiment, override(experiment))
    except AssayError as e:
        return f"unknown: {e}"
    if plan.cpu_seconds is None:
        return "unknown: no record tells what these runs take"
    return (
        f"about {plan.cpu_seconds / len(seeds):,.0f} CPU-seconds a seed, {plan.cpu_seconds:,.0f} "
        "in all"
    )


def already(path: Path, lab: Lab, experiment: Experiment, preset: Preset, planned: Planned) -> str:
    """Say what a store has of a study that asks a model and has not run: what other studies have
    measured, and whose verdicts are about the same arms; "" where it has nothing."""
    text = read(path)
    if not (text.study.model or text.study.train) or not planned.missing:
        return ""
    study, missing_seeds = ModelStudy(text), dict[str, list[int]]()
    for run in planned.runs:
        if run.state == "missing":
            missing_seeds.setdefault(run.arm, []).append(run.seed)
    smoke = preset.name == "smoke"
    measured = [
        arm
        for arm, seeds in missing_seeds.items()
        if arm in study.by_label and study.stored(lab.store, arm, seeds, smoke=smoke)
    ]
    runs = sum(len(missing_seeds[arm]) for arm in measured)
    about = subject(experiment, preset.specs)
    others = dict.fromkeys(
        line["experiment"]
        for line in Ledger(lab.store).looks
        if line["what"] == "judged" and line["experiment"] != experiment.name and about.alike(line)
    )
    parts = [f"{runs} of {planned.missing} missing runs are measured, by other studies"] * bool(
        runs
    )
    parts += [f"verdicts of {', '.join(others)} are about some of the same arms"] * bool(others)
    return f"in this store {'; '.join(parts)}" if parts else ""
