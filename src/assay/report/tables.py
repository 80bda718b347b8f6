"""Tables of verdicts, for terminal, plain text and Markdown; the rows that pages and
LaTeX set as well.

Everything here takes a result as it is kept (`ResultData`), so a stored one needs nothing else to
be shown."""

from __future__ import annotations

import itertools
import math
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO

from assay.ask.levels import called, located
from assay.ask.near import satisfies
from assay.core import reasons
from assay.core.digits import estimate, is_known, number, of_control
from assay.core.errors import ClaimError
from assay.core.nouns import counted, plural
from assay.core.plain import plain, plain_all
from assay.core.results import (
    Estimated,
    Judged,
    Other,
    ResultData,
    Verdict,
    Verified,
    narrower_level,
    signed,
    unit_of,
)
from assay.report.noted import DOUBT, OF_CLAIMS, doubts

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from assay.core.results import Curve

SIGNS = {
    "holds": "●",
    "fails": "✕",
    "unspecific": "◐",
    "undecided": "○",
    "exact": "≡",
    "violated": "≢",
    "finding": "–",
}
"""Outcome → its sign; never colour alone."""
CHECKS = {True: "✓", False: "!", None: "?"}
"""Whether an arm came out as it has to → its sign; a control ✓ does not satisfy the claim."""
CHECKS_FOUND = {True: "found, as it should be", False: "not found", None: "undecided"}
"""What a sign next to a planted effect says."""
CHECK_WORDS = {True: "does not satisfy the claim", False: "satisfies it", None: "undecided"}
"""What a sign next to a control says, where all signs of a column are explained."""
ROLES = {"near": "control", "control": "control"}
ROLES |= {"planted": "planted effect", "violation": "planted violation"}
"""What an arm is called by its role; one that is not asked by the claim is called by its name."""
SIDES = {">": "above", ">=": "at least", "<": "below", "<=": "at most"}
AGAIN = re.compile(
    r"(?:it|the same \w+) was judged (?:(earlier|later), in (\S+)|.*?)"
    r"(?: \((\w+)\): (.*)|: ([\w, ]+))"
)
"""A line on another verdict on the same claim."""
PLACED = re.compile(r"the control (.+?) makes the change in (blocks? \d[\d, to]*)(?=: [\da]|$)")
"""A note on the blocks in which a control makes the change, at whatever level."""
AT_TOKEN = re.compile(
    r"the control (.+?) makes the change (\d+ tokens? (?:later|earlier), such as at .+?) \(token"
)
"""A note on the tokens at which a control makes the change, at whatever level."""
STYLES = {
    "holds": "green",
    "fails": "red",
    "unspecific": "yellow",
    "undecided": "bright_black",
    "violated": "red",
    "doubted": "magenta",
}
OUTCOMES = ("holds", "fails", "unspecific", "undecided")
ONLY_EXACT = (
    "Exact statements only: nothing here could have come out otherwise but by a mistake of the "
    "program."
)
"""The sentence about a result that judges no claim."""
SMOKE = "smoke"
"""The preset of every experiment that only checks that everything works."""
WIDTH = 100
LEVELS = 16
"""So many levels of a curve are listed; of more, as many, evenly spaced."""
Statement = Judged | Verified | Estimated


@dataclass(frozen=True)
class Control:
    """One line of the control column: a control (which must fail), a planted effect (which must
    hold), or another arm that holds."""

    arm: str
    outcome: str
    estimate: str
    interval: str
    role: str
    """near, control, planted, violation, also (excused by the author), true (not named, which
    changes nothing) or unnamed (which makes a claim unspecific)."""
    off: float = math.inf
    """How far the estimate of a control lies from the range to hold; below 0 within it."""
    level: str = ""
    """Of a control that fails though its interval reaches into the range to hold: the level of the
    narrower one by which it does, "80%"."""
    explains: str = ""
    """Of a near control that satisfies the claim: what it would explain; of a control with the
    claim's own numbers, that it has them."""
    no_test: bool = False
    """Whether it is the claim's own measurement, mirrored."""
    few: str = ""
    """Of a control whose interval shows how it comes out, though it has too few units for a
    verdict: "15 pairs; a verdict needs 20"."""
    place: str = ""
    """Where it makes the change, if that is at another layer, or at another token and it satisfies
    the claim: "blocks 13, 14, 29", "1 token later, such as at ' is'"; or "in place of gated"."""
    behind: str = ""
    """The arm of a claim that fails, if this control comes clearly closer to satisfying it."""
    too: str = " too"
    """What follows "satisfies the claim"; "" where the claim's own arm does not satisfy it."""

    @property
    def named(self) -> str:
        """Its name, with its place: "no_mlp/layer (blocks 13, 14, 29)"."""
        return f"{self.arm} ({self.place})" if self.place else self.arm

    @property
    def met(self) -> bool | None:
        """Whether it came out as it has to, or may; None where that is undecided, or no test."""
        if self.outcome == "undecided" or self.no_test:
            return None
        return self.role != "unnamed" and (self.outcome == "holds") == (
            self.role in ("planted", "also", "true")
        )

    @property
    def line(self) -> str:
        """The whole of it in a terminal: "control x -0.14: does not satisfy the claim"."""
        if (kind := ROLES.get(self.role)) is None:
            may = "may satisfy" if self.role == "also" else "satisfies"
            return f"{self.arm} {self.numbers}: {may} the claim{self.too}"
        if kind != "control":
            came = CHECKS_FOUND[self.met]
        elif self.no_test or self.met is False:
            came = self.explains if self._says_it else self.state
        else:
            came = CHECK_WORDS[self.met] + self._judged_by
            came += f", but comes clearly closer than {self.behind}" * bool(self.behind)
        return f"{kind} {self.named} {self.numbers}: {came}" + f" ({self.few})" * bool(self.few)

    @property
    def _says_it(self) -> bool:
        """Whether what it explains also says that it satisfies the claim."""
        return self.state == "satisfies the claim" and "the claim" in self.explains

    @property
    def explanation(self) -> str:
        """What its line leaves open of what it explains."""
        return f"{self.arm}: {self.explains}" if self.explains and not self._says_it else ""

    @property
    def remark(self) -> str:
        """What is printed next to it; nothing of a control whose sign says how it came out."""
        must = {
            "planted": "must hold",
            "violation": "planted violation",
            "also": "may hold too",
            "true": "also true of",
            "unnamed": f"satisfies the claim{self.too}",
        }.get(self.role, "")
        if self.role == "planted" and self.met is not None:
            return f"{must}, and does{'' if self.met else ' not'}"
        is_open = self.no_test or (self.role in ("planted", "violation") and not self.met)
        return ", ".join(filter(None, (must, self.state if is_open else "")))

    @property
    def satisfies(self) -> str:
        """Whether it satisfies the claim, in capitals where it should not."""
        words = {"holds": "yes", "fails": "no"}.get(self.outcome, self.outcome)
        words = reasons.NO_TEST if self.no_test else words.upper() if self.met is False else words
        return f"{words} ({self.few})" if self.few else words

    @property
    def state(self) -> str:
        """How it came out, in a word; by which interval, if that is not the one that is printed."""
        if self.no_test:
            return reasons.NO_TEST
        if self.outcome == "fails" and self.level:
            return f"{CHECK_WORDS[True]}{self._judged_by}"
        if self.outcome != "holds" or self.role == "planted":
            return f"{self.outcome} at {self.level}" if self.level else self.outcome
        return "satisfies the claim"

    @property
    def _judged_by(self) -> str:
        """By which interval it was judged, if that is not the one that is printed."""
        return f" (controls are judged by their {self.level} intervals)" if self.level else ""

    @property
    def sign(self) -> str:
        """✓ where it came out as it has to; ! where not, ? where that is undecided, – of no test:
        no sign of an outcome, which claims have.

        No sign where it may hold: ✓ next to an arm that passes would say the opposite of ✓ next
        to a control."""
        if self.no_test:
            return SIGNS["finding"]
        return "" if self.role in ("also", "true") else CHECKS[self.met]

    @property
    def numbers(self) -> str:
        """Its estimate; with the interval where that reaches into the range to hold."""
        has_interval = self.interval and (self.met is None or self.level)
        return f"{self.estimate} {self.interval}" if has_interval else self.estimate


