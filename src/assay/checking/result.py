"""Check: what comes of a checked claim: the verdict, its controls, the numbers behind it, and how
it is shown and kept."""

from __future__ import annotations

import contextlib
import math
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from textwrap import shorten, wrap
from typing import TYPE_CHECKING, Any

from msgspec import structs

from assay.ask.near import DAMAGE, OPPOSITE, in_words
from assay.checking import calls, saved
from assay.checking.prompts import PROMPT, two_kinds
from assay.checking.seen import THESE
from assay.core.claims import Claim
from assay.core.digits import estimate, of_control, told_apart
from assay.core.display import Shown, by_weight
from assay.core.errors import DataError
from assay.core.expression import Parsed, parse
from assay.core.intervals import FEWEST, interval
from assay.core.judging import UNLESS_HOLDS, rename_unit, small_effects
from assay.core.nouns import counted, plural
from assay.core.reasons import (
    BLIND,
    GROUPED,
    IDLE,
    NO_LEAD,
    NO_TEST,
    NOTHING,
    OUT_OF_REACH,
    UNTESTED,
    WAYS,
)
from assay.core.results import Judged, Price, Verdict, is_mirrored, narrower_level, unit_of
from assay.core.rounding import are_unmoved
from assay.core.rows import is_text
from assay.core.scopes import listed
from assay.core.stats import mean
from assay.core.table import judge, untested
from assay.core.table_columns import words_in
from assay.lab.judge.tried import LEFT_OUT

if TYPE_CHECKING:
    import pandas as pd

ENDS = ("_before", "_after")
"""Ends of the names of a number without what is credited, and with it."""
EFFECT = re.compile(rf"\(?(\w+){ENDS[1]} - \1{ENDS[0]}\)?")
"""A number's effect, where a condition has it by its two parts."""
LEAD, PROBABILITY = "lead", "log-probability"
"""What a number may be from which a fall is claimed."""
LEADS = {LEAD, "margin", "diff", "difference", "logitdiff"}
"""Words in the name of a number that is a lead."""
LOSSES = {"loss", "losses", "nll", "ce"}
"""Words in the name of a number that is neither of the two."""
LOGGED = re.compile(r"(?<![a-z])log[ _-]?p(rob(s|abilit(y|ies))?)?(?![a-z])")
"""The name or the unit of a log-probability."""
TAKEN_OUT = ("heads", "neurons", "latents", "edges")
"""The kinds of which the model loses parts."""
CONTROL = {"holds": "YES", "fails": "no", "undecided": "undecided"}
"""Whether a control satisfies the claim, which it should not."""
HEADS = ("control", "draws", "strongest [95%]", "satisfies the claim", "alternative explanation")
"""The columns of the table of controls."""
ALIKE = 0.5
"""The share of a vector's effect from which its opposite has much the same one."""
SAFE = 0.5
"""How far behind the end of an interval a new threshold lies, in halves of that interval: about as
many new prompts then confirm it in four of five cases."""
MODEST = 0.1
"""The share of what is claimed from which the lead over a control is worth a claim of its own."""
FIXED = re.compile(r'fixed="([^"]+)"')
"""The columns in the advice for a table, which `check` words for prompts."""
BOUNDS = "name the bounds LOW HIGH of the claim's value (for a difference of shares -1 1)"
MORE = ", more than half of the effect"
"""Said of numbers that depend by so much on which prompts are in a call."""
CALL = "the number of a prompt depends on which others are in the call"
"""What such a note says."""
OTHERS = "unless the other prompts in the call are the cause"
ONE_NUMBER = "with the vector, all prompts of a call have the same number"
"""Said of a vector whose function averages over the prompts of its call."""
UNREACHED = re.compile(
    r"^(?P<some>\d+) of (?P<all>\d+) prompts have exactly the same number with the .+?:"
)
"""A note on prompts that a change may not reach."""
ALONG_MEAN = "is nearly parallel to the mean of the activations"
"""Said of a vector of which the random ones are no test, since they are orthogonal to it."""
TOO_LONG = "so long that the model hardly reads the prompt"
"""Said of a vector with which prompts hardly differ, nor with random ones of its length."""
OPEN = " leave open whether "
"""Said of draws of a control of which another one may satisfy the claim."""
DOUBTS = {
    f"{MORE}|^{ONE_NUMBER}": OTHERS,
    ALONG_MEAN: "unless the size of the activations is the cause",
    TOO_LONG: "unless the vector breaks the model",
    r"^(.*\d) prompts are (among .+?)(?:, so an|; without these, it would)": r"with \1 prompts \2",
    rf"draws of control .*{OPEN}(.+?): given how": r"unless \1",
    THESE: "unless the direction was learned from these very prompts",
    r"^if (th.* chosen as the best of [\d,]+) on these prompts": r"unless \1",
    r"^(.+?), which the condition does not name, (.+? as much):": r"though \1 \2",
    r"^the controls may be (too weak: .+?); give": r"unless the controls are \1",
}
"""What the first line says of a claim that holds, by what a note says; of one that fails, the first
alone."""
EVEN, GUESS = 0.5, 0.01
"""The probability from which an answer is likelier than any other one; that of a token of usual
text is above the second, and of a guess perhaps below."""
SHORT = 16
"""Names of draws with fewer characters are printed next to what came of them."""
GAP, WIDTH, LEAST = "  ", 100, 30
"""Between two columns; the characters of a line where there is no terminal; those of the last
column at least."""


