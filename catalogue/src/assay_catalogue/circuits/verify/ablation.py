"""E1, ablation: keep only what an explanation names, or take away only that, and see what is left
of the answers.

What is taken away gives its mean, or what it is on another input. Of all sets of pieces that were
called irrelevant, the one that hurts most is taken away as well: one by one they may each look
idle, where two of them stand in for each other. For the same reason each set of named pieces is
taken away from the model and from what was kept alone: both must lose as much (Wang et al. 2022,
completeness).

All are shares of the right answers that the model has beyond the best answer that reads nothing;
undefined where it has none."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.heavy import torch
from assay.core.intervals import Means
from assay.train import rng
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.chance import share, unread
from assay_catalogue.circuits.verify.pieces import Cut, Sweep

SETS = 128
"""Most sets of pieces that are tried; all of them where there are fewer."""
OTHERS = 10
"""Other inputs that are put in one after another, so that an answer that is right by luck counts
little."""
FEW = 96
"""Inputs on which sets are compared. The one chosen is then measured on all."""


@dataclass(frozen=True, eq=False)
class Ablated:
    """The share of right answers on each input, under each ablation."""

    terms: Mapping[str, Float[np.ndarray, " n"]]
    worst: tuple[str, ...]
    """The irrelevant pieces that hurt most when they were taken away together."""
    apart: tuple[str, ...]
    """The named pieces whose removal from the model and from the kept part alone differs most."""
    alone: Mapping[str, float]
    """What each named piece costs when it alone is taken from the model: a share of what all
    cost."""
    cost: float
    """What the worst of irrelevant pieces cost together: a share of what all cost."""


def ablated(program: Program, tokens: Int[np.ndarray, "n s"], seed: int) -> Ablated:
    """Run all ablations on these inputs, whose means and other inputs are taken from themselves."""
    problem = program.problem
    cut = Cut(problem, [u.place for u in program.units])
    clean = cut.clean(tokens)
    # Each piece is drawn from another input by itself: pieces that were on one and the same other
    # input would go on working together.
    replacements = [
        (f"another input {i}", resampled(clean, seed, f"other {i}")) for i in range(OTHERS)
    ]
    mean = ("mean", [x.mean(0, keepdim=True) for x in clean])
    in_explanation, none = cut.named, np.zeros(len(cut.pieces), bool)

    def evaluate(
        masks: list[Bool[np.ndarray, " piece"]],
        instead: tuple[str, list[torch.Tensor]],
        few: int | None = None,
    ) -> list[Float[np.ndarray, " n"]]:
        # Means and other inputs are of all inputs, in their order; where a few are run, these are
        # cut to the same few.
        t, (what, gone) = tokens[:few], instead
        notes = problem.noted(
            ("ablated", what, seed, few, cut.named_alike), tokens
        )  # explanations of a model cut it alike, most of them
        new = [m for m in masks if m.tobytes() not in notes]
        if new:
            sweep = Sweep(cut, t, [x if len(x) == 1 else x[:few] for x in gone])
            notes |= zip(
                (m.tobytes() for m in new),
                sweep.each(new, lambda logits: problem.right(logits, t)),
                strict=True,
            )
        return [notes[m.tobytes()] for m in masks]

    def good(
        remainder: Bool[np.ndarray, " piece"],
        instead: tuple[str, list[torch.Tensor]],
        few: int | None = None,
    ) -> Float[np.ndarray, " n"]:
        return evaluate([remainder], instead, few)[0]

    # Masks say what is kept, hence ~.
    idle = [~m for m in subsets(~in_explanation, seed, "idle")]
    # What is kept, without the set: the least right answers are the worst set. Against the first of
    # the other inputs alone; the set chosen then meets all.
    worst = idle[int(np.argmin([x.mean() for x in evaluate(idle, replacements[0], FEW)]))]
    # With the empty set: by it the kept part is held to the model as it is.
    subset_masks = subsets(in_explanation, seed, "named", empty=True)
    scores = evaluate(
        [*(in_explanation & ~m for m in subset_masks), *(~m for m in subset_masks)], mean, FEW
    )
    gaps = [
        abs(float((remainder - whole).mean()))
        for remainder, whole in zip(
            scores[: len(subset_masks)], scores[len(subset_masks) :], strict=True
        )
    ]
    unlike = subset_masks[int(np.argmax(gaps))]
    full = good(~none, mean)
    terms = {
        "full": full,
        "unread": unread(problem, tokens),
        # A mean is what a piece writes whatever it reads; another input's is as strong as its own,
        # and wrong.
        "keep.mean": good(in_explanation, mean),
        "keep.resample": np.mean([good(in_explanation, x) for x in replacements], 0),
        "keep.worst": np.mean([good(worst, x) for x in replacements], 0),
        "gone.mean": good(~in_explanation, mean),
        "gone.resample": np.mean([good(~in_explanation, x) for x in replacements], 0),
        "less.kept": good(in_explanation & ~unlike, mean),
        "less.model": good(~unlike, mean),
    }
    span = (full - terms["unread"]).mean()
    less = {
        # Every piece but i, named or not.
        i: full[:FEW] - good(np.arange(len(in_explanation)) != i, mean, FEW)
        for i in np.flatnonzero(in_explanation)
    }
    single_losses = {str(cut.pieces[i]): float(share(x.mean(), span)) for i, x in less.items()}

    def list_pieces(mask: np.ndarray) -> tuple[str, ...]:
        return tuple(str(p) for p, m in zip(cut.pieces, mask, strict=True) if m)

    return Ablated(
        terms,
        list_pieces(~worst),
        list_pieces(unlike),
        single_losses,
        float(share((full - terms["keep.worst"]).mean(), span)),
    )


def keep(m: Means) -> np.ndarray:
    """What is left where only named pieces are kept: the least over mean, resampled and worst
    removal; 1 all, 0 no more than chance."""
    # The least of three: a mean may leave a piece working, and another input may break it by luck.
    return _share(
        np.minimum.reduce([m["keep.mean"], m["keep.resample"], m["keep.worst"]]) - m["unread"], m
    )


def remove(m: Means) -> np.ndarray:
    """What is lost where only named pieces are taken away, the less of both ways: 1 all but chance,
    0 nothing."""
    return _share(m["full"] - np.maximum(m["gone.mean"], m["gone.resample"]), m)


def complete(m: Means) -> np.ndarray:
    """How alike model and kept part lose when a set of named pieces goes, the set chosen where they
    differ most: 1 alike."""
    return 1 - _share(abs(m["less.kept"] - m["less.model"]), m)


def faithful(m: Means) -> np.ndarray:
    """E1: the mean of keep, remove and complete."""
    return (keep(m) + remove(m) + complete(m)) / 3


def resampled(clean: list[torch.Tensor], seed: int, stream: str) -> list[torch.Tensor]:
    """Give each piece what it is on another input, drawn for each piece by itself."""
    generator = rng.generator(seed, f"circuits.{stream}")
    n = len(clean[0])
    # An input may draw itself, one in n times, and then keeps what it had.
    return [x[generator.integers(n, size=n)] for x in clean]


def subsets(
    mask: Bool[np.ndarray, " piece"], seed: int, stream: str, empty: bool = False
) -> list[Bool[np.ndarray, " piece"]]:
    """Give all sets of these pieces, or so many drawn at random with the whole among them; the
    empty one only where asked, or alone."""
    indices = np.flatnonzero(mask)
    # Two of the SETS are the empty and the whole set, which are always tried.
    if 2 ** len(indices) <= SETS:
        chosen = [
            list(c) for k in range(len(indices) + 1) for c in itertools.combinations(indices, k)
        ]
    else:
        draws = rng.generator(seed, f"circuits.{stream}").random((SETS - 2, len(indices))) < 0.5
        chosen = [[], *([*indices[d]] for d in draws), [*indices]]
    chosen = chosen if empty or len(chosen) == 1 else chosen[1:]
    return [np.isin(np.arange(len(mask)), c) for c in chosen]


def _share(x: np.ndarray, m: Means) -> np.ndarray:
    return share(x, m["full"] - m["unread"])