@dataclass(frozen=True)
class Row:
    """One statement as every table shows it, already in words."""

    outcome: str
    text: str
    why: str
    estimate: str
    interval: str
    unit: str
    n: str
    published: str
    setup: str
    controls: tuple[Control, ...]
    kind: str = ""
    command: str = ""
    """What to type after `assay` to decide it; "" where no command does."""
    agreed: str = ""
    """Where its interval comes from, if its units agree."""
    threshold: str = ""
    """What it takes to hold, as "holds if ≥ 0.5 share of features"; "" where the text itself is the
    threshold, or there is none."""
    quantity: str = ""
    """Of a claim what is compared, as its condition has it: "main.right"; "" where it is code."""
    range: str = ""
    """Where that has to lie for the claim to hold, in words: "above 3 nats"."""
    curve: tuple[str, ...] = ()
    """Of a curve: a line for each level with its part of the band."""
    found: str = ""
    """Of a curve or a scan: where it crosses, or is highest and lowest, in words."""
    now: str = ""
    """The outcome that a contest of the claim's record turned it to; "" where none did."""
    again: str = ""
    """How else the same claim came out in other looks, as `again` has it."""
    doubt: str = ""
    """The first note that doubts the number."""
    bears: str = ""
    """Of its reasons those that bear on the verdict and that no listed control shows: not the
    power, and not which or how many arms satisfy it too."""
    remarks: tuple[str, ...] = ()
    """What makes its interval doubtful, each by itself, the shortest first."""
    sides: str = ""
    """What the arms that it compares have, or the unchanged model: "main.right 0.56"."""
    brief: str = ""
    """For an undecided claim the reason alone, which is all that a smoke run has to say about
    it."""
    unless: str = ""
    """What the outcome depends on, as `Judged` has it."""

    @property
    def headline(self) -> str:
        """The outcome, with what it depends on, and whether any control could have changed it:
        "holds, unless the 20 prompts are …", "holds, but none of its controls is a test"."""
        if self.unless or self.outcome != "holds":
            return f"{self.outcome}, unless {self.unless}" if self.unless else self.outcome
        tests = {not c.no_test for c in self.controls if ROLES.get(c.role) == "control"}
        return "holds, but none of its controls is a test" if tests == {False} else "holds"

    @property
    def doubted(self) -> bool:
        """Whether a note doubts the number, or what follows the outcome limits it."""
        return bool(self.doubt) or (self.outcome == "holds" and self.headline != "holds")

    @property
    def look(self) -> str:
        """What a page and a terminal draw it as: its outcome, or "doubted"."""
        return "doubted" if self.doubted else self.outcome

    def marked(self, words: str) -> str:
        """Words that begin with its outcome, with the sign of a doubt after it: "holds ※, unless
        the 20 prompts are …"."""
        rest = words.removeprefix(self.outcome)
        return f"{self.outcome} {DOUBT}{rest}" if self.doubted else words

    @property
    def says_it(self) -> bool:
        """Whether its text says what it takes to hold, as that of a table does."""
        from assay.core.expression import parse

        with suppress(ClaimError):
            return bool(self.quantity) and parse(self.text).quantity == self.quantity
        return False

    @property
    def checked(self) -> tuple[Control, ...]:
        """The arms that bear on the verdict: controls, planted effects, and those that hold though
        the author did not say they might."""
        return tuple(c for c in self.controls if c.role not in ("also", "true"))

    @property
    def decisive(self) -> tuple[Control, ...]:
        """The arms to know of: every one that did not come out as it should; but of the controls
        that satisfy the claim the strongest, and of those that do not the one that came closest and
        those that came clearly closer than what is claimed."""
        made = [c for c in self.checked if c.role in ("near", "control")]
        alike = [[c for c in made if c.met is met] for met in (False, True)]
        strongest = [min(group, key=lambda c: c.off) for group in alike if group]
        strongest += [c for c in alike[1] if c.behind]
        candidates = [c for c in self.checked if c.met is True or c in alike[0]]
        return tuple(c for c in self.checked if c in strongest or c not in candidates)

    @property
    def others(self) -> tuple[str, ...]:
        """How many arms came out in which way that are not among these, in words."""
        others = [c for c in self.checked if c not in self.decisive]
        met = [c for c in others if c.met]
        count, words = len(others) - len(met), list[str]()
        if count:
            it = "it too" if others[0].too else "the claim"
            words.append(f"{count} other control{'s satisfy' if count > 1 else ' satisfies'} {it}")
        if met:
            s, do = ("s", "do") if len(met) > 1 else ("", "does")
            came = f"control{s} {do} not satisfy the claim either"
            if any(c.role not in ("near", "control") for c in met):
                came = f"check{s} came out as planned"
            words.append(f"{len(met)} other {came}")
        return tuple(words)

    @property
    def advice(self) -> str:
        """Why, with the command: for pages; a terminal has the command on a line of its own."""
        command = f"next: assay {self.command}" if self.command else ""
        return "; ".join(filter(None, (self.why, *self.remarks, command)))

    @property
    def sign(self) -> str:
        """The outcome's sign."""
        return SIGNS.get(self.outcome, "–")

    @property
    def came_out(self) -> str:
        """The outcome with its sign, and what it was turned to: "● holds → ◐ by challenge"."""
        contested = f" → {SIGNS[self.now]} by challenge" if self.now else ""
        return f"{self.sign} {self.marked(self.headline)}{contested}"


