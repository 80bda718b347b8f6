"""Results: what came of claims, and how it is shown as text, table, Markdown, LaTeX or HTML."""

from __future__ import annotations

import html
import platform
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from assay.errors import line
from assay.notes import Note
from assay.verdicts.digits import number, with_interval
from assay.verdicts.rule import LEVEL, MOST, Hypothesis, Sample, Tested, Verdict

SIGNS = MappingProxyType({"holds": "●", "fails": "✕", "unspecific": "◐", "undecided": "○"})
COLOURS = MappingProxyType({"●": "#1a7f37", "✕": "#b42318", "◐": "#9a6700", "○": "#6e7781"})
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
FORMULA = re.compile(r"^[=+\-@\t\r]")
"""How a text begins that a spreadsheet would run."""


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
        said += [f"  scope: {self.scope}"] if self.scope else []
        return "\n".join(map(_wrapped, said))

    def __repr__(self) -> str:
        first = self.claims[0]
        return line(f"<Result {self.outcome}: {first.holds}, {_number(first, self.verdict)}>")

    def _repr_html_(self) -> str:
        return to_html(self)

    def to_pandas(self) -> pd.DataFrame:
        """A row for each claim, and one for each of its controls."""
        every = (self.samples[k] if self.samples else {} for k in range(len(self.claims)))
        pairs = zip(self.claims, every, strict=True)
        return pd.DataFrame([row for claim, samples in pairs for row in _records(claim, samples)])

    def to_csv(self) -> str:
        """The table of `to_pandas` as CSV, in which no cell is a formula."""
        return safe_csv(self.to_pandas())

    def to_markdown(self) -> str:
        """A table in Markdown."""
        rows = [[re.sub(r"([\\`*_<>\[\]|])", r"\\\1", x) for x in row] for row in _shown(self)]
        rows.insert(1, ["---"] * len(rows[0]))
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def to_latex(self) -> str:
        """A table in LaTeX, with the rules of booktabs."""
        head, *rows = (" & ".join(map(_latex, row)) + r" \\" for row in _shown(self))
        top, bottom = r"\begin{tabular}{llrrr}", r"\end{tabular}"
        return "\n".join((top, r"\toprule", head, r"\midrule", *rows, r"\bottomrule", bottom))


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
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def safe_csv(frame: pd.DataFrame) -> str:
    """A frame as CSV. A text that a spreadsheet would take for a formula begins with ' in it."""

    def safe(x: Any) -> Any:
        return f"'{x}" if isinstance(x, str) and FORMULA.match(x) else x

    texts = [c for c in map(str, frame) if not pd.api.types.is_numeric_dtype(frame[c])]
    frame = frame.assign(**{c: frame[c].astype(object).map(safe) for c in texts})
    return str(frame.rename(columns=safe).to_csv(index=False))


# ---- text ----------------------------------------------------------------------------------------


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
    yield from (f"  {_note(note)}" for note in claim.notes)


def _note(note: Note) -> str:
    return f"{'doubt' if note.doubt else 'note'}: {note}"


def _price(v: Verdict) -> str:
    if not v.price:
        return ""
    unit, n = v.price
    much = f"more {unit}s would not" if n > MOST else f"about {n:,} {unit}s would"
    return f"; {much} decide it"


def _number(claim: Judged, of: Verdict | Tested) -> str:
    return with_interval(of.estimate, of.low, of.high, (claim.h.low, claim.h.high))


def _units(n: Mapping[str, int]) -> str:
    return " × ".join(f"{k} {unit}{'' if k == 1 else 's'}" for unit, k in n.items())


def _wrapped(text: str) -> str:
    """A line, without what a terminal would obey, as lines that fit; an interval stays whole."""
    start = " " * (len(text) - len(text.lstrip()))
    whole = re.sub(r"\[(\S+), (\S+)\]", f"[\\1,{GLUE}\\2]", line(text))
    parts = textwrap.wrap(whole, WIDTH - 4, break_long_words=False, break_on_hyphens=False)
    return start + f"\n{start}    ".join(parts).replace(GLUE, " ")


# ---- tables --------------------------------------------------------------------------------------


def _records(claim: Judged, samples: Mapping[str, Sample]) -> Iterator[dict[str, Any]]:
    """A row for the method, and for each control."""

    def n(arm: str) -> dict[str, int]:
        labels = samples[arm].units if arm in samples else {}
        return {f"n_{unit}": len(np.unique(x)) for unit, x in labels.items()}

    v = claim.verdict
    numbers = {"estimate": v.estimate, "low": v.low, "high": v.high}
    about = {"claim": claim.text, "holds": claim.holds}
    came = {"outcome": v.outcome, "reason": v.reason, "about": v.about}
    yield {**about, "arm": claim.h.of, "role": "method", **came, **numbers, **n(claim.h.of)}
    for name, t in v.controls.items():
        lead = dict(zip(("lead", "lead_low", "lead_high"), t.lead, strict=True))
        numbers = {"estimate": t.estimate, "low": t.low, "high": t.high, **lead}
        draws = {"satisfied": t.satisfied, "draws": t.draws, "why": claim.why.get(name, "")}
        came = {"outcome": t.outcome, "strongest": t.arm}
        yield {**about, "arm": name, "role": "control", **came, **numbers, **draws, **n(t.arm)}


def _shown(result: Result) -> list[list[str]]:
    """A header, a line for each claim, and one for each of its controls, as texts."""
    rows = [["outcome", "claim or control", "estimate", "lead", "units"]]
    for claim in result.claims:
        v = claim.verdict
        what = f"{SIGNS[v.outcome]} {v.outcome}" + f" ({v.reason})" * bool(v.reason)
        rows.append([what, claim.text, _number(claim, v), "", _units(v.n)])
        for name, t in v.controls.items():
            draws = f"{t.satisfied} of {t.draws}" if t.draws > 1 else ""
            rows.append([t.outcome, name, _number(claim, t), with_interval(*t.lead), draws])
    return [[line(x) for x in row] for row in rows]


LATEX = MappingProxyType(
    {
        **{x: f"\\{x}" for x in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"−": "$-$", "–": "--", "<": "$<$", ">": "$>$", "×": r"$\times$"},
        **dict.fromkeys(SIGNS.values(), ""),
    }
)


def _latex(text: str) -> str:
    return "".join(LATEX.get(x, x) for x in text).strip()


def to_html(result: Result) -> str:
    """A fragment of HTML: a table of claims and controls, then notes and scope."""
    head, *rows = _shown(result)
    body = f"<tr>{''.join(f'<th>{html.escape(x)}</th>' for x in head)}</tr>"
    for row in rows:
        colour = COLOURS.get(row[0].split(" ")[0], "inherit")
        cells = "".join(f"<td>{html.escape(x)}</td>" for x in row[1:])
        body += f"<tr><td style='color:{colour}'>{html.escape(row[0])}</td>{cells}</tr>"
    said = [_note(n) for n in result.notes] + [f"scope: {result.scope}"] * bool(result.scope)
    notes = "".join(f"<li>{html.escape(line(x))}</li>" for x in said)
    style = "text-align:left;font-variant-numeric:tabular-nums"
    return f"<div class='assay'><table style='{style}'>{body}</table><ul>{notes}</ul></div>"
