"""Followed: a frozen study judged as it was declared, once, on all of its seeds.

Verdicts are still a pure function of stored measures, and of what was frozen. The look is noted
with what it found and the code that judged."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from msgspec import structs

from assay.core.errors import AssayError
from assay.core.experiment import Experiment
from assay.core.judging import USUAL
from assay.core.nouns import plural
from assay.core.reasons import MOST_TIMES
from assay.core.results import Judged, Price
from assay.lab import catalogue
from assay.lab.judge import contents, families, looks, questions, registered
from assay.lab.judge.questions import Question, Questions
from assay.lab.judge.registered import Registration
from assay.lab.judge.result import (
    Result,
    judge_all,
    left_out,
    load,
    require_usable,
)
from assay.lab.plan.plan import Plan
from assay.lab.plan.preset import Preset
from assay.lab.store import journal
from assay.lab.store.journal import Ledger
from assay.lab.store.store import Store
from assay.lab.store.user_code import first_line


@dataclass(frozen=True)
class Followed:
    """The frozen version of an experiment, and what is different now; `frozen` is None where
    nothing was frozen."""

    store: Store
    experiment: Experiment
    preset: Preset
    frozen: Registration | None = None
    departures: tuple[str, ...] = ()
    """Claims, arms and seeds that differ from the frozen ones; with any of them nothing is
    confirmed."""

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of the store."""
        return Ledger(self.store)

    @cached_property
    def asked(self) -> list[Question]:
        """The questions of the statements; empty where they are unknown, since a model is not
        here."""
        with suppress(AssayError):
            return questions.asked(self.experiment, self.preset)
        return []

    @property
    def declared(self) -> Registration | None:
        """The frozen study, where it is followed."""
        return None if self.departures else self.frozen

    @property
    def warning(self) -> str:
        """Say how the experiment differs from the frozen one; "" where it does not."""
        if not self.departures:
            return ""
        why = "; ".join(self.departures)
        return f"not as it was frozen, so these verdicts are exploratory: {why}"

    def judged(self, plan: Plan) -> Result:
        """The verdicts on what is stored. Raises: StoreError when runs are missing."""
        store, preset = self.store, plan.preset
        experiment = looks.marked(self.experiment.sized(preset.specs), store)
        require_usable(experiment, plan, store)
        if frozen := self.declared:  # what an older version froze was to be judged claim by claim
            experiment = families.each(experiment, frozen.content.get("together", {}))
        level, arms = frozen.level if frozen else USUAL, load(plan)
        result = judge_all(experiment, plan, arms, level=level)
        if frozen:
            result = replace(result, judged=tuple(map(_as_frozen, result.judged)))
        place = experiment.name, preset.title
        gone = self.ledger.gone(*place)
        others = contents.changed_prompts(experiment, plan)
        remarks = () if others else _remarks(experiment, result)
        return replace(
            result,
            registration=self._described(result, plan),
            look=(look := looks.frozen(self.experiment, plan)),
            changed=looks.changed(experiment, look, store, self.asked),
            notes=(
                *plan.notes,
                *([gone] * bool(gone)),
                *(
                    f"the {name.removeprefix('prompts ')} of the study were changed after these "
                    "runs; `assay run` measures the new ones"
                    for name in others
                ),
                *left_out(result),
                *(families.lines([j.claim for j in result.judged]) if result.judged[1:] else ()),
                *remarks,
            ),
            ledger=self.ledger.head(*place),
        )

    def noted(self, result: Result, plan: Plan) -> Result:
        """Note the look that a result rests on, unless it is noted; gives the result with its time.
        Raises: OSError when the disk is full.

        What is missing from the record of looks is not noted anew: it would look as if nothing were
        missing."""
        if (frozen := self.declared) is None:
            return result
        (look,) = frozen.content["looks"]
        if 1 not in self._looks() and not self._lost():
            line = {
                "look": 1,
                "registration": frozen.hash,
                "code": catalogue.unchanged(self.experiment.origin),
                "models": contents.of_models(self.experiment),
                "seeds": look["seeds"],
                "level": look["level"],
                "verdicts": {j.text: j.outcome for j in result.judged},
            }
            path = registered.looks_path(self.store, self.experiment.name, self.preset)
            journal.note(path, journal.stamped(**line))
        return replace(result, registration=self._described(result, plan))

    def _described(self, result: Result, plan: Plan) -> dict[str, Any] | None:
        """The frozen study, the looks at it, the differences, and whether all of it was followed,
        as plain values; None where nothing was frozen."""
        if (frozen := self.frozen) is None:
            return None
        (look,), lines = frozen.content["looks"], self._looks()
        outcomes = {j.text: j.outcome for j in result.judged}
        is_asked = not self.departures
        changed = self._later(frozen, outcomes, plan) if is_asked else list(self.departures)
        missing = self._gaps(frozen)
        decided = [text for text, outcome in outcomes.items() if outcome != "undecided"]
        texts = (*outcomes, *(text for text, _ in result.failed))
        noted = {
            **look,
            "taken": lines[1]["time"] if 1 in lines else None,
            "settled": decided if is_asked else [],
        }
        return {
            "hash": frozen.hash,
            "file": frozen.path.name,
            "time": frozen.time,
            "commit": frozen.commit,
            "alpha": frozen.content["alpha"],
            "seeds": frozen.content["seeds"],
            "looks": [noted],
            "taken": int(is_asked),
            "open": [text for text in texts if text not in decided] if is_asked else [],
            "changed": changed,
            "missing": missing,
            "others": self._related(frozen),
            "signatures": [],  # which older versions kept
            "lacking": contents.lacking(frozen.content, plan, self.experiment),
            "seen": frozen.content.get("seen", []),
            "followed": is_asked and not changed and not missing,
        }

    def _looks(self) -> dict[int, dict[str, Any]]:
        """The findings of each look that was taken, by its number."""
        lines = registered.read_looks(self.store, self.experiment.name, self.preset)
        return {line["look"]: line for line in lines}

    def _lost(self) -> str:
        """Say which lines of the record of looks are changed or gone, in a phrase; "" where none
        is."""
        path = registered.looks_path(self.store, self.experiment.name, self.preset)
        references = self.ledger.files(self.experiment.name).get(path, ())
        wrong = journal.Journal(path).wrong(references, ever=True)
        return f"of {path} {wrong}" if wrong else ""

    def _gaps(self, frozen: Registration) -> list[str]:
        """Say which looks are missing, as far as this store can know: those that were taken, and
        what was seen before it was frozen."""
        ledger = self.ledger
        gone = ledger.gone(self.experiment.name, self.preset.title)
        phrases = list(filter(None, (self._lost(), gone)))
        if not phrases and not self.departures and 1 not in self._looks():
            phrases.append("the look at what was frozen, which `assay run` notes")
        if questions.is_by_rows(_asked(frozen)):
            return phrases
        for line, shared in ledger.exposures(journal.subject(self.experiment, self.preset.specs)):
            later = frozen.ledger and frozen.ledger["hash"] in ledger.before(journal.key(line))
            when = line.get("since") or line["time"]
            if not later and when < frozen.time:
                phrases.append(
                    f"seeds {journal.spans(shared)} of {line['experiment']} may have been seen on "
                    f"{when}, before it was frozen"
                )
        return phrases

    def _later(self, frozen: Registration, outcomes: Mapping[str, str], plan: Plan) -> list[str]:
        """Deviations since the freeze: code that judged, verdicts that a look found, runs that
        existed before, and what cannot be compared."""
        lines, changes = self._looks(), list[str]()
        for line in lines.values():
            changes += frozen.contradicted(line, outcomes)
            seen = {"models": line.get("models", {})}
            changes += contents.differences(frozen.content, seen, self.experiment)
        for why, when, _ in Questions.of(self.store).exposures(_asked(frozen)):
            if when < frozen.time:
                changes.append(f"{why}, before it was frozen")
        if early := sum((run.begun or frozen.time) < frozen.time for run in plan.stored):
            runs = f"{early} {plural('run', early)} {'was' if early == 1 else 'were'}"
            changes.append(f"{runs} begun before it was frozen")
        return changes

    def _related(self, frozen: Registration) -> list[dict[str, Any]]:
        """Other freezes with some of the same questions on some of the same units, or with the same
        arms on some of the same seeds, oldest first.

        Under any name, and whether its file is still there or not: lines stay when a file goes; a
        file also has its claims."""
        noted = (line for line in self.ledger.looks if line["what"] == "frozen")
        files = registered.readable(self.store)
        candidates: list[tuple[journal.Line, str, list[str]]] = [
            *((line, str(line.get("registration")), []) for line in noted),
            *((r.line, r.hash, r.claims) for r in files),
        ]
        about = journal.subject(self.experiment, self.preset.specs)
        related = {
            hashed: {
                **{k: line[k] for k in ("experiment", "time")},
                "hash": hashed,
                "claims": claims,
            }
            for line, hashed, claims in candidates
            if hashed != frozen.hash and about.shared(line) and about.alike(line)
        }
        for line in Questions.of(self.store).frozen(_asked(frozen)):
            if (hashed := str(line["registration"])) not in (frozen.hash, *related):
                entry = {"experiment": line["experiment"], "time": line["time"], "hash": hashed}
                related[hashed] = {**entry, "claims": [f"{line['text']} ({line['threshold']})"]}
        return sorted(related.values(), key=lambda entry: str(entry["time"]))