@dataclass(frozen=True)
class Placed:
    """A draw of a control: an arm of the table."""

    control: str
    why: str
    """What it would explain, if it did as well."""


@dataclass(frozen=True)
class Question:
    """What is judged: everything but the numbers."""

    sentence: str
    holds: str
    credits: str
    """The kind of what is credited, which is the name of the arm under judgement."""
    units: tuple[str, ...]
    placed: Mapping[str, Placed]
    """By arm the control that it is a draw of."""
    beats: float = 0.0
    empty: float | None = None
    bounds: tuple[float, float] | None = None
    reach: tuple[float, float] | None = None
    """Between which numbers the function can be: a range that no effect could reach from the number
    without what is credited is not decided. Files that older versions saved do not say it."""
    noise: float = 0.0
    """By how much two calls of the function differ: the interval is as much wider on either
    side."""
    scope: str = ""
    distinct: bool = False
    """Whether no two units are the same prompt; files that older versions saved do not say it."""
    thing: str = ""
    """What is credited, by its name, such as head 5.3; "" of a vector, a text and others that have
    no short name, and in files of older versions."""

    unable: str = ""
    """Why `damage` is no test; "" where it is one, and in files of older versions."""
    violations: tuple[str, ...] = ()
    """Of a claim of no effect: the arms that have one, which its author brings."""
    automatic: tuple[str, ...] = ()
    """Of a claim of no effect: the controls that its author does not bring; () in files of older
    versions."""
    left_out: tuple[str, ...] = ()
    """The controls that its author did not want, by name; () in files of older versions."""
    fixed: tuple[str, ...] = ()
    """The columns of prompts of which the claim is only about the values here; () in files of older
    versions."""
    said: str = ""
    """What was changed, where and in which model, if its author says it."""
    measured_in: str = ""
    """The unit of the number, if its author says it."""

    def judged(self, rows: pd.DataFrame) -> Judged:
        """Judge the numbers. Raises: ClaimError, DataError."""
        verdict = self._judged(rows)
        own = rows[rows["arm"] == self.credits]
        known = ("arm", *self.units, *self.fixed, *_numbers(rows))
        # two values are too few to be units: an interval over them says nothing
        if kinds := two_kinds({str(c): own[c] for c in own if c not in known}):
            without = self._judged(rows.drop(columns=kinds))
            same = (without.outcome, without.reason) == (verdict.outcome, verdict.reason)
            verdict = without if same else verdict
        no_tests = self._mirrored(rows) | ({DAMAGE.name: self.unable} if self.unable else {})
        verdict = structs.replace(verdict, idle=self._idle(rows), no_tests=no_tests)
        verdict = untested(verdict)
        says = {k: f"prompt {k} ({text})" for k, text in self.texts(rows).items()}
        warning = rename_unit(verdict.warning, PROMPT, says)
        said = {"text": self.sentence, "measured_in": self.measured_in}
        verdict = structs.replace(verdict, warning=warning, **said)
        verdict = self._with_lead(self._with_own_words(verdict, rows), rows)
        return self.within_reach(verdict, rows)

    def _judged(self, rows: pd.DataFrame) -> Judged:
        """The verdict by the rule alone."""
        named = {c.name for c in parse(self.holds).columns}
        # numbers that the condition does not name are no groups of prompts
        return judge(
            rows.drop(columns=[c for c in _numbers(rows) if c not in named]),
            claim=self.holds,
            unit=self.units,
            control={arm: p.why for arm, p in self.placed.items()},
            violation=self.violations,
            automatic=self.automatic,
            fixed=self.fixed,
            beats=self.beats,
            empty=self.empty,
            bounds=self.bounds,
            noise=self.noise,
            scope="; ".join(filter(None, (self.scope, self.said))),
            copies=False,  # few numbers may lie behind those of many controls, which is no copying
            distinct=self.distinct,
        )

    def _holding(self, columns: Sequence[str]) -> Question:
        """The question with these columns fixed as well."""
        return replace(self, fixed=(*self.fixed, *columns))

    def _with_lead(self, verdict: Judged, rows: pd.DataFrame) -> Judged:
        """The verdict, where a fall is claimed and not found, of a number that is about 0 or below
        without what is credited: undecided if parts are taken out, which then had nothing to carry.
        Else with a note, as what is put in can lower a 0. What is always below 0 has one as well:
        it may be a log-probability."""
        parsed = parse(self.holds)
        stem = parsed.columns[0].name.removesuffix(ENDS[0]).removesuffix(ENDS[1])
        numbers = [f"{stem}{end}" for end in ENDS]
        if {c.name for c in parsed.columns} - {stem, *numbers} or not {*numbers} <= {*rows}:
            return verdict

        def compared(before: float, after: float) -> float:
            by_name = dict(zip((stem, *numbers), (after - before, before, after), strict=True))
            return float(parsed.walk(lambda c: by_name[c.name]))

        fallen = compared(1.0, 0.0)
        falls = compared(1.0, 1.0) == 0 and (fallen > 0 < parsed.low or fallen < 0 > parsed.high)
        by_unit = rows[rows["arm"] == self.credits].groupby(self.units[0])[numbers].mean()
        before = interval({"x": by_unit[numbers[0]].to_numpy()}, mean, draws=1)
        is_open = verdict.outcome in ("fails", "undecided")
        is_credited = verdict.outcome == "holds" and self.credits in TAKEN_OUT
        if not falls or not (is_open or is_credited):
            return verdict
        shown = f"{numbers[0]} is {' '.join(estimate(before.estimate, before.low, before.high))}"
        may_be = _may_be(stem, self.measured_in)
        if (by_unit.max() < 0).all():
            meaning = _meaning_below_0(math.exp(before.estimate), may_be)
            note = f"{shown}, below 0 in every {self.units[0]}: {meaning}"
            return structs.replace(verdict, notes=(*verdict.notes, *[note] * bool(meaning)))
        if not before.low <= 0:
            is_enough = not is_open or parsed.low < compared(before.high, 0.0) < parsed.high
            if is_enough or self.credits not in TAKEN_OUT or math.isnan(before.low):
                return verdict
            if_lead = "if it is a lead, " * (PROBABILITY in may_be)
            note = f"{shown}: {if_lead}the loss of all of it would not satisfy the claim"
        elif self.credits in TAKEN_OUT and is_open and verdict.reason in UNLESS_HOLDS:
            words = f"more prompts do not help: {shown}; choose prompts on which it is above 0"
            return structs.replace(verdict, outcome="undecided", reason=NO_LEAD, price=Price(words))
        else:
            if_lead = "if it is a lead that the change should take away, there was none to lose"
            meaning = if_lead if PROBABILITY in may_be else "there was no lead to lose"
            note = f"{shown}, not clearly above 0: {meaning}"
        return structs.replace(verdict, notes=(*verdict.notes, *[note] * (LEAD in may_be)))

    def texts(self, rows: pd.DataFrame) -> dict[str, str]:
        """The words of each prompt, by its level, shortened; {} where no column has any."""
        own = rows[rows["arm"] == self.credits].set_index(self.units[0])
        texts = [c for c in own if c != "arm" and is_text(own[c])]
        words = ((k, ", ".join(map(str, x))) for k, *x in own[texts].itertuples() if texts)
        return {str(k): shorten(text, 40) for k, text in words}

    def _idle(self, rows: pd.DataFrame) -> tuple[str, ...]:
        """The draws of controls that change no number of any prompt. That the task next to it is
        left as it is, of which `damage` is, excludes that the change damages it as well."""
        stems = [str(c).removesuffix(ENDS[1]) for c in rows if str(c).endswith(ENDS[1])]
        ends = [rows[[f"{s}{end}" for end in reversed(ENDS)]].to_numpy(float).T for s in stems]
        arms = rows["arm"].to_numpy()

        def is_still(arm: str) -> bool:
            of, own = arms == arm, arms == self.credits
            return are_unmoved((*x[:, of], *x[:, own]) for x in ends)

        drawn = (arm for arm, p in self.placed.items() if p.control != DAMAGE.name)
        return tuple(filter(is_still, drawn))

    def _mirrored(self, rows: pd.DataFrame) -> dict[str, str]:
        """The draws of controls with which the numbers of each prompt and those with what is
        credited add up to the same, as do the probabilities of yes and no, and why such a draw is
        no test of an effect, either."""
        names = {c.name for c in parse(self.holds).columns}
        stems = {name.removesuffix(ENDS[0]).removesuffix(ENDS[1]) for name in names}
        columns = sorted(f"{stem}{ENDS[1]}" for stem in stems)
        of = {arm: x[columns].to_numpy(float).T for arm, x in rows.groupby("arm", sort=False)}
        own, arms = of[self.credits], [arm for arm in self.placed if arm != DAMAGE.name]
        mirrored = [arm for arm in arms if all(map(is_mirrored, own.tolist(), of[arm].tolist()))]
        return {
            arm: f"its number and the claim's own add up to {own[0][0] + of[arm][0][0]:.3g} on "
            "every prompt: this is the same measurement, so it is no test"
            for arm in mirrored
        }

    def within_reach(self, judged: Judged, rows: pd.DataFrame) -> Judged:
        """The verdict, undecided where no effect could be in the range, as there is nothing left
        that could fall, or rise: that it did not is then no finding."""
        if self.reach is None:
            return judged
        name = f"{parse(self.holds).columns[0].name}{ENDS[0]}"
        before = float(rows.loc[rows["arm"] == self.credits, name].mean())
        least, most = (end - before for end in self.reach)
        low, high = judged.range
        inside = least <= high and most >= low
        if inside or judged.outcome == "holds" or judged.reason not in (*UNLESS_HOLDS, NO_LEAD):
            return judged
        words = (
            f"more prompts do not help: {name} is {before:.2f}, so an effect can only be from "
            f"{least:.3g} to {most:.3g}; ask about prompts on which it is "
            f"{'higher' if least > high else 'lower'}"
        )
        return structs.replace(
            judged,
            outcome="undecided",
            reason=OUT_OF_REACH,
            price=Price(words),
            detectable=(),
            low=max(judged.low, least),  # what is printed above these words agrees with them
            high=min(judged.high, most),
        )

    def _with_own_words(self, verdict: Judged, rows: pd.DataFrame) -> Judged:
        """The verdict with what would decide it said as `check` takes it, where prompts are groups,
        or two calls differ by too much."""
        name, price, of, words = verdict.reason.removeprefix(GROUPED), verdict.price, "", ""
        if price is None:
            return verdict
        if verdict.reason == UNTESTED and {*verdict.idle} == {*self.placed}:
            it = "ones" if self.credits in TAKEN_OUT else "one"
            text = (
                f"does your function use the {self.credits} that it is given, or always the same "
                f"{it}? If it does use what it is given, {price.text}"
            )
            return structs.replace(verdict, price=structs.replace(price, text=text))
        grouped = name not in (verdict.reason, *WAYS)
        factors = name.split(" × ") if grouped else [*dict.fromkeys(FIXED.findall(price.text))]
        if BOUNDS in price.text:
            bounds = "give bounds=(LOW, HIGH), between which each number of the function lies"
            text = price.text.replace(BOUNDS, bounds)
            return structs.replace(verdict, price=structs.replace(price, text=text))
        if self.noise and "rounding alone" in price.text:
            words = (
                "two calls differ by too much; make the function deterministic, or let it return "
                "the mean of several tries"
            )
        elif verdict.reason == BLIND or verdict.reason.startswith("violation "):
            words = blind_without(verdict.claim)
        elif factors and {*factors} <= {*rows}:  # columns to name
            few = [n for n in factors if rows[n].astype(str).nunique() < FEWEST]
            of = " of the same groups"
            words = f"say unit={_listed(factors)}"
            if few:
                own, named = rows[rows["arm"] == self.credits], " and ".join(few)
                words = f"check the prompts of each value of {named} by itself"
                if all(own[n].nunique() > 2 for n in few):  # two may be all that there are
                    words += f", or give prompts of {FEWEST} or more values of {named}"
                counts = {c: own[c].nunique() for c in own if c not in factors and is_text(own[c])}
                others = (c for c, n in counts.items() if FEWEST <= n <= len(own) / 2)
                only = "if the claim is about these values only"
                if other := next(others, ""):
                    words += f', or say unit="{other}" {only}'
                elif not self._holding(few)._judged(rows).reason.startswith(GROUPED):
                    words += f", or say fixed={_listed(few)} {only}"
        new_price = Price(f"more prompts{of} do not help: {words}") if words else price
        return structs.replace(verdict, price=new_price)