def checked(rows: Iterable[Row]) -> str:
    """What the signs of the controls of these rows mean, each that occurs there; "" for none."""
    met = {c.met for r in rows for c in r.checked if ROLES.get(c.role) == "control"}
    words = [f"{CHECKS[k]} {words}" for k, words in CHECK_WORDS.items() if k in met]
    return f"Controls: {', '.join(words)}." if words else ""


def minus(words: str) -> str:
    """Put true minus signs before numbers, ≥ and ≤: for pages; terminals and files keep what can be
    typed."""
    words = re.sub(r"(?<![\w.])-(?=\.?\d)|(?<=e)-(?=\d)", "−", words)
    return words.replace(">=", "≥").replace("<=", "≤")


def estimate_of(
    numbers: Verdict | Other | Estimated, claim: Judged | None = None
) -> tuple[str, str]:
    """Estimate and interval of an arm as text, of a level by its name; of an arm that satisfies a
    claim as well, by the ranges of that claim."""
    about = claim or numbers
    if not isinstance(about, Other) and about.level_of and math.isfinite(numbers.estimate):
        name, alone = about.level_of, numbers.low == numbers.high == numbers.estimate
        level = f"{name} {numbers.estimate:g}"
        return level, f"[no other {name}]" if alone else f"[{numbers.low:g}, {numbers.high:g}]"
    thresholds = (*about.range, *about.fail_range) if isinstance(about, Verdict) else ()
    ends = limits(numbers, claim)
    value, interval = estimate(numbers.estimate, *ends, thresholds)
    if isinstance(numbers, Judged) and numbers.no_interval:
        return value, f"({numbers.no_interval})"
    if isinstance(about, Other) or about.never is None:
        return value, interval
    if numbers.estimate == about.never:
        return f"{value} (never)", interval
    marked = (f"{x:g}{' (never)' * (x == about.never)}" for x in ends)
    return value, f"[{', '.join(marked)}]" if about.never in ends else interval


def limits(
    numbers: Verdict | Other | Estimated, claim: Judged | None = None
) -> tuple[float, float]:
    """Give the interval as it is printed, of a control the one by which it fails: cut off at the
    least and the greatest possible number, unless the estimate lies beyond."""
    low, high = numbers.shown if isinstance(numbers, Verdict) else (numbers.low, numbers.high)
    least, greatest = _ends(claim or numbers) or (-math.inf, math.inf)
    if not (is_known(low) and is_known(high)) or not least <= numbers.estimate <= greatest:
        return low, high
    return max(low, least), min(high, greatest)


def _ends(about: Verdict | Other | Estimated) -> tuple[float, ...] | None:
    """The least and the greatest number that a mean over units can be: the natural ones, or the
    bounds of a unit; None where they are not known."""
    if isinstance(about, Other):
        return None
    bounds: tuple[float, ...] | None = getattr(getattr(about, "claim", None), "bounds", None)
    return about.natural or bounds


def clipped(s: Verdict | Estimated) -> str:
    """Say that an interval is cut off where numbers end, and how many units may have other numbers
    than these; "" where it is not.

    Formula: 1 − .025^(1/n) of all units at most, of which none is among n
    """
    from assay.core.intervals import FOLD

    known = is_known(s.low) and is_known(s.high)
    if not known or _ends(s) is None or limits(s) == (s.low, s.high):
        return ""
    factor, n = min(s.n.items(), key=lambda item: item[1])
    of_all = f"up to {1 - 0.025 ** (1 / n):.0%} of all {plural(factor, 2)} have other numbers"
    more = "" if factor == FOLD else f"; these {n} do not exclude that {of_all}"  # no sample
    return f"the interval is clipped at the bounds of the measure{more}"


def units(n: Mapping[str, int], over: str = "") -> str:
    """How many independent units of each factor: "6 seeds × 49 documents"; and the groups of them
    that an interval allows for."""
    words = " × ".join(counted(count, name) for name, count in n.items())
    return f"{words}, over {over}" if over else words


def rows(data: ResultData, turned: Mapping[str, str] = MappingProxyType({})) -> list[Row]:
    """All statements of a result in reading order: claims, then exact ones, then estimates.

    `turned` has the outcome now of claims that contests of the record turned, by their texts; one
    that does not hold here was not theirs to turn."""
    blocks, tokens = (
        {m[1]: m[2] for m in map(note.search, data.notes) if m} for note in (PLACED, AT_TOKEN)
    )

    def placed(r: Row) -> Row:
        places = (
            blocks.get(c.arm) or tokens.get(c.arm, "") * (c.met is False) or c.place
            for c in r.controls
        )
        made = (replace(c, place=x) for c, x in zip(r.controls, places, strict=True))
        return replace(r, controls=tuple(made))

    every = [placed(row(s)) for s in data.statements]
    now = (turned.get(r.text, "") if r.outcome == "holds" else "" for r in every)
    looks = (again(r.outcome, data.changed, r.text) for r in every)
    first = [OF_CLAIMS.sub("", "".join(of[:1])) for of in doubts(data)] + [""] * len(every)
    return [
        replace(r, now=x, again=y, doubt=z)
        for r, x, y, z in zip(every, now, looks, first, strict=False)
    ]