def following(store: Store, experiment: Experiment, plan: Plan, models: bool = False) -> Followed:
    """Compare an experiment with its frozen version at the preset of a plan: inputs by what its
    runs read; with `models` also by the present files of models.
    Raises: StoreError for a file that was changed."""
    preset = plan.preset
    frozen, departures = registered.find(store, experiment, preset), list[str]()
    if frozen is not None:
        departures = registered.departures(frozen, experiment, preset)
        read: dict[str, Any] = {
            "arms": {a: {"inputs": r} for a, r in contents.of_runs(plan).items()}
        }
        read["models"] = contents.of_models(experiment) if models else {}
        departures += contents.differences(frozen.content, read, experiment)
    return Followed(store, experiment, preset, frozen, tuple(departures))


def _remarks(experiment: Experiment, result: Result) -> Sequence[str]:
    """The notes on verdicts. One that cannot be made stops no judgement, since a look whose
    outcome was seen must be on record."""
    try:
        asks = experiment.verdict_notes
        return asks(result.judged, result.arms) if asks else ()
    except Exception as error:
        return [
            f"the notes on these verdicts are missing, since making them raised "
            f"{first_line(error)}: please report this"
        ]


def _asked(frozen: Registration) -> list[Question]:
    return questions.read(frozen.content.get("questions", {}))


