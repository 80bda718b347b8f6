"""Following: a frozen study run and judged look by look, as it was declared: what a look settles
stays, and the rest goes on.

Verdicts are still a pure function of stored measures, and of what was frozen: each look judges the
first so many seeds at its own level, whatever else is stored by then. A look that was taken is
noted once, with what it found and the code that judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from msgspec import structs

from assay.core.errors import StoreError
from assay.core.experiment import Experiment
from assay.core.reading import plural
from assay.core.results import Judged, Price
from assay.lab.judge import journal, looks, registered, sources
from assay.lab.judge.journal import Ledger
from assay.lab.judge.registered import Registration
from assay.lab.judge.result import Result, judge_all, left_out, load
from assay.lab.plan import design
from assay.lab.plan.plan import Plan
from assay.lab.plan.preset import Preset
from assay.lab.store.store import Store
from assay.lab.work.events import Looked, OnEvent, Said


@dataclass(frozen=True)
class Following:
    """What was frozen of an experiment, and what is otherwise now; `frozen` is None where nothing
    was."""

    store: Store
    experiment: Experiment
    preset: Preset
    frozen: Registration | None = None
    departures: tuple[str, ...] = ()
    """Claims, arms and seeds that are not as they were frozen; with any of them there are no looks,
    and nothing is confirmed."""

    @property
    def declared(self) -> Registration | None:
        """What was frozen, where verdicts go by its looks."""
        return None if self.departures else self.frozen

    @property
    def looks(self) -> tuple[Preset, ...]:
        """The preset at each declared look, the last one whole; one look where nothing was frozen,
        or what was is not followed."""
        if (frozen := self.declared) is None:
            return (self.preset,)
        return tuple(self.preset.of_seeds(set(frozen.seeds[:n])) for n in frozen.units)

    def announce(self, tell: OnEvent) -> None:
        """Tell, before anything is trained, that what was frozen is not what runs, and why."""
        if self.departures:
            departures = "; ".join(self.departures)
            tell(Said(f"not as it was frozen, so what follows is exploratory: {departures}"))

    def told(self, result: Result, tell: OnEvent) -> bool:
        """Tell what a look found, and whether nothing is left for the next one."""
        if (frozen := self.declared) is None or result.registration is None:
            return True
        k, open_claims = result.registration["taken"], tuple(result.registration["open"])
        settled = tuple(j.claim.text for j in result.judged if j.claim.text not in open_claims)
        units, levels = frozen.units, frozen.levels
        tell(Looked(k, len(units), units[k - 1], levels[k - 1], settled, open_claims))
        return not open_claims

    def noted(self, result: Result, plan: Plan) -> Result:
        """Note each look that a result rests on and that is not noted yet; gives the result with
        their times. Raises: OSError when the disk is full.

        What is missing from their record is not noted anew: it would look as if nothing were
        missing.
        """
        if (frozen := self.declared) is None or (registration := result.registration) is None:
            return result
        known, missing = self._looks_by_number(), self._lost()
        outcomes = {j.claim.text: j.verdict.outcome for j in result.judged}
        look_count, settled = registration["taken"], dict[str, tuple[int, str]]()
        for k, look in enumerate(registration["looks"], 1):
            settled |= {text: (k - 1, outcomes[text]) for text in look["settled"]}
            if k <= look_count and k not in known and not missing:
                texts = outcomes if k == look_count else look["settled"]
                line = {
                    **{
                        "look": k,
                        "registration": frozen.hash,
                        "code": sources.unchanged(self.experiment.origin),
                    },
                    **{name: look[name] for name in ("seeds", "level")},
                    "verdicts": {text: o for text, o in outcomes.items() if text in texts},
                }
                journal.note(self._journal("looks"), journal.stamped(**line))
        described = self._described(frozen, settled, look_count, plan, registration["open"])
        return replace(result, registration=described)

    def judged(self, plan: Plan, arm: str = "main") -> Result:
        """The verdicts on what is stored, by the looks that can be taken on it where looks were
        declared; another `arm` is judged as if it were the method.

        Raises: StoreError when runs are missing."""
        store, plan = self.store, design.noted(self.store, plan)
        experiment = looks.marked(self.experiment.sized(plan.preset.specs), store)
        following, parts = replace(self, experiment=experiment), list[Plan]()
        if frozen := self.declared:
            parts = following._reached(frozen, plan)
            if arm != "main":
                # nobody froze a claim about another arm: it is asked of the last look reached
                plan, parts = parts[-1], []
        _require_usable(experiment, plan, store, whole=not parts)
        if frozen and parts:
            result = following._by_looks(frozen, parts, plan)
        else:
            result = judge_all(experiment, plan, load(plan), arm)
            result = replace(result, registration=following._unfollowed(plan, arm))
        ledger, place = Ledger(store), (experiment.name, plan.preset.title)
        gone = ledger.gone(*place)
        asks = experiment.beside if arm == "main" else None
        beside = asks(result.judged, result.arms) if asks else ()
        return replace(
            result,
            changed=looks.changed(experiment, plan, store),
            notes=(*plan.notes, *([gone] * bool(gone)), *left_out(result), *beside),
            ledger=ledger.head(*place),
        )

    def _within(self, plan: Plan, preset: Preset) -> Plan:
        """The rows of a plan that a smaller preset has."""
        runs = {
            (name, s.to_json())
            for name, a in self.experiment.arms.items()
            if a.train
            for s in self.experiment.specs_of(name, preset.specs)
        }
        rows = tuple(r for r in plan.rows if (r.job.arm, r.job.spec.to_json()) in runs)
        return replace(plan, preset=preset, rows=rows)

    def _reached(self, frozen: Registration, plan: Plan) -> list[Plan]:
        """The declared looks of which every run is stored, each as a plan without a missing run.
        Raises: StoreError where the first is none of them."""
        plans: list[Plan] = []
        for preset in self.looks:
            part = self._within(plan, preset)
            if len(preset.specs) > len(plan.preset.specs) or part.missing:
                break
            plans.append(part)
        if not plans:
            part = self._within(plan, self.looks[0])
            raise StoreError(
                f"the first look of {self.experiment.name} is at {frozen.units[0]} seeds, and "
                f"{len(part.missing)} of its {len(part.rows)} runs are not stored; run: ",
                self.preset.run(self.experiment.typed),
            )
        return plans

    def _by_looks(self, frozen: Registration, parts: Sequence[Plan], plan: Plan) -> Result:
        """The result by these looks, each claim as the first look that settled it found it.

        Later looks are not judged once every claim is settled.
        """
        experiment, last = self.experiment, len(parts) - 1
        settled: dict[str, tuple[int, Judged]] = {}
        for k, part in enumerate(parts):
            arms, level = load(part), frozen.levels[k]
            result = judge_all(experiment, part, arms, figures=k == last, level=level)
            for j in result.judged:
                if j.verdict.outcome != "undecided":
                    settled.setdefault(j.claim.text, (k, j))
            if len(settled) == len(result.judged) and not result.failed:
                if k < last:
                    whole = judge_all(experiment, part, arms, level=level)
                    result = replace(whole, judged=result.judged)
                break
        judgements = tuple(
            settled[j.claim.text][1] if j.claim.text in settled else _open(j, frozen, k)
            for j in result.judged
        )
        outcomes = {text: (look, j.verdict.outcome) for text, (look, j) in settled.items()}
        texts = (*(j.claim.text for j in judgements), *(text for text, _ in result.failed))
        open_claims = [text for text in texts if text not in outcomes]
        described = self._described(frozen, outcomes, k + 1, plan, open_claims)
        return replace(result, judged=judgements, registration=described)

    def _described(
        self,
        frozen: Registration,
        settled: Mapping[str, tuple[int, str]],
        look_count: int,
        plan: Plan,
        open_claims: Sequence[str] = (),
    ) -> dict[str, Any]:
        """What was frozen, which looks were taken, what is otherwise, and whether all of it was
        followed, as plain values."""
        lines = self._looks_by_number()
        part = self._within(plan, self.looks[look_count - 1]) if look_count else plan
        changed = [*self.departures, *_later(frozen, lines, settled, part)]
        missing = self._gaps(frozen)
        return {
            "hash": frozen.hash,
            "file": frozen.path.name,
            "time": frozen.time,
            "commit": frozen.commit,
            "alpha": frozen.content["alpha"],
            "seeds": frozen.content["seeds"],
            "looks": [
                {
                    **look,
                    "taken": lines[k]["time"] if k in lines else None,
                    "settled": [text for text, (index, _) in settled.items() if index == k - 1],
                }
                for k, look in enumerate(frozen.content["looks"], 1)
            ],
            "taken": look_count,
            "open": list(open_claims),
            "changed": changed,
            "missing": missing,
            "others": self._related(frozen),
            "signatures": [
                {"time": line["time"], "sha256": line["sha256_of_signature"]}
                for line in journal.read(self._journal("signed"), journal.SIGNED)
            ],
            "followed": not changed and not missing,
        }

    def _journal(self, what: str) -> Path:
        return registered.journal_path(self.store, self.experiment.name, self.preset, what)

    def _looks_by_number(self) -> dict[int, dict[str, Any]]:
        """What each look that was taken found, by its number."""
        lines = registered.read_looks(self.store, self.experiment.name, self.preset)
        return {line["look"]: line for line in lines}

    def _lost(self) -> str:
        """Tell which lines of the record of looks are changed or gone, in a phrase; empty where
        none is."""
        path = self._journal("looks")
        references = journal.files(self.store, self.experiment.name).get(path, ())
        wrong = journal.Journal(path).wrong(references, ever=True)
        return f"of {path} {wrong}" if wrong else ""

    def _gaps(self, frozen: Registration) -> list[str]:
        """Tell which looks are missing, as far as this store can know: those that were taken, and
        what was seen before it was frozen."""
        ledger = Ledger(self.store)
        gone = ledger.gone(self.experiment.name, self.preset.title)
        phrases = list(filter(None, (self._lost(), gone)))
        for line, shared in ledger.exposures(journal.subject(self.experiment, self.preset)):
            later = frozen.ledger and frozen.ledger["hash"] in ledger.before(journal.key(line))
            when = line.get("since") or line["time"]
            if not later and when < frozen.time:
                phrases.append(
                    f"seeds {journal.spans(shared)} of {line['experiment']} may have been seen on "
                    f"{when}, before it was frozen"
                )
        return phrases

    def _related(self, frozen: Registration) -> list[dict[str, Any]]:
        """Tell what else was frozen of some of the same arms on some of the same seeds, oldest
        first.

        Under any name, and whether its file is still there or not: the ledger's lines stay when a
        file goes; a file also has its claims."""
        candidates: list[tuple[journal.Line, str, list[str]]] = [
            (line, str(line.get("registration")), [])
            for line in Ledger(self.store).looks
            if line["what"] == "frozen"
        ]
        candidates += [(r.line, r.hash, r.claims) for r in registered.readable(self.store)]
        about = journal.subject(self.experiment, self.preset)
        related = {
            hashed: {
                "experiment": line["experiment"],
                "time": line["time"],
                "hash": hashed,
                "claims": claims,
            }
            for line, hashed, claims in candidates
            if hashed != frozen.hash and about.shared(line) and about.alike(line)
        }
        return sorted(related.values(), key=lambda entry: entry["time"])

    def _unfollowed(self, plan: Plan, arm: str) -> dict[str, Any] | None:
        """What was frozen and not followed, as plain values; None where nothing was frozen."""
        if self.frozen is None:
            return None
        registration = self._described(self.frozen, {}, 0, plan)
        other = [] if arm == "main" else [f"asked of {arm}: what was frozen was asked of main"]
        return {**registration, "changed": [*self.departures, *other], "followed": False}


def following(store: Store, experiment: Experiment, preset: Preset) -> Following:
    """Tell what was frozen of an experiment at this preset, and what is otherwise now. Raises:
    StoreError for a file that was changed."""
    frozen = registered.find(store, experiment, preset)
    departures = registered.departures(frozen, experiment, preset) if frozen else ()
    return Following(store, experiment, preset, frozen, tuple(departures))


def _of_other_presets(experiment: Experiment, preset: Preset, store: Store) -> str:
    """Say of which other presets a result is stored, and how each is asked for; "" for none."""
    paths = (store.root / "results" / experiment.name).glob("*.json")
    presets = sorted(path.stem for path in paths if path.stem != preset.title)
    known = [f"{name} (--preset {name})" if name.isalpha() else name for name in presets]
    return f"a result is stored of the preset {', '.join(known)}; " if known else ""


def _require_usable(experiment: Experiment, plan: Plan, store: Store, *, whole: bool) -> None:
    """Refuse a plan of an arm whose runs read different things and, where it should be `whole`, one
    of which a run is missing. Raises: StoreError."""
    if whole and plan.missing:
        missing = plan.missing[0]
        state = "are not stored" if missing.stored is None else "are stored, but no longer count"
        raise StoreError(
            f"{len(plan.missing)} of {len(plan.rows)} runs of {experiment.name} "
            f"({plan.preset.title}) {state} ({missing.why}); "
            f"{_of_other_presets(experiment, plan.preset, store)}run: ",
            plan.preset.run(experiment.typed),
        )
    for name, rows in plan.by_arm().items():
        read = {tuple(sorted(r.inputs.items())) for r in rows}
        if len(read) > 1:
            summary = " and ".join(
                ", ".join(f"{k} {v[:12]}" for k, v in inputs) or "nothing"
                for inputs in sorted(read)
            )
            raise StoreError(
                f"the stored runs of arm {name} read different things ({summary}); run: assay "
                f"run {experiment.typed}"
            )


def _open(j: Judged, frozen: Registration, k: int) -> Judged:
    """An undecided claim after look k, from 0, with what decides it: the next look, and after the
    last another study."""
    if k + 1 < len(frozen.units):
        look = f"look {k + 2} of {len(frozen.units)}, at {frozen.units[k + 1]} seeds"
        price = Price(look)
    else:
        price = another_study(j.verdict.price, j.verdict.n)
    return structs.replace(j, price=price)


def another_study(price: Price | None, n: Mapping[str, int]) -> Price:
    """Say what a study on units of its own needs, where looks at these have ended: as many in all
    as a price for more of them comes to.

    Args:
        price: what would decide it if these units could be added to.
        n: how many units there are, by factor.
    Example:
        >>> from assay.core.results import Price
        >>> from assay.lab.judge.sequential import another_study
        >>> another_study(Price("about 3 more seeds", "seed", 3), {"seed": 8}).text
        'another study, on about 11 seeds of its own'
    """
    if price is None:
        return Price("another study, on seeds of its own")
    if price.factor is None or price.more is None or "of both" in price.text:
        return Price(price.text)
    units = price.more + n.get(price.factor, 0)
    arm = "" if price.text.startswith("about") else f"{price.text.partition(': ')[0]}: "
    return Price(f"{arm}another study, on about {units:,} {plural(price.factor, units)} of its own")


def _later(
    frozen: Registration,
    lines: Mapping[int, Mapping[str, Any]],
    settled: Mapping[str, tuple[int, str]],
    plan: Plan,
) -> list[str]:
    """What came otherwise than frozen since: code that judged, verdicts that a look found, runs
    that were there before."""
    changes = []
    for k, line in lines.items():
        if line["code"] != frozen.content["judging"]:
            changes.append(f"look {k} was judged by other code than was frozen")
        for text, outcome in line["verdicts"].items():
            now_found = settled.get(text, (0, "undecided"))[1]
            if outcome not in ("undecided", now_found):
                changes.append(
                    f"look {k} found *{outcome}*, and the same measures now give "
                    f"*{now_found}*: {text}"
                )
    early = sum(str(s.provenance.get("finished", frozen.time)) < frozen.time for s in plan.stored)
    return [*changes, *([f"{early} runs were stored before it was frozen"] if early else [])]