def claims(data: ResultData) -> list[Row]:
    """The claims alone."""
    return rows(data)[: len(data.verdicts)]


def again(outcome: str, lines: Iterable[str], text: str = "") -> str:
    """How else the same claim came out in other looks and studies, by the lines on them: "undecided
    in an earlier look"; "" for no other outcome. Lines of a study end with the claim's text."""
    looks = dict[str, dict[str, None]]()
    for m in map(AGAIN.fullmatch, lines):
        if m and (m[4] or "") == text:
            where = f"in the study {m[2]}, judged {m[1]}" if m[2] else "in an earlier look"
            looks.setdefault(where, {}).update(dict.fromkeys((m[3] or m[5]).split(", ")))
    others = {where: [x for x in ends if x != outcome] for where, ends in looks.items()}
    return "; ".join(f"{' and '.join(ends)} {where}" for where, ends in others.items() if ends)


def row(s: Statement) -> Row:
    """A statement as tables show it."""
    if isinstance(s, Verified):
        value, interval = _exact(s)
        return Row(s.outcome, s.text, "", value, interval, _unit(s), "", "", "", (), s.kind)
    on = literature(s)
    if isinstance(s, Estimated):
        value, interval = estimate_of(s)
        if s.curve:
            shape = "heat map" if len(s.curve.dims) == 2 else "curve"
            value, interval = f"a {shape} over {' and '.join(s.curve.dims)}", ""
        words = "; ".join(filter(None, (_diverged(s), clipped(s))))
        finding = Row("finding", s.text, words, value, interval, _unit(s), units(s.n), *on, ())
        finding = replace(finding, kind=s.kind, curve=curve_lines(s), found=_found(s))
        return replace(finding, sides=_sides(s.sides))
    controls = tuple(control(role, arm, v, s) for role, arm, v in s.arms())
    remarks = filter(None, (_diverged(s), *clipped(s).split("; "), *s.warnings))
    value, interval = estimate_of(s)
    judged = Row(s.outcome, s.text, why(s), value, interval, _unit(s), units(s.n, s.over), *on, ())
    return replace(
        judged,
        controls=controls,
        kind=_kind(s),
        command=s.remedy[1],
        agreed=agreed(s),
        threshold=holds_if(s),
        quantity=quantity(s),
        range=range_in_words(s),
        bears=why(s, all_of_it=False),
        remarks=tuple(sorted(remarks, key=len)),
        sides=_sides(s.sides),
        brief=f"undecided: {s.reason_in_words}" if s.outcome == "undecided" else "",
        unless=s.unless,
    )


def _sides(sides: Mapping[str, float]) -> str:
    """The numbers of the arms that a claim compares, or that of the unchanged model; with two
    digits of the least difference, where they would look alike."""
    digits = dict.fromkeys(sides, 0) | {name: _decimals_of(x) for name, x in sides.items()}
    shown = {number(x, digits[name]) for name, x in sides.items()}
    if len(shown) < len(different := sorted({*filter(is_known, sides.values())})):
        gap = min(b - a for a, b in itertools.pairwise(different))
        least = min(6, 1 - math.floor(math.log10(gap)))
        digits = {name: max(least, n) for name, n in digits.items()}
    words = ", ".join(f"{name} {number(x, digits[name])}" for name, x in sides.items())
    return f"for comparison, {words}" if len(sides) == 1 else words


def _decimals_of(x: float) -> int:
    """Decimals of three significant digits."""
    return max(0, 2 - math.floor(math.log10(abs(x)))) if x and math.isfinite(x) else 2


def control(role: str, arm: str, v: Verdict | Other, claim: Judged | None = None) -> Control:
    """An arm next to a claim as tables show it; one that is only known to satisfy it is written to
    the digits of the claim."""
    too = " too" * (claim is None or claim.outcome in ("holds", "unspecific"))
    if isinstance(v, Other):
        return Control(arm, "holds", *estimate_of(v, claim), role, -math.inf, too=too)
    level = narrower_level(v) if role in ("near", "control") else ""
    outcome, few = _seen(v) if role in ("near", "control") else (v.outcome, "")
    distance, words = max(v.range[0] - v.estimate, v.estimate - v.range[1]), ""
    off = distance if ROLES.get(role) == "control" else math.inf
    if claim and role == "near" and outcome == "holds":
        words = satisfies(claim.near[arm], at_most=claim.range[1] < math.inf)
    if claim and role in ROLES and v.points == claim.points and len({*v.points}) > 1:
        same = "its number is the claim's own in every unit, so both probably do the same thing"
        words = "; ".join(filter(None, (words, same)))
    mirrors = claim.no_test(arm) if claim and role in ROLES else ""
    numbers = estimate_of(v)
    if claim and not v.level_of and v.never is None:
        edges = (*v.range, *v.fail_range)
        numbers = of_control(v.estimate, *limits(v), (claim.low, claim.high), edges)
    if level and v.narrower:
        numbers = numbers[0], f"{numbers[1]} ({level})"
    if claim and arm in claim.idle:
        words = f"this control {reasons.IDLE}"
        if abs(v.estimate) <= reasons.NOTHING * max(map(abs, claim.points), default=0):
            numbers = "0", "[0, 0]"
    words, none = mirrors or words, bool(mirrors)
    place = f"in place of {claim.replaced}" if claim and claim.replaced and role in ROLES else ""
    behind = claim.arm if claim and role in ROLES and _outdoes(v, claim) else ""
    return Control(arm, outcome, *numbers, role, off, level, words, none, few, place, behind, too)


def _outdoes(v: Verdict, claim: Judged) -> bool:
    """Whether a claim fails by less than what it claims, and a control comes clearly closer."""
    (low, high), still, x, between = claim.range, _without_change(claim), claim.estimate, v.contrast
    if claim.outcome != "fails" or between is None:
        return False
    if x < low:
        return still < x < v.estimate < low and between.high < 0
    return high < v.estimate < x < still and between.low > 0


