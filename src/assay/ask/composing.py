"""Composing: make a study an Experiment. `experiment` reads the file; `composed` reads the
statements, makes claims and estimates of them, leaves out arms that no statement needs, collects
remarks (`_note`), and puts the arms of borrowed experiments and of models together
(`_experiment`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from assay.ask import (
    checks,
    comparing,
    contents,
    inputs,
    missing,
    mistakes,
    model_study,
    notes,
    selection,
    sides,
    statements,
    verdict_notes,
)
from assay.ask.annotated import annotated
from assay.ask.contents import Contents, trial_seconds
from assay.ask.draft import Statement, StudyDraft
from assay.ask.measure.measuring import OF_PROMPTS
from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.part import LEFT_OUT, Part
from assay.ask.sides import Side
from assay.ask.text import PlacedError, Text, parsed, read, read_whole
from assay.ask.wording import dims_over
from assay.core.claims import Claim, Estimate
from assay.core.columns import Axes
from assay.core.errors import AssayError, ExperimentError
from assay.core.experiment import Cost, Experiment, Header
from assay.core.nouns import counted
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.lab.judge import families


def experiment(path: Path) -> Experiment:
    """The Experiment that a study's file describes. Raises: ExperimentError, with the line and the
    column of each mistake."""
    whole = read_whole(path)
    try:
        return _complete(path, parsed(path, whole))
    except PlacedError as error:
        mistakes.add_further(path, whole, error, composed)
        raise


def _complete(path: Path, text: Text) -> Experiment:
    if lacks := missing.essential(text):
        refuse_unknown_names(text)
        more = f" (and {len(lacks) - 1} more: assay plan {path} lists them)" if lacks[1:] else ""
        raise ExperimentError(lacks[0].text + more)
    return composed(text)


def header(path: Path) -> Header:
    """What `assay list` says about a study. Raises: ExperimentError."""
    study = read(path).study
    texts = [*(c.text for c in study.claim), *(e.text for e in study.estimate)]
    controls = ", ".join(dict.fromkeys(name for c in study.claim for name in c.control))
    return Header(
        study.question.rstrip("."), "", "; ".join(texts) or "none", controls or "none", "as planned"
    )


def refuse_unknown_names(text: Text) -> None:
    """Refuse a study that names an unknown experiment, field or arm, even if it is incomplete.
    Raises: ExperimentError."""
    tables = text.study
    if not (tables.experiment or tables.model or tables.train):
        return
    study = StudyDraft(text)
    _experiment(study, (), ())
    for i, c in enumerate(study.text.study.claim):
        statement = study.statement("claim", i) if c.holds.strip() else None
        statements.refuse_unknown(study, "claim", i, c, statement)
    for i, e in enumerate(study.text.study.estimate):
        if e.value.strip():
            statements.refuse_unknown(study, "estimate", i, e, study.statement("estimate", i))


def measured(text: Text) -> Iterator[tuple[str, Mapping[str, Axes], Side | Part]]:
    """Give for each arm of a study what it measures, as far as is known before any run, and the
    experiment or the part to which it belongs. Raises: ExperimentError."""
    study = StudyDraft(text)
    for arm, known_measures in study.measured.items():
        yield arm, known_measures.axes, known_measures.side or study.asked.by_label[arm]


def composed(text: Text) -> Experiment:
    """The Experiment of a study that lacks nothing essential except, perhaps, claims. Raises:
    ExperimentError."""
    study = StudyDraft(text)
    claims, estimates = (
        [study.statement(table, i) for i in range(len(getattr(text.study, table)))]
        for table in ("claim", "estimate")
    )
    made = (
        [statements.claim(study, s) for s in claims],
        [statements.estimate(study, s) for s in estimates],
    )
    for s in (*claims, *estimates):
        with text.located(s.table, s.i, s.key):
            if study.asked.selects:
                selection.refuse_circular(study.asked.by_label, s.main, s.read)
            if s.table == "claim" and study.asked.parts:
                comparing.refuse_one_number(study.asked, s.main, s.read)
    if study.asked.parts:
        _leave_out_unnamed(study, [*claims, *estimates])
        _note(study, [*claims, *estimates], [*made[0], *made[1]])
    for s in (*claims, *estimates):
        study.columns[s.entry.text] = [(c.arm or s.main, c.name) for c in s.read.columns]
    several = made[0][1:]
    whole = _experiment(study, families.simultaneous(made[0]) if several else made[0], made[1])
    for statement, c in zip([*claims, *estimates], whole.claims, strict=True):
        statements.refuse_mixed(statement, c, whole)
        if isinstance(c, Claim):
            statements.refuse_equal_runs(study, statement, c, whole)
    return whole


_LISTS = ("control", "planted", "violations")


def _experiment(
    study: StudyDraft, claims: Sequence[Claim], estimates: Iterable[Estimate]
) -> Experiment:
    all_seeds = max(1, len(study.seeds))
    usual = min((s.of.seeds_per_group for s in study.sides), default=all_seeds)
    together = study.text.study.together or usual
    times = _times(study, together, all_seeds)
    measure = study.sides[0].of.measure if study.sides else study.arms["main"].measure
    assert measure is not None
    by_class: dict[type, Side] = {type(s.of.default[0]): s for s in reversed(study.sides)}
    try:
        return Experiment(
            arms=study.arms,
            measure=measure,
            claims=(*claims, *estimates),
            page=_page(study),
            remarks=(
                *study.asked.remarks,
                *(sides.remarks(study.sides) if study.sides else ()),
                *_runs_in_words(study),
                *_repeated_in_words(study, times),
            ),
            draws=not study.sides and not study.text.study.train,
            seeds_per_group=together,
            smoke=study.first["smoke"],
            default=study.first["default"],
            borrows=tuple(dict.fromkeys(s.of.name for s in study.sides)),
            inputs=_inputs(study, by_class),
            materials=Contents(study.asked, study.columns, [c.lead for c in claims if c.lead]),
            shared=study.asked.shared,
            cost=_cost(study, by_class),
            expected=times,
            version=sum(s.of.version for s in study.sides) or 1,
            measured=sum(s.of.measured for s in study.sides) or 1,
            scope=partial(_scope, study),
            verdict_notes=study.verdict_notes,
            annotate=study.annotate,
        )
    except AssayError as e:
        raise ExperimentError(f"{study.text.path}: {e}") from e


def _runs_in_words(study: StudyDraft) -> list[str]:
    """Say how the runs of an unchanged model differ."""
    count = len(study.seeds)
    if study.sides or study.text.study.train or count < 2:
        return []
    random_arms = [p.label for p in study.asked.parts if p.task.drawn and not p.of]
    if random_arms := [label for label in random_arms if label in study.arms]:
        return [
            f"each arm has {count} runs, one per seed; the seed changes only what "
            f"{', '.join(random_arms)} {'learn or draw' if random_arms[1:] else 'learns or draws'} "
            "and what the controls draw"
        ]
    once = "the model's own computation is not random, and is done once for all of them"
    if not any("/" in arm for arm in study.arms):
        return [f"each arm has {count} runs, as the controls of a claim would; {once}"]
    return [f"the {count} runs of each arm are {count} random draws of the controls; {once}"]


DEAR = 60.0
"""CPU-seconds of controls that repeat a sweep above which a plan says how to reduce them."""


def _repeated_in_words(study: StudyDraft, times: Mapping[str, float]) -> list[str]:
    """Say which controls repeat a whole sweep, if that takes long, and how to avoid it."""
    lines = []
    for part in study.asked.parts:
        table = part.task.intervention
        sweep = table.sweep if table else {}
        own = (p for p in study.asked.parts if p.of == part.label and p.label in study.arms)
        near = [p.label for p in own if sweep and getattr(p.task.intervention, "sweep", 0) == sweep]
        seconds = len(study.seeds) * sum(times.get(label, 0.0) for label in near)
        if table and seconds > DEAR:
            minutes = counted(max(1, round(seconds / 60)), "CPU-minute")
            level = ", ".join(f"{dim}={levels[0]}" for dim, levels in table.sweep.items())
            lines.append(
                f"{', '.join(near)} repeat{'' if near[1:] else 's'} all levels of the sweep of "
                f"{part.label}, which takes about {minutes}: controls are "
                f"measured at one level alone if claims name it, as in {part.label}.READ[{level}], "
                "and an [[estimate]] of the whole curve needs none; or keep fewer of them, with "
                f"controls under {table.name}"
            )
    return lines


def _leave_out_unnamed(study: StudyDraft, stated: Sequence[Statement]) -> None:
    """Leave out the arms of models that no statement needs, and refuse a site that a model of the
    others lacks."""
    names = {"main"}
    for s in stated:
        lists = [getattr(s.entry, key, ()) for key in (*_LISTS, "near", "also")]
        names |= {s.main, *s.read.parsed.arms, *itertools.chain.from_iterable(lists)}
        comparison = s.main, s.read, getattr(s.entry, "control", ())
        names |= {a for x in comparing.twins(study.asked, *comparison).values() for a in x.values()}
    for part in study.asked.parts:
        if part.label in names or study.asked.is_of_first(part):
            checks.check(study.asked, part)
    study.arms = {name: arm for name, arm in study.arms.items() if name in names}


def _note(study: StudyDraft, read: Sequence[Statement], made: Sequence[Claim | Estimate]) -> None:
    """Collect the remarks that the author of a study of models should see before it runs."""
    askings = [
        notes.Asking(
            f"{s.table} {s.i + 1}",
            s.main,
            s.read,
            statement.units,
            getattr(statement, "violations", ()),
            getattr(getattr(study.text.study, s.table)[s.i], "control", ()),
            dims_over(s.entry) if s.table == "estimate" else (),
        )
        for s, statement in zip(read, made, strict=True)
    ]
    askings = notes.with_idle(study.asked, askings)
    bearing = notes.of_study(study.asked, askings)
    for s in read:
        comparison = f"{s.table} {s.i + 1}", s.main, s.read, getattr(s.entry, "control", ())
        bearing += comparing.pairs_in_words(study.asked, *comparison)
    study.asked.remarks += bearing
    bearing += [
        r
        for r in study.asked.remarks
        if r.endswith(LEFT_OUT) or OF_PROMPTS.search(r) or checks.OF_CHANGES.search(r)
    ]
    by_text = dict(zip((statement.text for statement in made), askings, strict=True))
    study.verdict_notes = partial(verdict_notes.lines, study.asked, by_text, bearing)
    task = getattr(study.asked.by_label.get("main"), "task", None)
    guess = ""
    if isinstance(task, ProbeTask) and task.classes:
        guess = f"guessing the most frequent {task.table.label}"
    study.annotate = partial(annotated, study.asked, by_text, guess)


def _scope(study: StudyDraft, preset: str, runs: Mapping[str, tuple[Spec, ...]]) -> str:
    """Say what verdicts generalise to, in the words of the experiments that they read."""
    phrases = sides.scopes(study.sides, preset, study.seeds, runs) if study.sides else []
    phrases += [contents.scope(study.asked, list(runs))] if study.asked.parts else []
    return "; ".join(dict.fromkeys(phrases))


def _page(study: StudyDraft) -> str:
    """What a reader of the report needs to know besides the question in the title: which
    experiments are compared, and what was left out."""
    lines = []
    for s in study.sides:
        prefix = f"`{s.label}/…`" if s.label else "Arms without a label"
        lines.append(f"- {prefix}: {s.description}.")
    if study.asked.parts and (idle := study.asked.left_out(study.arms)):
        lines += ["", f"These arms were not run, because no claim needs them: {', '.join(idle)}."]
    unused = {s.of.name: [a for a in s.of.arms if a not in s.arms] for s in study.sides}
    for name, arms in unused.items():
        if arms:
            did_not = f"These arms of {name} did not run, and no claim is about them"
            lines += ["", f"{did_not}: {', '.join(arms)}."]
    return "\n".join([*lines, "", study.text.page]).strip()


def _inputs(study: StudyDraft, by_class: Mapping[type, Side]) -> Any:
    """The hashes of what runs read. A model or a text that an experiment cannot have is reported
    with its place in the study."""
    if study.asked.parts:
        return partial(inputs.inputs, study.asked)
    if not any(side.of.inputs for side in by_class.values()):
        return None

    def of_experiment(spec: Any) -> Mapping[str, str]:
        side = by_class[type(spec)]
        try:
            return side.of.inputs(spec) if side.of.inputs else {}
        except AssayError as e:
            i = study.text.study.experiment.index(side.part)
            message = f"{side.of.name} cannot read what it needs: {e}"
            raise study.text.error(("experiment", i, "fields"), message) from e

    return of_experiment


def _times(study: StudyDraft, together: int, all_seeds: int) -> dict[str, float]:
    """CPU-seconds of a run of each arm, as far as records or the size of a model allow an
    estimate; with those of the first arm, what it takes to try all arms before."""
    times = {
        arm: seconds
        for side in study.sides
        for arm, seconds in sides.expected(side, study.seeds, together).items()
    }
    each = model_study.seconds(study.asked, study.arms, together, all_seeds)
    trial = trial_seconds(study.asked, study.arms, each, all_seeds)
    first = next(iter(each), "")
    return times | each | ({first: each[first] + trial / all_seeds} if trial else {})


def _cost(study: StudyDraft, by_class: Mapping[type, Side]) -> Any:
    """The cost of runs: of what a study trains, or of experiments if each of them gives its own."""
    if study.text.study.train:
        return partial(model_study.cost, study.asked)
    if not all(side.of.cost for side in by_class.values()) or not by_class:
        return None

    def cost(runs: Runs[Any]) -> Cost:
        side = by_class.get(type(runs.specs[0]))
        return side.of.cost(runs) if side is not None and side.of.cost else Cost()

    return cost
