"""Result: measures → statements → verdicts → figures; a pure function of what is stored."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from msgspec import structs

from assay.core import foreign
from assay.core.claims import Claim, Estimate, Exact, claims_key
from assay.core.display import Printed, Shown
from assay.core.errors import AssayError, ClaimError, ExperimentError, StoreError
from assay.core.estimates import estimate, verify
from assay.core.experiment import Experiment, Materials
from assay.core.figures import Figure, figures_of
from assay.core.heavy import xr
from assay.core.judging import USUAL, Scope, by_level, judge, rename_unit
from assay.core.measures import stack_stored
from assay.core.memo import remembering
from assay.core.nouns import plural
from assay.core.reading import LEARNED, MADE_OF, Others
from assay.core.results import (
    Estimated,
    Head,
    Inference,
    Judged,
    Reason,
    Registration,
    ResultData,
    UnitRow,
    Verified,
)
from assay.core.rounding import are_unmoved
from assay.core.schema import to_json
from assay.core.spec import canonical_json
from assay.lab.judge.contents import changed_prompts
from assay.lab.plan.plan import NEVER_RUN, Plan, spanned
from assay.lab.plan.preset import Preset, apply_preset, scope_by_reading
from assay.lab.store import journal, provenance
from assay.lab.store.atomic import SCHEMA, evidence, explained, seal, write
from assay.lab.store.origin import digests_by_name
from assay.lab.store.store import Store
from assay.lab.store.user_code import first_line, where

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Result(Shown, Printed):
    """The verdicts on an experiment's stored runs. Everything in it was computed from measures and
    statements alone.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from assay import Lab
        >>> from assay.lab.engines import Inline
        >>> from assay import Arm, Experiment, Spec, Trained, grid, measures, normal
        >>> def measure(runs, trained, bench):
        ...     x = normal(runs.seeds, "inputs", 0, (100,))
        ...     return measures(runs, power=("run", (x**2).mean(1), "1"))
        >>> arms = {"main": Arm(lambda runs, bench: Trained.nothing(runs))}
        >>> seeds = grid(Spec(), seed=range(1000, 1008))
        >>> experiment = Experiment(arms, measure, (), seeds[:2], seeds, seeds, name="power")
        >>> with TemporaryDirectory() as folder:
        ...     result = Lab(f"{folder}/store", Inline()).run(experiment, "smoke")
        >>> result.inference, result.arms["main"].power.shape
        ('exploratory', (2,))
    """

    experiment: str
    preset: str
    """The preset's title; its result is stored under this name."""
    arms: Mapping[str, xr.Dataset]
    judged: tuple[Judged, ...]
    exact: tuple[Verified, ...]
    findings: tuple[Estimated, ...]
    figures: tuple[Figure, ...]
    cards: tuple[Any, ...]
    claims_key: str
    seconds: float
    """Seconds during which at least one group of these runs was worked on."""
    cpu_seconds: float
    """CPU-seconds of all runs together."""
    provenance: Mapping[str, Any]
    specs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Each trained arm's specs as JSON."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Statements that cannot be judged with changed fields, and why."""
    failed: tuple[tuple[str, str], ...] = ()
    """Statements that could not be computed, and why; all others were judged."""
    look: Mapping[str, Any] = field(default_factory=dict)
    """What was judged on which seeds, as `assay.lab.judge.looks.frozen` has it."""
    changed: tuple[str, ...] = ()
    """What has changed since an earlier look at the same judged seeds."""
    notes: tuple[str, ...] = ()
    """What a reader should know of the stored runs, such as that another text of the experiment's
    file made them."""
    registration: Mapping[str, Any] | None = None
    """What was frozen before any result existed, which looks were taken, and whether all of it was
    followed; None where nothing was."""
    ledger: Mapping[str, Any] | None = None
    """The line of the store's ledger that notes this judging; None where none does."""
    kept: Mapping[str, Any] | None = None
    """What `assay.lab.judge.kept` needs to show it unchanged; None where nothing would
    do."""
    speaks: tuple[str, ...] = ()
    """For which models, prompts and sites the verdicts and estimates speak, in lines."""
    evidence: Mapping[str, str] = field(default_factory=dict)
    """The runs that were judged: 16 hex digits of each one's key, and the 16 of its content."""

    def __repr__(self) -> str:
        outcomes = [j.outcome for j in self.judged]
        counts = ", ".join(f"{outcomes.count(o)} {o}" for o in dict.fromkeys(outcomes))
        failed = f", {len(self.failed)} could not be computed" if self.failed else ""
        return (
            f"<Result of {self.experiment} ({self.preset}): {counts or 'no verdicts'}{failed}; "
            "to_pandas() has the table>"
        )

    @property
    def inference(self) -> Inference:
        """confirmatory where all was frozen before any result existed and followed since; frozen
        without inputs where that is true but for the inputs; else exploratory."""
        if self.registration is not None and self.registration["followed"]:
            return "frozen without inputs" if self.registration["lacking"] else "confirmatory"
        return "exploratory"

    @property
    def data(self) -> ResultData:
        """Give the values that are printed and stored."""
        return ResultData(
            schema=SCHEMA,
            experiment=self.experiment,
            preset=self.preset,
            seconds=round(self.seconds, 1),
            cpu_seconds=round(self.cpu_seconds, 1),
            claims_key=self.claims_key,
            verdicts=self.judged,
            exact=self.exact,
            findings=self.findings,
            skipped=tuple(Reason(text=t, reason=r) for t, r in self.skipped),
            failed=tuple(Reason(text=t, reason=r) for t, r in self.failed),
            inference=self.inference,
            registration=None
            if self.registration is None
            else Registration.from_json(self.registration),
            ledger=None if self.ledger is None else Head.from_json(self.ledger),
            changed=self.changed,
            notes=self.notes,
            provenance=self.provenance,
        )

    def to_json(self) -> dict[str, Any]:
        """Give plain values: experiment, preset, seconds, cpu_seconds, provenance, verdicts, exact,
        findings."""
        return dict(self.data.to_json())

    def to_pandas(self) -> pd.DataFrame:
        """Give a row for each claim and arm (method, planted, control), with outcome, estimate,
        interval, units and reason; then one for each estimate, or for each of its levels with the
        interval that covers all levels together."""
        import pandas as pd

        rows = [row for j in self.judged for row in j.by_arm()]
        return pd.DataFrame([*rows, *(row for f in self.findings for row in f.by_level())])

    def path(self, store: Store) -> Path:
        """Give the place of the result in a store."""
        return store.root / "results" / self.experiment / f"{self.preset}.json"

    def write(self, store: Store) -> Path:
        """Write the result to its file, unless that says the same already. Raises: StoreError."""
        path = self.path(store)
        figures = to_json(self.figures)
        kept: dict[str, Any] = {"kept": self.kept} if self.kept else {}
        text = seal({**self.to_json(), **kept, "evidence": dict(self.evidence), "figures": figures})
        if not _says(path, text):
            store.prepare()
            with explained(store.root):
                path.parent.mkdir(parents=True, exist_ok=True)
                write(path, text)
        return path

    def note(self, store: Store) -> None:
        """Note each judging whose n, outcome or claims key differ from the last one of the same
        claim.

        Raises: StoreError.
        """
        noted = journal.Journal(self.path(store).with_name(journal.JUDGINGS), journal.JUDGING)
        last = {(look["preset"], look["text"]): look for look in noted.looks}
        fresh = []
        for j in self.judged:
            name = {"preset": self.preset, "text": j.claim.text}
            new = {"n": dict(j.n), "outcome": j.outcome, "claims_key": self.claims_key}
            previous = last.get((self.preset, j.claim.text), {})
            if any(previous.get(k) != v for k, v in new.items()):
                fresh.append({"time": provenance.timestamp(), **name, **new})
        if fresh:
            store.prepare()
            with explained(store.root):
                noted.add(*fresh)