def _seen(v: Verdict) -> tuple[str, str]:
    """How a control came out; where it only has too few units for a verdict, what its interval
    shows, with how many units there are."""
    few = re.fullmatch(r"too few units: (.+) of (.+) (\w+)", v.reason)
    (least, most), (low, high) = v.range, v.shown
    is_in, is_out = least < low and high < most, high <= least or low >= most
    if few is None or not (is_in or is_out):
        return v.outcome, ""
    return "holds" if is_in else "fails", few.expand(r"\1 \3; a verdict needs \2")


def _unit(s: Statement) -> str:
    """The unit of a number, and where an extreme is: "nats at layer 0"."""
    if isinstance(s, Verified):
        return "" if s.unit == "1" else s.unit
    return " ".join(filter(None, (unit_of(s), s.at)))


def _diverged(s: Judged | Estimated) -> str:
    return f"{s.dropped} diverged and dropped" if s.dropped else ""


def _found(s: Estimated) -> str:
    """Say where a curve crosses, or else its signs and its highest and lowest level, or which level
    of a scan are highest above 0 and lowest below it; "" of a number."""
    if (curve := s.curve) is None:
        return ""
    listed = [k for k, x in enumerate(curve.estimate) if is_known(x)]
    if curve.crossing:
        words = curve.crossing.words
        return f"there is {words}" if words.startswith("no ") else f"it {words}"
    if not listed:
        return ""

    def number_at(k: int) -> str:
        return " ".join(_at_level(s, curve, k)).rstrip()

    unit = f" {_unit(s)}".rstrip()
    if curve.is_plain:
        shape = [_signs(curve), _extremes(curve, listed, number_at, unit)]
        return f"it is {'; it is '.join(filter(None, shape))}"
    highest = max(listed, key=lambda k: curve.estimate[k])
    lowest = min(listed, key=lambda k: curve.estimate[k])
    ends = [("highest", highest)] * (curve.estimate[highest] > 0 or highest == lowest)
    ends += [("lowest", lowest)] * (curve.estimate[lowest] < 0)
    where = [f"{called(curve.in_words(k))} is {word}, {number_at(k)}" for word, k in ends]
    none = s.clear_of_zero.startswith("No ")  # otherwise the list below says how many do
    lead = f"n{s.clear_of_zero[1:-1]}; " if none else ""
    return f"{lead}of {len(curve.levels)} {curve.noun}s, {', and '.join(where)}{unit}"


def _signs(curve: Curve) -> str:
    """Say up to where, or from where on, a curve is surely below 0 or above it, by its band; ""
    where it is above 0 at all levels, or so between others."""
    order = curve.in_order
    parts: list[str] = []
    for word, sign in (
        ("below", [curve.band_high[k] < 0 for k in order]),
        ("above", [curve.band_low[k] > 0 for k in order]),
    ):
        if all(sign):
            return f"below 0 at {curve.all_levels}" if word == "below" else ""
        if sign == sorted(sign, reverse=True) and any(sign):
            parts.insert(0, f"{word} 0 up to {called(curve.in_words(order[sum(sign) - 1]))}")
        elif sign == sorted(sign) and any(sign):
            parts.append(f"{word} 0 from {called(curve.in_words(order[-sum(sign)]))}")
        elif any(sign):
            return ""
    return ", and ".join(parts)


def _extremes(
    curve: Curve, listed: Sequence[int], number_at: Callable[[int], str], unit: str
) -> str:
    """Say where a curve is highest and lowest, as far as its band tells these levels from the
    others."""
    lowest, *_, highest = sorted((*listed, *listed), key=lambda k: curve.estimate[k])
    word = "closest to 0" if all(x < 0 for x in curve.band_high) else "highest"
    top = f"{word} {located(curve.in_words(highest))}, {number_at(highest)}"
    bottom = f"lowest {located(curve.in_words(lowest))}, {number_at(lowest)}"
    if not all(map(is_known, curve.band_low)) or len(listed) < 2:
        return f"{top}, and {bottom}{unit}"
    clear_top = curve.band_low[highest] > max(curve.band_high[k] for k in listed if k != highest)
    clear_bottom = curve.band_high[lowest] < min(curve.band_low[k] for k in listed if k != lowest)
    if clear_top or clear_bottom:
        return ", and ".join([top] * clear_top + [bottom] * clear_bottom) + unit
    high = max(listed, key=lambda k: curve.band_low[k])
    low = min(listed, key=lambda k: curve.band_high[k])
    if curve.band_low[high] > curve.band_high[low]:
        top = f"higher {located(curve.in_words(high))}, {number_at(high)}"
        return f"{top}, than {located(curve.in_words(low))}, {number_at(low)}{unit}"
    least, most = (number_at(k).partition(" ")[0] for k in (lowest, highest))
    about = f"between {least} and {most}" if least != most else f"about {least}"
    return (
        f"{about}{unit} at all levels, and the band includes a flat line; "
        "to compare two levels, estimate their difference"
    )


def _at_level(s: Estimated, curve: Curve, k: int, least: int = 0) -> tuple[str, str]:
    """A curve's number at a level with its part of the band, as text."""
    low, high = curve.band[k]
    point = Estimated(text="", estimate=curve.estimate[k], low=low, high=high, natural=s.natural)
    return estimate(point.estimate, *limits(point), (0.0,), least)


def _at_levels(s: Estimated, curve: Curve, order: Sequence[int]) -> list[str]:
    """A curve's numbers at these levels as text. One that is printed as 0 has a decimal more where
    another has it: next to "0.1 [-3.0, 2.9]", "0 [-3, 3]" is "0.0 [-3.0, 3.0]"."""
    shown = [_at_level(s, curve, k) for k in order]
    digits = [len(text.partition(".")[2]) for text, _ in shown]
    for i, (text, _) in enumerate(shown):
        if not text.strip("0."):
            shown[i] = _at_level(s, curve, order[i], min(digits[i] + 1, max(digits)))
    return [" ".join(parts) for parts in shown]


