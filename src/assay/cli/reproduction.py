"""`assay reproduce`: an experiment from an empty store, compared with its committed record."""

from __future__ import annotations

import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.cli import printing
from assay.cli.progress import Display, duration
from assay.core.errors import StoreError

if TYPE_CHECKING:
    from assay.cli.options import Machine
    from assay.core.experiment import Experiment
    from assay.lab.lab import Lab
    from assay.lab.preset import Preset
    from assay.lab.recording import Statement
    from assay.lab.reproduction import Reproduction

SHOWN = {"cpu": "processor", "cores": "cores", "free_cores": "free cores", "memory_gib": "memory, GiB", "system": "system",
         "device": "device", "torch": "torch", "python": "Python", "numpy": "NumPy", "assay": "Assay", "commit": "commit",
         "finished": "finished"}  # fmt: skip


def run(name: str, preset: str, machine: Machine, root: Path | None, as_json: bool) -> int:
    """The exit code after running it in an empty store and comparing: 0 as recorded, 1 different."""
    from assay.cli.options import Choice
    from assay.lab.reproduction import reproduction

    experiment, chosen = Choice(preset=preset).of(name)  # type: ignore[arg-type]
    record = printing.recorded(experiment, chosen)
    with tempfile.TemporaryDirectory(prefix="assay-") if root is None else nullcontext(str(root)) as folder:
        lab = machine.lab(Path(folder) / "store" if root is None else Path(folder))
        require_unused(lab, experiment)
        found = reproduction(trained(lab, experiment, chosen, root), record)
    printing.emit(found.to_json()) if as_json else show(found)
    return 0 if found.same else 1


def require_unused(lab: Lab, experiment: Experiment) -> None:
    """Nothing. Raises: StoreError where the store holds anything of the experiment: what is stored would not be reproduced."""
    from assay.lab import groups

    root = lab.store.root
    held = [p for p in (root / "runs" / experiment.name, root / "results" / experiment.name) if p.exists() and any(p.iterdir())]
    held += [g.folder for g in groups.unfinished(lab.store, experiment.name)]
    if held:
        raise StoreError(
            f"{root} already holds {experiment.name} ({held[0].relative_to(root)}), which would be read and not reproduced; "
            "leave --root out, or name an empty folder"
        )


def trained(lab: Lab, experiment: Experiment, chosen: Preset, root: Path | None) -> Any:
    """The result from the empty store; an interrupt says how a store that is kept goes on."""
    try:
        with Display(experiment.name) as display:
            return lab.run(experiment, chosen, display)
    except KeyboardInterrupt:
        if root is not None:
            where = f"{experiment.typed}{chosen.options} --root {root}"
            print(f"to go on with what is stored: assay run {where}, then assay check {where}", file=sys.stderr)
        raise


def show(found: Reproduction) -> None:
    """Print every claim on both sides, what differs, cost, environments and how many numbers are equal."""
    from assay.report import tables

    def told(v: Statement) -> str:
        return "absent" if v is None else " ".join((tables.SIGNS.get(v.get("outcome", "finding"), "–"), *tables.estimate(v)))

    claims = printing.grid("claim", "recorded", "reproduced", "")
    claims.expand, claims.columns[0].ratio = True, 1
    for kind, text, old, new, why in found.statements:
        if kind == "verdicts" or why:
            ours = (told(old), told(new)) if kind != "exact" else tuple("absent" if v is None else v["outcome"] for v in (old, new))
            # the reason below the claim: it is long, and would leave the claim no room beside it
            claims.add_row(f"{text}\n→ {why}" if why else text, *ours, "differs" if why else "same")
    printing.draw(claims)
    print()
    sides = printing.grid("", "recorded", "reproduced")
    for key, words in (("seconds", "time by the clock"), ("cpu_seconds", "CPU-seconds")):
        cost = [found.cost[side][key] for side in ("recorded", "reproduced")]
        sides.add_row(words, *(duration(c) if key == "seconds" else f"{c:,.0f}" for c in cost))
    for key, words in SHOWN.items():
        sides.add_row(words, *(str(found.environment[side].get(key, "")) or "unknown" for side in ("recorded", "reproduced")))
    printing.draw(sides)
    print()
    for line in summary(found):
        printing.say(line)


def summary(found: Reproduction) -> list[str]:
    """What the comparison comes to, in sentences."""
    beside = [kind for kind, *_, why in found.statements if kind != "verdicts" and not why]
    kinds = (("exact", "exact statement"), ("findings", "finding"))
    also = [f"{n} {word}{'s' * (n != 1)}" for kind, word in kinds if (n := beside.count(kind))]
    lines = [f"As recorded too: {' and '.join(also)}."] if also else []
    if not found.same_claims:
        lines.append("A text, range or control of a claim was changed since the record.")
    if not found.same_runs:
        lines.append("The record's runs were of other specs or of another version: single numbers need not agree.")
    expected = "as processor and versions let expect" if found.same_kind_of_machine else "none need be, on another machine or other versions"
    if found.same_kind_of_machine and found.equal < found.total:
        expected = f"all were expected on this machine and these versions; not in {', '.join(found.unequal[:5])}"
        expected += f" and {len(found.unequal) - 5} more measures" if len(found.unequal) > 5 else ""
    lines.append(f"{found.equal:,} of {found.total:,} recorded numbers are equal to the last digit; {expected}.")
    many = sum(bool(why) for *_, why in found.statements)
    differ = f"{many} {'statement differs' if many == 1 else 'statements differ'}" if many else "what is claimed is no longer the same"
    verdict = "reproduced: every statement came out as recorded" if found.same else f"not reproduced: {differ}"
    return [*lines, f"{found.experiment} ({found.preset}) is {verdict}."]


