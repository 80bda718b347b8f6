"""Verdicts as an agent reads them: the values that `assay show --json` prints, without those that
only pages need, and a sentence in which an estimate never stands without its interval and its
controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.core.reasons import COMMAND, explain_reason
from assay.core.results import Estimated, Judged
from assay.report import tables

NUMBERS = ("estimate", "low", "high")
FIELDS = (
    *("outcome", "reason", *NUMBERS, "unit", "threshold"),
    *("threshold_from", "n", "scope", "notes"),
)
ROLES = {
    "near": "control",
    "also": "may hold too",
    "true": "also true of",
    "unnamed": "not named",
}
"""What an arm is called that was asked the same, where it is not what `Judged.arms` calls it."""
AS_IT_SHOULD = {
    ("control", True): "does not satisfy it",
    ("control", False): "SATISFIES IT TOO",
    ("violation", True): "is found, as it should be",
    ("violation", False): "IS NOT FOUND",
    ("planted", True): "is found, as it should be",
    ("planted", False): "IS NOT FOUND",
    ("may hold too", True): "holds too, as its author allowed",
    ("also true of", True): "holds too",
    ("not named", False): "HOLDS TOO, WHICH MAKES THE CLAIM UNSPECIFIC",
}


def verdict(v: Judged) -> Mapping[str, Any]:
    """Give one verdict, with every arm that was asked the same."""
    entry, row = v.to_json(), tables.row(v)
    controls, sentences = [], []
    for shown, (_, arm, numbers) in zip(row.controls, v.arms(), strict=True):
        role = ROLES.get(shown.role, shown.role)
        controls.append(
            {
                "arm": arm,
                "role": role,
                "outcome": shown.outcome,
                "as_it_must": shown.met,
                **{name: getattr(numbers, name) for name in NUMBERS},
                "near": v.near[arm] if shown.role == "near" else "",
            }
        )
        came = AS_IT_SHOULD.get((role, bool(shown.met)), "") if shown.met is not None else ""
        kind = role if role in ("control", "planted", "violation") else "arm"
        span = f"{shown.estimate} {shown.interval}".strip()
        sentences.append(f"{kind.capitalize()} {arm} {came or f'is {shown.outcome}'}: {span}")
    reason = f" ({explain_reason(v.reason)})" if v.reason else ""
    number = " ".join(filter(None, (row.estimate, row.interval, row.unit)))
    return {
        "claim": v.text,
        **{name: entry[name] for name in FIELDS},
        "interval": v.method,
        "controls": controls,
        "would_decide": (v.price.text if v.price else "").partition(COMMAND)[0],
        "told": (
            f"{v.outcome.upper()}: {v.text}{reason}. Estimate {number}, threshold {v.threshold}, "
            f"over {row.n or 'no units'}. {'; '.join(sentences) or 'No control was asked'}."
        ),
    }


def estimate(s: Estimated) -> Mapping[str, Any]:
    """Give one estimate: a number, or a curve, that nothing judged."""
    entry, row = s.to_json(), tables.row(s)
    number = " ".join(filter(None, (row.estimate, row.interval, row.unit)))
    fields = ("text", *NUMBERS, "unit", "n", "scope", "curve", "notes")
    return {
        **{name: entry[name] for name in fields},
        "interval": s.method,
        "told": "; ".join((f"{s.text}: {number}, over {row.n}", *row.curve, "not judged")),
    }
