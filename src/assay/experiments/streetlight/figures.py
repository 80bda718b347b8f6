"""The figures of streetlight."""

from __future__ import annotations

from assay.core import Arms, Figure, by, figure
from assay.experiments.streetlight.claims import good, reached

SHOWN = {
    "random direction": ("main", "random-1"),
    "1 feature, frozen decoder": ("frozen", "sae-1"),
    "1 feature": ("main", "sae-1"),
    "16 random directions": ("main", "random-16"),
    "16 features": ("main", "sae-16"),
    "error alone": ("main", "error"),
    "words": ("main", "words"),
    "reconstruction": ("main", "recon"),
    "regression": ("main", "logistic"),
}


def stratum(concept: str) -> str:
    """What kind of concept it is, in words."""
    return "what comes next" if concept.startswith("next") else "place in the grammar"


def figures(arms: Arms) -> list[Figure]:
    if "main" not in arms:
        return []
    main = arms["main"]
    rows = [
        (label, float(auroc), stratum(str(task)))
        for label, (arm, method) in SHOWN.items()
        if arm in arms
        for task, auroc in zip(
            main.task.values, reached(arms[arm], method).mean("seed").values, strict=True
        )
    ]
    spread = figure(
        "What each concept drawn by lot is read from, losers included",
        "points",
        {"method": "x", "auroc": "y", "concept": "color"},
        rows,
        x_title="read from",
        y_title="test AUROC",
        rules=((0.5, "guessing"),),
        note="A point is a concept, the mean over dictionaries.",
    )
    pairs = [
        ("concepts", "trained", good(main).mean("task")),
        ("concepts", "random directions", good(main, "random-1").mean("task")),
        ("rules with a feature", "trained", by(main).lot),
        ("rules with a feature", "random directions", by(main).lot_random),
        ("features with a rule", "trained", by(main).found),
        ("features with a rule", "random directions", by(main).found_random),
    ]
    if "frozen" in arms:
        frozen = arms["frozen"]
        pairs += [
            ("concepts", "frozen decoder", good(frozen).mean("task")),
            ("rules with a feature", "frozen decoder", by(frozen).lot),
            ("features with a rule", "frozen decoder", by(frozen).found),
        ]
    lamp = figure(
        "How often there is a good feature: named in advance, and looked at first",
        "bars",
        {"what": "x", "dictionary": "color", "share": "mean"},
        [(what, which, x.values) for what, which, x in pairs],
        x_title="of what",
        y_title="share",
        note="Mean and 95 % t interval over dictionaries.",
    )
    quiver = by(main[["quiver"]]).quiver.mean("seed")
    gained = [
        (str(regime), label, (at.sel(chosen=name) - at.sel(chosen="without")).values)
        for regime in quiver.regime.values
        for at in [quiver.sel(regime=regime)]
        for label, name in (("by validation", "with"), ("by the test", "with, by test"))
    ]
    added = figure(
        "What a dictionary adds to a tuned quiver",
        "bars",
        {"regime": "x", "chosen": "color", "gain": "mean"},
        gained,
        x_title="training passages",
        y_title="gain in test AUROC",
        rules=((0.0, "nothing"),),
        note="Mean and 95 % t interval over concepts; the quiver without it: by validation.",
    )
    return [spread, lamp, added]
