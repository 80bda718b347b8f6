"""The figures of belief-states."""

from __future__ import annotations

import numpy as np

from assay.core import Arms
from assay.core.figures import Figure, columns, summary
from assay.core.heavy import xr
from assay.experiments.belief_states.claims import select_missing
from assay.experiments.belief_states.method import SHOWN, WINDOWS
from assay.experiments.belief_states.probes import HELD_OUT
from assay.experiments.belief_states.process import prefixes_of


def level(arm: xr.Dataset, protocol: str, probe: str | None = None) -> np.ndarray:
    """[run]: R² of each run."""
    return 1 - select_missing(arm, protocol, probe).values


def against_baselines(arms: Arms) -> dict[str, list]:
    """Columns: R² of networks and baselines by both ways of holding out, means over seeds with t
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
    return columns(
        ("features", "mean", "low", "high", "held"),
        (
            (label, *summary(level(arms[arm], protocol, probe)), caption)
            for protocol, caption in HELD_OUT.items()
            for label, arm, probe in rows
        ),
    )


def over_training(arms: Arms) -> dict[str, list]:
    """Columns: R² of main at each moment of training, means over seeds with t intervals."""
    main = arms["main"]
    moments = zip(main.attrs["moments"], main.r2_at.values.T, strict=True)
    return columns(
        ("moment", "mean", "low", "high"), ((share, *summary(values)) for share, values in moments)
    )


def by_layer(arms: Arms) -> dict[str, list]:
    """Columns: R² of each layer by itself, named by its number, trained and untrained, means over
    seeds with t intervals."""
    lines = [
        (
            f"{network}, {protocol}es" if protocol == "prefix" else f"{network}, {protocol}s",
            arm,
            protocol,
        )
        for network, arm in (("trained", "main"), ("untrained", "untrained"))
        for protocol in HELD_OUT
    ]
    return columns(
        ("layer", "mean", "low", "high", "network"),
        (
            (probe.split()[1], *summary(level(arms[arm], protocol, probe)), label)
            for label, arm, protocol in lines
            for probe in arms[arm].probe.values
            if probe.startswith("layer")
        ),
    )


def simplex(arms: Arms) -> dict[str, list]:
    """Columns: beliefs of Mess3 as points of a triangle: true ones, and predicted with endings held
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
    return columns(
        ("x", "y", "state", "from"),
        (
            (b + (1 - a - b) / 2, (1 - a - b) * 3**0.5 / 2, f"state {state}", label)
            for label, points in panels.items()
            for (a, b), state in zip(points.tolist(), beliefs.argmax(1).tolist(), strict=True)
        ),
    )


def figures(arms: Arms) -> list[Figure]:
    prefixes = len(
        prefixes_of(*(arms["main"].attrs[name] for name in ("process", "x", "alpha", "probed")))
    )
    return [
        Figure(
            "What of the belief can be read from what",
            against_baselines(arms),
            "bars",
            x="features",
            y="mean",
            facet="held",
            band=("low", "high"),
            y_title="R² of the belief",
            note=f"RRXOR, {prefixes:,} prefixes. Left, tables of last tokens have seen most "
            "endings before; right, no ending was seen. Neither "
            "the kernel nor the tables use a network.",
        ),
        Figure(
            "The belief grows over training",
            over_training(arms),
            "line",
            x="moment",
            y="mean",
            band=("low", "high"),
            x_title="share of training",
            y_title="R² of the belief, endings held out",
            note="The loss falls all the while: time and loss cannot be told apart here.",
        ),
        Figure(
            "The belief layer by layer",
            by_layer(arms),
            "bars",
            x="layer",
            y="mean",
            color="network",
            band=("low", "high"),
            x_title="block after which the stream is read",
            y_title="R² of the belief",
        ),
        Figure(
            "Mess3: beliefs on the simplex, read with endings held out",
            simplex(arms),
            "points",
            x="x",
            y="y",
            color="state",
            facet="from",
            x_title="belief, horizontal",
            y_title="belief, vertical",
            note=(
                "Prefixes of at most 5 tokens, one seed; a point's series is its most likely true "
                "state."
            ),
        ),
    ]
