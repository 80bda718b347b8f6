"""Parts: the arms of a study that asks models, in the order of its text: each model as it is and
under each intervention, probes, differences and dictionaries, each next to its near controls."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from assay.ask import arms, inputs
from assay.ask.measure import (
    controls,
    damage,
    directions,
    interventions,
    probe_tasks,
    prompts,
    reads,
    sae_arms,
    saes,
    training,
)
from assay.ask.measure.probe_tasks import MAJORITY, ProbeTask
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.measure.tasks import Task
from assay.ask.part import Part
from assay.ask.resolved import ResolvedStudy
from assay.ask.tables import Model, Probe, Train
from assay.ask.text import Study, arm_on, frozen_words, is_left_out, measures_named, reads_of
from assay.ask.wording import condition
from assay.controls.table import (
    DAMAGE,
    FROZEN,
    PLACES,
    Control,
    chosen,
)
from assay.core.errors import AssayError, DataError, ExperimentError, nearest
from assay.data import corpus as corpora


def add_arms(study: ResolvedStudy) -> None:
    """Add all arms of a study. Raises: ExperimentError with line and column, for what its text and
    its files show to be wrong."""
    if not study.models:
        return
    _check_tables(study)
    text, trains = study.text, study.text.study.train
    for train in trains:
        if train.name in study.saes and train.context is None:
            _shorten(study, study.saes[train.name])
    _refuse_latents(study)
    _refuse_lost(study)
    if study.prompts:
        _ask_all(study)
        _refuse_leaks(study)
    for i, train in enumerate(trains):
        if train.name in study.saes:
            with text.located("train", i):
                study.parts += _of_dictionary(study, study.saes[train.name])


def _check_tables(study: ResolvedStudy) -> None:
    """Refuse a study that asks or reads nothing, and a direction or a read that cannot be."""
    text, tables = study.text, study.text.study
    if not study.prompts and (tables.read or tables.probe or not study.saes):
        raise text.error(("model",), 'there are no prompts: write [[prompts]] with text = "…"')
    for i, direction in enumerate(tables.direction):
        with text.located("direction", i):
            directions.check(direction)
    for i, read in enumerate(tables.read):
        with text.located("read", i):
            reads.check(read, tables.direction)
    if not (tables.read or tables.probe or study.saes):
        what = 'nothing is measured: write [[read]] with a name and log_prob = " yes", or [[probe]]'
        raise text.error(("model",), what)
    if tables.intervene and not tables.read and not any(p.intervention for p in tables.probe):
        what = 'nothing is measured under it: write [[read]] with a name and log_prob = " yes"'
        raise text.error(("intervene", 0), what)


def _refuse_leaks(study: ResolvedStudy) -> None:
    """Refuse prompts of which a unit is both learned from and measured, and a direction that is
    learned from the texts on which it is judged."""
    changes = [p.task.change for p in study.parts if isinstance(p.task, ProbeTask)]
    tasks = [p.task for p in study.parts if isinstance(p.task, Task)]
    learned = {task.prompts.table.name for task in tasks if task.learns_here}
    for i, entry in enumerate(study.text.study.prompts):
        if entry.name in learned:
            with study.text.located("prompts", i):
                study.prompts[entry.name].halves()
    for part in study.parts if study.frozen is None else ():
        probed = part.task
        if isinstance(probed, ProbeTask) and probed.change and probed.test is not None:
            for table in probed.change.own_directions:
                i = [d.name for d in study.text.study.direction].index(table.name)
                with study.text.located("direction", i, "prompts"):
                    directions.refuse_judged(table, probed.test)
    for task in (*tasks, *filter(None, changes)) if study.frozen is None else ():
        for table in task.own_directions:
            i = [d.name for d in study.text.study.direction].index(table.name)
            with study.text.located("direction", i, "prompts"):
                directions.refuse_leaks(table, task.sources, task.prompts)


def _ask_all(study: ResolvedStudy) -> None:
    """Add the arms of all reads and probes, of each model and of their differences."""
    tables, text = study.text.study, study.text
    with text.located("read", 0):
        taken_names = {name: i.name for i in tables.intervene for name in i.sweep}
        taken_names |= {p.unit: p.table.name for p in study.prompts.values()}
        taken_names |= {d: p.table.name for p in study.prompts.values() for d in p.dims()}
        reads.check_sweeps(tables.read, taken_names | dict.fromkeys(("run", "seed"), "each run"))
    study.prompts[damage.SENTENCES] = damage.plain_sentences()
    for m, model in enumerate(study.models):
        if tables.read:
            arms.ask(study, m, model)
        for i, probe in enumerate(tables.probe):
            with text.located("probe", i):
                study.parts += _probe(study, study.prefix(m, model), model, probe)
    for i, diff in enumerate(tables.diff):
        with text.located("diff", i):
            if (diff.models is None) == (diff.prompts is None):
                what = "give two models, or two prompts"
                raise ExperimentError(f"{diff.name!r}: {what}")
            if diff.models:
                arms.compare(study, i, diff, diff.models)
                for on in _others_of(study, diff.name):
                    arms.compare(study, i, diff, diff.models, on)
            else:
                arms.compare_prompts(study, i, diff)
    for m, model in enumerate(study.models if tables.read else ()):
        arms.ask_other_prompts(study, m, model)
        arms.ask_on_others(study, m, model)


def _others_of(study: ResolvedStudy, arm: str) -> list[str]:
    """The prompts of reads, on which a statement has an arm."""
    statements = {label for label, _ in measures_named(study.text.study)}
    names = dict.fromkeys(r.prompts for r in study.text.study.read if r.prompts)
    return [name for name in names if arm_on(arm, name) in statements]


def _refuse_lost(study: ResolvedStudy) -> None:
    """Refuse a read of prompts that there are not, and first prompts of which nothing is read."""
    tables, first = study.text.study, next(iter(study.prompts), "")
    for i, read in enumerate(tables.read):
        if read.prompts and read.prompts not in study.prompts:
            hint = nearest(read.prompts, study.prompts)
            what = f"{read.name} is of prompts {read.prompts!r}, and there are none; {hint}"
            raise study.text.error(("read", i, "prompts"), what)
    if tables.read and not reads_of(tables.read, first, first=True):
        what = (
            f"every read names other prompts than {first}, which the arms measure; write those "
            "[[prompts]] first, and leave out what no read is of"
        )
        raise study.text.error(("prompts", 0), what)


def _of_dictionary(study: ResolvedStudy, table: Train) -> list[Part]:
    """The arms of a dictionary that is trained; before the first of a study that asks nothing
    else what it takes to be better than: the mean activation."""
    model = study.read_by(table)
    documents: tuple[str, ...] = ()
    if table.text:
        corpus = corpora.load(table.text)
        documents = tuple(corpus.documents[k].path for k in corpus.part("test"))
    task = SaeTask(model, table, study.prompts.get(table.prompts), documents=documents)
    if not task.levels:
        what = "the test part of its text is empty; give a text of more files"
        raise DataError(f"{table.name!r} cannot be measured: {what}")
    parts = [Part(table.name, task)]
    known = [c for c in sae_arms.CONTROLS if not (c is FROZEN and table.frozen)]
    for control in chosen(table.name, known, table.controls):
        changed = dataclasses.replace(task, control=control.name)
        parts.append(Part(f"{table.name}/{control.name}", changed, control, table.name))
    if not study.parts:
        parts.insert(0, Part("main", dataclasses.replace(task, control=sae_arms.MEAN)))
    return parts


def _shorten(study: ResolvedStudy, table: Train) -> None:
    """Take windows no longer than the model reads, where nobody says how long they are."""
    model = study.read_by(table)
    small = study.trains.get(model.name)
    with suppress(AssayError):
        folder = training.shell(small) if small and not small.of else None
        most = (folder or study.found(model.name)).most_tokens
        context = min(most, table.context or most)
        study.saes[table.name] = msgspec.structs.replace(table, context=context)


def _refuse_latents(study: ResolvedStudy) -> None:
    """Refuse a latent that a dictionary of the study does not have."""
    tables = study.text.study
    for kind, key in (("read", "feature"), ("direction", "feature"), ("intervene", "clamp")):
        for i, table in enumerate(getattr(tables, kind)):
            feature = getattr(table, key)
            if feature is not None and feature[0] in study.saes:
                with study.text.located(kind, i, key):
                    own = feature[1] if isinstance(feature[1], tuple) else (feature[1],)
                    for latent in (*own, *table.sweep.get(key, ())):
                        known = study.saes[feature[0]]
                        saes.refuse_latent(known, latent, writes=kind != "read")
    whole = [("intervene", i, "reconstruct", t.reconstruct) for i, t in enumerate(tables.intervene)]
    for key in ("l0", "fvu"):
        whole += [("read", i, key, getattr(r, key)) for i, r in enumerate(tables.read)]
    for what, n, field, sae in whole:
        if sae in study.saes:
            with study.text.located(what, n, field):
                saes.refuse_many(study.saes[sae])
    for i, probe in enumerate(tables.probe):
        for name in (probe.dictionary, *probe.sweep.get("dictionary", ())):
            if name in study.saes:
                with study.text.located("probe", i, "dictionary"):
                    saes.refuse_codes(study.saes[name])


def _probe(study: ResolvedStudy, prefix: str, model: Model, table: Probe) -> list[Part]:
    """The arms of a probe in a model; before the first of a study that reads nothing else what
    it takes to be better than: the most frequent label."""
    source = study.prompts_called(table.prompts) if table.prompts else study.first
    test = prompts.alike(study.prompts_called(table.test), source) if table.test else None
    frozen = frozen_words(study.text.path, f"{prefix}{table.name}/untrained")
    task = ProbeTask(
        model,
        table,
        source,
        test,
        change=_change(study, model, table, source),
        ranks=_ranks(study, f"{prefix}{table.name}"),
        one_twin=frozen is None or "twin" in frozen,
    )
    probe_tasks.check(task)
    parts, name = [Part(f"{prefix}{table.name}", task)], f"{prefix}{table.name}"
    changes = _controls_of_change(study, task)
    for control in controls.of_probe(table, trained=not model.like, changes=changes):
        if is_left_out(f"{name}/{control.name}", study.frozen):
            continue
        changed = dataclasses.replace(task, control=control.name)
        if control in changes and task.change:
            change = dataclasses.replace(task.change, control=control.name)
            changed = dataclasses.replace(changed, change=change)
        if control == PLACES:
            changed = dataclasses.replace(changed, table=probe_tasks.linear(task))
        parts.append(Part(f"{name}/{control.name}", changed, control, name))
    if not study.parts:
        plain = msgspec.structs.replace(table, sweep={})
        plain = msgspec.structs.replace(plain, intervention="")
        majority = dataclasses.replace(
            task, table=plain, control=MAJORITY, one_twin=True, change=None
        )
        parts.insert(0, Part("main", majority))
    return parts


def _change(study: ResolvedStudy, model: Model, table: Probe, source: PromptSet) -> Task | None:
    """What is done to a model while a probe reads it. Raises: ExperimentError, DataError."""
    tables = study.text.study
    if not table.intervention:
        return None
    changed = msgspec.structs.replace(study.intervention(table.intervention), prompts="")
    interventions.check(changed, tables.direction)
    if interventions.expanded(changed, tables.direction).sweep:
        raise ExperimentError(
            f"{table.name!r} reads under one change, and {changed.name!r} has a sweep; write an "
            "[[intervene]] without it"
        )
    return Task(
        model,
        source,
        (),
        changed,
        directions=tables.direction,
        sources=study.prompts,
        first=interventions.before(changed, tables.intervene),
    )


def _controls_of_change(study: ResolvedStudy, task: ProbeTask) -> list[Control]:
    """The near controls of the change under which a probe reads, but for other texts."""
    table, alone = task.intervention, arms.has_one_block(study, task.model)
    known = controls.of_intervention(table, study.text.study.direction) if table else ()
    return [c for c in known if c != DAMAGE and not (alone and c.name == "layer")]


def _ranks(study: ResolvedStudy, probe: str) -> bool:
    """Whether a statement names the AUROC of a probe, which is measured only then."""
    tables, named = study.text.study, set[str]()
    texts = [(c.holds, True) for c in tables.claim] + [(e.value, False) for e in tables.estimate]
    for text, compared in texts:
        with suppress(AssayError):  # reported where it is read
            columns = condition(text, compared=compared).columns
            named |= {c.arm or "main" for c in columns if c.name == "auroc"}
    return any(arm == "main" or f"{arm}/".startswith(f"{probe}/") for arm in named)


def places(study: Study) -> Iterator[tuple[str, str]]:
    """Give every name of a study that may be that of a file or a folder, and where it stands."""
    for i, model in enumerate(study.model, 1):
        for name in (model.name, *model.checkpoints):
            yield f"model {i}", name
    for i, table in enumerate(study.prompts, 1):
        yield f"prompts {i}", table.file
    for i, tuned in enumerate(study.train, 1):
        yield f"train {i}", tuned.text
    for kind in ("direction", "intervene", "read", "probe"):
        for i, entry in enumerate(getattr(study, kind), 1):
            for field in inputs.FIELDS:
                if value := getattr(entry, field, None):
                    yield f"{kind} {i}", value if isinstance(value, str) else value[0]
            if code := getattr(entry, "function", ""):
                yield f"{kind} {i}", code.rpartition(":")[0]
