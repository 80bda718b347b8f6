"""How often a verdict is right on claims that Assay's authors did not write.

176 claims of known truth (`benchmarks/claims`), each on fresh data: 64 true, 32 false, 56
confounded, 24 that the data cannot decide. Prints a line for each claim that came out otherwise
than it should, then the shares of each kind and file:
right; doubted, a true claim that holds with a reserve; missed, a true claim that does not hold, or
is refused; refused, a false claim that gets an error and no verdict; wrong, a claim that holds and
should not. An error is a right answer to a confounded or scarce claim. The last column is the share
of answers that name the cause, where the claim has a word for it.
Goal: every answer right.
Run: python benchmarks/verdicts.py [--claims dictionaries circuits finetuning steering] [--draws 3]
[--only NAME] [--show] [--out FILE.json]
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from claims import CASES, KINDS, Case

FILES = ("dictionaries", "circuits", "finetuning", "steering")
CATEGORIES = ("right", "doubted", "missed", "refused", "wrong")
OUTCOME = re.compile(r"holds|fails|undecided|unspecific|refused")
RESERVE = re.compile(r"\bunless\b|※|\bbut\b|though|without the control")


def answer(case: Case, draw: int) -> tuple[str, str]:
    """The line with the outcome, and the whole text, on a draw of the data."""
    rng = np.random.default_rng([zlib.crc32(case.name.encode()), draw])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = str(case.make(rng))
    except Exception as e:  # a refusal is an answer as well
        text = f"{type(e).__name__}: {e}"
        return f"refused: {text}".splitlines()[0], text
    lines = [line.lstrip("●○◐◌✗✓✕ ") for line in text.splitlines()]
    outcomes = (line for line in lines if OUTCOME.match(line))
    return next(outcomes, lines[0]), text  # a remark may come first


def category(kind: str, line: str) -> str:
    """Whether an answer is right, given the claim's kind."""
    found = OUTCOME.search(line)
    assert found, f"no outcome in {line!r}"
    outcome = found[0]
    plain = outcome == "holds" and not RESERVE.search(line.split(": ")[0])
    if kind == "true":
        return "right" if plain else "doubted" if outcome == "holds" else "missed"
    if kind == "false":
        return {"holds": "wrong", "refused": "refused"}.get(outcome, "right")
    return "wrong" if plain else "right"


def judged(case: Case, draw: int) -> dict[str, Any]:
    """What came of a claim on a draw of its data."""
    began = time.process_time()
    line, text = answer(case, draw)
    return {
        "name": case.name,
        "file": case.file,
        "kind": case.kind,
        "draw": draw,
        "got": category(case.kind, line),
        "line": line,
        "text": text,
        "named": case.cause.lower() in text.lower() if case.cause else None,
        "cpu": round(time.process_time() - began, 2),
    }


def shares(rows: list[dict[str, Any]]) -> list[str]:
    """The lines of the table: each kind in each file, and in all of them."""
    head = f"{'kind':11}{'file':14}{'answers':>8}" + "".join(f"{c:>9}" for c in CATEGORIES)
    lines = [f"{head}{'named':>9}"]
    for kind in KINDS:
        for file in (*FILES, "all"):
            of = [r for r in rows if r["kind"] == kind and file in (r["file"], "all")]
            if of:
                parts = [np.mean([r["got"] == c for r in of]) for c in CATEGORIES]
                named = [r["named"] for r in of if r["named"] is not None]
                parts += [np.mean(named)] if named else []
                cells = "".join(f"{part:9.1%}" for part in parts)
                lines.append(f"{kind:11}{file:14}{len(of):8}{cells}")
    return lines


def main() -> None:
    """Print what came out otherwise than it should, and the shares."""
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("--claims", nargs="+", choices=FILES, default=FILES, help="files of claims")
    ask.add_argument("--draws", type=int, default=3)
    ask.add_argument("--only", default="", help="a part of the claims' names")
    ask.add_argument("--show", action="store_true", help="print every answer as a whole")
    ask.add_argument("--out", type=Path, help="a JSON file for all answers")
    a = ask.parse_args()
    for file in a.claims:
        importlib.import_module(f"claims.{file}")
    rows = []
    for case in (c for c in CASES if c.file in a.claims and a.only in c.name):
        for draw in range(a.draws):
            row = judged(case, draw)
            rows.append(row)
            if row["got"] != "right":
                where = f"{case.file}.{case.name}[{draw}]"
                print(f"{row['got']}, {case.kind}: {where}: {row['line'][:200]}", flush=True)
            if a.show:
                print(row["text"], flush=True)
    print("\n".join(["", *shares(rows)]))
    print(f"{sum(row['cpu'] for row in rows):.0f} CPU-seconds")
    if a.out:
        a.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
