"""Looks: what claims, settings and arms were at every judging that is noted; what changed since is
reported.

A look at judged seeds uses them up: anyone who has seen what they say and then changes a claim, a
control or a setting judges what was seen. Seeds below 1000 are for pilots, which anybody may look
at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.claims import Claim, Exact, claims_key, statement_to_json
from assay.core.experiment import Experiment
from assay.core.reasons import GIVEN
from assay.core.results import EDITION, Verified
from assay.core.spec import canonical_json
from assay.lab import catalogue
from assay.lab.judge.questions import Question, Questions
from assay.lab.plan.plan import Plan
from assay.lab.store import journal, origin
from assay.lab.store.journal import Line, digest, judged_seeds, seedless, spans
from assay.lab.store.origin import STUDIES
from assay.lab.store.store import Store


def frozen(experiment: Experiment, plan: Plan) -> dict[str, Any]:
    """Say what is judged on which seeds: hashes of every claim and exact statement by its text, and
    of every arm's settings."""
    experiment = experiment.sized(plan.preset.specs)
    arms = {name: "derived" for name, arm in experiment.arms.items() if arm.derive is not None}
    for arm, rows in plan.by_arm().items():
        settings = sorted({seedless(row.job.spec.to_json()) for row in rows})
        arms[arm] = digest(canonical_json([experiment.version, settings]))
    statements = [s for s in experiment.claims if isinstance(s, Claim | Exact)]
    return {
        "seeds": spans(getattr(s, "seed", -1) for s in plan.preset.specs),
        "claims": {s.text: claims_key([s])[:12] for s in statements},
        "arms": arms,
    }


def changes(looks: Sequence[Line], current: Line) -> list[str]:
    """What is not as at the first look at any of the same judged seeds, and what later looks had
    that is gone; each claim and arm once.

    What was changed after the first look and changed back is as it was. Empty where these seeds
    were not looked at."""
    later, first, seeds = list[Line](), list[Line](), set[int]()
    for look in looks:
        if shared := judged_seeds(look) & judged_seeds(current):
            later.append(look)
            # what counts is what was said before a seed was seen
            first += [look] if shared - seeds else []
            seeds |= shared
    phrases: list[str] = []
    for kind, noun in (("claims", "claim"), ("arms", "arm")):
        new = current[kind]
        olds = [look[kind] for look in first]
        phrases += [f"{noun} added or reworded: {n}" for old in olds for n in new if n not in old]
        gone = (name for look in later for name in look[kind] if name not in new)
        phrases += [f"{noun} dropped or reworded: {name}" for name in gone]
        moved = (n for old in olds for n in new if n in old and old[n] != new[n])
        phrases += [f"{noun} changed: {name}" for name in moved]
    return list(dict.fromkeys(phrases))


def changed(
    experiment: Experiment,
    current: Line,
    store: Store | None = None,
    asked: Sequence[Question] = (),
) -> tuple[str, ...]:
    """What changed after a look at these seeds, by the committed looks and those of a store; each
    phrase once.

    Args:
        experiment: with its sizes in every sentence.
        current: what is judged now, as `frozen` has it.
        store: whose looks and questions are read.
        asked: what the statements of a study ask.
    """
    paths = [committed(experiment), *([journal.stored(store, experiment.name)] if store else [])]
    noted = (renewed(journal.read(path), experiment) for path in paths)
    phrases = [change for looks in noted for change in changes(looks, current)]
    if store is not None and experiment.origin.endswith(STUDIES):
        phrases += Questions.of(store).others(asked, experiment.name)
    come = {name for arm in experiment.arms.values() for name in arm.brings}
    by_itself = {f"arm {how} or reworded: {n}" for n in come for how in ("added", "dropped")}
    return tuple(phrase for phrase in dict.fromkeys(phrases) if phrase not in by_itself)


def freeze(
    path: Path, experiment: Experiment, current: Line, exact: Iterable[Verified] = ()
) -> None:
    """Note what is judged on which seeds, as `frozen` has it, and which exact statements were
    violated, unless a look already says so. Raises: OSError."""
    noted, entry = journal.Journal(path), dict(current)
    if any({k: look.get(k) for k in entry} == entry for look in noted.looks):
        return
    shapes = [(s.text, shape(s)) for s in experiment.claims if isinstance(s, Claim)]
    entry |= {
        "edition": EDITION,
        "shapes": {text: [kind, asks, *controls] for text, (kind, asks, controls) in shapes},
        "unsourced": unsourced(experiment),
    }
    if off := {
        e.text: f"{e.deviation:.3g} off, where {e.tolerance:.3g} is allowed"
        for e in exact
        if e.outcome == "violated"
    }:
        entry |= {"violated": off}
    noted.add(journal.stamped(**entry))


def shared(path: Path, seeds: Iterable[int]) -> set[str]:
    """The looks that a file notes at any of these judged seeds, each as a text that says what was
    judged: noted twice, it is one look."""
    return {content(x) for x in journal.read(path) if judged_seeds(x) & set(seeds)}


# looks next to a record ---------------------------------------------------------------------------


FIRST_EDITION = "first-edition.jsonl"
"""Next to the records: of each claim that was judged by the rule's first edition, by its hash, the
hash of what it says but for the roles of arms."""
_ROLES = ("also", "must_hold", "credits", "violations", "empty", "fixed", "beats", "distance")
"""What the second edition had every claim say anew; thresholds, sides, units and controls stayed,
so that is no change after a look."""


def committed(experiment: Experiment) -> Path:
    """Where the looks at an experiment's records are kept, next to its record."""
    return catalogue.record_path(experiment.name, experiment.origin).with_suffix(".looks.jsonl")


