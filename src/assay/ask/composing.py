"""Composing: a study as an Experiment: arms borrowed from experiments, fields set, and the author's
claims."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from assay.ask import beside, comparing, costs, missing, notes, refusals, sides, spoken
from assay.ask.asked import Asked, Part
from assay.ask.contents import Contents
from assay.ask.part import LEFT_OUT
from assay.ask.sides import Side
from assay.ask.text import Text, read
from assay.ask.wording import (
    QUANTITIES,
    Condition,
    claim,
    condition,
    dims_over,
    estimate,
    natural,
    stored,
)
from assay.core.ceilings import Bounded
from assay.core.claims import Claim, Estimate
from assay.core.columns import Axes, Column
from assay.core.compute import duration
from assay.core.errors import AssayError, ExperimentError, nearest
from assay.core.experiment import PRESETS, Cost, Experiment, Header
from assay.core.heavy import xr
from assay.core.runs import Runs
from assay.core.spec import Spec, per_run_fields
from assay.lab.judge import families


def experiment(path: Path) -> Experiment:
    """The Experiment that a study's file describes. Raises: ExperimentError, one line with line and
    column."""
    text = read(path)
    if lacks := missing.essential(text):
        known(text)
        more = f" (and {len(lacks) - 1} more: assay plan {path} lists them)" if lacks[1:] else ""
        raise ExperimentError(lacks[0].text + more)
    return composed(text)


def header(path: Path) -> Header:
    """What a list says of a study. Raises: ExperimentError."""
    study = read(path).study
    texts = [*(c.text for c in study.claim), *(e.text for e in study.estimate)]
    controls = ", ".join(dict.fromkeys(name for c in study.claim for name in c.control))
    return Header(
        study.question.rstrip("."),
        "",
        "; ".join(texts) or "none",
        controls or "none",
        "as planned",
    )


def known(text: Text) -> None:
    """Refuse a study that names an experiment, a field or an arm that there is not, whatever it
    does not say yet. Raises: ExperimentError."""
    said = text.study
    if not (said.experiment or said.model or said.train):
        return
    study = _Study(text)
    study.composed((), ())
    for i, c in enumerate(study.text.study.claim):
        statement = study.statement("claim", i) if c.holds.strip() else None
        refusals.refuse_unknown(study, "claim", i, c, statement)
    for i, e in enumerate(study.text.study.estimate):
        if e.value.strip():
            refusals.refuse_unknown(study, "estimate", i, e, study.statement("estimate", i))


def measured(text: Text) -> Iterator[tuple[str, Mapping[str, Axes], Side | Part]]:
    """Give for each arm of a study what it measures, as far as that is known before any run, and
    whose arm it is: an experiment's or a model's. Raises: ExperimentError."""
    study = _Study(text)
    for arm, known_measures in study.measured.items():
        yield arm, known_measures.axes, known_measures.side or study.asked.by_label[arm]


def composed(text: Text) -> Experiment:
    """The Experiment of a study that lacks nothing essential but, perhaps, claims. Raises:
    ExperimentError."""
    study = _Study(text)
    claims, estimates = (
        [study.statement(table, i) for i in range(len(getattr(text.study, table)))]
        for table in ("claim", "estimate")
    )
    made = [study.claim(s) for s in claims], [study.estimate(s) for s in estimates]
    study.leave_out_unnamed([*claims, *estimates])
    study.note([*claims, *estimates], [*made[0], *made[1]])
    for s in (*claims, *estimates):
        study.columns[s.entry.text] = [(c.arm or s.main, c.name) for c in s.read.columns]
    whole = study.composed(families.simultaneous(made[0]), made[1])
    for statement, c in zip([*claims, *estimates], whole.claims, strict=True):
        refusals.refuse_mixed(statement, c, whole)
        if isinstance(c, Claim):
            refusals.refuse_equal_runs(study, statement, c, whole)
    return whole


DOCUMENT = "document"
"""A unit beside seeds where measures have it."""


class _Statement:
    """A claim or an estimate of a study, with its condition or quantity read."""

    def __init__(self, text: Text, table: str, i: int, asked: Asked | None) -> None:
        self.text, self.table, self.i = text, table, i
        self.entry: Any = getattr(text.study, table)[i]
        self.key = "holds" if table == "claim" else "value"
        with text.located(table, i, self.key):
            words = getattr(self.entry, self.key)
            self.read: Condition = condition(words, compared=table == "claim")
        controls = getattr(self.entry, "control", ())
        named = [name for name in self.read.parsed.arms if name not in controls]
        # the arm that it is about
        self.main = comparing.about(asked, self.read, controls) if asked else [*named, "main"][0]

    def error(self, key: str | None, what: object) -> ExperimentError:
        """Make the refusal of one of its fields, or of all of it."""
        return self.text.error((self.table, self.i, *([key] if key else [])), what)


@dataclasses.dataclass(frozen=True)
class _Measured:
    """What is known of the measures of an arm before any run: their dimensions, and of which
    experiment that is recorded."""

    axes: Mapping[str, Axes]
    side: Side | None = None
    complete: bool = False
    """Whether every level is known, as of arms of a model, whose levels the text says."""

    @property
    def units(self) -> tuple[str, ...]:
        """What there may be units of: fields in which runs differ, and dimensions."""
        dims = (dim for axes in self.axes.values() for dim in axes)
        return tuple(dict.fromkeys([*(self.fields or ("seed",)), *dims]))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields in which runs of an experiment's arm may differ."""
        return tuple(per_run_fields(type(self.side.of.default[0]))) if self.side else ()

    @property
    def settled(self) -> bool:
        """Whether the levels are those recorded: no field is set on which they could depend."""
        if self.complete:
            return True
        return self.side is not None and not self.side.fields and self.side.part.preset == "default"


