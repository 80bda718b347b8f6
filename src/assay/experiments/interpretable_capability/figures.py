"""The figures of interpretable-capability."""

from __future__ import annotations

from collections.abc import Iterator

from assay.core import Arms, Figure, columns, summary
from assay.experiments.interpretable_capability.claims import (
    Read,
    by_circuits,
    by_rules,
    capability,
    rules,
)
from assay.experiments.interpretable_capability.method import BUDGET, BUDGETS

NATS = "nats per token that are saved"


def drawings(arms: Arms) -> list[Figure]:
    return [by_size(arms), by_budget(arms), explained(arms), planted(arms)]


def rows(arms: Arms, arm: str, read: Read, *labels: str) -> Iterator[tuple]:
    """A line over sizes: labels, the width or the number of the rung, mean and interval."""
    values = read(arms[arm])
    ticks = (
        range(1, values.sizes["rung"] + 1)
        if arm.startswith("planted")
        else arms["main"].attrs["widths"]
    )
    for i in range(values.sizes["rung"]):
        yield *labels, ticks[i], *summary(values.isel(rung=i).values)


def by_size(arms: Arms) -> Figure:
    """Capability, and its interpretable part by both definitions, over the size of models."""
    lines = {
        "capability": capability,
        f"kept by circuits of {BUDGET} nodes": by_circuits,
        "times what rules explain": by_rules,
    }
    points = [row for label, read in lines.items() for row in rows(arms, "main", read, label)]
    return Figure(
        (
            "Capability grows with size; how much of it counts as interpretable depends on the "
            "definition"
        ),
        columns(("what", "width", "mean", "low", "high"), points),
        "line",
        x="width",
        y="mean",
        color="what",
        band=("low", "high"),
        x_log=True,
        x_title="width of the stream",
        y_title=NATS,
        note="Above the loss of a guess by the frequencies of tokens, on text of other files.",
    )


def by_budget(arms: Arms) -> Figure:
    """What circuits of each budget keep, over the size of models."""
    points = [
        row
        for n in BUDGETS
        for row in rows(arms, "main", lambda arm, n=n: by_circuits(arm, n), f"{n} nodes")
    ]
    points += list(rows(arms, "lot", by_circuits, f"{BUDGET} nodes by lot"))
    return Figure(
        "What circuits keep: the budget says where it is most",
        columns(("circuit", "width", "mean", "low", "high"), points),
        "line",
        x="width",
        y="mean",
        color="circuit",
        band=("low", "high"),
        x_log=True,
        x_title="width of the stream",
        y_title=NATS,
    )


def explained(arms: Arms) -> Figure:
    """How well rules tell where neurons fire, beside near controls."""
    lines = {
        "main": "trained",
        "exchanged": "exchanged weights",
        "outputs-only": "neurons never learned to read",
        "directions": "random mixes",
        "shuffled": "another neuron's rule",
    }
    points = [row for arm, label in lines.items() for row in rows(arms, arm, rules, label)]
    return Figure(
        "How well rules tell where neurons fire",
        columns(("models", "width", "mean", "low", "high"), points),
        "line",
        x="width",
        y="mean",
        color="models",
        band=("low", "high"),
        x_log=True,
        x_title="width of the stream",
        y_title="firings told less false alarms",
    )


def planted(arms: Arms) -> Figure:
    """The planted ladders: what both definitions find of what is known."""
    lines = {
        "capability": capability,
        f"circuits of {BUDGET} nodes": by_circuits,
        "rules": by_rules,
    }
    points = [
        row
        for arm in ("planted-valley", "planted-rise")
        for label, read in lines.items()
        for row in rows(arms, arm, read, arm, label)
    ]
    return Figure(
        "Planted ladders: a valley that both definitions have to find, and none",
        columns(("ladder", "what", "rung", "mean", "low", "high"), points),
        "line",
        x="rung",
        y="mean",
        color="what",
        facet="ladder",
        band=("low", "high"),
        x_title="rung of the ladder",
        y_title=NATS,
    )