def require_usable(experiment: Experiment, plan: Plan, store: Store) -> None:
    """Refuse a plan of which a run is missing, or with an arm whose runs read different things.
    Raises: StoreError."""
    if plan.missing:
        missing = plan.missing[0]
        name = f"{experiment.name} ({plan.preset.title})"
        state = "are not stored" if missing.stored is None else "are stored, but no longer count"
        count = f"{len(plan.missing)} of {len(plan.rows)} runs of {name} {state} ({missing.why})"
        never = len(plan.missing) == len(plan.rows) and missing.why == NEVER_RUN
        raise StoreError(
            f"{f'{name} has not been run' if never else count}; "
            f"{_of_other_presets(experiment, plan.preset, store)}run: ",
            plan.preset.run(experiment.typed),
        )
    for name, rows in plan.by_arm().items():
        read = {tuple(sorted(r.inputs.items())) for r in rows}
        if len(read) > 1:
            raise StoreError(
                f"the stored runs of arm {name} read different things ({_listed(sorted(read))}); "
                f"run: assay run {experiment.typed}"
            )


def _listed(read: Sequence[tuple[tuple[str, str], ...]]) -> str:
    inputs = (", ".join(f"{k} {v[:12]}" for k, v in pairs) or "nothing" for pairs in read)
    return " and ".join(inputs)