class _Study:
    """A study on the way to an Experiment: what stands side by side in it, and its arms. Raises:
    ExperimentError for what is wrong with them."""

    def __init__(self, text: Text) -> None:
        _check_words(text)
        self.sides = sides.sides(text)
        asks = "model" if text.study.model else "train" if text.study.train else ""
        if asks and self.sides:
            what = "a study asks models or borrows experiments; write two studies"
            raise text.error((asks,), what)
        self.asked = Asked(text)
        self.beside: Any = None
        # the arms and measures that each statement reads, by its text
        self.columns: dict[str, list[tuple[str, str]]] = {}
        self.seeds = missing.seeds(text) if self.sides or self.asked.parts else ()
        _refuse_duplicates(text, self.sides, self.seeds)
        self.first = {preset: self._main_specs(preset) for preset in PRESETS}
        self.borrowed = {
            name: arm
            for side in self.sides
            for name, arm in sides.arms_of(side, self.sides[0]).items()
        }
        # an experiment has to have main, of which nothing may run
        self.idle = {name for name, arm in self.borrowed.items() if arm.specs is sides.none}
        self.arms = self.borrowed | self.asked.arms()
        for i, part in enumerate(text.study.experiment):
            for name in (n for n in part.learned if n not in self.borrowed):
                hint = nearest(name, self.borrowed)
                what = f"the study has no arm {name!r} of an experiment; {hint}"
                raise text.error(("experiment", i, "learned"), what)
        self.text = text
        self.measured = {
            side.named(arm): _Measured(axes, side)
            for side in self.sides
            for arm, axes in sides.measured(side).items()
        }
        self.measured |= {
            p.label: _Measured(self.asked.measured(p), complete=True) for p in self.asked.parts
        }

    def _main_specs(self, preset: str) -> tuple[Spec, ...]:
        """The specs of the arm main at a preset: of the models that are asked, else of the first
        experiment."""
        if self.asked.parts:
            return self.asked.specs(preset, self.seeds)
        if not self.sides:
            return ()
        side = self.sides[0]
        if preset == "smoke":
            return side.specs("smoke", ())
        return side.specs(side.part.preset if preset == "default" else preset, self.seeds)

    def composed(self, claims: Iterable[Claim], estimates: Iterable[Estimate]) -> Experiment:
        """Make the experiment, with these claims and estimates."""
        all_seeds = max(1, len(self.seeds))
        usual = min((s.of.seeds_per_group for s in self.sides), default=all_seeds)
        together = self.text.study.together or usual
        measure = self.sides[0].of.measure if self.sides else self.arms["main"].measure
        assert measure is not None
        by_class: dict[type, Side] = {type(s.of.default[0]): s for s in reversed(self.sides)}
        try:
            return Experiment(
                arms=self.arms,
                measure=measure,
                claims=(*claims, *estimates),
                page=self._page(),
                remarks=(*self.asked.remarks, *sides.remarks(self.sides)),
                seeds_per_group=together,
                smoke=self.first["smoke"],
                default=self.first["default"],
                borrows=tuple(dict.fromkeys(s.of.name for s in self.sides)),
                inputs=self._inputs(by_class),
                materials=Contents(self.asked, self.columns),
                shared=self.asked.shared,
                cost=partial(costs.cost, self.asked) if self.text.study.train else _cost(by_class),
                expected=self._times(together),
                version=sum(s.of.version for s in self.sides) or 1,
                measured=sum(s.of.measured for s in self.sides) or 1,
                scope=self._scope,
                beside=self.beside,
            )
        except AssayError as e:
            raise ExperimentError(f"{self.text.path}: {e}") from e

    # statements -----------------------------------------------------------------------------------

    def statement(self, table: str, i: int) -> _Statement:
        """Read a claim or an estimate."""
        return _Statement(self.text, table, i, self.asked if self.asked.parts else None)

    def leave_out_unnamed(self, statements: Sequence[_Statement]) -> None:
        """Leave out the arms of models that no statement names or needs, and refuse a site that a
        model of the others lacks."""
        if not self.asked.parts:
            return
        names = {"main"}
        for s in statements:
            lists = [getattr(s.entry, key, ()) for key in (*_LISTS, "near", "also")]
            names |= {s.main, *s.read.parsed.arms, *itertools.chain.from_iterable(lists)}
            told = s.main, s.read, getattr(s.entry, "control", ())
            names |= {a for x in comparing.twins(self.asked, *told).values() for a in x.values()}
        for part in self.asked.parts:
            if part.label in names or self.asked.is_of_first(part):
                self.asked.check(part)
        self.arms = {name: arm for name, arm in self.arms.items() if name in names}

    def note(self, read: Sequence[_Statement], done: Sequence[Claim | Estimate]) -> None:
        """Remember what the author of a study that asks models should know before it runs."""
        if not self.asked.parts:
            return
        askings = [
            notes.Asking(
                f"{s.table} {s.i + 1}",
                s.main,
                s.read,
                statement.units,
                getattr(statement, "violations", ()),
                s.entry.text,
                dims_over(s.entry) if s.table == "estimate" else (),
            )
            for s, statement in zip(read, done, strict=True)
        ]
        bearing = notes.of_study(self.asked, askings)
        for s in read:
            told = f"{s.table} {s.i + 1}", s.main, s.read, getattr(s.entry, "control", ())
            bearing += comparing.pairs_in_words(self.asked, *told)
        self.asked.remarks += bearing
        bearing += [r for r in self.asked.remarks if r.endswith(LEFT_OUT)]
        by_text = dict(zip((statement.text for statement in done), askings, strict=True))
        self.beside = partial(beside.lines, self.asked, by_text, bearing)

    def claim(self, s: _Statement) -> Claim:
        """Make a claim, with every arm that it names held to those there are, and every measure to
        those known."""
        refusals.refuse_unknown(self, s.table, s.i, s.entry, s)
        if s.entry.empty is not None and not math.isfinite(s.entry.empty):
            what = (
                f"empty is the number that means no effect, got {s.entry.empty:g}; leave it "
                "out if there is none"
            )
            raise s.error("empty", what)
        s.entry = self._with_proposals(s, s.entry)
        s.entry = self._completed(s)
        if not s.entry.control:
            what = (
                "a verdict needs a control, and none is added automatically here: write "
                'control = ["…"], an arm for which the claim should fail; or remove '
                "controls = [] from the table that the controls come from"
            )
            raise s.error("control", what)
        for key in ("control", "planted"):
            for name in getattr(s.entry, key):
                if name != s.main and name in s.read.parsed.arms:
                    what = (
                        f"{name} is in the condition, so it would be compared with itself; "
                        f"a control takes the place of {s.main}: name another arm, such as "
                        "a baseline or a second training"
                    )
                    raise s.error(key, what)
        units = self._units(s)
        refusals.hold_to(self, s, (s.main, *s.entry.control, *s.entry.planted), {"units": units})
        compared = (s.main, *s.read.parsed.arms)
        with self.text.located("claim", s.i):
            if unit := comparing.unit_apart(self.asked, compared) if self.asked.parts else "":
                judged = comparing.of_groups(s.entry, units, unit, s.main, s.read)
            else:
                judged = claim(msgspec.structs.replace(s.entry, units=units), s.main, s.read)
        refusals.refuse_unlearned(self, s, judged)
        if not self.asked.parts:
            return judged
        with self.text.located(s.table, s.i, s.key):
            comparing.refuse_unpaired(self.asked, compared)
        told = self.asked, s.main, s.read, s.entry.control
        if twins := comparing.twins(*told):
            judged = dataclasses.replace(judged, value=comparing.read_besides(judged.value, twins))
        unlike = comparing.unlike(*told) if s.main in self.asked.by_label else ()
        groups = (
            {"prompt": comparing.groups(self.asked, s.main)} if "prompt" in judged.units else {}
        )
        return dataclasses.replace(judged, unlike=unlike, ceiling=self._ceiling(s), groups=groups)

    def _ceiling(self, s: _Statement) -> Bounded | None:
        """What both models, or arms, that a claim compares have by one measure, with its bounds;
        of one arm by itself what that and the untouched model have; None elsewhere."""
        base = ""
        columns = [dataclasses.replace(c, arm=c.arm or s.main) for c in s.read.columns]
        ends: tuple[float | None, float | None] = (None, None)
        if len(columns) == 1 and not (sides := comparing.compared(self.asked, s.main)):
            plain = not columns[0].over and {s.main, "main"} <= {*self.asked.by_label}
            sides = (s.main, "main") if plain else ()
            columns = [dataclasses.replace(columns[0], arm=arm) for arm in dict.fromkeys(sides)]
        else:
            if len(columns) == 1:
                base = sides[0] if len(sides) == 2 else ""
                columns = [dataclasses.replace(columns[0], arm=arm) for arm in sides]
            ends = self.asked.range_of(columns[0].arm or s.main, columns[0].name)
        if len(columns) < 2 or len({c.key for c in columns}) > 1 or s.read.parsed.together:
            return None
        low, high = ends

        def numbers(arm: xr.Dataset, c: Column) -> xr.DataArray:
            x, dims = arm[c.name], {str(d) for d in arm[c.name].dims}
            return c.within(dims).take(x, dims)

        bounds = None if low is None or high is None else (low, high)
        return Bounded(columns, bounds, numbers, lambda c: c.name, s.main, base)

    def _completed(self, s: _Statement) -> Any:
        """A claim with what follows from what it is about, where it does not say it: what it
        credits, the near controls of its arm, and the bounds of a unit."""
        if not self.asked.parts:
            return s.entry
        part = self.asked.by_label.get(s.main)
        if part is not None and part.of and self.asked.frozen is None:
            with self.text.located(s.table, s.i):
                return comparing.of_control(part, s.entry, s.read)
        credited = s.entry.credits or (s.main if s.main in self.asked.by_label else ())
        entry = msgspec.structs.replace(s.entry, credits=credited)
        measures = [c.name for c in s.read.columns]
        every, compared = self.asked.controls_of(s.main, measures), s.read.parsed.arms
        near = {p.label: p.why for p in every if p.label not in compared}
        # Named controls stand beside those that come by themselves; a claim of no effect, which any
        # arm without one satisfies, has those alone that its author names, or what breaks it.
        if entry.violations and comparing.is_of_nothing(self.asked.by_label[s.main], s.read):
            entry = msgspec.structs.replace(entry, control=entry.control or entry.violations)
        if near and not (entry.control and entry.violations):
            control = tuple(dict.fromkeys((*entry.control, *near)))
            entry = msgspec.structs.replace(entry, control=control, near={**near, **entry.near})
        if entry.bounds is None and not any(c.name in QUANTITIES for c in s.read.columns):
            known = self._natural(s)
            whole = known is not None and all(map(math.isfinite, known))
            entry = msgspec.structs.replace(entry, bounds=known if whole else None)
        return entry

    def _natural(self, s: _Statement) -> tuple[float, float] | None:
        """The least and greatest number that a statement can have for a unit: by the reads of
        models, or what a quantity of a dictionary can be."""

        for whole in s.read.parsed.together:
            if whole.walk is s.read.parsed.terms.get("value") and whole.how in ("count", "share"):
                c, sizes = whole.columns[0], dict[str, int]()
                known = self.measured.get(c.arm or s.main)
                for x in whole.columns if known else ():
                    axes = known.axes.get(x.name, {}) if known else {}
                    sizes |= {d: len(axes[d]) for d in whole.over if axes.get(d)}
                if whole.how == "share" or len(sizes) == len(whole.over):
                    return 0.0, 1.0 if whole.how == "share" else float(math.prod(sizes.values()))

        def ends(c: Column) -> tuple[float | None, float | None]:
            if c.how in ("first", "argmax"):
                return self._levels(c.arm or s.main, c)
            if self.asked.parts and c.name not in QUANTITIES:
                return self.asked.range_of(c.arm or s.main, c.name)
            m = QUANTITIES.get(c.name)
            lower = m is not None and m.better.startswith("lower")  # errors and counts, from 0 up
            return (m.low, m.high) if m is not None and lower else (None, None)

        return natural(s.read, ends)

    def _levels(self, arm: str, c: Column) -> tuple[float | None, float | None]:
        """The least level at which something may first be so, and the one behind the last."""
        known = self.measured[arm].axes.get(c.name, {}) if arm in self.measured else {}
        levels = [x for x in known.get(c.over[0], ()) if isinstance(x, int | float)]
        if len(levels) < 2 or len(levels) < len(known[c.over[0]]):
            return None, None
        return float(min(levels)), float(2 * levels[-1] - levels[-2])

    def _with_proposals(self, s: _Statement, entry: Any) -> Any:
        """A claim about one measure by itself with what its arm proposes, where it says nothing."""
        value, columns = s.read.parsed.terms.get("value"), s.read.parsed.columns
        if value is None or len(columns) != 1 or value(lambda column: 0.375) != 0.375:
            return entry
        proposed = comparing.proposed(self.asked, s.main, columns[0].name, len(self.seeds))
        edges = [x for x in (s.read.parsed.low, s.read.parsed.high) if math.isfinite(x)]
        if "bounds" in proposed and (
            entry.units not in ((), proposed["units"])
            or entry.bounds is not None
            or not all(0 <= edge <= 1 for edge in edges)
        ):
            proposed = {"empty": proposed["empty"]}
        silent = {k: v for k, v in proposed.items() if not getattr(entry, k) or k == "fixed"}
        if "fixed" in silent:
            silent["fixed"] = (*entry.fixed, *silent["fixed"])
        if entry.empty is not None:
            silent.pop("empty", None)
        return msgspec.structs.replace(entry, **silent)

    def estimate(self, s: _Statement) -> Estimate:
        """Make an estimate, held to the arms and measures that there are."""
        refusals.refuse_unknown(self, s.table, s.i, s.entry, s)
        units = self._units(s)
        swept = {"over": over} if (over := dims_over(s.entry)) else {}
        refusals.hold_to(self, s, (s.main,), {"units": units, **swept})
        with self.text.located("estimate", s.i):
            made = estimate(msgspec.structs.replace(s.entry, units=units), s.main, s.read)
        known = self._natural(s)
        whole = known is not None and all(map(math.isfinite, known)) and self.asked.parts
        return dataclasses.replace(
            made, natural=made.natural or known, bounds=known if whole else None
        )

    def _units(self, s: _Statement) -> tuple[str, ...]:
        if self.asked.parts and not s.entry.units:
            return comparing.units(self.asked, (s.main, *s.read.parsed.arms))
        return s.entry.units or ("seed", *self._documents(s))

    def _documents(self, s: _Statement) -> tuple[str, ...]:
        """The unit `document`, where all that a statement reads has documents, as far as that is
        known, and none of it says what becomes of them."""
        for c in s.read.columns:
            known = self.measured.get(c.arm or s.main)
            axes = known.axes if known else {}
            if not all(DOCUMENT in axes.get(t, ()) for t in stored(c.name, axes)):
                return ()
        said = any(DOCUMENT in c.named for c in s.read.columns)
        return () if said or getattr(s.entry, "over", False) else (DOCUMENT,)

    # what the experiment is told besides ----------------------------------------------------------

    def _scope(self, preset: str, runs: Mapping[str, tuple[Spec, ...]]) -> str:
        """Say for what verdicts speak in the words of the experiments that they read."""
        phrases = sides.scopes(self.sides, preset, self.seeds, runs)
        phrases += [spoken.scope(self.asked, list(runs))] if self.asked.parts else []
        return "; ".join(dict.fromkeys(phrases))

    def _page(self) -> str:
        """What a reader of the report must know beside the question, which is its title: what
        stands beside what, and what was left out."""
        lines = []
        for s in self.sides:
            lines.append(f"- {f'`{s.label}/…`' if s.label else 'Arms without a label'}: {s.told}.")
        if self.asked.parts and (idle := self.asked.left_out(self.arms)):
            lines += ["", f"These arms did not run, as no statement needs them: {', '.join(idle)}."]
        unused = {s.of.name: [a for a in s.of.arms if a not in s.arms] for s in self.sides}
        for name, arms in unused.items():
            if arms:
                did_not = f"Of {name} these arms did not run, and no claim was asked of them"
                lines += ["", f"{did_not}: {', '.join(arms)}."]
        return "\n".join([*lines, "", self.text.page]).strip()

    def _inputs(self, by_class: Mapping[type, Side]) -> Any:
        """What runs read from outside; a model or a text that an experiment cannot have is told
        with its place in the study."""
        if self.asked.parts:
            return self.asked.inputs
        if not any(side.of.inputs for side in by_class.values()):
            return None

        def inputs(spec: Any) -> Mapping[str, str]:
            side = by_class[type(spec)]
            try:
                return side.of.inputs(spec) if side.of.inputs else {}
            except AssayError as e:
                i = self.text.study.experiment.index(side.part)
                what = f"{side.of.name} cannot read what it needs: {e}"
                raise self.text.error(("experiment", i, "fields"), what) from e

        return inputs

    def _times(self, together: int) -> dict[str, float]:
        """CPU-seconds of a run of each arm, as far as records, or the size of a model, tell."""
        times = {
            arm: seconds
            for side in self.sides
            for arm, seconds in sides.expected(side, self.seeds).items()
        }
        sized = {p.label: costs.seconds(self.asked, p, together) for p in self.asked.parts}
        return times | {label: s for label, s in sized.items() if s is not None}


