"""Looks: every judging that is noted, and what claims, settings and arms were at each; what changed
since is told.

A look at judged seeds burns them: whoever has seen what they say and then changes a claim, a
control or a setting judges what was seen. Seeds below 1000 are for pilots, which anybody may look
at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from assay.core import foreign
from assay.core.claims import Claim, Exact, claims_key, statement_to_json
from assay.core.experiment import Experiment
from assay.core.results import EDITION, Verified
from assay.core.spec import Spec, canonical_json, per_run_fields, static_fields
from assay.lab.judge import journal
from assay.lab.judge.journal import JUDGED, Line, digest, seedless, seeds_of, spans
from assay.lab.plan.plan import Plan
from assay.lab.records import records
from assay.lab.store import edits
from assay.lab.store.origin import STUDIES
from assay.lab.store.store import Store

FIRST_EDITION = "first-edition.jsonl"
"""Beside the records: of each claim that was judged by the rule's first edition, by its hash, the
hash of what it says but for the roles of arms."""
IN_COMMITS = "in-commits.jsonl"
"""Beside the records: for each that was made before records held what was frozen, the commit
earlier than the first look at its seeds in which claims, arms and seeds have the hashes that this
look noted."""
_ROLES = ("also", "must_hold", "credits", "violations", "empty", "fixed", "beats", "distance")
"""What the second edition had every claim say anew; thresholds, sides, units and controls stayed,
so that is no change after a look."""


class Standing(NamedTuple):
    """Whether a record is confirmatory, and why."""

    inference: Literal["confirmatory", "exploratory"]
    why: str


def frozen(experiment: Experiment, plan: Plan) -> dict[str, Any]:
    """Say what is judged on which seeds: hashes of every claim and exact statement by its text, and
    of every arm's settings."""
    arms, experiment = {}, experiment.sized(plan.preset.specs)
    for arm, rows in plan.by_arm().items():
        settings = {seedless(spec.to_json()) for spec in _settings(r.job.spec for r in rows)}
        arms[arm] = digest(canonical_json([experiment.version, sorted(settings)]))
    derived = {name: "derived" for name, arm in experiment.arms.items() if arm.derive is not None}
    return {
        "seeds": spans(getattr(s, "seed", -1) for s in plan.preset.specs),
        "claims": {
            s.text: claims_key([s])[:12] for s in experiment.claims if isinstance(s, Claim | Exact)
        },
        "arms": {**arms, **derived},
    }


def _settings(specs: Iterable[Spec]) -> Iterable[Spec]:
    """One spec of each setting: of thousands that differ in their seeds a few."""
    names: dict[type[Spec], list[str]] = {}
    found: dict[tuple[type[Spec], str], Spec] = {}
    for spec in specs:
        cls = type(spec)
        if cls not in names:
            names[cls] = [n for n in (*per_run_fields(cls), *static_fields(cls)) if n != "seed"]
        found.setdefault((cls, repr([getattr(spec, name) for name in names[cls]])), spec)
    return found.values()


def changes(looks: Sequence[Line], current: Line) -> list[str]:
    """What is not as at the first look at any of the same judged seeds, and what later looks had
    besides; each claim and arm once.

    What was changed after the first look and changed back is as it was. Empty where nobody looked
    at these seeds."""
    shared_looks: list[Line] = []
    first: list[Line] = []
    known: set[int] = set()
    for look in looks:
        shared = {s for s in seeds_of(look["seeds"]) & seeds_of(current["seeds"]) if s >= JUDGED}
        shared_looks += [look] if shared else []
        # The first at any seed that nobody had looked at: what counts is what stood before that
        # seed was seen.
        first += [look] if shared - known else []
        known |= shared
    phrases: list[str] = []
    for kind, what in (("claims", "claim"), ("arms", "arm")):
        new = current[kind]
        phrases += [
            f"{what} added or reworded: {name}"
            for look in first
            for name in new
            if name not in look[kind]
        ]
        phrases += [
            f"{what} dropped or reworded: {name}"
            for look in shared_looks
            for name in look[kind]
            if name not in new
        ]
        phrases += [
            f"{what} changed: {name}"
            for look in first
            for name in new
            if name in look[kind] and look[kind][name] != new[name]
        ]
    return list(dict.fromkeys(phrases))


def changed(experiment: Experiment, plan: Plan, store: Store | None = None) -> tuple[str, ...]:
    """What changed after a look at these seeds, by the committed looks and those of a store; each
    phrase once."""
    current, sized = frozen(experiment, plan), experiment.sized(plan.preset.specs)
    paths = (committed(experiment), *([journal.stored(store, experiment.name)] if store else []))
    phrases = [
        change for path in paths for change in changes(_renewed(journal.read(path), sized), current)
    ]
    if store is not None and experiment.origin.endswith(STUDIES):
        phrases += repeats(store, experiment.name, current)
    come = {name for arm in experiment.arms.values() for name in arm.brings}
    by_itself = {f"arm {how} or reworded: {n}" for n in come for how in ("added", "dropped")}
    return tuple(phrase for phrase in dict.fromkeys(phrases) if phrase not in by_itself)