def _of_other_presets(experiment: Experiment, preset: Preset, store: Store) -> str:
    """Say of which other presets a result is stored, and how each is asked for; "" for none."""
    paths = (store.root / "results" / experiment.name).glob("*.json")
    presets = sorted(path.stem for path in paths if path.stem != preset.title)
    names = [f"{name} (--preset {name})" if name.isalpha() else name for name in presets]
    return f"a result is stored of the preset {', '.join(names)}; " if names else ""


def common_seeds(plan: Plan) -> tuple[dict[str, xr.Dataset], int]:
    """The measures of the seeds of which no arm lacks a run, and how many these are."""
    seeds = {r.job.spec.seed for r in plan.rows} - {r.job.spec.seed for r in plan.missing}
    measures = {
        arm: data.isel(run=np.isin(data.seed.values, sorted(seeds)))
        for arm, data in load(plan).items()
    }
    return {arm: data for arm, data in measures.items() if data.sizes["run"]}, len(seeds)


def load(plan: Plan) -> dict[str, xr.Dataset]:
    """The stored measures of each trained arm, for the runs of the plan that are stored; arms
    without any are left out."""
    arms = {}
    for arm, rows in plan.by_arm().items():
        runs = [(r.job.spec, r.stored) for r in rows if r.state == "cached" and r.stored]
        if runs:
            arms[arm] = stack_stored([spec for spec, _ in runs], [r.tensors() for _, r in runs])
    return arms


