"""Inputs: hashes of what runs of a study of models read. A model or a dictionary that the study
trains is identified by the content of what it learns, and trained when it is first needed: `ready`
replaces names by trained files, `inputs` gives the hashes."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from assay.ask.measure import dictionaries, models, own_code, probes, saes, training
from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.measure.saes import Learning
from assay.ask.measure.tasks import Task
from assay.ask.near import CHANGED, FROZEN, ITSELF, NOT_TRAINED
from assay.ask.part import AskedSpec
from assay.ask.resolved import ResolvedStudy
from assay.ask.tables import Model, Train
from assay.ask.text import Study
from assay.core.bench import Bench
from assay.core.errors import AssayError, ModelError
from assay.data import corpus as corpora
from assay.data.tiny import tiny
from assay.lab.catalogue import STORE
from assay.subjects import chats
from assay.subjects.folder import ModelFolder, fingerprint


def ready(study: ResolvedStudy, bench: Bench, task: Any, *, smoke: bool) -> Any:
    """A task with the folders and files of what the study trains, training it if needed."""
    if isinstance(task, ProbeTask):
        table = _with_files(task.table, _files(study, bench, [task.table], smoke))
        changed = task.change and ready(study, bench, task.change, smoke=smoke)
        model = _opened_from(study, bench, task.model)
        return dataclasses.replace(task, table=table, model=model, change=changed)
    model = _opened_from(study, bench, task.model)
    if isinstance(task, SaeTask):
        if not task.other:
            return dataclasses.replace(task, model=model)
        other = _opened_from(study, bench, task.other)
        both = [_with_weights(study, bench, m) for m in (model, other)]
        return dataclasses.replace(task, model=both[0], other=both[1])
    less, start = (_opened_from(study, bench, m) if m else None for m in (task.less, task.start))
    about = (*task.reads, *task.own_directions, *filter(None, [task.intervention, task.first]))
    files = _files(study, bench, about, smoke)
    prompts, selection = task.prompts, task.prompts.selection
    if selection is not None:
        opened = dataclasses.replace(selection, model=_opened_from(study, bench, selection.model))
        prompts = dataclasses.replace(prompts, selection=opened)
    return dataclasses.replace(
        task,
        model=model,
        prompts=prompts,
        less=less,
        start=start,
        reads=tuple(_with_files(r, files) for r in task.reads),
        directions=tuple(_with_files(d, files) for d in task.directions),
        intervention=_with_files(task.intervention, files) if task.intervention else None,
        first=_with_files(task.first, files) if task.first else None,
    )


def learning(
    study: ResolvedStudy,
    name: str,
    model: str,
    seed: int,
    *,
    other: str = "",
    control: str = "",
    smoke: bool = False,
) -> Learning:
    """The training of a dictionary, or of its replacement in a control.

    Args:
        name: of the dictionary.
        model: the folder or the name of the model that it reads.
        seed: of the training.
        other: the folder of the second model that a crosscoder of two reads.
        control: a near control's name.
        smoke: whether it only shows that everything runs.
    """
    table = study.saes[name]
    reader, second = study.read_by(table), study.other_of(table)
    second = reader if second and control == ITSELF.name else second
    return Learning(
        saes.smaller(table) if smoke else table,
        model,
        _hash_with_weights(study, reader),
        study.prompts.get(table.prompts),
        seed,
        untrained=control == NOT_TRAINED.name,
        frozen="decoder" if control == FROZEN.name else saes.frozen(table),
        bos=reader.bos,
        other=other,
        other_digest=_hash_with_weights(study, second) if second else "",
        shuffled=control == CHANGED.name,
    )


def _hash_with_weights(study: ResolvedStudy, model: Model) -> str:
    changed = models.reweighted_in_words(model)
    return " ".join(filter(None, [_hash_of_model(study, model.name), changed]))


def _with_weights(study: ResolvedStudy, bench: Bench, model: Model) -> Model:
    """A model with changed weights, as the folder to which it is written."""
    if not model.weights:
        return model
    name = models.located(study.folder, model.name)
    how = models.reweighted_in_words(model)
    make = partial(models.as_it_is, name, "cpu", model)
    spec = models.RewrittenSpec(seed=0, model=fingerprint(name), how=how)
    written = models.rewritten(make, spec, bench)
    return msgspec.structs.replace(model, name=written, weights=None)


def _hash_of_model(study: ResolvedStudy, name: str) -> str:
    """The hash of a model, also of one that the study trains. Raises: AssayError,
    ExperimentError."""
    if name not in study.trains:
        try:
            return fingerprint(study.folder_of(name))
        except ModelError as e:
            if name.startswith(".") or not (study.folder / name).is_dir():
                raise
            hint = f"did you mean ./{name}, the folder next to the study?"
            raise ModelError(f"no model {name!r}; {hint}") from e
    table = study.trains[name]
    with study.text.located("train", study.text.index("train", table.name)):
        if not table.of:
            return training.key(training.small_by_content(study.located(table)))
        return training.key(_spec(study, name))


def _spec(study: ResolvedStudy, name: str) -> training.TunedSpec:
    start = study.start_of(Model(name=name))
    begun = _hash_of_model(study, start.name) if start and start.name in study.trains else ""
    return training.spec(*tuning(study, name), begun)


def used(study: ResolvedStudy, task: Task | ProbeTask | SaeTask) -> set[str]:
    """The dictionaries that the study trains for an arm."""
    if isinstance(task, SaeTask):
        return {task.table.name}
    if isinstance(task, ProbeTask):
        return (_named([task.table]) & {*study.saes}) | (
            used(study, task.change) if task.change else set()
        )
    about = (*task.reads, *task.own_directions, *filter(None, [task.intervention, task.first]))
    return _named(about) & {*study.saes}


def _files(study: ResolvedStudy, bench: Bench, tables: Any, smoke: bool) -> Mapping[str, str]:
    """The files of the dictionaries that these tables name and the study trains."""
    files = {}
    for name in sorted(_named(tables) & {*study.saes}):
        model = _opened_from(study, bench, study.read_by(study.saes[name]))
        place = models.located(study.folder, model.name)
        dictionary = learning(study, name, place, study.saes[name].seed, smoke=smoke)
        files[name] = str(dictionary.path(bench).absolute())
    return files


def _opened_from(study: ResolvedStudy, bench: Bench, model: Model) -> Model:
    """A model with its folder, if the study trains it or its trained original."""
    if model.like in study.trains:
        starts = bool(study.trains[model.like].of)  # which has the same shape and tokens
        like = study.folder_of(model.like) if starts else str(_trained(study, bench, model.like))
        return msgspec.structs.replace(model, like=like)
    if model.name in study.trains:
        return msgspec.structs.replace(model, name=str(_trained(study, bench, model.name)))
    return model


def _trained(study: ResolvedStudy, bench: Bench, name: str) -> Path:
    """The folder of a model that the study trains, training it if needed."""
    table = study.trains[name]
    if not table.of:
        return tiny(training.small(study.located(table)), bench)
    how = tuning(study, name)

    def build(path: Path) -> None:
        begun = study.start_of(Model(name=name))
        if begun and begun.name in study.trains:
            folder = str(_trained(study, bench, begun.name))
            tuned = (how[0], folder, *how[2:])
        else:
            tuned = how
        training.train(*tuned, str(bench.device), path, bench.report)

    return bench.artefact(_spec(study, name), build)


def tuning(study: ResolvedStudy, name: str) -> tuple[Train, str, PromptSet | None, bool | None]:
    """How a model is trained further, with the path of its text: from which folder, on which
    prompts, and whether texts begin with a BOS."""
    table = study.located(study.trains[name])
    all_models = (*study.models, *study.trained_for_controls.values())
    bos = next(m.bos for m in all_models if m.name == name)
    return table, study.folder_of(name), study.prompts.get(table.prompts), bos


FIELDS = ("feature", "clamp", "dictionary", "jaccard", "reconstruct", "l0", "fvu")
"""The fields that name a dictionary, alone or with a latent."""


def _named(tables: Any) -> set[str]:
    names: set[str] = set()
    for table in tables:
        for field in FIELDS:
            if value := getattr(table, field, None):
                names.add(value if isinstance(value, str) else value[0])
        names |= {str(level) for level in table.sweep.get("dictionary", ())}
    return names


def _with_files(table: Any, files: Mapping[str, str]) -> Any:
    """A table with the file of each dictionary instead of its name."""
    changes: dict[str, Any] = {}
    for field in FIELDS:
        value = getattr(table, field, None)
        if isinstance(value, str) and value in files:
            changes[field] = files[value]
        elif value and not isinstance(value, str) and value[0] in files:
            changes[field] = (files[value[0]], value[1])
    if levels := table.sweep.get("dictionary"):
        changes["sweep"] = {**table.sweep, "dictionary": tuple(files.get(v, v) for v in levels)}
    return msgspec.structs.replace(table, **changes)


def inputs(study: ResolvedStudy, spec: AskedSpec) -> Mapping[str, str]:
    """The hashes of the models and prompts that a run reads. Raises: ExperimentError."""
    return study.once(("inputs", spec.asked), partial(_inputs, study, json.loads(spec.asked)))


def _inputs(study: ResolvedStudy, about: Mapping[str, Any]) -> Mapping[str, str]:
    """The hashes of what all specs with the same words read."""
    names = list(dict.fromkeys(itertools.chain.from_iterable(about["models"])))
    hashes = {name: model_hash(study, study.named.get(name, name)) for name in names}
    digests = {f"model {name}" if names[1:] else "model": x for name, x in hashes.items()}
    digests |= {f"prompts {n}": study.prompts[n].digest for n in about["prompts"]}
    for read in about.get("reads", ()):
        dictionary_names = [read.get(key, "") for key in ("jaccard", "l0", "fvu")]
        if name := (read.get("feature") or [next(filter(None, dictionary_names), "")])[0]:
            with study.text.located("read", study.text.index("read", read["name"])):
                digests[f"dictionary {name}"] = dictionary_content(study, name)
    read_by = {d["feature"][0] for d in about.get("directions", ()) if "feature" in d}
    changes = [change for key in ("intervention", "first") if (change := about.get(key))]
    read_by |= {change["clamp"][0] for change in changes if "clamp" in change}
    read_by |= {change["reconstruct"] for change in changes if "reconstruct" in change}
    contents = study.once("dictionaries", partial(_dictionaries, study))
    digests |= {f"dictionary {n}": h for n, h in contents.items() if n in read_by}
    entries = [("read", r) for r in about.get("reads", ())]
    entries += [("intervene", change) for change in changes]
    for kind, entry in (e for e in entries if e[1].get("function")):
        with study.text.located(kind, study.text.index(kind, entry["name"]), "function"):
            name = entry["function"]
            digests[f"code {name}"] = own_code.digest(name, study.folder)
    if table := about.get("probe"):
        probe = next(p for p in study.text.study.probe if p.name == table["name"])
        with study.text.located("probe", study.text.study.probe.index(probe), "dictionary"):
            hashes = {name: dictionary_content(study, name) for name in probes.named([probe])}
        digests |= {f"dictionary {n}": content for n, content in hashes.items()}
    has_chats = any(study.prompts[name].table.messages for name in about["prompts"])
    for i, name in enumerate(names if has_chats else ()):
        folder = chat_folder(study, study.named.get(name, name))
        digests[f"chat template {i}"] = chats.read(folder.texts).digest
    if table := about.get("trained"):
        digests["corpus"] = corpora.load(about["text"]).fingerprint if about["text"] else ""
    return {name: content for name, content in digests.items() if content}


def chat_folder(study: ResolvedStudy, name: str) -> ModelFolder:
    """The folder with the chat template of a model; for one that the study trains further, of the
    model that it starts from."""
    while name in study.trains and study.trains[name].of:
        base = study.trains[name].of
        name = next((models.states(m)[0] for m in study.models if base in (m.label, m.name)), base)
    return study.found(name)


def dictionary_content(study: ResolvedStudy, name: str) -> str:
    """The hash of a dictionary. Raises: DataError, ExperimentError."""
    if name not in study.saes:
        return dictionaries.source(name, study.folder, STORE.get()).sha256
    with study.text.located("train", study.text.index("train", name)):
        return training.key(learning(study, name, "", study.saes[name].seed).spec)


def _dictionaries(study: ResolvedStudy) -> Mapping[str, str]:
    """The hashes of the dictionaries whose features are directions or clamped, by name."""
    contents: dict[str, str] = {}
    changes = [*enumerate(study.text.study.intervene)]
    features: list[tuple[str, int, Any]] = [
        ("direction", i, d.feature) for i, d in enumerate(study.text.study.direction)
    ]
    features += [("intervene", i, t.clamp) for i, t in changes]
    for table, i, name in (
        *((table, i, feature[0]) for table, i, feature in features if feature),
        *(("intervene", i, t.reconstruct) for i, t in changes if t.reconstruct),
    ):
        with study.text.located(table, i):
            contents[name] = dictionary_content(study, name)
    return contents


def model_hash(study: ResolvedStudy, name: str) -> str:
    """The hash of a model. Raises: ExperimentError with its place, if it is not available."""
    try:
        return _hash_of_model(study, name)
    except AssayError as e:
        if name in study.trains:
            raise
        tables = enumerate(study.text.study.model)
        keys = ("checkpoints", "name", "like")
        places = [
            (i, key)
            for i, m in tables
            for key in keys
            if (name in m.checkpoints if key == "checkpoints" else getattr(m, key) == name)
        ]
        raise study.text.error(("model", *places[0]) if places else ("model",), e) from e


def files_named(study: Study) -> Iterator[tuple[str, str]]:
    """Give every name in a study that may be a file or a folder, with its table."""
    for i, model in enumerate(study.model, 1):
        for name in (model.name, *model.checkpoints):
            yield f"model {i}", name
    for i, table in enumerate(study.prompts, 1):
        yield f"prompts {i}", table.file
    for i, tuned in enumerate(study.train, 1):
        yield f"train {i}", tuned.text
    for kind in ("direction", "intervene", "read", "probe"):
        for i, entry in enumerate(getattr(study, kind), 1):
            for field in FIELDS:
                if value := getattr(entry, field, None):
                    yield f"{kind} {i}", value if isinstance(value, str) else value[0]
            if code := getattr(entry, "function", ""):
                yield f"{kind} {i}", code.rpartition(":")[0]
