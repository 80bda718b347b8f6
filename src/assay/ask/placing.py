"""Placing: on which prompts, and in which arms, a read of a study is measured.

A read that names prompts of its own is measured on these alone. Where a condition has it of an arm,
as in `cut.copies`, that arm is made on these prompts as well, and the condition then names this
one: `"cut on random".copies`; of the model as it is the arm of the prompts' own name, as in
`random.copies`. Controls of it follow, as of any arm."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from assay.ask.tables import Read

S = TypeVar("S", bound=msgspec.Struct)
_NAMED = re.compile(r"""(?<![\w."'/-])("[^"]+"|'[^']+'|[A-Za-z_]\w*)\.([A-Za-z_]\w*)""")
"""ARM.MEASURE in a condition; names with other signs are quoted."""
LISTS = ("control", "near", "also", "planted", "violations")
"""Fields of a claim that name arms."""


def on(arm: str, prompts: str) -> str:
    """Name an arm on other prompts."""
    return f"{arm} on {prompts}"


def of(reads: Sequence[Read], prompts: str, *, first: bool) -> tuple[Read, ...]:
    """Give the reads that are measured on these prompts, which are an arm's usual ones or not."""
    return tuple(r for r in reads if r.prompts == prompts or (first and not r.prompts))


def pairs(text: str) -> list[tuple[str, str]]:
    """Give each arm and measure that a condition names, as it is quoted or not."""
    return [(arm.strip("\"'"), name) for arm, name in _NAMED.findall(text)]


def named(study: Any) -> set[tuple[str, str]]:
    """Give each arm of a study with each measure that a statement has of it, or of an arm in the
    place of which it stands."""
    found: set[tuple[str, str]] = set()
    for entry in (*study.claim, *study.estimate):
        here = pairs(getattr(entry, "holds", "") or getattr(entry, "value", ""))
        arms = [arm for key in LISTS for arm in getattr(entry, key, ())]
        found |= {*here, *((arm, name) for arm in arms for _, name in here)}
    by = {r.name for r in study.read}
    found |= {("main", r.top.by) for r in study.read if r.top and r.top.by in by}
    return found | {(t.name, t.top.by) for t in study.intervene if t.top and t.top.by in by}


def written_out(study: S) -> S:
    """Write into each statement of a study the prompts on which its reads are measured."""
    every: Any = study
    first = every.prompts[0].name if every.prompts else ""
    apart = {r.name: r.prompts for r in every.read if r.prompts not in ("", first)}
    if not apart:
        return study
    labels = [*(m.label for m in every.model[1:]), *(t.name for t in every.train)]
    plain = {"main": ""} | {label: f"{label}/" for label in labels}
    tables = {t.name: t.prompts for t in every.intervene} | {d.name: "" for d in every.diff}
    changed = {f"{prefix}{name}": p for prefix in plain.values() for name, p in tables.items()}

    def placed(arm: str, prompts: str) -> str:
        of, slash, control = arm.rpartition("/") if arm not in {*plain, *changed} else (arm, "", "")
        if of in plain:
            return f"{plain[of]}{prompts}{slash}{control}"
        usual = changed.get(of, prompts) == prompts
        return arm if usual else f"{on(of, prompts)}{slash}{control}"

    def spelled(match: re.Match[str]) -> str:
        arm, name = match[1].strip("\"'"), match[2]
        new = placed(arm, apart[name]) if name in apart else arm
        return match[0] if new == arm else f'"{new}".{name}'

    def entry_of(entry: Any, key: str) -> Any:
        text = getattr(entry, key)
        changes: dict[str, Any] = {key: _NAMED.sub(spelled, text)}
        prompts = {apart.get(name, "") for _, name in pairs(text)}
        if len(prompts) == 1 and (own := prompts.pop()):
            for field in LISTS:
                arms = getattr(entry, field, ())
                new = [placed(arm, own) for arm in arms]
                whole = dict(zip(new, arms.values(), strict=True)) if isinstance(arms, dict) else 0
                changes |= {field: whole or tuple(new)} if arms else {}
        return msgspec.structs.replace(entry, **changes)

    return msgspec.structs.replace(
        study,
        claim=tuple(entry_of(e, "holds") for e in every.claim),
        estimate=tuple(entry_of(e, "value") for e in every.estimate),
    )