def _listed(names: Sequence[str]) -> str:
    """Write names as an argument has them."""
    several = ", ".join(f'"{name}"' for name in names)
    return f"[{several}]" if names[1:] else several


def satisfied_before(outcome: str, notes: Iterable[str]) -> list[str]:
    """Say of a claim that holds which controls that are left out now satisfied it before."""
    said = (note for note in notes if outcome == "holds" and LEFT_OUT in note)
    return [f"although {note.replace(LEFT_OUT, '')}" for note in said]


def _doubts(outcome: str, notes: Iterable[str]) -> list[str]:
    """Say what notes doubt of a claim that holds or fails, in the words of its first line."""
    of = {"holds": DOUBTS, "fails": {MORE: OTHERS}}.get(outcome, {})
    found = [(re.search(says, note), words) for note in notes for says, words in of.items()]
    doubts = [match.expand(words) for match, words in found if match]
    return doubts + [f"though {words}" for words in _unreached(notes) if of]


def _unreached(notes: Iterable[str]) -> list[str]:
    """Say that half of the prompts or more are unchanged."""
    found = filter(None, map(UNREACHED.match, notes))
    return [m[0][:-1] for m in found if 2 * int(m["some"]) >= int(m["all"])]


class Concluded(Shown):
    """What has a verdict, or none where nothing was claimed, under the names that all have."""

    question: Any
    judged: Judged | None

    @property
    def controls(self) -> Mapping[str, Verdict]:
        """Give the verdict on each control, by name; none without a condition."""
        return self.judged.controls if self.judged else {}

    @property
    def outcome(self) -> str:
        """Give the outcome: holds, fails, unspecific or undecided; "" without a condition."""
        return self.judged.outcome if self.judged else ""

    @property
    def reason(self) -> str:
        """Say why it is unspecific or undecided; "" otherwise."""
        return self.judged.reason_in_words if self.judged else ""

    @property
    def estimate(self) -> float:
        """Give the number that is judged; NaN without a condition."""
        return self.judged.estimate if self.judged else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Give its 95% interval."""
        return self.judged.interval if self.judged else (math.nan, math.nan)

    def number(self, value: float, low: float, high: float) -> str:
        """Write the estimate of a control with its interval, as the table of a study does."""
        edges = self.judged.range if self.judged else ()
        return " ".join(of_control(value, low, high, self.interval, edges))

    @property
    def own_number(self) -> str:
        """Write the estimate of the claim, with its interval or why it has none."""
        number = self.number(self.estimate, *self.interval)
        none = self.judged.no_interval if self.judged else ""
        return f"{number.partition(' [')[0]} ({none})" if none else number

    @property
    def in_unit(self) -> str:
        """Write the unit of the claim's number after a space; "" where it is not known."""
        unit = unit_of(self.judged) if self.judged else ""
        return f" {unit}" if unit else ""

    def level(self, control: str) -> str:
        """Name the level of a control's interval as it is shown, " (80%)", where it is not the one
        of the claim's."""
        level = narrower_level(self.controls[control]) if control in self.controls else ""
        return f" ({level})" if level else ""

    @property
    def judged_narrower(self) -> tuple[str, ...]:
        """Say of which controls the interval shown is the narrower one by which they fail."""
        names = [name for name, v in self.controls.items() if narrower_level(v)]
        if not names:
            return ()
        level = narrower_level(self.controls[names[0]])
        return (
            f"{', '.join(names)}: shown at {level}, the level by which controls are judged; the "
            "interval at 95% reaches into the range of the claim",
        )

    @property
    def caveat(self) -> str:
        """Say which controls the outcome lacks that may change it; "" for none."""
        return ""

    @property
    def reach(self) -> tuple[str, ...]:
        """Say what the verdict is about, and what would decide it where that is open."""
        if self.judged is None:
            return ()
        arm = getattr(self.question, "thing", "") or self.judged.arm
        remedy = structs.replace(self.judged, arm=arm).remedy[0]
        remedies = [remedy] * bool(remedy and self.reason == self.judged.reason_in_words)
        return (f"scope: {self.judged.scope}", *remedies)


