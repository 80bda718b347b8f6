"""Hand out claims whose truth is known, grade the answers, or settle claims by rule.

    python -m benchmarks.gate hand OUT --arm notebook|gate --seed N [--tasks 10]
    python -m benchmarks.gate grade OUT... [--transcripts FOLDER]
    python -m benchmarks.gate measure [--plan FILE] [--out FILE]
    python -m benchmarks.gate freeze [--plan FILE]

`hand` writes a folder with instructions and a folder for each claim; the truth goes to `gate-keys`.
`measure` settles all thirty claims of each of the plan's seeds by three rules, if no file of the
benchmark has changed since the plan was frozen."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.gate.folders import grade, hand_out, wilson
from benchmarks.gate.rules import ARMS, settle
from benchmarks.gate.tasks import MAKERS, make

from assay.errors import AssayError, DataError

HERE = Path(__file__).parent
PLAN, RESULT = HERE / "gate.plan.json", HERE / "gate.result.json"
SEEDS = tuple(range(2101, 2106))


def main(words: list[str] | None = None) -> int:
    """Do what was typed, and give the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("hand", "grade", "measure", "freeze"))
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--arm", choices=("notebook", "gate"))
    parser.add_argument("--seed", type=int)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--keys", type=Path, default=Path("gate-keys"), help="what opens folders")
    parser.add_argument("--transcripts", type=Path, help="where what was written is copied to")
    parser.add_argument("--plan", type=Path, default=PLAN)
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args(words)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        if asked.what == "hand":
            if len(asked.folders) != 1 or asked.arm is None or asked.seed is None:
                parser.error("hand takes one folder, --arm and --seed")
            hand_out(asked.folders[0], asked.arm, asked.seed, asked.tasks, asked.keys)
            print(f"{asked.folders[0]}: start with INSTRUCTIONS.md; the truth is in {asked.keys}")
        elif asked.what == "grade":
            for folder in asked.folders:
                print(folder, grade(folder, asked.keys, asked.transcripts), sep="\n")
        elif asked.what == "freeze":
            asked.plan.write_text(json.dumps(_plan(), indent=1) + "\n")
        else:
            _measure(json.loads(asked.plan.read_text()), asked.out)
    except AssayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _plan() -> dict[str, Any]:
    """What is going to be measured, with hashes of all that decides it."""
    files = sorted([*HERE.glob("*.py"), *HERE.glob("hooks/*"), *HERE.glob("instructions/*")])
    return {
        "question": "Does the gate keep false claims back, and at what price in true ones?",
        "seeds": list(SEEDS),
        "tasks of each seed": len(MAKERS),
        "arms": list(ARMS),
        "claims": [
            "The gate reports at most a tenth of the false claims as true (Wilson's upper limit)",
            "The gate reports at least four fifths of the true claims (Wilson's lower limit)",
            "A notebook that looks above zero reports at least half of the false claims as true",
        ],
        "reported": "of false and of true claims the share told as true, with Wilson's 95 % "
        "interval, by arm and by group; calls, passes over all prompts, and seconds of a claim",
        "files": {str(p.relative_to(HERE)): sha256(p.read_bytes()).hexdigest() for p in files},
    }


def _measure(plan: dict[str, Any], out: Path) -> None:
    """Settle all claims by each rule. Raises: DataError where the benchmark is not the frozen
    one."""
    now = _plan()
    if changed := [f for f, h in now["files"].items() if plan["files"].get(f) != h]:
        raise DataError("changed", "it has changed since the plan was frozen", changed[0])
    told = []
    for seed in plan["seeds"]:
        for number in range(len(MAKERS)):
            task = make(seed, number)
            with tempfile.TemporaryDirectory(prefix="gate-") as folder:
                task.write(Path(folder) / "task")
                for arm in plan["arms"]:
                    s = settle(Path(folder) / "task", arm)
                    told.append({"seed": seed, "number": number, "group": task.group,
                                 "kind": task.kind, "true": task.true, "arm": arm,
                                 "told": bool(s.true), "words": s.words, "calls": s.calls,
                                 "passes": round(s.passes, 2),
                                 "seconds": round(s.seconds, 2)})  # fmt: skip
        print(f"seed {seed} is done", file=sys.stderr, flush=True)
    lines = ",\n".join(json.dumps(line, ensure_ascii=False) for line in told)
    out.write_text(f"[\n{lines}\n]\n")
    print(table(told))


def table(told: list[dict[str, Any]]) -> str:
    """The shares of claims that each arm reports as true, in Markdown."""
    arms = list(dict.fromkeys(line["arm"] for line in told))
    groups = Counter(line["group"] for line in told)
    lines = [f"| claims | {' | '.join(arms)} |", f"|---|{'--:|' * len(arms)}"]
    ways = [("true", lambda x: x["true"]), ("**false, all**", lambda x: not x["true"])]
    ways += [(g, lambda x, g=g: x["group"] == g) for g in groups if g != "true"]
    for name, chosen in ways:
        cells = []
        for arm in arms:
            some = [line["told"] for line in told if line["arm"] == arm and chosen(line)]
            low, high = wilson(sum(some), len(some))
            cells.append(f"{sum(some)} of {len(some)} [{low:.2f}, {high:.2f}]")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for name in ("calls", "passes", "seconds"):
        means = [[x[name] for x in told if x["arm"] == arm] for arm in arms]
        lines.append(
            f"| {name} of a claim | {' | '.join(f'{sum(m) / len(m):.1f}' for m in means)} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