def with_derived(experiment: Experiment, arms: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """All arms in the experiment's order: the trained ones, and the derived ones made from
    these."""
    trained = {n: arms[n] for n in experiment.arms if n in arms}
    derived_arms = {}
    for name, a in experiment.arms.items():
        if a.derive is not None:
            with _computing(f"arm {name}", experiment.origin):
                other_arms = Others(trained)
                derived = a.derive(other_arms)
                derived_arms[name] = derived.assign_attrs({MADE_OF: sorted(other_arms.read)})
    every = {**trained, **derived_arms}
    for name, a in experiment.arms.items():
        if a.learned is not None and name in every:
            every[name] = every[name].assign_attrs({LEARNED: a.learned})
    return {name: every[name] for name in experiment.arms if name in every}


def judge_all(
    experiment: Experiment,
    plan: Plan,
    arms: Mapping[str, xr.Dataset],
    *,
    level: float = USUAL,
) -> Result:
    """The result of stored measures.

    A statement that cannot be computed is listed in `failed` and costs no other its verdict; where
    fields were changed, in `skipped`: statements may read a penalty that the changed preset no
    longer has. `level` is that of claims."""
    experiment = apply_preset(experiment, plan.preset)
    everything, changed = with_derived(experiment, arms), bool(plan.preset.sets)
    unasked = frozenset(name for name, a in experiment.arms.items() if not a.asked)
    statements = judge_statements(
        experiment.claims,
        _Asked(everything, unasked) if unasked else everything,
        scope_by_reading(experiment, plan.preset),
        changed=changed,
        origin=experiment.origin,
        level=level,
    )
    priced = tuple(
        structs.replace(_priced(j, experiment, plan), idle=_idle(j, everything))
        for j in statements.judged
    )
    if experiment.materials is not None and not changed_prompts(experiment, plan):
        priced = tuple(_by_rows(j, experiment.materials) for j in priced)
    findings = statements.findings
    if annotate := experiment.annotate:
        priced, findings = (tuple(annotate(s, everything) for s in x) for x in (priced, findings))
    if experiment.materials is not None:
        priced, findings = (
            _scoped(x, experiment, experiment.materials) for x in (priced, findings)
        )
    plots, cards, failure = _pictures(experiment, everything)
    curves = figures_of(findings) if findings else ()
    return Result(
        experiment=experiment.name,
        preset=plan.preset.title,
        arms=everything,
        judged=priced,
        exact=statements.exact,
        findings=findings,
        figures=(*plots, *curves),
        cards=cards,
        claims_key=claims_key(experiment.claims),
        seconds=spanned(plan.sessions),
        cpu_seconds=plan.cpu_spent,
        provenance=_provenance(plan),
        specs={a: tuple(r.job.spec.to_json() for r in rows) for a, rows in plan.by_arm().items()},
        skipped=(*statements.skipped, *(failure if changed else ())),
        failed=(*statements.failed, *(() if changed else failure)),
        evidence={run.key[:16]: run.id for run in plan.stored},
    )


def _scoped(
    statements: Sequence[Any], experiment: Experiment, materials: Materials
) -> tuple[Any, ...]:
    """Verdicts, with their controls, or estimates, with their scopes in the words of the study."""
    conditions = {c.text: getattr(c, "condition", "") for c in experiment.claims}

    def scoped(s: Any, condition: str) -> Any:
        others = {
            role: {name: scoped(v, condition) for name, v in getattr(s, role).items()}
            for role in ("planted", "controls", "violations")
            if hasattr(s, role)
        }
        return structs.replace(s, scope=materials.scope(s.scope, condition), **others)

    return tuple(scoped(s, conditions.get(s.text, "")) for s in statements)


def _pictures(
    experiment: Experiment, arms: Mapping[str, xr.Dataset]
) -> tuple[tuple[Figure, ...], tuple[Any, ...], tuple[tuple[str, str], ...]]:
    """Return the figures and the cards of an experiment, and why some could not be computed."""
    plots: tuple[Figure, ...] = ()
    try:
        with _computing("figures", experiment.origin):
            plots = tuple(experiment.figures(arms))
            return plots, tuple(experiment.cards(arms)) if experiment.cards else (), ()
    except (ClaimError, ExperimentError) as e:
        return plots, (), (("figures", str(e).removeprefix("figures ")),)


def _by_rows(judged: Judged, materials: Materials) -> Judged:
    """A verdict whose points, and those of its controls, are in the order of the prompts, each with
    its row and what it says; as it is where units are no prompts."""

    @cache  # its controls are measured on the same rows
    def row(number: int, label: str) -> UnitRow:
        return UnitRow(row=number, label=label)

    def ordered(v: Any) -> Any:
        rows = materials.rows(v.arm)
        if rows is None or v.units[:1] != (rows.unit,) or len(v.levels) != len(v.points):
            return v
        numbers, labels = rows.numbers, rows.labels
        if not {*v.levels} <= {*numbers}:
            return v
        order = sorted(range(len(v.levels)), key=lambda i: numbers[v.levels[i]])
        levels = [v.levels[i] for i in order]
        says = {str(x): f"prompt {numbers[x]} ({shorten(labels[x], 40)})" for x in levels}
        return structs.replace(
            v,
            points=tuple(v.points[i] for i in order),
            levels=tuple(levels),
            rows=tuple(row(numbers[x], labels[x]) for x in levels),
            warning=rename_unit(v.warning, "prompt", says),
        )

    others = {
        role: {name: ordered(v) for name, v in getattr(judged, role).items()}
        for role in ("planted", "controls", "violations")
    }
    return structs.replace(ordered(judged), **others)


def by_prompts(result: Result, materials: Materials | None) -> tuple[Judged, ...]:
    """The verdicts as pages draw them: with a point for each prompt where the interval is over
    prompts and seeds, since a point that is kept is of a seed."""
    if materials is None:
        return result.judged

    def turned(v: Any, claim: Claim) -> Any:
        rows = materials.rows(v.arm)
        if rows is None or v.units[1:] != (rows.unit,):
            return v
        found = by_level(claim.about(v.arm), result.arms, rows.unit)
        return structs.replace(
            v, units=v.units[::-1], levels=tuple(found), points=tuple(found.values())
        )

    drawn = []
    for j in result.judged:
        roles = ("planted", "controls", "violations")
        others = {r: {n: turned(v, j.claim) for n, v in getattr(j, r).items()} for r in roles}
        drawn.append(_by_rows(structs.replace(turned(j, j.claim), **others), materials))
    return tuple(drawn)


class _Asked(Mapping[str, Any]):
    """Arms of which some are read where they are named, and are not among all."""

    def __init__(self, arms: Mapping[str, xr.Dataset], unasked: frozenset[str]) -> None:
        self.arms, self.unasked = arms, unasked

    def __getitem__(self, name: str) -> xr.Dataset:
        return self.arms[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.arms if name not in self.unasked)

    def __len__(self) -> int:
        return len(self.arms) - len(self.unasked & self.arms.keys())


def left_out(result: Result) -> tuple[str, ...]:
    """A line for each verdict whose units are fewer than were measured, since the others have no
    number; not those that diverged."""
    messages = []
    for j in result.judged:
        arm = result.arms.get(j.arm)
        for unit, n in j.n.items():
            if arm is None or unit not in arm.coords:
                continue
            measured = len(np.unique(arm[unit].values)) - j.dropped
            if n < measured:
                have, are = ("has", "is") if measured - n == 1 else ("have", "are")
                messages.append(
                    f"{measured - n} of {measured} {plural(unit, measured)} {have} no number, "
                    f"and {are} left out: {j.claim.text}"
                )
    return tuple(messages)


class Statements(NamedTuple):
    """What became of an experiment's statements."""

    judged: tuple[Judged, ...]
    exact: tuple[Verified, ...]
    findings: tuple[Estimated, ...]
    skipped: tuple[tuple[str, str], ...]
    """Those that cannot be asked of changed fields, and why."""
    failed: tuple[tuple[str, str], ...]
    """Those that could not be computed, and why."""


def judge_statements(
    statements: Sequence[Claim | Exact | Estimate],
    arms: Mapping[str, xr.Dataset],
    scope: Scope = "",
    *,
    changed: bool = False,
    origin: str = "",
    level: float = USUAL,
) -> Statements:
    """Judge claims, verify theorems and compute estimates, each by itself: one that cannot be
    computed costs no other its verdict."""
    judged: list[Judged] = []
    exact: list[Verified] = []
    findings: list[Estimated] = []
    skipped: list[tuple[str, str]] = []
    failed: list[tuple[str, str]] = []
    with remembering(arms):
        for s in statements:
            try:
                with _computing(repr(s.text), origin):
                    if isinstance(s, Exact):
                        exact.append(verify(s, arms))
                    elif isinstance(s, Estimate):
                        findings.append(estimate(s, arms, scope=scope))
                    else:
                        judged.append(judge(s, arms, level, scope))
            except ClaimError as e:
                failure = (s.text, str(e).removeprefix(f"{s.text!r} "))
                (skipped if changed else failed).append(failure)
    return Statements(tuple(judged), tuple(exact), tuple(findings), tuple(skipped), tuple(failed))


def replaced(store: Store, plan: Plan) -> tuple[str, ...]:
    """Say where stored runs are not those that the stored result of this plan judged."""
    path = store.root / "results" / plan.experiment / f"{plan.preset.title}.json"
    try:
        judged = evidence(foreign.read_stored(path))
    except OSError:
        return ()
    changed = sum(judged.get(run.key[:16], run.id) != run.id for run in plan.stored)
    subject = f"{changed} of {len(plan.cached)} runs are others than those that the stored result "
    return (f"{subject}judged; `assay run` judges these",) if changed else ()


@contextlib.contextmanager
def _computing(noun: str, origin: str) -> Iterator[None]:
    """Turns what an experiment's own code raises into one line, with the place; a measure that is
    missing says how to get it."""
    try:
        yield
    except ClaimError as e:
        raise ClaimError(f"{e}{_arm(e)}") from e
    except AssayError:
        raise
    except Exception as e:
        message = first_line(e) + _arm(e)
        if origin.endswith(".py"):
            message += f" ({Path(where(e, origin)).name})"
        if re.search("No variable named|'Dataset' object has no attribute", message):
            message += (
                "; if `measure` was changed, raise `measured`, and stored runs are measured again"
            )
        elif isinstance(e, ArithmeticError):
            message += "; let the value be NaN where a run has no number"
        elif isinstance(e, LookupError):
            message += "; does every preset have what it selects?"
        raise ClaimError(f"{noun} cannot be computed: {message}") from e


def _arm(error: BaseException) -> str:
    """Which arm a statement stumbled over, as the end of a line; empty where that is not known."""
    noted = [note for note in getattr(error, "__notes__", ()) if note.startswith("arm ")]
    return f" (of {noted[0]})" if noted else ""


def _idle(judged: Judged, arms: Mapping[str, xr.Dataset]) -> tuple[str, ...]:
    """The controls of what is done to a model whose numbers are all those of the model as it is."""
    if (base := arms.get("main")) is None:
        return ()

    def changes_nothing(control: str) -> bool:
        arm = arms.get(control, xr.Dataset())
        common = [n for n in arm.data_vars if n in base and arm[n].dtype.kind == "f"]
        once = base.isel(run=0, missing_dims="ignore")
        pairs = (xr.broadcast(arm[n], once[n]) for n in common)
        return are_unmoved((x.values, y.values) for x, y in pairs)

    own = [name for name in judged.controls if name.startswith(f"{judged.arm}/")]
    return tuple(filter(changes_nothing, own)) if judged.arm != "main" else ()


def _priced(judged: Judged, experiment: Experiment, plan: Plan) -> Judged:
    """Complete a verdict's price with the minutes of one core and the command, where more seeds
    would decide it."""
    price, preset = judged.price, plan.preset
    if price is None or price.more is None or price.factor != "seed":
        return judged
    # not those of the arms, which may be shifted
    seeds = sorted({s.seed for s in preset.specs})
    changed = preset.but(f"seed={seeds[0]}:{seeds[-1] + 1 + price.more}")
    trained = price.more
    if judged.gates.get("converged") is False and (doubled := twice_the_steps(preset)):
        # every seed is trained anew, twice as long
        changed, trained = changed.but(doubled), 2 * (len(seeds) + price.more)
    command = f"assay run {experiment.typed}{changed.options}"
    minutes = plan.cpu_spent / max(1, len({r.job.spec.seed for r in plan.cached})) * trained / 60
    duration = f"about {minutes:.{0 if minutes >= 10 else 1}f}" if minutes >= 0.05 else "below 0.1"
    text = f"{price.text}, {duration} CPU-minutes: {command}"
    return structs.replace(judged, price=structs.replace(price, text=text))


def twice_the_steps(preset: Preset) -> str:
    """Set twice as many steps, as `field=value`; "" where the specs have none, or differ in
    them."""
    steps = {getattr(spec, "steps", None) for spec in preset.specs}
    [greatest] = steps if len(steps) == 1 else [None]
    return f"steps={2 * greatest}" if isinstance(greatest, int) else ""


def _says(path: Path, text: bytes) -> bool:
    with contextlib.suppress(OSError):
        return foreign.read_stored(path) == text
    return False


def _provenance(plan: Plan) -> dict[str, Any]:
    keys = {a: [r.job.key for r in rows] for a, rows in plan.by_arm().items()}
    runs = [r.stored for r in plan.rows if r.stored is not None]
    run_provenances = [run.provenance for run in runs]
    last = max(run_provenances, key=lambda p: str(p.get("finished", "")), default={})
    inputs = {name: value for r in plan.rows for name, value in r.inputs.items()}
    return {
        "runs": len(plan.cached),
        "diverged": sum(run.status == "diverged" for run in runs),
        "inputs": {**digests_by_name(plan.stored), **inputs},
        "code": sorted({str(p.get("code", "")) for p in run_provenances}),
        "keys": provenance.digest(canonical_json(keys)),
        "begun": min(filter(None, (run.begun for run in runs)), default=""),
        "finished": last.get("finished", ""),
        "device": last.get("device", ""),
        "peak_rss": max((int(p.get("peak_rss", 0)) for p in run_provenances), default=0),
        "software": last.get("software", {}),
        "machine": last.get("machine", {}),
    }
