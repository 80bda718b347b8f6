"""Results: what came of claims, and how it is shown as text, table, Markdown, LaTeX or HTML."""

from __future__ import annotations

import html
import platform
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from assay.errors import line
from assay.notes import Note
from assay.verdicts.digits import number, with_interval
from assay.verdicts.rule import LEVEL, MOST, Hypothesis, Sample, Tested, Verdict

SIGNS = MappingProxyType({"holds": "●", "fails": "✕", "unspecific": "◐", "undecided": "○"})
LATEX = {"−": "$-$", "×": r"$\times$", "<": "$<$", ">": "$>$"}
LATEX |= {f"{sign} ": "" for sign in SIGNS.values()}
REASONS = MappingProxyType(
    {
        "few-units": "too few units",
        "undefined": "the number does not exist without some unit, or it divides by what may be 0",
        "gate": "{about} is not so",
        "ties": "half of the units have one number, and no bounds are given",
        "straddles": "the interval is on both sides of the threshold",
        "planted": "the planted effect of {about} was not found",
        "control": "it is also true of {about}",
        "open": "the control {about} is not beaten",
        "blind": "nothing shows that an effect would have been found",
    }
)
"""What a reason of a verdict means; that of a doubt is in its note."""
WIDTH, GLUE = 100, "\u00a0"


@dataclass(frozen=True)
class Judged:
    """A claim with what came of it.

    Attributes:
        text: the claim in words, or its condition again.
        holds: the condition.
        h: the claim as the rule reads it.
        why: for each control, why it could explain as much.
    """

    text: str
    holds: str
    h: Hypothesis
    verdict: Verdict
    why: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    @property
    def reason(self) -> str:
        """Why it is not decided by its interval alone, in words; empty where it is."""
        v = self.verdict
        code = "open" if (v.outcome, v.reason) == ("undecided", "control") else v.reason
        return REASONS.get(code, code).format(about=v.about)


@dataclass(frozen=True)
class Provenance:
    """When a result was made, with which versions, and from which files.

    Attributes:
        inputs: the SHA-256 of each file.
    """

    begun: str = ""
    finished: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Result:
    """What came of the claims of a check, a table, a study or an experiment.

    The properties `verdict`, `outcome`, `estimate`, `low`, `high`, `n` and `controls` are those of
    its first claim.

    Attributes:
        question: what was asked, one line.
        rows: the numbers: the arm, the units, the measures.
        scope: what the verdicts are about, in words.
        samples: for each claim, by arm, what was judged; the rule comes to the same by them.
    """

    question: str
    claims: tuple[Judged, ...]
    rows: pd.DataFrame
    scope: str = ""
    provenance: Provenance = Provenance()
    samples: tuple[Mapping[str, Sample], ...] = ()

    verdict = property(lambda self: self.claims[0].verdict)
    outcome = property(lambda self: self.verdict.outcome)
    estimate = property(lambda self: self.verdict.estimate)
    low = property(lambda self: self.verdict.low)
    high = property(lambda self: self.verdict.high)
    n = property(lambda self: self.verdict.n)
    controls = property(lambda self: self.verdict.controls)

    @property
    def notes(self) -> tuple[Note, ...]:
        """The notes of all claims."""
        return tuple(note for claim in self.claims for note in claim.notes)

    def __str__(self) -> str:
        said = [text for claim in self.claims for text in _lines(claim)]
        return "\n".join(map(_wrapped, (*said, *(f"  {x}" for x in _remarks(self)))))

    def __repr__(self) -> str:
        first = self.claims[0]
        return line(f"<Result {self.outcome}: {first.holds}, {_number(first, self.verdict)}>")

    def _repr_html_(self) -> str:
        """A table of claims and controls, then notes and scope."""
        with pd.option_context("display.max_colwidth", None):
            table = _shown(self).to_html(index=False, border=0, justify="left")
        said = "".join(f"<li>{html.escape(line(x))}</li>" for x in _remarks(self))
        return f"<div class='assay'>{table}<ul>{said}</ul></div>"

    def to_pandas(self) -> pd.DataFrame:
        """A row for each claim, and one for each of its controls."""
        return pd.DataFrame([row for claim in self.claims for row in _records(claim)])

    def save(self, path: str | Path) -> Path:
        """Write the result with its numbers and with the rule, as an .assay file that anyone can
        judge again. Raises: StoreError."""
        from assay.report import result_file

        return result_file.save(self, path)

    def to_markdown(self) -> str:
        """A table in Markdown."""
        shown = _shown(self)
        rows = [[*shown], ["---"] * len(shown.columns), *shown.to_numpy().tolist()]
        cells = ([re.sub(r"([\\`*_<>\[\]|])", r"\\\1", x) for x in row] for row in rows)
        return "\n".join(f"| {' | '.join(row)} |" for row in cells)

    def to_latex(self) -> str:
        """A table in LaTeX, with the rules of booktabs."""
        text = _shown(self).to_latex(index=False, escape=True)
        for sign, latex in LATEX.items():
            text = text.replace(sign, latex)
        return text


