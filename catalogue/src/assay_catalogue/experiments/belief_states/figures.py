"""The figures of belief-states."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from assay.core import Arms, Figure, figure
from assay.core.heavy import xr
from assay_catalogue.experiments.belief_states.claims import select_missing
from assay_catalogue.experiments.belief_states.method import SHOWN, WINDOWS
from assay_catalogue.experiments.belief_states.probes import HELD_OUT, prefixes_of


def level(arm: xr.Dataset, protocol: str, probe: str | None = None) -> np.ndarray:
    """[run]: R² of each run."""
    return 1 - select_missing(arm, protocol, probe).values


def against_baselines(arms: Arms) -> Iterator[tuple]:
    """Rows: R² of networks and baselines by both ways of holding out, means over seeds with t
    intervals."""
    networks = (("trained", "main"), ("untrained", "untrained"))
    rows = [(caption, arm, "concat") for caption, arm in networks]
    rows += [
        ("trained + kernel", "main", "concat + kernel"),
        ("kernel on tokens", "tokens", "kernel"),
        ("exact next token", "tokens", "next token"),
    ]
    rows += [
        (f"last {k} token{'s' * (k > 1)}", "tokens", f"last {k}") for k in range(WINDOWS, 0, -1)
    ]
    for protocol, caption in HELD_OUT.items():
        for label, arm, probe in rows:
            yield label, level(arms[arm], protocol, probe), caption


def simplex(arms: Arms) -> Iterator[tuple]:
    """Rows: beliefs of Mess3 as points of a triangle: true ones, and predicted with endings held
    out, for the first seed."""
    attrs = arms["mess3"].attrs
    tree = prefixes_of("mess3", attrs["x"], attrs["alpha"], attrs["probed"])
    beliefs = tree.belief[tree.depth <= SHOWN]
    panels = {"true": beliefs[:, :2]}
    for label, arm in (
        ("trained, last layer", "mess3"),
        ("untrained, all layers", "mess3-untrained"),
        (f"last {attrs['probed']} tokens", "mess3-tokens"),
    ):
        panels[label] = arms[arm].simplex.values[0]
    for label, points in panels.items():
        for (a, b), state in zip(points.tolist(), beliefs.argmax(1).tolist(), strict=True):
            yield b + (1 - a - b) / 2, (1 - a - b) * 3**0.5 / 2, f"state {state}", label


def figures(arms: Arms) -> list[Figure]:
    prefixes = len(
        prefixes_of(*(arms["main"].attrs[name] for name in ("process", "x", "alpha", "probed")))
    )
    return [
        figure(
            "What of the belief can be read from what",
            "bars",
            {"features": "x", "mean": "mean", "held": "facet"},
            against_baselines(arms),
            y_title="R² of the belief",
            note=f"RRXOR, {prefixes:,} prefixes. Left, tables of last tokens have seen most "
            "endings before; right, no ending was seen. Neither "
            "the kernel nor the tables use a network.",
        ),
        figure(
            "Mess3: beliefs on the simplex, read with endings held out",
            "points",
            {"x": "x", "y": "y", "state": "color", "from": "facet"},
            simplex(arms),
            x_title="belief, horizontal",
            y_title="belief, vertical",
            note=(
                "Prefixes of at most 5 tokens, one seed; a point's series is its most likely true "
                "state."
            ),
        ),
    ]