@dataclass(frozen=True, eq=False)
class Check(Concluded):
    """The verdict of `assay.check`, with its numbers and controls.

    Example:
        >>> import assay
        >>> def length(text, prompts):
        ...     return [len(p) * (2 if text == "be loud" else 1) for p in prompts]
        >>> prompts = ["x" * n for n in (5, 11, 2, 8, 12, 1, 9, 4, 7, 3, 10, 6)]
        >>> v = assay.check("It doubles", length, prompts=prompts, holds="effect > 3",
        ...                 text="be loud", cache=False)
        >>> v.outcome, v.estimate, v.draws("words")
        ('holds', 6.5, 4)
    """

    question: Question
    rows: pd.DataFrame
    """The numbers: a row for each arm and prompt."""
    judged: Judged
    """The verdict with that of every draw of every control."""
    notes: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    """The function's name, source and fingerprint, and versions."""

    @property
    def controls(self) -> dict[str, Verdict]:
        """Give the verdict on each control, by name: of several draws, the one that comes closest
        to the claim."""
        strongest: dict[str, Verdict] = {}
        for arm, verdict in self.judged.controls.items():
            name = self.question.placed[arm].control
            if name not in strongest or self._nearness(verdict) > self._nearness(strongest[name]):
                strongest[name] = verdict
        return strongest

    def _nearness(self, verdict: Verdict) -> tuple[bool, float]:
        """Whether it satisfies the claim, and then how far it goes towards or beyond it."""
        low, high = self.judged.range
        if math.isinf(high):
            beyond = verdict.estimate
        elif math.isinf(low):
            beyond = -verdict.estimate
        else:
            beyond = -abs(verdict.estimate - (low + high) / 2)
        return verdict.outcome == "holds", beyond

    def draws(self, control: str) -> int:
        """Count the draws of a control."""
        return len(_draws(self, control))

    def to_pandas(self) -> pd.DataFrame:
        """Give a row for what is claimed and for each draw of each control: outcome, estimate,
        interval, units, and what the control would explain."""
        table = self.judged.to_pandas().drop(columns=["claim", "role", "unit"])
        placed = [self.question.placed.get(arm) for arm in table["arm"]]
        table.insert(1, "control", [p.control if p else "" for p in placed])
        return table.assign(why=[in_words(p.why) if p else "" for p in placed])

    def __repr__(self) -> str:
        j, q, condition = self.judged, self.question, _with_changes(self)
        n = " × ".join(counted(count, unit) for unit, count in j.n.items())
        n += f", over {j.over}" if j.over else ""
        why = f" ({self.reason})" if self.reason else ""
        unless = f", unless {j.unless}" if j.unless else ""
        outcome = ", ".join(filter(None, (f"{self.outcome}{why}{unless}", self.caveat)))
        number = f"{condition}: {self.own_number}{self.in_unit}, {n}{self.base_rates}"
        lines = [f"{outcome}: {q.sentence}", number]
        return printed(self, lines, [HEADS, *map(self.row, self.controls)])

    @property
    def caveat(self) -> str:
        """Say what else may be the cause of an effect, and which controls that may change the
        outcome the author left out; "" for none."""
        before = satisfied_before(self.outcome, self.notes)
        out = self.question.left_out if self.outcome in ("holds", "undecided") else ()
        names = [name for name in out if f"control {name} " not in " ".join(before)]
        unless = _doubts(self.outcome, self.notes)
        without = f"without the {plural('control', len(names))} {listed(names)}"
        return ", ".join([*before, *unless, *[without] * bool(names)])

    @property
    def reason(self) -> str:
        """Say why it is unspecific or undecided, above all that the function may be wrong."""
        found = [*_unreached(self.notes), *(CALL for note in self.notes if MORE in note)]
        return " and ".join(found) * (self.outcome == "undecided") or super().reason

    @property
    def base_rates(self) -> str:
        """Say what the number is without the thing and with it; "" where a condition has several
        numbers."""
        names = {c.name for c in parse(self.question.holds).columns}
        stems = {name.removesuffix("_after").removesuffix("_before") for name in names}
        own_rows = self.rows[self.rows["arm"] == self.question.credits]
        if len(stems) != 1 or not {f"{(stem := min(stems))}{end}" for end in ENDS} <= {*own_rows}:
            return ""
        without, with_it = (float(own_rows[f"{stem}{end}"].mean()) for end in ENDS)
        return "; before {}, after {}".format(*told_apart(without, with_it))

    @property
    def remarks(self) -> tuple[str, ...]:
        """List what a reader should know next to the number: what makes its interval doubtful, and
        what was done and left out."""
        idle = [f"control {name} {IDLE}" for name in self.idle]
        others = (name for name in self.controls if name not in self.idle)
        idle += [f"control {name}: {why}" for name in others if (why := self.no_test(name))]
        judged_notes = (*self.judged.warnings, *self.judged.notes, *self.judged_narrower)
        elsewhere = self._either_way or self._elsewhere or self._lead
        return by_weight((*judged_notes, *idle, *elsewhere, *self.notes))

    @property
    def _either_way(self) -> tuple[str, ...]:
        """Say that a vector and its opposite have much the same effect, as what breaks a model
        has."""
        opposite, own = self.controls.get(OPPOSITE.name), self.judged
        if opposite is None or not is_effect(parse(self.question.holds)):
            return ()
        below = max(opposite.high, own.high) < 0 and opposite.estimate < ALIKE * own.estimate
        above = min(opposite.low, own.low) > 0 and opposite.estimate > ALIKE * own.estimate
        numbers = " and ".join(told_apart(own.estimate, opposite.estimate))
        return (
            f"the vector and its opposite move the number the same way ({numbers}): the vector may "
            "be so long that it breaks the model; try a smaller strength",
        ) * (below or above)

    @property
    def _elsewhere(self) -> tuple[str, ...]:
        """Say what it means that controls satisfy a claim that fails, unless it is that there is
        no effect."""
        low, high = self.judged.range
        held = [name for name, v in self.controls.items() if v.outcome == "holds"]
        names = [name for name in held if name != DAMAGE.name]
        if self.outcome != "fails" or low < 0 < high or not names:
            return ()
        satisfy, kind = "satisfy" if names[1:] else "satisfies", self.question.credits
        these = "these" if kind.endswith("s") else "this"
        return (
            f"{plural('control', len(names))} {listed(names)} {satisfy} the claim, which fails: "
            f"the effect can be had here, but not with {these} {kind}",
        )

    @property
    def _lead(self) -> tuple[str, ...]:
        """Say by how much the claim's number is ahead of the closest control that satisfies it, and
        how that is claimed of new prompts."""
        low, high = self.judged.range
        upward, parsed = math.isfinite(low), parse(self.question.holds)
        name, plain = parsed.columns[0].name, parsed.plain
        if effect := EFFECT.fullmatch(parsed.quantity):
            name, plain = effect[1], True
        held = {
            arm: v.contrast
            for arm, v in self.judged.controls.items()
            if v.outcome == "holds" and v.contrast
        }
        one_sided = upward != math.isfinite(high)
        if self.outcome != "unspecific" or not held or not one_sided:
            return ()
        arm, ahead = min(held.items(), key=lambda x: x[1].estimate * (1 if upward else -1))
        number = " ".join(estimate(ahead.estimate, ahead.low, ahead.high))
        end = ahead.low if upward else ahead.high
        modest = end + SAFE * (end - ahead.estimate)
        said = f"the {self.question.credits} minus control {arm}: {number}"
        is_ahead = modest > 0 if upward else modest < 0
        is_ahead &= abs(modest) >= MODEST * abs(low if upward else high)
        if not (is_ahead and plain) or arm == DAMAGE.name or name.endswith(ENDS[0]):
            return (said,)
        step = 10.0 ** (math.floor(math.log10(abs(modest))) - 1)
        edge = f"{'>' if upward else '<'} {math.trunc(modest / step) * step:.2g}"
        condition = f"{name.removesuffix(ENDS[1])} {edge}"
        return (
            f"{said}. To claim this difference, call assay.check in Python with such a control as "
            f'none=, in place of None, and test holds="{condition}" on new prompts',
        )

    def no_test(self, control: str) -> str:
        """Say why a control is no test, or "": each of its draws changes nothing, or is the
        claim's own measurement."""
        whys = [self.judged.no_test(a) for a in _draws(self, control)]
        return whys[0] if all(whys) else ""

    @cached_property
    def idle(self) -> tuple[str, ...]:
        """Name the controls of which no draw changes any number of any prompt."""
        moving = {p.control for a, p in self.question.placed.items() if a not in self.judged.idle}
        return tuple(name for name in self.controls if name not in moving)

    def numbers(self, control: str) -> tuple[float, float, float]:
        """Give a control's estimate and interval as they are shown: 0 where it changes nothing."""
        v = self.controls[control]
        nothing = control in self.idle and abs(v.estimate) <= NOTHING * abs(self.estimate)
        low, high = v.shown
        return (0.0, 0.0, 0.0) if nothing else (v.estimate, low, high)

    def row(self, control: str) -> tuple[str, str, str, str, str]:
        """Give a control's name, its draws, its number, whether it fails, as it should, and what
        it would explain."""
        v = self.controls[control]
        arms = _draws(self, control)
        why, draws, satisfies = self.question.placed[arms[0]].why, len(arms), CONTROL[v.outcome]
        if v.outcome == "holds" and draws > 1:
            some = [a for a in arms if self.judged.controls[a].outcome == "holds"]
            names = ", ".join(a for a in some[:3] if not a.startswith(control))
            satisfies += f", {len(some)} of {draws}{f': {names}' if names else ''}"
        elif draws > 1 and not v.arm.startswith(control) and len(v.arm) < SHORT:
            satisfies += f" (strongest: {v.arm})"
        satisfies = NO_TEST if self.no_test(control) else satisfies
        numbers = self.number(*self.numbers(control)) + self.level(control)
        return control, str(draws), numbers, satisfies, in_words(why)

    def save(self, path: str | Path) -> Path:
        """Write it as one file: the question, the numbers and the verdict, which `Check.load`
        judges again.

        Args:
            path: such as "refusal.assay"; a zip archive.
        """
        placed = {arm: vars(p) for arm, p in self.question.placed.items()}
        content = {
            "question": {**vars(self.question), "placed": placed},
            "notes": list(self.notes),
            "about": dict(self.about),
            "verdict": self.judged.to_json(),
        }
        return saved.write(path, content, self.rows, repr(self))

    @classmethod
    def load(cls, path: str | Path) -> Check:
        """Read a saved check, and judge its numbers again.

        Args:
            path: that `save` wrote.
        Raises: DataError for another file, and where the verdict on its numbers is not the one that
            it states.
        """
        content, rows = saved.read(path := Path(path))
        if saved.PROBE in content:
            raise DataError(f"{path} has the verdict on a probe: assay.ProbeCheck.load reads it")
        try:
            q = content["question"]
            q["placed"] = {arm: Placed(**p) for arm, p in q["placed"].items()}
            q |= {"units": tuple(q["units"])}
            q |= {k: tuple(q.get(k, ())) for k in ("left_out", "fixed", "automatic")}
            q |= {k: q.get(k) and tuple(q[k]) for k in ("bounds", "reach")}
            question = Question(**q)
            stated = content["verdict"]["outcome"]
        except (KeyError, TypeError, ValueError) as e:
            raise saved.wrong(path, e) from e
        judged = question.judged(rows)
        saved.refuse_changed(path, stated, judged.outcome)
        return cls(question, rows, judged, tuple(content["notes"]), content["about"])