def content(look: Line) -> str:
    """What was judged at a look, as a text: noted twice, it is one look."""
    return canonical_json({k: look[k] for k in journal.FROZEN})


def bring(path: Path, store: Store, experiment: Experiment) -> None:
    """Note in a file what a store noted of judged seeds and the file does not say: a first look
    belongs there, too. Raises: OSError."""
    contents = {content(look) for look in journal.read(path)}
    for look in journal.read(journal.stored(store, experiment.name)):
        if content(look) not in contents and judged_seeds(look):
            contents.add(content(look))
            journal.note(path, {k: v for k, v in look.items() if k != journal.AFTER})


# the shape of claims ------------------------------------------------------------------------------


def marked(experiment: Experiment, store: Store | None = None) -> Experiment:
    """The experiment, each risky claim saying what an earlier look had otherwise; for one in
    a user's file also by the looks of a store."""
    paths = [committed(experiment)]
    if store is not None and origin.in_file(experiment.origin):
        paths.append(journal.stored(store, experiment.name))
    burnt = [look for path in paths for look in journal.read(path) if judged_seeds(look)]
    noted = renewed(burnt, experiment)
    shaped = {content(look): look for look in noted if "shapes" in look}  # of older ones later
    noted = [shaped.get(content(look), look) for look in noted]

    def mark(s: Any) -> Any:
        is_risky = isinstance(s, Claim) and s.kind == "risky"
        return replace(s, after_look=reshaped(s, noted)) if is_risky else s

    return replace(experiment, claims=tuple(map(mark, experiment.claims)))


def reshaped(claim: Claim, noted: Sequence[Line]) -> str:
    """What an earlier look had otherwise, in words; "" for nothing.

    That is the claim itself, its threshold, side, scale, units or arm, or a control that is none
    now. A control that was added makes a claim harder to hold, and is no such change; nor is a
    later look at other claims alone, as that of a preset with a design of its own."""
    _, asks, controls = shape(claim)
    was_there, text, now = False, claim.text, claims_key([claim])[:12]
    for look in sorted(noted, key=lambda look: str(look.get("time", ""))):
        when = str(look.get("time", ""))[:10]
        if text not in look["claims"]:
            if was_there:
                continue
            return f"it came after a look on {when}"
        was_there = True
        earlier_shape = look.get("shapes", {}).get(text)
        if earlier_shape is None:
            if look["claims"][text] != now:
                return f"it was another one at a look on {when}"
        elif earlier_shape[0] == "confirming" and look["claims"][text] != now:
            return f"at a look on {when} a pilot had set its threshold"
        elif earlier_shape[1] != asks:
            return f"at a look on {when} its threshold, side, scale, units or arm was another"
        elif gone := [control for control in earlier_shape[2:] if control not in controls]:
            return f"at a look on {when} {gone[0]} was a control of it"
    return ""


def shape(claim: Claim) -> tuple[str, str, tuple[str, ...]]:
    """What must not be chosen by what came out: where the threshold is from, by kind, if that is
    given; a hash of range, scale, units and arm; the controls."""
    edges = [repr(float(e)) for e in (claim.low, claim.high, *claim.fail_range)]
    where = {k: str(v) for k, v in claim.where.items()}
    asks = [edges, claim.scale, list(claim.units), where, claim.of]
    kind = GIVEN if claim.threshold_from == GIVEN else replace(claim, after_look="").kind
    return kind, digest(canonical_json(asks)), claim.must_fail


def unsourced(experiment: Experiment) -> dict[str, str]:
    """Hash what each claim says but for where its threshold is from, by its text: 12 hex digits, as
    of a claim that does not say it."""
    claims = [replace(s, threshold_from=GIVEN) for s in experiment.claims if isinstance(s, Claim)]
    return {c.text: claims_key([c])[:12] for c in claims}


# the first edition --------------------------------------------------------------------------------


def renewed(looks: Iterable[Line], experiment: Experiment) -> list[Line]:
    """Looks with the present hashes of claims that say the same as now: those of the first edition
    have the hashes since roles are said of them, as first noted with roles, so that roles which
    change after that are a change. A threshold may since have got a source, or this other words;
    one that a pilot set and a plan is said to have set is another."""
    path = committed(experiment).with_name(FIRST_EDITION)
    first = foreign.json_object(path) if path.is_file() else {}
    claims = [s for s in experiment.claims if isinstance(s, Claim | Exact)]
    bare = {s.text: hash_without_roles(s) for s in claims}
    noted, with_roles = list(looks), dict[str, str]()
    for look in noted:
        for text, then in look["claims"].items() if "edition" in look else ():
            with_roles.setdefault(text, then)
    now = {s.text: claims_key([s])[:12] for s in claims}
    without = unsourced(experiment)
    risky = {s.text for s in claims if isinstance(s, Claim) and s.kind == "risky"}

    def is_same(look: Line, text: str, then: str) -> bool:
        if "edition" not in look:
            return text in bare and first.get(then) == bare[text]
        by_pilot = look.get("shapes", {}).get(text, [""])[0] == "confirming" and text in risky
        earlier = {then} if by_pilot else {then, look.get("unsourced", {}).get(text)}
        return without.get(text, text) in earlier

    def renew(look: Line) -> Line:
        known = now if "edition" in look else now | with_roles
        pairs = look["claims"].items()
        return {**look, "claims": {t: known[t] if is_same(look, t, h) else h for t, h in pairs}}

    return list(map(renew, noted))


def hash_without_roles(statement: Claim | Exact) -> str:
    """Hash what a statement says but for the roles of arms: 12 hex digits."""
    entry = {k: v for k, v in statement_to_json(statement).items() if k not in _ROLES}
    return digest(canonical_json(entry))
