"""Spoken: for which models, prompts and sites the verdicts of a study speak, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assay.ask.measure import interventions, models, saes
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.measure.seen import prompt
from assay.ask.part import model_phrase
from assay.ask.tables import Model
from assay.core.errors import AssayError
from assay.subjects.folder import opening_in_words

if TYPE_CHECKING:
    from assay.ask.model_study import ModelStudy


def scope(asked: ModelStudy, arms: Sequence[str]) -> str:
    """For which models, prompts and sites verdicts speak that read these arms."""
    parts = [p for p in asked.parts if p.label in arms and not p.of] or asked.parts[:1]
    tables = dict.fromkeys(m for p in parts for m in reversed(p.task.models))
    phrases = [_models_in_words(asked, [*tables])]
    in_words = {}
    for part in parts:
        if isinstance(part.task, SaeTask):
            in_words[part.task.in_words] = part.task.in_words
            phrases += [f"a dictionary at {' and '.join(saes.reads_at(part.task.table))}"]
            continue
        for some in (part.task.prompts, part.task.than):
            if some is not None:
                name = some.table.file or (some.table.name if part.task.than else "")
                of = f" of {name}" if name else ""
                in_words[some.table.name] = f"{len(part.task.rows)} prompts{of}"
    phrases.append(" and ".join(in_words.values()))
    for intervention in (p.task.intervention for p in parts if p.task.intervention):
        name = interventions.named_direction(intervention)
        sites = [d.site for d in asked.text.study.direction if d.name == name]
        site = intervention.site or next(iter(sites), "")
        places = [site] if isinstance(site, str) else [*site]
        own = (intervention.block, intervention.top, intervention.neurons, intervention.function)
        if any(own):
            phrases.append(f"with {interventions.in_words(intervention)}")
            continue
        if intervention.heads:
            places = [interventions.heads_in_words(intervention.heads)]
        token = interventions.token_in_words(intervention.position)
        at = "" if intervention.position == "all" else f", {token.removeprefix('the ')}"
        around = interventions.window_in_words(intervention)
        phrases += [f"changed at {', '.join(places)}{around}{at}"] if any(places) else []
    phrases += [f"read at {r.site}" for p in parts for r in p.task.reads if r.site]
    return ", ".join(dict.fromkeys(phrases))


def _models_in_words(asked: ModelStudy, tables: Sequence[Model]) -> str:
    """The models, and what the texts of each begin with, so far as they are here."""
    openings = {m: _opening_in_words(asked, m) for m in tables}
    if len({*openings.values()}) == 1:
        names = " and ".join(model_phrase(m) for m in tables)
        return ", ".join(filter(None, [names, openings[tables[0]]]))
    return " and ".join(", ".join(filter(None, [model_phrase(m), openings[m]])) for m in tables)


def _opening_in_words(asked: ModelStudy, model: Model) -> str:
    try:
        folder = asked.found(models.states(model)[0], model.bos)
        opening: Sequence[int] = ()
        if first := next((p for p in asked.prompts.values() if p.table.messages), None):
            sent = prompt(folder, first.rows[0])
            opening = sent.tokens[: sent.opening]
        else:
            opening = folder.opening
        return opening_in_words(folder, opening)
    except AssayError:  # not here; or told where what it reads is asked for
        return ""