def _numbers(rows: pd.DataFrame) -> list[str]:
    """Name the columns of what a function gave: each effect, and its two parts."""
    stems = {str(c).removesuffix(ENDS[1]) for c in rows if str(c).endswith(ENDS[1])}
    return [c for c in rows if c in {f"{stem}{end}" for stem in stems for end in ("", *ENDS)}]


def _draws(of: Check, control: str) -> list[str]:
    """Name the draws of a control; of a claim of no effect, those that have one."""
    return [a for a in of.judged.controls if of.question.placed[a].control == control]


def blind_without(claim: Claim) -> str:
    """What shows that a claim of no effect is not true of everything."""
    return (
        'give controls={"known": thing}, a thing with an effect '
        f"{small_effects(claim)}, to show that an effect would be found"
    )


def is_effect(parsed: Parsed) -> bool:
    """Whether a condition is about what a change adds, which is 0 where nothing changes."""
    stems = [
        *dict.fromkeys(c.name.removesuffix(ENDS[0]).removesuffix(ENDS[1]) for c in parsed.columns)
    ]
    for step in (0, 1):  # numbers that are equal may have a difference that is divided by
        by_name = {f"{stem}{end}": 1.0 + step * k for k, stem in enumerate(stems) for end in ENDS}
        with contextlib.suppress(ZeroDivisionError):
            return bool(parsed.walk(lambda c, x=by_name: x.get(c.name, 0.0)) == 0)  # type: ignore[misc]
    return False