@dataclass(frozen=True)
class Estimate:
    """A number with its interval, about which nothing is claimed."""

    text: str
    estimate: float
    low: float
    high: float
    n: Mapping[str, int]
    level: float = LEVEL

    def __str__(self) -> str:
        number = with_interval(self.estimate, self.low, self.high)
        return line(f"{self.text} = {number}, {_units(self.n)}")


def doubted(verdict: Verdict, notes: Sequence[Note]) -> Verdict:
    """The verdict, or *undecided* where it holds and a note doubts that."""
    doubt = next((note.code for note in notes if note.doubt), "")
    if verdict.outcome != "holds" or not doubt:
        return verdict
    return replace(verdict, outcome="undecided", reason=doubt, about="")


def now() -> str:
    """The time, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """The versions of Python, of Assay, and of what it computes with."""
    found = {"python": platform.python_version()}
    for name in ("interp-assay", "numpy", "scipy", "pandas", "xarray"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _lines(claim: Judged) -> Iterator[str]:
    v = claim.verdict
    yield f"{SIGNS[v.outcome]} {v.outcome}: {claim.text}"
    if claim.text != claim.holds:
        yield f"  {claim.holds}"
    yield f"  {_number(claim, v)}, {_units(v.n)}"
    if v.reason:
        yield f"  {claim.reason}{_price(v)}"
    for name, t in v.controls.items():
        draws = f", {t.satisfied} of {t.draws} satisfy the claim" if t.draws > 1 else ""
        yield f"  {t.outcome}: {name} {_number(claim, t)}, lead {with_interval(*t.lead)}{draws}"
    if v.thresholds:
        yield f"  true of thresholds from {number(v.thresholds[0])} to {number(v.thresholds[1])}"


def _remarks(result: Result) -> Iterator[str]:
    yield from (f"{'doubt' if note.doubt else 'note'}: {note}" for note in result.notes)
    if result.scope:
        yield f"scope: {result.scope}"


def _price(v: Verdict) -> str:
    unit, n = v.price or ("", 0)
    much = f"more {unit}s would not" if n > MOST else f"about {n:,} {unit}s would"
    return f"; {much} decide it" if v.price else ""


def _number(claim: Judged, of: Verdict | Tested) -> str:
    return with_interval(of.estimate, of.low, of.high, (claim.h.low, claim.h.high))


def _units(n: Mapping[str, int]) -> str:
    return " × ".join(f"{k} {unit}{'' if k == 1 else 's'}" for unit, k in n.items())


def _wrapped(text: str) -> str:
    """A line, without what a terminal would obey, as lines that fit; an interval stays whole."""
    start = " " * (len(text) - len(text.lstrip()))
    whole = re.sub(r"\[(\S+), (\S+)\]", f"[\\1,{GLUE}\\2]", line(text))
    wrap = textwrap.TextWrapper(WIDTH, start, f"{start}    ", break_long_words=False)
    wrap.break_on_hyphens = False
    return wrap.fill(whole).replace(GLUE, " ")


def _records(claim: Judged) -> Iterator[dict[str, Any]]:
    """A row for the method, and for each control."""
    v, about = claim.verdict, {"claim": claim.text, "holds": claim.holds}
    came = {"outcome": v.outcome, "reason": v.reason, "about": v.about}
    n = {f"n_{unit}": k for unit, k in v.n.items()}
    limits = {"estimate": v.estimate, "low": v.low, "high": v.high}
    yield {**about, "arm": claim.h.of, "role": "method", **came, **limits, **n}
    for name, t in v.controls.items():
        lead = dict(zip(("lead", "lead_low", "lead_high"), t.lead, strict=True))
        limits = {"estimate": t.estimate, "low": t.low, "high": t.high, **lead}
        draws = {"strongest": t.arm, "satisfied": t.satisfied, "draws": t.draws}
        came = {"outcome": t.outcome, "why": claim.why.get(name, "")}
        yield {**about, "arm": name, "role": "control", **came, **limits, **draws}


def _shown(result: Result) -> pd.DataFrame:
    """A line for each claim, and one for each of its controls, as texts."""
    rows = list[tuple[str, ...]]()
    for claim in result.claims:
        v = claim.verdict
        what = f"{SIGNS[v.outcome]} {v.outcome}" + f" ({v.reason})" * bool(v.reason)
        rows.append((what, claim.text, _number(claim, v), "", _units(v.n)))
        for name, t in v.controls.items():
            draws = f"{t.satisfied} of {t.draws}" if t.draws > 1 else ""
            rows.append((t.outcome, name, _number(claim, t), with_interval(*t.lead), draws))
    columns = ["outcome", "claim or control", "estimate", "lead", "units"]
    return pd.DataFrame([[line(x) for x in row] for row in rows], columns=columns)
