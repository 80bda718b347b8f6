"""The figures of interpretable-capability."""

from __future__ import annotations

from assay.core import Arms, Figure, by_level, figure
from assay_catalogue.experiments.interpretable_capability.claims import (
    Read,
    by_circuits,
    by_rules,
    capability,
)


def drawings(arms: Arms) -> list[Figure]:
    """Capability, and its interpretable part by both definitions, over the size of models."""
    lines: tuple[tuple[str, str, Read], ...] = (
        ("main", "capability", capability),
        ("main", "times what rules explain", by_rules),
        ("main", "times what circuits spare", by_circuits),
        ("lot", "times what nodes by lot spare", by_circuits),
    )
    return [
        figure(
            "Capability over size, and how much of it is understood",
            "line",
            {"what": "color", "width": "x", "mean": "mean"},
            [
                (label, *point)
                for arm, label, read in lines
                for point in by_level(read(arms[arm]), "width")
            ],
            x_log=True,
            x_title="width of the stream",
            y_title="nats per token that are saved",
            note="Above the loss of a guess by the frequencies of tokens, on text of other files.",
        )
    ]
