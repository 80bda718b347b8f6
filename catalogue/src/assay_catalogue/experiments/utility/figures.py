"""The figures of utility."""

from __future__ import annotations

from assay.core import Arms, Figure, figure
from assay_catalogue.experiments.utility.claims import reached

SHOWN = {
    "asked in words": "asked",
    "1 feature": "features-1",
    "16 features": "features-16",
    "16 random directions": "random-16",
    "16 coordinates": "coordinates-16",
    "regression": "coordinates-all",
    "fine-tuned block": "fine-tuned",
    "words": "words",
}


def figures(arms: Arms) -> list[Figure]:
    if "main" not in arms:
        return []
    main = arms["main"]

    points = [
        (label, float(auroc), str(task).partition(":")[0])
        for label, method in SHOWN.items()
        for task, auroc in zip(
            main.task.values, reached(main, method, "shift").mean("seed").values, strict=True
        )
    ]
    return [
        figure(
            "What tells each concept in other packages and other wordings",
            "points",
            {"method": "x", "auroc": "y", "task": "color"},
            points,
            x_title="read from",
            y_title="test AUROC",
            rules=((0.5, "guessing"),),
            note="A point is a concept, the mean over dictionaries and training passages.",
        )
    ]
