"""`assay plan`: what a run, or a run of the whole catalogue, would take and bring; printed or as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.cli.options import Choice, Machine
from assay.cli.printing import draw, emit, grid, megabytes, say
from assay.cli.progress import duration
from assay.core.compute import Range
from assay.core.errors import AssayError

if TYPE_CHECKING:
    from assay.core.claims import Claim
    from assay.core.experiment import Experiment
    from assay.core.spec import Spec
    from assay.lab.forecast import Bought, Forecast, Prospect
    from assay.lab.plan import Plan


def one(name: str, budget: str | None, choice: Choice, machine: Machine, root: Path, as_json: bool) -> None:
    """Print what would run, arm by arm, what it will take, and what is to be expected of each claim."""
    from assay.core.compute import budget as read
    from assay.lab.forecast import forecast

    asked = read(budget) if budget is not None else None
    experiment, preset = choice.of(name)
    lab = machine.lab(root)
    width = lab.executor_for([experiment]).width
    found = forecast(lab.plan(experiment, preset), experiment, width, asked)
    counts = units(found.plan, experiment)
    if as_json:
        data = found.to_json()
        return emit(data | {"claims": [{**c, **counts[c["text"]]} for c in data["claims"]]})
    plan = found.plan
    arms(plan)
    print()
    claims(found, counts)
    for note in (*plan.notes, *found.notes):
        say(f"note: {note}")
    if found.budget is not None and found.budget.assumed:
        say(f"assumed: {found.budget.assumed}")
    if found.bought is not None and found.budget is not None:
        widths = f"; half-widths are those of {found.bought.seeds:,}" if found.bought.seeds else ""
        say(f"{found.budget.text} buys {counted(found.bought.range)}, stored ones included{widths}.")
    print()
    if found.bought is not None and found.bought.runs:
        for line in spent(found, found.bought):
            say(line)
        print(f"To spend it: assay run {experiment.typed}{preset.but(found.bought.chosen).options}")
        if not found.bought.whole:
            print(f"The preset itself: assay run {experiment.typed}{preset.options}")
        return None
    if not plan.missing:
        print(f"Everything is stored. Verdicts: assay show {experiment.typed}{plan.preset.options}")
        return None
    if found.bought is not None and found.budget is not None:  # no run to train: the plain advice would overspend it
        within = f"{found.bought.seeds:,} seeds are within it, and they are stored" if found.bought.seeds else "not one seed is within it"
        say(f"{found.budget.text} buys nothing here: {within}. The preset takes more:")
    for line in taken(found):
        say(line)
    said = "The preset itself" if found.bought is not None else "Next"
    print(f"{said}: assay run {experiment.typed}{plan.preset.options}")
    return None


def arms(plan: Plan) -> None:
    """Print the table of arms: runs, what is stored, CPU-seconds of each."""
    table = grid("arm", "runs", "stored", "missing", "CPU-s a run", "why", right=("runs", "stored", "missing", "CPU-s a run"))
    for arm, rows in plan.by_arm().items():
        missing = [row for row in rows if row.state == "missing"]
        cost = plan.per_run.get(arm)
        reasons = "; ".join(dict.fromkeys(row.why for row in missing))
        each = "unknown" if cost is None else f"≤ {cost:.2f}" if arm in plan.at_most else f"{cost:.2f}"
        table.add_row(arm, str(len(rows)), str(len(rows) - len(missing)), str(len(missing)), each, reasons)
    draw(table)


def claims(found: Forecast, counts: Mapping[str, Mapping[str, Any]]) -> None:
    """Print, for each claim, its units and those of its controls, the half-width to expect, and what decides it."""
    for i, c in enumerate(found.claims, 1):
        told = counts[c.text]
        every = ", ".join(f"{arm}: {count}" for part in ("judged", "controls") for arm, count in told[part].items())
        say(f"{i}. {c.text}")
        say(f"  units {every}; {outlined(c)}")
    if found.claims and found.spread_from:
        say(f"Half-widths are extrapolated from {found.spread_from}, on the scale on which a claim is judged; gates and controls apart.")


def outlined(c: Prospect) -> str:
    """What is to be expected of a claim, in a sentence; what is unknown says so."""
    from assay.core.reading import plural

    if c.half_width is None and c.fewest is None:
        return f"half-width unknown: {c.why or 'nothing is measured yet'}"
    spent = f", {spanned(c.seconds)} CPU-seconds" if c.seconds is not None else ""
    need = c.why if c.fewest is None else f"{c.fewest:,} {plural(c.factor, 2)} are enough{spent}"
    at = f" at {c.units:,} {plural(c.factor, c.units)}" if c.units is not None else ""
    return f"half-width {number(c.half_width)}{at}, {number(c.distance)} to its bound: {c.expected}; {need}"


def taken(found: Forecast) -> list[str]:
    """What the command takes: time by the clock, CPU-seconds, memory, disk, FLOP; what is unknown says so."""
    lines = [f"{len(found.plan.missing)} runs to train, {timed(found.command, found)}.", needed(found.plan.disk, found.flop, found)]
    if found.rate is not None:
        lines.append(f"Matrix products run at {found.rate:.3g} FLOP a CPU-second here, measured for 2 seconds.")
    return lines


def spent(found: Forecast, bought: Bought) -> list[str]:
    """What it takes to spend a budget: the same for what it buys; the time is this machine's, wherever it is spent."""
    clock = timed(bought.command, found)
    here = f", here {clock}" if found.budget is not None and found.budget.flop is not None else f", {clock}"
    return [f"{bought.seeds:,} seeds are {bought.runs:,} runs to train{here}.", needed(bought.disk, bought.flop, found)]


