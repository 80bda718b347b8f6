"""The figures of grokking-efficiency."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from assay.core import Arms, Figure, by_level, figure, summary
from assay.core.measures import by
from assay_catalogue.experiments.grokking_efficiency.claims import BASE, LONG, law, middle
from assay_catalogue.worlds.modular import two_circuits


def collect_rows(arms: Arms, labels: Mapping[str, str], measure: str) -> list[tuple]:
    """Rows (size, (mean, low, high), label) of a measure against the size of the training set."""
    rows = []
    for arm, label in labels.items():
        data = by(arms[arm], "pairs")[measure]
        rows += [(size, summary(values), label) for size, values in by_level(data, "pairs")]
    return rows


def efficiency(arms: Arms) -> list[tuple]:
    """Rows of J along sizes: measured, the memorisers' law, the best amplitudes as a level; U50
    upright."""
    rows = collect_rows(arms, {"memorise": "random labels", "generalise": "sums, grokked"}, "cost")
    fitted, data = law(arms["memorise"])
    sizes = np.unique(np.concatenate([data.pairs.values, arms["generalise"].pairs.values]))
    best = summary(arms["main"].best_cost.values)
    for size in sizes.tolist():
        rows += [
            (size, summary(fitted.at(size)), "law of random labels"),
            (size, best, "sums, best amplitudes"),
        ]
    foot = min(row[1][0] for row in rows)
    forgets = summary(middle(arms["ungrok"]).values)[0]
    return rows + [(forgets, (height,) * 3, "← U50, measured") for height in (foot, best[0])]


def courses_of_training(arms: Arms) -> list[tuple]:
    """Rows (step, share, whose, pairs, arm) of accuracy along training, means over seeds."""
    courses = [
        ("main", 0, "grokking"),
        ("scratch", 3, "semi-grokking"),
        ("ungrok", 0, "ungrokking"),
        ("ungrok", 3, "ungrokking"),
    ]
    rows = []
    for arm, place, name in courses:
        sizes = np.unique(arms[arm].pairs.values)
        size = int(sizes[min(place, len(sizes) - 1)])
        data = arms[arm].isel(run=arms[arm].pairs.values == size)
        for whose, curve in (
            ("training pairs", data.train_curve),
            ("unseen pairs", data.test_curve),
        ):
            values = curve.mean("run").values
            rows += [
                (int(s), float(v), whose, f"{name}, {size} pairs")
                for s, v in zip(data.step.values, values, strict=True)
            ]
    return rows


def simulated(arms: Arms) -> list[tuple]:
    """Rows (time, logit, circuit, cell) of the simulation as it is and with one thing changed."""
    rows = []
    for name, circuits in two_circuits.variants(BASE).items():
        course = two_circuits.simulate(circuits, LONG)
        for i in np.unique(np.geomspace(1, 10_000, 120).round().astype(int)):
            rows += [
                (course.time[i], course.generalising[i], "generalising", name),
                (course.time[i], course.memorising[i], "memorising", name),
            ]
    return rows


def figures(arms: Arms) -> list[Figure]:
    return [
        figure(
            "Networks forget near the size at which memorising costs what generalising costs "
            "at best",
            "line",
            {"pairs": "x", "J": "mean", "networks": "color"},
            efficiency(arms),
            x_log=True,
            y_log=True,
            x_title="pairs in the training set",
            y_title="J, nats",
            note="J is cross-entropy plus decayed norm; means over seeds with t intervals. U50 is "
            "where grokked networks forget; from scratch they grok at larger sizes.",
        ),
        figure(
            "To reach an accuracy takes more pairs than to keep it",
            "line",
            {"pairs": "x", "accuracy": "mean", "networks": "color"},
            collect_rows(
                arms,
                {
                    "scratch": "from scratch",
                    "ungrok": "ungrokking",
                    "no-decay": "without weight decay",
                },
                "test",
            ),
            x_title="pairs in the training set",
            y_title="accuracy on unseen pairs",
            rules=((0.5, "a half"),),
            note="Means over seeds with t intervals.",
        ),
        figure(
            "Grokking, semi-grokking, ungrokking",
            "line",
            {"step": "x", "accuracy": "y", "pairs": "color", "run": "facet"},
            courses_of_training(arms),
            x_log=True,
            x_title="training step",
            y_title="accuracy",
            note="Means over seeds.",
        ),
        figure(
            "Two circuits in simulation: as they are, and with one thing changed",
            "line",
            {"time": "x", "logit": "y", "circuit": "color", "cell": "facet"},
            simulated(arms),
            x_log=True,
            x_title="time, steps × learning rate",
            y_title="logit of the circuit, nats",
        ),
    ]