def curve_lines(s: Estimated) -> tuple[str, ...]:
    """Tell a curve: its levels, "density 0.1: 0.54 [0.43, 0.64]", whose intervals cover all of
    them together; nothing of a single number."""
    if (curve := s.curve) is None:
        return ()
    count = len(curve.levels)
    lines: list[str] = []
    order = curve.in_order
    if not curve.is_plain:
        order = curve.listed()
        few = f"{len(order)} of the {count} {curve.noun}s, {curve.extremes} first"
        lines += [few] * (len(order) < count)
    elif count > LEVELS:
        order = [order[round(i * (count - 1) / (LEVELS - 1))] for i in range(LEVELS)]
        lines.append(f"{LEVELS} of the {count} levels")
    numbers = _at_levels(s, curve, order)
    lines += [f"{called(curve.in_words(k))}: {x}" for k, x in zip(order, numbers, strict=True)]
    if all(map(is_known, curve.band_low)):
        lines.append(f"95% band for {curve.all_levels} together")
        lines += [s.clear_of_zero] * s.clear_of_zero.startswith("The ")  # otherwise it leads
    return tuple(lines)


def holds_if(v: Judged) -> str:
    """Say what it takes to hold: "holds if ≥ 0.5 share of features"; "" where the claim's own text
    says only that, as in a table."""
    if not v.threshold or (v.threshold_from == reasons.GIVEN and not v.condition):
        return ""
    words = v.threshold
    if words.startswith("in ["):
        low = signed(">", v.range[0], -math.inf)
        high = signed("<", v.range[1], math.inf)
        ends = r"\g<0>" if "= " in low and "= " in high else f"{low} and {high}"
        words = re.sub(r"^in \[.*?\]", ends, words)
    return f"holds if {_one(words)}".replace(">=", "≥").replace("<=", "≤")


def quantity(s: Judged | Estimated) -> str:
    """What a number is, as its author writes it: "patched.right"; "" where that is code."""
    from assay.core.expression import parse

    if isinstance(s, Estimated):
        return getattr(s.statement, "condition", "")
    # the condition of a table is its text
    condition = s.condition or s.text * (s.threshold_from == reasons.GIVEN)
    text, at, equal = condition.partition(" at equal ")
    with suppress(ClaimError):  # a sentence, in a file of an older version
        return parse(text).quantity + at + equal
    return ""


def range_in_words(v: Judged) -> str:
    """Where the number has to lie for the claim to hold, with the unit: "above 3 nats", "at least
    0.98 and at most 1.02"; "" where no threshold is known."""
    low, high = v.range
    ends = [signed(">", low, -math.inf)] * (low > -math.inf)
    ends += [signed("<", high, math.inf)] * (high < math.inf)
    words = " and ".join(f"{SIDES[sign]} {edge}" for sign, edge in map(str.split, ends))
    _, only, beyond = str(v.threshold).partition(", fails only beyond ")
    return f"{_one(f'{words} {unit_of(v)}'.rstrip() * bool(words))}{only}{beyond}"


def _one(words: str) -> str:
    """Words with units, which are singular after 1."""
    return re.sub(r"(?<![\d.,-])1 (degree|nat|logit|bit|token)s\b", r"1 \1", words)


def literature(s: Verdict | Estimated) -> tuple[str, str]:
    """What a paper prints, and how far it compares: ("2", "other set-up"), ("new", ""), or two
    empty texts where nothing is said."""
    if s.published is None or isinstance(s.published, str):
        return s.published or "", ""
    return number(s.published.number), "same set-up" if s.published.same else "other set-up"


def _exact(s: Verified) -> tuple[str, str]:
    """What came out and what was due; of an array the first three numbers and how many there
    are."""
    value, due = _flat(s.value), _flat(s.expected)
    parts = [
        ", ".join(f"{v:.6g}" for v in numbers[:3]) + (" …" if len(numbers) > 3 else "")
        for numbers in (value, due)
    ]
    count = f" ({len(value)} numbers)" if len(value) > 3 else ""
    return (parts[0] + count) or "not estimated", f"expected {parts[1]} ± {s.tolerance:.2g}"


def _flat(value: Any) -> list[float]:
    if value is None:
        return []
    return [x for v in value for x in _flat(v)] if isinstance(value, Sequence) else [float(value)]


def why(v: Judged, *, all_of_it: bool = True) -> str:
    """Why a claim is undecided or unspecific, and what deciding it would take; with `all_of_it`
    also which controls satisfy it, which effect would have been found, and how many other arms
    satisfy it."""
    parts = []
    if v.reason and (all_of_it or not re.fullmatch("control .* satisfies it too", v.reason)):
        parts.append(f"{v.outcome}: {v.reason_in_words}")
    parts.append(v.remedy[0])
    return "; ".join(filter(None, (*parts, power(v) if all_of_it else "", opposite(v))))


def power(v: Judged) -> str:
    """The power of an undecided claim; "" where its units agree, and where there are too few for
    any, next to advice that says how many it takes."""
    agree = v.reason in (reasons.TIES, reasons.IDENTICAL) or (
        len(v.points) > 1 and not v.bounds and max(v.points) - min(v.points) <= 1e-12
    )
    words = "" if v.outcome != "undecided" or agree else describe_detectable(v)
    return words if words.startswith("80") or not v.remedy[0] else ""


def opposite(v: Judged) -> str:
    """Say that a claim fails with its whole interval on the other side of 0, and of no change, than
    its range, and that this is the opposite if it is as far from 0 as claimed; "" of any other."""
    (low, high), still = v.range, _without_change(v)
    below = low >= 0 and v.high < min(0, still)
    if v.outcome != "fails" or not (below or (high <= 0 and v.low > max(0, still))):
        return ""
    as_far = v.high < -low if below else v.low > -high
    found = "the opposite of what is claimed" if as_far else "the claim has the sign wrong"
    return f"the whole interval is {'below' if below else 'above'} 0: {found}"


def _without_change(v: Judged) -> float:
    """What the number of a claim would be if every arm were the unchanged model; 0 where that is
    not known."""
    from assay.core.expression import parse

    unchanged = [x for name, x in v.sides.items() if name.startswith("main.") and is_known(x)]
    with suppress(ClaimError):
        if unchanged:
            return float(parse(v.condition.partition(" at equal ")[0]).walk(lambda _: unchanged[0]))
    return 0.0