def changes(of: Check) -> list[str]:
    """Name the numbers that the condition has by themselves, by which it means their changes."""
    each = dict.fromkeys(c.name for c in parse(of.question.holds).columns)
    each.pop(calls.EFFECT, None)  # which says so
    return [n for n in each if f"{n}{ENDS[1]}" in of.rows and not n.endswith(ENDS)]


def _with_changes(of: Check) -> str:
    """Write the condition with "change in" before the numbers that are changes."""
    names, holds = "|".join(changes(of)), of.question.holds
    return re.sub(rf"\b({names})\b", r"change in \1", holds) if names else holds


def _may_be(name: str, measured_in: str) -> set[str]:
    """Tell from its name, or else its unit, whether a number may be a lead, a log-probability, or
    either."""
    words = words_in(name)
    if words & LOSSES:
        return set()
    if words & LEADS:
        return {LEAD}
    is_logged = LOGGED.search(f"{name} {measured_in}".casefold())
    return {PROBABILITY} if is_logged else {LEAD, PROBABILITY}


def _meaning_below_0(chance: float, may_be: set[str]) -> str:
    """Say what it means that a number is below 0 on every prompt, which is usual of the logarithm
    of a probability, whose mean gives this `chance`; "" for nothing."""
    guess = f"the probability is {chance:.2g}, perhaps no more than that of a guess"
    guess *= PROBABILITY in may_be and chance < GUESS
    if may_be == {LEAD}:
        return "the unchanged model has no lead to lose"
    if LEAD not in may_be or chance >= EVEN:
        return guess
    lead = "if it is a lead, and no log-probability, the unchanged model has no lead"
    return f"{lead}; if it is a log-probability, {guess}" if guess else lead


