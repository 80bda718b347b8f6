"""The figures of streetlight."""

from __future__ import annotations

from assay.core import Arms, Figure, summary
from assay.core.figures import columns
from assay.core.measures import by
from assay.experiments.streetlight.claims import data, gain, good, reached, surface
from assay.experiments.streetlight.probes import BASELINES, REGIMES, SAE

PARTS = ("test", "shifted")
SHOWN = {
    "regression": "logistic",
    "words": "bigrams",
    "1 feature": "sae-1",
    "16 features": "sae-16",
    "random feature": "random-1",
}


def figures(arms: Arms) -> list[Figure]:
    if "main" not in arms:
        return []
    main = arms["main"]
    d = data(main).auroc.sel(regime="standard").mean("seed")
    order = d.sel(probe="sae-1")
    tasks = [str(t) for t in order.task.values[order.argsort().values[::-1]]]
    plain = surface(arms)
    answers = by(main[["asked"]]).asked.mean("seed") if "asked" in main else None
    rows = []
    for part in PARTS:
        scores = {name: reached(main, method, part).mean("seed") for name, method in SHOWN.items()}
        for task in tasks:
            label = f"{task}*" if task in plain else task
            rows += [
                (label, float(values.sel(task=task)), name, part) for name, values in scores.items()
            ]
            if answers is not None and part == "test":
                rows.append((label, float(answers.sel(task=task)), "asked in words", part))
    table = Figure(
        "What each concept named in advance is read from, losers included",
        columns(("concept", "auroc", "method", "part"), rows),
        "points",
        x="concept",
        y="auroc",
        color="method",
        facet="part",
        x_title="concept (* words alone say as much)",
        y_title="AUROC",
        rules=((0.5, "guessing"),),
        note=(
            "Means over seeds; the best feature first. Shifted texts come from templates that "
            "training never saw."
        ),
    )
    frozen = (
        [
            ("named, frozen decoder", good(arms["frozen"]).mean("task").values),
            ("found, frozen decoder", by(arms["frozen"]).found.values),
        ]
        if "frozen" in arms
        else []
    )
    shares = (
        [
            (label, *summary(x))
            for label, x in (
                ("named in advance", good(main).mean("task").values),
                ("the same, random dictionary", good(main, "random-1").mean("task").values),
                ("rules that have one", by(main).lot.values),
                ("the same, random dictionary ", by(main).lot_random.values),
                ("found by looking", by(main).found.values),
                ("found, random dictionary", by(main).found_random.values),
                ("found, shuffled tokens", by(main).found_shuffled.values),
                *frozen,
            )
        ]
        if "found" in main
        else []
    )
    lamp = Figure(
        "How often there is a good feature: named in advance, by rule, found by looking",
        columns(("what", "share", "low", "high"), shares),
        "bars",
        x="what",
        y="share",
        band=("low", "high"),
        x_title="concepts or features",
        y_title="share with a good feature",
        note="Mean and 95 % t interval over dictionaries.",
    )
    rows = [
        (r, *summary(gain(main, (r,)).mean("seed").values)) for r in REGIMES if r in main.regime
    ]
    quiver = Figure(
        "What a dictionary adds to a tuned quiver, by regime",
        columns(("regime", "gain", "low", "high"), rows),
        "bars",
        x="regime",
        y="gain",
        band=("low", "high"),
        x_title="training texts",
        y_title="gain in test AUROC",
        rules=((0.0, "nothing"),),
        note="Mean and 95 % t interval over concepts.",
    )
    rows = []
    for k in (1, 4, 16, 64):
        for part in PARTS:
            rows.append(
                (
                    k,
                    *summary(reached(main, f"sae-{k}", part).mean("seed").values),
                    f"features, {part}",
                )
            )
            rows.append(
                (
                    k,
                    *summary(reached(main, "logistic", part).mean("seed").values),
                    f"all activations, {part}",
                )
            )
    sweep = Figure(
        "More features, and texts of other templates",
        columns(("k", "auroc", "low", "high", "probe"), rows),
        "line",
        x="k",
        y="auroc",
        color="probe",
        band=("low", "high"),
        x_log=True,
        x_title="features in the probe",
        y_title="AUROC",
        note="Mean and 95 % t interval over concepts.",
    )
    rows = [
        (m, float(v), "baseline" if m in BASELINES else "dictionary")
        for m in (*BASELINES, *SAE)
        for v in d.sel(probe=m).values
    ]
    spread = Figure(
        "Every method on every concept",
        columns(("method", "auroc", "kind"), rows),
        "points",
        x="method",
        y="auroc",
        color="kind",
        x_title="method",
        y_title="test AUROC",
        note="One point for each concept, the mean over seeds.",
    )
    return [table, lamp, quiver, sweep, spread] if shares else [table, quiver, sweep, spread]