def agreed(v: Judged) -> str:
    """Say where the interval comes from if units between bounds have one and the same number; ""
    otherwise."""
    points, bounds = v.points, v.bounds
    if not bounds or len(points) < 2 or not max(points) - min(points) <= 1e-12 or v.low == v.high:
        return ""
    factor, (least, greatest) = (v.units or ("unit",))[0], bounds
    edge = ", the minimum" if points[0] <= least else ""
    edge = ", the maximum" if points[0] >= greatest else edge
    every = f"every {factor} gives {points[0]:.4g}{edge}"
    return f"{every}; the interval follows from the bounds, {least:g} and {greatest:g}"


def describe_detectable(v: Verdict) -> str:
    """Say which true value four in five such experiments would find to hold, and whether controls
    are counted.

    "80% power if the true value is 1.2 or more (controls included)"
    """
    if v.reason == reasons.OUT_OF_REACH:
        return ""  # no value that four in five would find can come about
    if not v.detectable and not v.detectable_alone:
        return ""  # it cannot be known, as of a maximum
    whole, alone = (
        ends if ends and not math.isnan(ends[0]) else ()
        for ends in (v.detectable, v.detectable_alone)
    )
    if not whole and not alone:
        if math.isnan(v.controls_chance):
            return ""  # it was not computed, as of a maximum that was read from a file
        return "with so few units no true value makes it hold with 80% power"
    low, high = whole or alone
    if math.isfinite(low) and math.isfinite(high):
        values = f"from {low:.3g} to {high:.3g}"
    else:
        values = f"{low:.3g} or more" if math.isfinite(low) else f"{high:.3g} or less"
    least, greatest = v.natural or v.bounds or (-math.inf, math.inf)
    if (math.isfinite(low) and low > greatest) or (math.isfinite(high) and high < least):
        return "with so few units no possible value makes it hold with 80% power"
    words = f"80% power if the true value is {values}"
    if math.isnan(v.controls_chance):  # judged before controls were counted
        return words
    return f"{words} (controls {'' if whole else 'not '}included)"


def terminal(data: ResultData, *, verbose: bool = False) -> Table:
    """Every statement as rich draws it: how it came out, its number with those of the arms that it
    compares, the control that came closest, and what bears on the verdict. `verbose` adds all
    controls, the power, and the other arms that satisfy it.

    A smoke run, whose few units decide nothing, says why in a line."""
    from rich.table import Table
    from rich.text import Text

    # A terminal obeys what a name may hold.
    listed = _listed(ResultData.from_json(plain_all(data.to_json())))
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for r in listed:
        style = f"bold {STYLES.get(r.look, '')}".strip()
        named = f"{r.marked(r.headline)}: " * (r.outcome != "finding")
        found = f": {r.found}" if r.found else ""
        lines = [Text.assemble((named, style), (f"{r.text}{found}", "bold")), *_below(r, verbose)]
        grid.add_row(Text(r.sign, style), Text("\n").join(lines))
        grid.add_row()
    return grid


def _below(r: Row, verbose: bool) -> Iterator[Text]:
    """The lines below a statement: its number, its arms, and remarks on them."""
    from rich.text import Text

    unit = f"in {r.unit}" if r.curve and r.unit else r.unit
    value = " ".join(filter(None, (r.estimate, r.interval, unit)))
    published = f"published {r.published}" if r.published not in ("", "new") else ""
    published += f" ({r.setup})" if published and r.setup else ""
    about = "; ".join(x for x in (r.n, r.threshold, published) if x)
    yield Text(f"{value}, {about}" if about else value)
    grey = "bright_black"
    if r.sides:
        yield Text(r.sides, grey)
    shown = r.controls if verbose else r.decisive
    for c in shown:
        yield Text.assemble((f"{c.sign} ".lstrip(), "yellow" if c.met is False else grey), c.line)
        if c.explanation:
            yield Text(c.explanation, grey)
    for words in () if verbose else r.others:
        ask = " (--verbose)" * words.endswith(("it too", "the claim"))
        yield Text(f"{words}{ask}", grey)
    why = r.why if verbose else r.bears
    for line in filter(None, (why, *r.remarks, r.agreed, *r.curve)):
        yield Text(line, grey)


def _listed(data: ResultData) -> list[Row]:
    """The rows of a terminal: of what a smoke run leaves undecided the reason alone, and no control
    that is undecided as well."""

    def shortened(r: Row) -> Row:
        decided = tuple(c for c in r.controls if c.met is not None and not c.few)
        brief = replace(r, threshold="", why=r.brief, bears=r.brief, remarks=(), agreed="")
        return replace(brief, controls=decided)

    short = data.preset == SMOKE
    return [shortened(r) if short and r.brief else r for r in rows(data)]


def text(data: ResultData, width: int = WIDTH, *, verbose: bool = False) -> str:
    """Every statement as plain text of at most `width` columns."""
    from io import StringIO

    from rich.console import Console

    out = StringIO()
    off: Any = dict.fromkeys(("force_terminal", "legacy_windows", "markup", "emoji"), False)
    console = Console(file=out, width=width, color_system=None, **off)
    console.print(terminal(data, verbose=verbose))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    for heat in heat_maps(data, width, coloured=False):
        lines += [*(line.rstrip() for line in heat.plain.splitlines()), ""]
    return "\n".join(lines[:-1]) + "\n"


def filled(words: str) -> str:
    """A sentence in lines of at most 100 columns."""
    whole: Any = {"break_on_hyphens": False, "break_long_words": False}
    return textwrap.fill(plain(words), WIDTH, subsequent_indent="  ", **whole)


def show(data: ResultData, file: TextIO | None = None, *, verbose: bool = False) -> None:
    """Print every statement: in colour on a terminal, as plain text elsewhere or when NO_COLOR is
    set."""
    from rich.console import Console

    file = file or sys.stdout
    console = Console(file=file, markup=False, emoji=False)
    width = min(WIDTH, console.width) if console.is_terminal else WIDTH
    if not console.is_terminal or os.environ.get("NO_COLOR"):
        file.write(text(data, width, verbose=verbose))
        return
    console.print(terminal(data, verbose=verbose), width=width)
    for heat in heat_maps(data, width, coloured=True):
        console.print(heat, "", width=width, no_wrap=True, highlight=False)


