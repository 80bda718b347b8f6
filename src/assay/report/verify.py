"""Judge a result again: unpack the .assay file and run `python verify.py`.

Reads the numbers of every claim, judges them by `rule.py` in this folder, and compares the outcome,
its reason and the interval with what result.json states. Needs NumPy and SciPy. Exits with 0 if
every verdict follows from its numbers, 1 if one does not, and 2 if the files cannot be read.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

CLOSE = 1e-6
"""Numbers agree that differ by less than this share of the interval's width."""


def hypothesis(rule: Any, given: Mapping[str, Any]) -> Any:
    """The range of a claim and its arms; an absent limit is infinite."""
    controls = tuple(
        rule.Control(c["name"], tuple(c["arms"]), c["noise"]) for c in given["controls"]
    )
    low, high = given["low"], given["high"]
    rest = {k: given[k] for k in ("of", "empty", "level", "fewest", "folds")}
    return rule.Hypothesis(
        low=-math.inf if low is None else low,
        high=math.inf if high is None else high,
        controls=controls,
        found=tuple(given["found"]),
        missed=tuple(given["missed"]),
        **rest,
    )


def samples(rule: Any, claim: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict:
    """What the claim reads, arm by arm."""
    found = {}
    for arm, s in claim["samples"].items():
        units = {unit: arrays[f"{s['at']}/{k}"] for k, unit in enumerate(s["units"])}
        pairs = {k: s[k] and tuple(s[k]) for k in ("bounds", "ends")}
        cells = arrays[f"{s['at']}/cells"]
        found[arm] = rule.Sample(cells, units, s["formula"], exact=s["exact"], **pairs)
    return found


def differs(rule: Any, claim: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> list[str]:
    """What a claim's stated verdict has different from that of the rule; a doubt may leave open
    what the rule lets hold."""
    stated = claim["verdict"]
    h, of = hypothesis(rule, claim["hypothesis"]), samples(rule, claim, arrays)
    v = rule.judge(h, of, tuple(claim["unmet"]))
    doubted = stated["outcome"] == "undecided" and v.outcome == "holds" and claim["doubts"]
    wrong = sorted(set(stated["controls"]) - set(v.controls))
    if (v.outcome, v.reason) != (stated["outcome"], stated["reason"]) and not doubted:
        wrong.append("outcome")
    width = abs(v.high - v.low) if math.isfinite(v.high - v.low) else abs(v.estimate)
    pairs = {k: (getattr(v, k), stated[k]) for k in ("estimate", "low", "high")}
    for name, control in v.controls.items():
        theirs = stated["controls"].get(name, {})
        pairs[name] = (control.estimate, theirs.get("estimate"))
        if theirs.get("outcome") != control.outcome:
            wrong.append(name)
    return wrong + [k for k, (x, y) in pairs.items() if not _close(x, y, CLOSE * width)]


def _close(x: float, y: float | None, most: float) -> bool:
    return y is None if not math.isfinite(x) else y is not None and abs(x - y) <= max(most, 1e-12)


def main() -> int:
    """Judge every claim of this folder and print a line for each."""
    import rule  # type: ignore[import-not-found]  # the file next to this one

    here = Path(__file__).resolve().parent
    try:
        result = json.loads((here / "result.json").read_text(encoding="utf-8"))
        with np.load(here / "rows.npz") as arrays:
            found = [(c, differs(rule, c, arrays)) for c in result["claims"]]
    except (OSError, ValueError, KeyError, TypeError) as e:
        print(f"cannot be read: {e!r}", file=sys.stderr)
        return 2
    for claim, wrong in found:
        print(
            f"{', '.join(wrong)} differ" if wrong else claim["verdict"]["outcome"], claim["holds"]
        )
    return int(any(wrong for _, wrong in found))


if __name__ == "__main__":
    sys.exit(main())