def _check_words(text: Text) -> None:
    """Refuse a budget that is no time, and a threshold that does not say where it comes from."""
    if text.study.budget:
        with text.located("budget"):
            duration(text.study.budget)
    for i, entry in enumerate(text.study.claim):
        if entry.threshold and not re.match(rf"({'|'.join(SOURCES)})\b", entry.threshold):
            what = (
                "a threshold says where the number in the claim comes from: write threshold "
                '= "plan: …" if it was chosen before anyone looked at results, or "paper: '
                f'…", "theory: …", "pilot: …"; got {entry.threshold!r}'
            )
            raise text.error(("claim", i, "threshold"), what)


SOURCES = ("plan", "paper", "theory", "pilot")
"""What a threshold may come from."""


_LISTS = ("control", "planted", "violations")


def _refuse_duplicates(text: Text, study_sides: Sequence[Side], seeds: Sequence[int]) -> None:
    """Refuse the same runs under two labels: what they have in common is no evidence, and one would
    be a control of the other that cannot pass."""
    for side, other in itertools.combinations(study_sides, 2):
        specs, other_specs = (s.specs(s.part.preset, seeds) for s in (side, other))
        if side.of.name == other.of.name and set(specs) & set(other_specs):
            first, second = (f"{s.label}/main" if s.label else "main" for s in (side, other))
            what = (
                f"{first} and {second} have the same runs; leave one out, or set a field in which "
                "they differ"
            )
            raise text.error(("experiment", text.study.experiment.index(other.part)), what)


def _cost(by_class: Mapping[type, Side]) -> Any:
    """What runs cost, where every experiment says it of its own."""
    if not all(side.of.cost for side in by_class.values()) or not by_class:
        return None

    def cost(runs: Runs[Any]) -> Cost:
        side = by_class.get(type(runs.specs[0]))
        return side.of.cost(runs) if side is not None and side.of.cost else Cost()

    return cost