def heat_maps(data: ResultData, width: int, *, coloured: bool) -> list[Text]:
    """Draw each scan over two dimensions as rows of cells: numbers on shades of blue below zero and
    of orange above, or numbers alone."""
    from rich.text import Text

    maps = []
    for finding in data.findings:
        if finding.curve is not None and len(finding.curve.dims) == 2:
            s = Estimated.from_json(plain_all(finding.to_json()))
            head = Text(f"{s.text}: {' (down) by '.join(finding.curve.dims)} (across)")
            maps.append(Text("\n").join([head, *_cells(s, width, coloured)]))
    return maps


def _cells(s: Estimated, width: int, coloured: bool) -> Iterator[Text]:
    """A line for each row of a scan, numbers on their shades, below one with the names of its
    columns; in as many parts as are needed for `width` letters."""
    from rich.text import Text

    curve = s.curve
    assert curve is not None
    cells = {curve.at(k): curve.estimate[k] for k in range(len(curve.levels))}
    rows, columns = ([*dict.fromkeys(curve.at(k)[i] for k in curve.in_order)] for i in (0, 1))
    largest = max((abs(x) for x in cells.values() if is_known(x)), default=0.0) or 1.0
    power = math.floor(math.log10(largest))
    scale = 10.0**power if not -3 < power < 4 else 1.0
    digits = max(0, 1 - math.floor(math.log10(largest / scale)))
    words = {at: number(x / scale, digits) for at, x in cells.items() if is_known(x)}
    words |= {at: "·" for at, word in words.items() if float(word) == 0}
    legend = [f"in units of {scale:g}"] * (scale != 1)
    if "·" in words.values():
        legend += [f"· is less than {0.5 * 10.0**-digits * scale:.2g} from 0"]
    clear = {curve.at(k) for k, (low, high) in enumerate(curve.band) if low > 0 or high < 0}
    if clear and not s.is_one_sided:
        legend += ["* its simultaneous interval excludes 0"]
        words = {at: f"{word}{'*' if at in clear else ' '}" for at, word in words.items()}
    yield from [Text("; ".join(legend))] * bool(legend)
    empty = {row for row in rows if all(words.get((row, c), "·").strip() == "·" for c in columns)}
    if 0 < len(empty) < len(rows):
        yield Text(f"left out: {counted(len(empty), 'row')} with nothing but ·")
        rows = [row for row in rows if row not in empty]
    wide = 1 + max(len(str(word)) for word in (*columns, *words.values()))
    names = max(len(str(row)) for row in rows)
    room, quiet = max(1, (width - names) // wide), "bright_black" if coloured else ""
    for start in range(0, len(columns), room):
        part = columns[start : start + room]
        yield Text(" " * names + "".join(str(c).rjust(wide) for c in part), quiet)
        for row in rows:
            shown = [(words.get((row, c), "-").rjust(wide), cells.get((row, c))) for c in part]
            parts = ((word, _shade(x, largest) if coloured else "") for word, x in shown)
            yield Text.assemble((str(row).rjust(names), quiet), *parts)


def _shade(x: float | None, largest: float) -> str:
    """The style of a cell: white at 0, blue below and orange above, full at `largest`."""
    share = x / largest if x is not None and is_known(x) else 0.0
    full = (64, 140, 230) if share < 0 else (255, 140, 0)
    mixed = (round(255 + (shade - 255) * abs(share)) for shade in full)
    return "#000000 on #{:02x}{:02x}{:02x}".format(*mixed)


def outcomes(statements: Iterable[Any]) -> dict[str, int]:
    """How many statements have each outcome, in the order of the signs; outcomes that do not occur
    are left out."""
    got = ["finding" if isinstance(s, Estimated) else s.outcome for s in statements]
    return {outcome: got.count(outcome) for outcome in SIGNS if outcome in got}


def tally(rows: Iterable[Row]) -> list[tuple[Row, int]]:
    """Count rows that are drawn alike, each kind with its first row, in the order of the signs;
    those that are doubted by themselves."""
    kinds: dict[tuple[str, str], list[Row]] = {}
    for r in sorted(rows, key=lambda r: (list(SIGNS).index(r.outcome), r.doubted)):
        kinds.setdefault((r.outcome, r.look), []).append(r)
    return [(alike[0], len(alike)) for alike in kinds.values()]


def tallied(verdicts: Sequence[Judged]) -> str:
    """Count claims in words: "1 holds, 2 fail, 2 unspecific"; "" where there are none."""
    plural = {"holds": "hold", "fails": "fail"}
    counts = outcomes(verdicts)
    return ", ".join(f"{n} {plural.get(o, o) if n > 1 else o}" for o, n in counts.items())


def only_exact(data: ResultData) -> bool:
    """Whether a record or stored result has exact statements and nothing else, so that no verdict
    counts for it."""
    return bool(data.exact) and not data.verdicts and not data.findings


KIND_WORDS = {"risky": "threshold planned, per the author", "confirming": "pilot-set"}
"""How the source of a threshold is printed; stored results have the older word."""
KINDS = {
    KIND_WORDS["risky"]: ("†", "the study says that it comes from theory, a paper or a plan"),
    "pilot-set": ("‡", "the threshold comes from a pilot run"),
}
"""Their marks next to a verdict on a page, and what they mean."""


def _kind(v: Judged) -> str:
    """Where the threshold of a claim comes from, in a word; "" where its author does not say."""
    return "" if v.threshold_from == reasons.GIVEN else KIND_WORDS.get(v.kind, v.kind)


def board(data: ResultData) -> str:
    """Count what a result without claims states: `exact statements only ≡ 6`, or `exact ≡ 4,
    estimates 6`; empty where there is nothing."""
    label = "exact statements only" if only_exact(data) else "exact"
    parts = [f"{label} {signs(outcomes(data.exact))}"] if data.exact else []
    parts += [f"estimates {len(data.findings)}"] if data.findings else []
    return ", ".join(parts)


def signs(counts: Mapping[str, int], between: str = " ") -> str:
    """Outcomes as signs with their number: `● 6 ✕ 2`."""
    return " ".join(f"{SIGNS[outcome]}{between}{count}" for outcome, count in counts.items())


def legend() -> str:
    """The signs of the four outcomes with their words."""
    return ", ".join(f"{SIGNS[outcome]} {outcome}" for outcome in OUTCOMES)
