"""Explanations of features drawn by lot, scored on text that they have not seen; and of neurons and
directions that fire as often."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.train.rng import normal, permutation
from assay_catalogue.experiments.autointerp_io.reading import Features, Reading, Values, dense_as
from assay_catalogue.experiments.autointerp_io.setting import InputsOutputs
from assay_catalogue.explaining.evidence import (
    InputExplanation,
    OutputExplanation,
    both_explanation,
    input_explanation,
    promoted,
    weighed,
)
from assay_catalogue.explaining.learner import Limits
from assay_catalogue.explaining.rule import kinds, rule_f1
from assay_catalogue.explaining.scoring import (
    auroc,
    average_precision,
    contexts,
    cut,
    detection,
    fuzzing,
    levels,
    logit_prediction,
    simulation,
)
from assay_catalogue.explaining.token_context import following

Named = dict[str, tuple[str, Any, str]]
SHUFFLES = 2
"""Other features whose explanations are tried in the place of each."""


def score_detection(
    read: Reading, explained: Any, values: Values, explained_values: Values | None = None
) -> float:
    """Detection on the fresh text; the cut is chosen on the seen one, for the activations `of`
    which it explains."""
    threshold = cut(
        contexts(read.seen, explained.scores(read.seen), (explained_values or values)[0])
    )
    return detection(explained.scores(read.fresh), values[1], read.fresh, threshold)


def every_score(read: Reading, explained: Any, values: Values, seed: int) -> dict[str, float]:
    """All scores of where it fires, by name."""
    before, after = explained.scores(read.seen), explained.scores(read.fresh)
    score_levels = levels(after, values[1] > 0)
    return {
        "detection": detection(
            after, values[1], read.fresh, cut(contexts(read.seen, before, values[0]))
        ),
        "fuzzing": fuzzing(after, values[1], read.fresh, cut(levels(before, values[0] > 0)), seed),
        "simulation": simulation(after, values[1]),
        "auroc": auroc(score_levels),
        "precision": average_precision(score_levels),
    }


def drawn_measures(s: InputsOutputs, features: Features) -> Named:
    """Scores of features drawn by lot, and of as many neurons and random directions that fire as
    often; NaN where there are too few."""
    read, chosen = features.reading, features.lasting(s.firings, s.seed, "drawn")[: s.features]
    out: dict[str, np.ndarray] = {}

    def put(name: str, i: int, value: float) -> None:
        out.setdefault(name, np.full(s.features, np.nan))[i] = value

    def explain(value: Float[np.ndarray, "row"], token_kinds: Any = None) -> InputExplanation:
        return input_explanation(
            read.split.learn(value > 0, Limits(names=s.names), token_kinds), read.seen, value
        )

    values = [features.values(int(i)) for i in chosen]
    weights = features.weights[chosen]
    inside = [explain(v[0]) for v in values]
    outside = [OutputExplanation(tuple(ids.tolist())) for ids in promoted(weights, s.names)]
    after = [following(read.seen, v[0] > 0, s.names) for v in values]
    other_features = [
        [(i + j) % len(chosen) for j in range(1, 1 + SHUFFLES)] for i in range(len(chosen))
    ]
    moved = [
        permutation(np.array([s.seed]), "autointerp.permuted", j, len(positions))[0]
        for j, positions in enumerate((read.seen, read.fresh))
    ]
    for i, v in enumerate(values):
        put("detection_in", i, score_detection(read, inside[i], v))
        put("simulation_in", i, simulation(inside[i].scores(read.fresh), v[1]))
        put("auroc_in", i, auroc(levels(inside[i].scores(read.fresh), v[1] > 0)))
        put("auroc_both", i, with_next(read, inside[i], outside[i], v))
        put("auroc_with_other", i, with_next(read, inside[i], outside[other_features[i][0]], v))
        put("auroc_permuted", i, with_next(read, inside[i], outside[i], v, moved))
        put(
            "shuffled",
            i,
            float(
                np.mean([score_detection(read, inside[j], v, values[j]) for j in other_features[i]])
            ),
        )
        for name, j in (
            ("own", i),
            ("other", other_features[i][0]),
            ("another", other_features[i][1]),
        ):
            put(f"follow_{name}", i, logit_prediction(after[j].tolist(), weights[i]))
    rates = np.array([(v[0] > 0).mean() for v in values])
    for name, h in draw_baselines(s, read, len(chosen)).items():
        for i, v in enumerate(dense_as(*h, rates)):
            explained = explain(v[0])
            put(name, i, score_detection(read, explained, v))
            put(f"{name}_simulation", i, simulation(explained.scores(read.fresh), v[1]))
    for i, v in enumerate(values) if s.further else ():
        both = both_explanation(inside[i], outside[i], read.seen, v[0] > 0)
        for side, explanation in (("in", inside[i]), ("out", outside[i]), ("both", both)):
            for name, score in every_score(read, explanation, v, s.seed).items():
                put(f"{name}_{side}", i, score)
        put(
            "shuffled_out",
            i,
            float(
                np.mean(
                    [score_detection(read, outside[j], v, values[j]) for j in other_features[i]]
                )
            ),
        )
        worded = explain(v[0], kinds(read.vocabulary))
        put("worded", i, score_detection(read, worded, v))
        put(
            "bare",
            i,
            score_detection(
                read, input_explanation(worded.rule.without_quotes(), read.seen, v[0]), v
            ),
        )
        put("f1", i, rule_f1(inside[i].rule, read.fresh, v[1] > 0))
        put("logits_in", i, logit_prediction(inside[i].rule.tokens, weights[i]))
        put(
            "logits_both",
            i,
            logit_prediction((*inside[i].rule.tokens, *outside[i].promoted), weights[i]),
        )
    return {name: ("run feature", x[None], "1") for name, x in out.items()}


def draw_baselines(
    s: InputsOutputs, read: Reading, count: int
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The activations of so many neurons, and along so many random directions, once or twice [row
    item]."""
    which = torch.from_numpy(
        permutation(np.array([s.seed]), "autointerp.neurons", 0, read.h[0].shape[1])[0][
            :count
        ].copy()
    )
    baselines = {"neuron": (read.h[0][:, which], read.h[1][:, which])}
    for index, name in enumerate(("direction", "again")[: 1 + s.further]):
        u = torch.from_numpy(
            normal(np.array([s.seed]), "autointerp.directions", index, (read.h[0].shape[1], count))[
                0
            ]
        )
        baselines[name] = (read.h[0] @ u, read.h[1] @ u)
    return baselines


def with_next(
    read: Reading,
    inside: InputExplanation,
    outside: OutputExplanation,
    v: Values,
    moved: list[Int[np.ndarray, "row"]] | None = None,
) -> float:
    """AUROC on the fresh text of a logistic regression on the rule's leaf and whether a promoted
    token follows, fitted on the seen one.

    `moved` deals what follows out anew among the positions of either text.
    """
    rule, q = (
        tuple(e.scores(positions) for positions in (read.seen, read.fresh))
        for e in (inside, outside)
    )
    q = q if moved is None else tuple(x[positions] for x, positions in zip(q, moved, strict=True))
    a, b, c = weighed(rule[0], q[0], v[0] > 0)
    return auroc(levels(a * rule[1] + b * q[1] + c, v[1] > 0))