def sides(holds: str) -> tuple[bool, bool]:
    """Tell whether a condition has a lower edge, and whether it has an upper one."""
    parsed = parse(holds)
    return math.isfinite(parsed.low), math.isfinite(parsed.high)


def printed(of: Any, lines: Iterable[str], table: Sequence[Sequence[str]], below: str = "") -> str:
    """Write the first lines of a verdict, what would decide it, its table with a line below it,
    notes and scope."""
    scope, *remedies = of.reach
    first = [*lines, *wrapped((), remedies), "", *aligned(table), *wrapped((), [below]), ""]
    return "\n".join([*first, *wrapped(of.remarks, [scope])])


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Lay out rows as lines of columns. The last column is wrapped where a line would be longer
    than a terminal is wide, and starts a new line where there is hardly room for it."""
    width = _width()
    *columns, _ = zip(*table, strict=True)
    widths = [max(map(len, column)) for column in columns]
    start, lines = sum(widths) + len(GAP) * len(widths), list[str]()
    if start + LEAST > width:
        for *cells, words in table:
            lines.append(GAP.join(map(str.ljust, cells, widths)).rstrip())
            lines += [2 * GAP + line for line in wrap(words, width - 2 * len(GAP))]
        return lines
    for *cells, words in table:
        first = GAP.join([*map(str.ljust, cells, widths), ""])
        broken = wrap(words, width - start, break_long_words=False) or [""]
        blanks = [" " * start] * (len(broken) - 1)
        lines += [(x + y).rstrip() for x, y in zip([first, *blanks], broken, strict=True)]
    return lines


def wrapped(notes: Iterable[str], reach: Iterable[str]) -> list[str]:
    """The lines below a table, in its width."""
    whole: Any = {"break_long_words": False, "break_on_hyphens": False, "subsequent_indent": "  "}
    lines = [*(f"note: {note}" for note in notes), *reach]
    return [part for line in lines for part in wrap(line, _width(), **whole)]


def _width() -> int:
    return max(shutil.get_terminal_size((WIDTH, 0)).columns, 2 * LEAST)