def _as_frozen(j: Judged) -> Judged:
    """Adapt a claim of a frozen study: an undecided one is decided by another study."""
    if j.outcome != "undecided":
        return j
    return structs.replace(j, price=another_study(j.price, j.n))


def another_study(price: Price | None, n: Mapping[str, int]) -> Price:
    """Say what a study on new units needs, where the frozen units were looked at: as many in all as
    if more units could be added to the old ones.

    Args:
        price: what would decide it if these units could be added to.
        n: how many units there are, by factor.
    Example:
        >>> from assay.core.results import Price
        >>> from assay.lab.judge.followed import another_study
        >>> another_study(Price("about 3 more seeds", "seed", 3), {"seed": 8}).text
        'a new study on about 11 fresh seeds'
    """
    if price is None:
        return Price("a new study on fresh seeds")
    if price.factor is None or price.more is None or "of both" in price.text:
        return Price(price.text)
    have = n.get(price.factor, 0)
    units = price.more + have
    fresh = f"about {units:,} fresh {plural(price.factor, units)}"
    arm = "" if price.text.startswith("about") else f"{price.text.partition(': ')[0]}: "
    if price.more > MOST_TIMES * have:
        return Price(
            f"{arm}more {plural(price.factor, 2)} do not help in practice, as it would take "
            f"{fresh}; a new study needs units that vary less"
        )
    learned = re.search(r", [\d,]+ with the .* not measured", price.text)
    return Price(f"{arm}a new study on {fresh}{learned[0] if learned else ''}")
