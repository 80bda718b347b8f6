"""Our explanations of the six built circuits, scored beside their controls: the table of
docs/explanations.md.

    python benchmarks/explanations.py FOLDER            score what is not in the folder yet, at full
    effort, then print the table python benchmarks/explanations.py FOLDER sorting    the same of one
    circuit

Each circuit's result is kept in the folder as JSON, so that a run that was stopped goes on. Minutes
of one core each."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path

from assay_catalogue.circuits import known
from assay_catalogue.verbs.score_circuit import Hard, check

CONTROLS = ("another", "shuffled", "empty", "whole")
HEAD = (
    "circuit",
    "quality",
    "E1 ablation",
    "E2 scrubbing",
    "E3 implementation",
    "E4 adversarial",
    "short",
    *CONTROLS,
    "ranked",
    "sets as good",
    "homes as good",
)


def scored(name: str, folder: Path) -> dict:
    """One circuit's result: read where it is there, else made and kept."""
    kept = folder / f"{name}.json"
    if not kept.exists():
        file = folder / f"{name}.toml"
        file.write_text(known.text(name), encoding="utf-8")
        start = time.process_time()
        found = dataclasses.asdict(check(file, Hard(), folder))
        kept.write_text(json.dumps(found | {"cpu_seconds": time.process_time() - start}))
    return json.loads(kept.read_text())


def cells(name: str, found: dict) -> list[str]:
    """A row of the table."""

    def told(line: dict, interval: bool = True) -> str:
        if line["estimate"] is None:
            return "–"
        ends = (
            f" [{line['low']:.3f}, {line['high']:.3f}]"
            if interval and line["high"] - line["low"] >= 5e-4
            else ""
        )
        return f"{line['estimate']:.3f}{ends}"

    beside = {c["kind"]: told(c["quality"]) for c in found["controls"]}
    good = found["as_good"]
    return [
        f"`{name}`",
        told(found["quality"]),
        *map(told, found["parts"]),
        *(beside[kind] for kind in CONTROLS),
        "yes" if found["ranked"] else "no",
        f"{good['sets']} of {good['sets tried']}",
        f"{good['homes']} of {good['homes tried']}",
    ]


def main(folder: Path, names: list[str]) -> None:
    """Score and print."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        HEAD,
        ["---"] * len(HEAD),
        *(cells(name, scored(name, folder)) for name in names or known.names()),
    ]
    print("\n".join("| " + " | ".join(r) + " |" for r in rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
