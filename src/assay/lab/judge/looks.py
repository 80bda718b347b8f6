"""Looks: what claims, settings and arms were at every judging that is noted; what changed since is
reported.

A look at judged seeds uses them up: anyone who has seen what they say and then changes a claim, a
control or a setting judges what was seen. Seeds below 1000 are for pilots, which anybody may look
at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from assay.core.claims import Claim, Exact, claims_key
from assay.core.experiment import Experiment
from assay.core.results import EDITION, Verified
from assay.core.spec import canonical_json
from assay.lab.judge import history
from assay.lab.judge.history import committed
from assay.lab.judge.questions import Question, Questions
from assay.lab.plan.plan import Plan
from assay.lab.store import journal
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
    later, first, known = list[Line](), list[Line](), set[int]()
    for look in looks:
        if shared := judged_seeds(look) & judged_seeds(current):
            later.append(look)
            # what counts is what was said before a seed was seen
            first += [look] if shared - known else []
            known |= shared
    phrases: list[str] = []
    for kind, what in (("claims", "claim"), ("arms", "arm")):
        new = current[kind]
        olds = [look[kind] for look in first]
        phrases += [f"{what} added or reworded: {n}" for old in olds for n in new if n not in old]
        gone = (name for look in later for name in look[kind] if name not in new)
        phrases += [f"{what} dropped or reworded: {name}" for name in gone]
        moved = (n for old in olds for n in new if n in old and old[n] != new[n])
        phrases += [f"{what} changed: {name}" for name in moved]
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
    noted = (history.renewed(journal.read(path), experiment) for path in paths)
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
    shapes = [(s.text, history.shape(s)) for s in experiment.claims if isinstance(s, Claim)]
    entry |= {
        "edition": EDITION,
        "shapes": {text: [kind, asks, *controls] for text, (kind, asks, controls) in shapes},
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
    return {history.content(x) for x in journal.read(path) if judged_seeds(x) & set(seeds)}