def repeats(store: Store, name: str, current: Line) -> list[str]:
    """Say which sentences were judged on the same judged seeds under other names in a store, such
    as those of a study that was written again on other data, and what came out there."""
    outcomes: dict[str, list[str]] = {}
    for path in sorted((store.root / "results").glob("*/frozen.jsonl")):
        other = path.parent.name
        if other == name:
            continue
        texts = {
            text
            for look in journal.read(path)
            if any(s >= JUDGED for s in seeds_of(look["seeds"]) & seeds_of(current["seeds"]))
            for text in look["claims"].keys() & current["claims"].keys()
        }
        judged = journal.judgings(store, other) if texts else []
        for text in sorted(texts):
            came = dict.fromkeys(j["outcome"] for j in judged if j["text"] == text)
            outcomes.setdefault(text, []).append(f"{other} ({', then '.join(came) or 'exact'})")
    return [
        f"the same sentence was judged as {', '.join(names)}: {text}"
        for text, names in outcomes.items()
    ]


def hash_without_roles(statement: Claim | Exact) -> str:
    """Hash what a statement says but for the roles of arms: 12 hex digits."""
    entry = {k: v for k, v in statement_to_json(statement).items() if k not in _ROLES}
    return digest(canonical_json(entry))


def _renewed(looks: Iterable[Line], experiment: Experiment) -> list[Line]:
    """Looks with the hashes that claims of the first edition have since roles are said of them: as
    first noted with roles, so that roles which change after that are a change."""
    path = committed(experiment).with_name(FIRST_EDITION)
    first = foreign.json_object(path) if path.is_file() else {}
    claims = [s for s in experiment.claims if isinstance(s, Claim | Exact)]
    bare = {s.text: hash_without_roles(s) for s in claims}
    noted, with_roles = list(looks), dict[str, str]()
    for look in noted:
        for text, then in look["claims"].items() if "edition" in look else ():
            with_roles.setdefault(text, then)
    now = {s.text: claims_key([s])[:12] for s in claims} | with_roles

    def renew(text: str, then: str) -> str:
        return now[text] if text in bare and first.get(then) == bare[text] else then

    return [
        look
        if "edition" in look
        else {**look, "claims": {text: renew(text, then) for text, then in look["claims"].items()}}
        for look in noted
    ]


def marked(experiment: Experiment, store: Store | None = None) -> Experiment:
    """The experiment, each risky claim saying what of it an earlier look had otherwise.

    Of one in a user's file also by the looks of a store.
    """
    paths = [committed(experiment)]
    if store is not None and edits.binding(experiment):
        paths.append(journal.stored(store, experiment.name))
    burnt = [look for path in paths for look in journal.read(path) if _burns(look)]
    noted = _renewed(burnt, experiment)
    shaped = {_content(look): look for look in noted if "shapes" in look}  # of older ones later
    noted = [shaped.get(_content(look), look) for look in noted]
    claims = (
        replace(s, after_look=reshaped(s, noted))
        if isinstance(s, Claim) and s.kind == "risky"
        else s
        for s in experiment.claims
    )
    return replace(experiment, claims=tuple(claims))


def reshaped(claim: Claim, noted: Sequence[Line]) -> str:
    """What an earlier look had otherwise, in words; empty where nothing.

    That is the claim itself, its threshold, side, scale, units or arm, or a control that is none
    now. A control that was added makes a claim harder to hold, and is no such change; nor is a
    later look at other claims alone, as that of a preset with a design of its own.
    """
    kind, asks, controls = shape(claim)
    was_there, text = False, claim.text
    for look in sorted(noted, key=lambda look: str(look.get("time", ""))):
        when = str(look.get("time", ""))[:10]
        if text not in look["claims"]:
            if was_there:
                continue
            return f"it came after a look on {when}"
        was_there = True
        earlier_shape = look.get("shapes", {}).get(text)
        if earlier_shape is None:
            if look["claims"][text] != claims_key([claim])[:12]:
                return f"it was another one at a look on {when}"
        elif earlier_shape[0] != kind:
            return f"at a look on {when} a pilot had set its threshold"
        elif earlier_shape[1] != asks:
            return f"at a look on {when} its threshold, side, scale, units or arm was another"
        elif gone := [control for control in earlier_shape[2:] if control not in controls]:
            return f"at a look on {when} {gone[0]} was a control of it"
    return ""


