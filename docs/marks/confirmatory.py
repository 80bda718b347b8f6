"""Whether recorded verdicts are confirmatory, and which exact statements were ever violated: what
pages about records say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from assay.core import foreign
from assay.core.experiment import Experiment
from assay.core.results import Inference
from assay.lab import catalogue
from assay.lab.judge.looks import committed
from assay.lab.store import journal
from assay.lab.store.journal import seeds_of

IN_COMMITS = "in-commits.jsonl"
"""Next to the records: for each that was made before records held what was frozen, the commit
earlier than the first look at its seeds in which claims, arms and seeds have the hashes that this
look noted."""


class Standing(NamedTuple):
    """Whether a record is confirmatory, and why."""

    inference: Inference
    why: str


def standing(name: str, record: Mapping[str, Any], home: str = "") -> Standing:
    """Say whether a committed record is confirmatory: frozen before a result, with all that its
    runs read.

    A record holds what was frozen. One that was made before records did counts as frozen if
    its claims, arms and seeds were in a commit before the first look at its seeds, nothing changed
    since, and the edition of the rule is that of this look. Neither held models and texts by
    content before freezes did.

    Args:
        name: the record's, `NAME.PRESET` of a preset elsewhere.
        record: with its measures, as `records.read` gives it.
        home: the experiment's origin.
    """
    if "inference" in record:
        if (frozen := record["registration"]) is None:
            return Standing("exploratory", "nothing was frozen before it was run")
        how = "and not followed" if record["inference"] == "exploratory" else "and followed"
        why = f"frozen on {frozen['time'][:10]} before any result ({frozen['hash'][:12]}) {how}"
        return _held(record, Standing(record["inference"], why))
    main = record["arms"]["main"]
    seeds = {(main["shared"] | spec)["seed"] for spec in main["specs"]}
    path = catalogue.record_path(name.partition(".")[0], home).with_suffix(".looks.jsonl")
    looks = [look for look in journal.read(path) if seeds & seeds_of(look["seeds"])]
    first = min(looks, key=lambda look: str(look.get("time", "")), default=None)
    if first is None:
        return Standing("exploratory", "no look at its seeds was noted")
    when = str(first.get("time", ""))[:10]
    listed = path.with_name(IN_COMMITS)
    commit = (foreign.json_object(listed) if listed.is_file() else {}).get(name)
    if {v["edition"] for v in record["verdicts"]} - {first.get("edition", 1)}:
        why = f"its seeds were looked at on {when}, by an earlier edition of the rule"
    elif record["changed"]:
        why = f"changed after its seeds were looked at on {when}"
    elif not commit:
        why = f"no commit has it as it was when its seeds were looked at on {when}"
    else:
        why = f"committed ({commit}) before its seeds were looked at on {when}"
        return _held(record, Standing("confirmatory", why))
    return Standing("exploratory", why)


def _held(record: Mapping[str, Any], by_claims: Standing) -> Standing:
    """Say what a freeze held besides claims, arms, seeds and code, and of which inputs it held
    none."""
    if by_claims.inference == "exploratory":
        return by_claims
    read = tuple(record.get("provenance", {}).get("inputs", ()))
    lacking = (record.get("registration") or {}).get("lacking")
    lacking = read if lacking is None else tuple(lacking)
    if not lacking:
        clause = f"; it held {_listed(read)}" if read else "; its runs read nothing from outside"
        return Standing("confirmatory", by_claims.why + clause)
    without = f"; it held claims, arms, seeds and code, not {_listed(lacking)}"
    return Standing("frozen without inputs", by_claims.why + without)


def _listed(names: Sequence[str]) -> str:
    return f"the {' and the '.join(names)}"


def violated(experiment: Experiment) -> dict[str, str]:
    """The exact statements that were violated at a committed look, by text, each with by how much
    and at which seeds."""
    return {
        text: f"{how}, at seeds {look['seeds']}"
        for look in journal.read(committed(experiment))
        for text, how in look.get("violated", {}).items()
    }
