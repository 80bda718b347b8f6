"""The figures of eval-schedule."""

from __future__ import annotations

from assay.core import Arms, Figure, by_level, figure
from assay_catalogue.experiments.eval_schedule.claims import EXISTS


def figures(arms: Arms) -> list[Figure]:
    """Mean accuracies against compute, with their intervals."""
    main, rows = arms["main"], []
    names = {
        "the checkpoint": "open_truth",
        "locked": "locked_truth",
        "locked, then fine-tuned": "unlocked_truth",
    }
    curves = [(what, main[name]) for what, name in names.items()]
    curves.append(("only memorised, locked, fine-tuned", arms["memorising"].unlocked_truth))
    for what, x in curves:
        rows += [(what, *point) for point in by_level(x, "step")]
    return [
        figure(
            "An ability appears all at once; a lock hides it, fine-tuning shows it",
            "line",
            {"model": "color", "step": "x", "mean": "mean"},
            rows,
            x_log=True,
            x_title="training compute, in steps",
            y_title="accuracy on unseen pairs",
            rules=((EXISTS, "exists"),),
        )
    ]