def shape(claim: Claim) -> tuple[str, str, tuple[str, ...]]:
    """What must not be chosen by what came out: where the threshold is from, by kind; a hash of
    range, scale, units and arm; the controls.
    """
    edges = [repr(float(e)) for e in (claim.low, claim.high, *claim.fail_range)]
    asks = [
        edges,
        claim.scale,
        list(claim.units),
        {k: str(v) for k, v in claim.where.items()},
        claim.of,
    ]
    return replace(claim, after_look="").kind, digest(canonical_json(asks)), claim.must_fail


def committed(experiment: Experiment) -> Path:
    """Where the looks at an experiment's records are kept, beside its record."""
    return records.path(experiment.name, experiment.origin).with_suffix(".looks.jsonl")


def freeze(path: Path, experiment: Experiment, plan: Plan, exact: Iterable[Verified] = ()) -> None:
    """Note what is judged on which seeds, and which exact statements were violated, unless a look
    already says so.

    Raises: OSError.
    """
    entry, before = frozen(experiment, plan), journal.read(path)
    if any({k: look.get(k) for k in entry} == entry for look in before):
        return
    entry |= {
        "edition": EDITION,
        "shapes": {
            s.text: [kind, asks, *controls]
            for s in experiment.claims
            if isinstance(s, Claim)
            for kind, asks, controls in [shape(s)]
        },
    }
    if off := {
        e.text: f"{e.deviation:.3g} off, where {e.tolerance:.3g} is allowed"
        for e in exact
        if e.outcome == "violated"
    }:
        entry |= {"violated": off}
    journal.note(path, journal.stamped(**entry))


def bring(path: Path, store: Store, experiment: Experiment) -> None:
    """Note in a file what a store noted of judged seeds and the file does not say: a first look
    belongs there, too.

    Raises: OSError.
    """
    known = {_content(look) for look in journal.read(path)}
    for look in journal.read(journal.stored(store, experiment.name)):
        if _content(look) not in known and _burns(look):
            known.add(_content(look))
            journal.note(path, {k: v for k, v in look.items() if k != journal.AFTER})


def standing(name: str, record: Mapping[str, Any], origin: str = "") -> Standing:
    """Tell whether a committed record is confirmatory: frozen before a result.

    A record holds what was frozen of it. One that was made before records did is confirmatory if
    its claims, arms and seeds stood in a commit before the first look at its seeds, nothing changed
    since, and the edition of the rule is that of this look.

    Args:
        name: the record's, `NAME.PRESET` of a preset elsewhere.
        record: with its measures, as `records.read` gives it.
        origin: the experiment's.
    """
    if "inference" in record:
        if (frozen := record["registration"]) is None:
            return Standing("exploratory", "nothing was frozen before it was run")
        how = "and followed" if record["inference"] == "confirmatory" else "and not followed"
        why = f"frozen on {frozen['time'][:10]} before any result ({frozen['hash'][:12]}) {how}"
        return Standing(record["inference"], why)
    main = record["arms"]["main"]
    seeds = {(main["shared"] | spec)["seed"] for spec in main["specs"]}
    path = records.path(name.partition(".")[0], origin).with_suffix(".looks.jsonl")
    looks = [look for look in journal.read(path) if seeds & seeds_of(look["seeds"])]
    first = min(looks, key=lambda look: str(look.get("time", "")), default=None)
    if first is None:
        return Standing("exploratory", "no look at its seeds was noted")
    when = str(first.get("time", ""))[:10]
    if {v["edition"] for v in record["verdicts"]} - {first.get("edition", 1)}:
        why = f"its seeds were looked at on {when}, by an earlier edition of the rule"
        return Standing("exploratory", why)
    if record["changed"]:
        return Standing("exploratory", f"changed after its seeds were looked at on {when}")
    listed = path.with_name(IN_COMMITS)
    if not (commit := (foreign.json_object(listed) if listed.is_file() else {}).get(name)):
        why = f"no commit has it as it was when its seeds were looked at on {when}"
        return Standing("exploratory", why)
    return Standing(
        "confirmatory", f"committed ({commit}) before its seeds were looked at on {when}"
    )


def violated(experiment: Experiment) -> dict[str, str]:
    """The exact statements that were violated at a committed look, by text, each with by how much
    and at which seeds.
    """
    violations = {}
    for look in journal.read(committed(experiment)):
        for text, how in look.get("violated", {}).items():
            violations[text] = f"{how}, at seeds {look['seeds']}"
    return violations


def shared(path: Path, seeds: Iterable[int]) -> set[str]:
    """The looks that a file notes at any of these judged seeds, each as a text that says what was
    judged; told twice, it is one look."""
    judged = {s for s in seeds if s >= JUDGED}
    return {_content(look) for look in journal.read(path) if judged & seeds_of(look["seeds"])}


def _burns(look: Line) -> bool:
    """Whether a look was at judged seeds."""
    return any(s >= JUDGED for s in seeds_of(look["seeds"]))


def _content(look: Line) -> str:
    """What was judged at a look, as a text: told twice, it is one look."""
    return canonical_json({k: look[k] for k in journal.FROZEN})
