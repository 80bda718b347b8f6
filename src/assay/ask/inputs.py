"""Inputs: what runs of a study that asks models read, by content."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from assay.ask import trained
from assay.ask.measure import dictionaries, models, own_code, probes
from assay.ask.part import AskedSpec
from assay.ask.resolved import ResolvedStudy
from assay.core.errors import AssayError
from assay.data import corpus as corpora
from assay.lab.plan.plan import ROOT
from assay.subjects import chats
from assay.subjects.folder import ModelFolder


def inputs(study: ResolvedStudy, spec: AskedSpec) -> Mapping[str, str]:
    """What a run reads: the contents of models and prompts. Raises: ExperimentError."""
    return study.once(("inputs", spec.asked), partial(_inputs, study, json.loads(spec.asked)))


def _inputs(study: ResolvedStudy, about: Mapping[str, Any]) -> Mapping[str, str]:
    """The contents of what is read by all specs that ask the same."""
    names = list(dict.fromkeys(itertools.chain.from_iterable(about["models"])))
    digests = {f"model {name}" if names[1:] else "model": model_hash(study, name) for name in names}
    digests |= {f"prompts {n}": study.prompts[n].digest for n in about["prompts"]}
    for read in about.get("reads", ()):
        named = [read.get(key, "") for key in ("jaccard", "l0", "fvu")]
        if name := (read.get("feature") or [next(filter(None, named), "")])[0]:
            i = [r.name for r in study.text.study.read].index(read["name"])
            with study.text.located("read", i):
                digests[f"dictionary {name}"] = dictionary_content(study, name)
    read_by = {d["feature"][0] for d in about.get("directions", ()) if "feature" in d}
    change = about.get("intervention") or {}
    read_by |= {change["clamp"][0]} if "clamp" in change else set()
    read_by |= {change["reconstruct"]} if "reconstruct" in change else set()
    contents = study.once("dictionaries", partial(_dictionaries, study))
    digests |= {f"dictionary {n}": h for n, h in contents.items() if n in read_by}
    entries = [("read", r) for r in about.get("reads", ())]
    entries += [("intervene", about.get("intervention") or {})]
    for kind, entry in (e for e in entries if e[1].get("function")):
        i = [t.name for t in getattr(study.text.study, kind)].index(entry["name"])
        with study.text.located(kind, i, "function"):
            name = entry["function"]
            digests[f"code {name}"] = own_code.digest(name, study.folder)
    if table := about.get("probe"):
        probe = next(p for p in study.text.study.probe if p.name == table["name"])
        with study.text.located("probe", study.text.study.probe.index(probe), "dictionary"):
            known = {name: dictionary_content(study, name) for name in probes.named([probe])}
        digests |= {f"dictionary {n}": content for n, content in known.items()}
    has_chats = any(study.prompts[name].table.messages for name in about["prompts"])
    for i, name in enumerate(names if has_chats else ()):
        digests[f"chat template {i}"] = chats.read(chat_folder(study, name).texts).digest
    if table := about.get("trained"):
        digests["corpus"] = corpora.load(about["text"]).fingerprint if about["text"] else ""
    return {name: content for name, content in digests.items() if content}


def chat_folder(study: ResolvedStudy, name: str) -> ModelFolder:
    """The folder with the chat template of a model: of one that the study trains further, that
    with which it begins."""
    while name in study.trains and study.trains[name].of:
        of = study.trains[name].of
        name = next((models.states(m)[0] for m in study.models if of in (m.label, m.name)), of)
    return study.found(name)


def dictionary_content(study: ResolvedStudy, name: str) -> str:
    """What identifies a dictionary. Raises: DataError, ExperimentError."""
    if name in study.saes:
        return trained.dictionary_hash(study, name)
    return dictionaries.source(name, study.folder, ROOT.get()).sha256


def _dictionaries(study: ResolvedStudy) -> Mapping[str, str]:
    """The contents of the dictionaries whose features are directions or clamped, by name."""
    contents: dict[str, str] = {}
    for table, i, feature in (
        *(("direction", i, d.feature) for i, d in enumerate(study.text.study.direction)),
        *(("intervene", i, t.clamp) for i, t in enumerate(study.text.study.intervene)),
        *(
            ("intervene", i, (t.reconstruct,) if t.reconstruct else None)
            for i, t in enumerate(study.text.study.intervene)
        ),
    ):
        if feature is not None:
            with study.text.located(table, i):
                contents[feature[0]] = dictionary_content(study, feature[0])
    return contents


def model_hash(study: ResolvedStudy, name: str) -> str:
    """What identifies a model; one that is not here is told with its place."""
    try:
        return trained.model_hash(study, name)
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