def timed(command: tuple[Range, Range] | None, found: Forecast) -> str:
    """The time that a command takes, and where that is known from."""
    if command is None:
        return "an unknown time"
    return f"{lasting(command[0])} ({spanned(command[1])} CPU-seconds, from {found.times_from})"


def needed(disk: int | None, flop: Range | None, found: Forecast) -> str:
    """Memory, disk and FLOP, in a sentence."""
    memory = f"{found.memory / 1e9:.1f} GB a process" if found.memory else "an unknown amount"
    place = "an unknown amount" if disk is None else megabytes(disk)
    counts = spanned(flop) if flop is not None else "unknown: it states none"
    return f"Memory {memory}; {place} of disk, {megabytes(found.plan.free)} free; FLOP {counts}."


def catalogue(budget: str | None, choice: Choice, machine: Machine, root: Path, as_json: bool) -> None:
    """Print what every experiment would take, and all of them as one command."""
    from assay.lab import catalogue as listed
    from assay.lab.forecast import forecast, survey
    from assay.lab.preset import override

    if budget is not None:
        raise AssayError("a budget is planned for one experiment; name it in place of catalogue")
    if choice.set:
        raise AssayError("fields are set for one experiment; name it in place of catalogue, or leave out --set")
    lab, found, unknown = machine.lab(root), {}, {}
    width = lab.executor.width
    for entry in listed.entries():
        try:
            experiment = listed.find(entry.name)
            found[entry.name] = forecast(lab.plan(experiment, override(experiment, choice.preset)), experiment, width, claims=False)
        except AssayError as error:  # a model that is not here, say
            unknown[entry.name] = str(error)
    clock, cpu, disk = survey(list(found.values()), width)
    spent = sum(paid(f.plan) for f in found.values())
    if as_json:
        rows = [{k: v for k, v in f.to_json().items() if k not in ("runs", "claims", "budget")} for f in found.values()]
        totals = {"command_seconds": span(clock), "command_cpu_seconds": span(cpu), "disk_bytes": disk, "stored_cpu_seconds": spent}
        return emit({"preset": choice.preset, "experiments": rows, "unknown": unknown, "total": totals})
    table = grid("experiment", "runs", "stored", "CPU-s stored", "to run", "CPU-s to spend", "from", right=(
        "runs", "stored", "CPU-s stored", "to run", "CPU-s to spend"))  # fmt: skip
    for name, f in found.items():
        p = f.plan
        work = "–" if not p.missing else spanned(f.cpu) if f.cpu is not None else "unknown"
        source = f.times_from if p.missing else ""
        table.add_row(name, str(len(p.rows)), str(len(p.cached)), f"{paid(p):.0f}", str(len(p.missing)), work, source)
    draw(table)
    print()
    for name, why in unknown.items():
        say(f"{name} is not counted: {why}")
    untold = [name for name, f in found.items() if f.cpu is None]
    if untold:
        say(f"Nothing tells how long these take: {', '.join(untold)}.")
        clock, cpu, _ = survey([f for f in found.values() if f.cpu is not None], width)
    if clock is not None and cpu is not None:
        who = "The others" if untold else "All of them"
        say(f"{who} on {width} workers: {lasting(clock)}, {spanned(cpu)} CPU-seconds; {megabytes(disk)} of disk, shared artefacts once.")
    say(f"Stored runs have taken {spent:.0f} CPU-seconds.")
    print(f"Next: assay run catalogue{'' if choice.preset == 'default' else f' --preset {choice.preset}'}")
    return None


