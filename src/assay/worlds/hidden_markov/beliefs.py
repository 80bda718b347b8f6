"""What the exact belief of a hidden Markov process decides: how far a predictor is from the best
one, and what features tell of it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from assay.worlds.hidden_markov.process import PrefixTree, entropy


def excess(
    tree: PrefixTree, predicted: Float[np.ndarray, "*run row v"]
) -> Float[np.ndarray, "*run"]:
    """Mean cross-entropy of predictions above what is possible, in nats, over all lengths of
    prefixes; by enumeration.

    Formula: Σ_w P(w) Σ_v p(v | w) (log p(v | w) − log q(v | w)) / (number of lengths)
    Range: 0, for the exact predictions, upwards
    Better: lower
    """
    log_q = np.log(np.clip(predicted, 1e-300, None))
    over = -(tree.predicted * log_q).sum(-1) - entropy(tree.predicted)
    return over @ tree.probability / tree.depth[-1]


def joint(tree: PrefixTree, k: int) -> Float[np.ndarray, "row column"]:
    """A column for each ending of k tokens, 1 where a prefix ends so: all that any function of the
    last k tokens can use."""
    group = tree.suffixes(k)
    return np.eye(group.max() + 1)[group]


def additive(tree: PrefixTree, k: int) -> Float[np.ndarray, "row column"]:
    """A column for each token at each of the last k places: what a sum of one number per place can
    use."""
    last = tree.last(k)
    return np.concatenate([last == token for token in range(tree.process.vocab)], 1).astype(
        np.float64
    )


def explained(tree: PrefixTree, x: Float[np.ndarray, "row d"]) -> float:
    """How much of the belief an affine map of features explains, fitted and judged on all prefixes
    by their probability.

    Formula: R² = 1 − Σ_w P(w) ‖b − x A − c‖² / Σ_w P(w) ‖b − b̄‖² at the best A and c
    Range: 0 to 1; it grows with every column, whatever is in it
    """
    root = np.sqrt(tree.probability)[:, None]
    columns = np.c_[x, np.ones(len(x))] * root
    y = (tree.belief - np.average(tree.belief, axis=0, weights=tree.probability)) * root
    residual = y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    return float(1 - (residual**2).sum() / (y**2).sum())
