"""The figures of interpretable-capability."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from assay.core import Arms, Figure, figure
from assay_catalogue.experiments.interpretable_capability.claims import (
    Read,
    by_circuits,
    by_rules,
    capability,
    explained,
)

NATS = "nats per token that are saved"


def drawings(arms: Arms) -> list[Figure]:
    return [by_size(arms), needed(arms), told(arms), planted(arms)]


def rows(arms: Arms, arm: str, read: Read, *labels: str) -> Iterator[tuple]:
    """A line over sizes: labels, the width or the number of the rung, mean and interval."""
    values = read(arms[arm])
    widths: Sequence[int] = values.width.values.tolist()
    for i, width in enumerate(widths):
        place = i + 1 if arm.startswith("planted") else width
        yield *labels, place, (values.isel(width=i).values)


def line(
    title: str, arms: Arms, lines: dict[tuple[str, str], Read], y_title: str, note: str = ""
) -> Figure:
    """One figure over widths: {(arm, its label): what is read of it}."""
    points = [row for (arm, label), read in lines.items() for row in rows(arms, arm, read, label)]
    return figure(
        title,
        "line",
        {"what": "color", "width": "x", "mean": "mean"},
        points,
        x_log=True,
        x_title="width of the stream",
        y_title=y_title,
        note=note,
    )


def by_size(arms: Arms) -> Figure:
    """Capability, and its interpretable part by both definitions, over the size of models."""
    lines = {
        ("main", "capability"): capability,
        ("main", "times what rules explain"): by_rules,
        ("main", "times what circuits spare"): by_circuits,
        ("lot", "times what nodes by lot spare"): by_circuits,
    }
    note = "Above the loss of a guess by the frequencies of tokens, on text of other files."
    title = "Capability over size, and how much of it is understood"
    return line(title, arms, lines, NATS, note)


def needed(arms: Arms) -> Figure:
    """The share of nodes that keep nine tenths of what a model does, beside controls."""
    labels = {
        "main": "trained",
        "lot": "trained, nodes by lot",
        "outputs-only": "neurons never learned to read",
        "exchanged": "exchanged weights",
    }
    lines = {(arm, label): lambda x: x.needed for arm, label in labels.items()}
    title = "What share of its nodes keeps nine tenths of what a model does"
    return line(title, arms, lines, "share of nodes")


def told(arms: Arms) -> Figure:
    """How well rules tell where neurons fire, beside controls."""
    labels = {
        "main": "trained",
        "exchanged": "exchanged weights",
        "outputs-only": "neurons never learned to read",
        "shuffled": "another neuron's rule",
    }
    lines = dict.fromkeys(labels.items(), explained)
    title = "How well rules tell where neurons fire"
    return line(title, arms, lines, "firings told less false alarms")


def planted(arms: Arms) -> Figure:
    """The planted ladders: what both definitions find of what is known."""
    lines = {"capability": capability, "by circuits": by_circuits, "by rules": by_rules}
    points = [
        row
        for arm in ("planted-valley", "planted-rise")
        for label, read in lines.items()
        for row in rows(arms, arm, read, arm, label)
    ]
    return figure(
        "Planted ladders: a valley that both definitions have to find, and none",
        "line",
        {"ladder": "facet", "what": "color", "rung": "x", "mean": "mean"},
        points,
        x_title="rung of the ladder",
        y_title=NATS,
    )