def paid(plan: Plan) -> float:
    """CPU-seconds that the stored runs of a plan have taken."""
    from assay.lab.plan import costs

    return costs(plan)[1]


def units(plan: Plan, experiment: Experiment) -> dict[str, dict[str, dict[str, str]]]:
    """For each claim by its text, how many units of each factor the judged arm and every control bring."""
    from assay.core.claims import Claim
    from assay.core.reading import plural

    def count(claim: Claim, arm: str) -> str:
        rows = plan.by_arm().get(arm)
        if rows is None:
            return "derived from other arms"
        specs: list[Spec] = [row.job.spec for row in rows]
        kept = [spec for spec in specs if all(getattr(spec, name, value) == value for name, value in claim.where.items())]
        stored = next((row.stored for row in rows if row.stored is not None), None)
        sizes = stored.measures().sizes if stored is not None else {}
        factors = []
        for unit in claim.units:
            if hasattr(specs[0], unit):
                factors.append(f"{len({getattr(spec, unit) for spec in kept})} {plural(unit, 2)}")
            else:  # a dimension of the measures, such as documents: counted once a run is stored
                factors.append(f"{sizes[unit]} {plural(unit, 2)}" if unit in sizes else plural(unit, 2))
        return " × ".join(factors)

    told = {}
    for claim in experiment.claims:
        if isinstance(claim, Claim):
            controls = {arm: count(claim, arm) for arm in (*claim.must_fail, *claim.must_hold)}
            told[claim.text] = {"judged": {claim.of: count(claim, claim.of)}, "controls": controls}
    return told


def span(r: Range | None) -> list[float] | None:
    """A range as plain values."""
    return None if r is None else [r.low, r.high]


def spanned(r: Range) -> str:
    """A range as "10 to 40", or one number where both ends print the same."""
    low, high = (f"{x:.2e}" if 0 < x < 0.01 or x >= 1e6 else f"{x:,.0f}" if x >= 100 else f"{x:.3g}" for x in (r.low, r.high))
    return low if low == high else f"{low} to {high}"


def counted(r: Range) -> str:
    """A range of seeds; beyond what anybody needs there are no more figures."""
    from assay.core.outlook import MOST

    if r.low > MOST:
        return f"more than {MOST:,} seeds, more than anybody needs"
    high = f"more than {MOST:,}" if r.high > MOST else f"{r.high:,.0f}"
    return f"{r.low:,.0f} seeds" if r.known else f"{r.low:,.0f} to {high} seeds"


def lasting(r: Range) -> str:
    """A range of seconds as people say it."""
    low, high = duration(r.low), duration(r.high)
    return f"about {low}" if low == high else f"{low} to {high}"


def number(x: float | None) -> str:
    """An amount in three digits; a dash where there is none."""
    return "–" if x is None else "below 1e-6" if x < 1e-6 else f"{x:.3g}"
