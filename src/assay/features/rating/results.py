"""What raters said, by arm: mean scores with intervals over features, agreement, and the rows of a
table for `assay judge`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.core import stats
from assay.core.intervals import Interval, interval
from assay.features.rating.agreement import alpha_interval
from assay.features.rating.answers import Answer
from assay.features.rating.items import Item


@dataclass(frozen=True)
class Score:
    """The mean score of one arm, its interval over features, and how many answers it is of."""

    arm: str
    mean: Interval
    features: int
    answers: int


@dataclass(frozen=True)
class Counted:
    """Scores by arm, the raters' agreement (None with one rater), and a row for each answer."""

    scores: tuple[Score, ...]
    agreement: Interval | None
    rows: tuple[Mapping[str, Any], ...]


def counted(
    items: Sequence[Item], arms: Sequence[str], answers: Mapping[str, Mapping[str, Answer]]
) -> Counted:
    """Count the answers of raters, given by the hash of the item; arms in this order."""
    scores = np.full((len(items), len(answers)), np.nan)
    rows = []
    for i, item in enumerate(items):
        for j, (rater, rater_answers) in enumerate(answers.items()):
            if (answer := rater_answers.get(item.hash)) is not None:
                scores[i, j] = answer.score
                rows.append(
                    {
                        "arm": item.arm,
                        "match": item.match,
                        "feature": item.feature,
                        "rater": rater,
                        "score": answer.score,
                        "words": answer.words,
                    }
                )
    arm_results = []
    for arm in arms:
        arm_scores = scores[[i for i, item in enumerate(items) if item.arm == arm]]
        some = arm_scores[np.isfinite(arm_scores).any(1)]
        mean = interval({"value": np.nanmean(some, 1) if len(some) else np.empty(0)}, stats.mean)
        arm_results.append(Score(arm, mean, len(some), int(np.isfinite(arm_scores).sum())))
    agreement = (
        alpha_interval(scores)
        if len(answers) > 1 and (np.isfinite(scores).sum(1) > 1).sum() > 1
        else None
    )
    return Counted(
        tuple(arm_results),
        agreement,
        tuple(sorted(rows, key=lambda r: (arms.index(r["arm"]), r["match"], r["rater"]))),
    )
