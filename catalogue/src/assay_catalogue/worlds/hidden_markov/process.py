"""Token processes with a hidden state, their exact Bayes filter, and everything that a finite
context decides; how far a predictor is from the best possible, and what features tell of a belief.

An observer who knows the process and has read the tokens w holds a belief: a distribution over
hidden states, which Bayes' rule updates token by token. What it predicts, how well anyone can
predict, and which prefixes exist at all follow exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import DataError
from assay.train import rng

LARGEST = 32
"""The most states, and the most tokens, of a process that somebody gives."""
MOST_ROWS = 100_000
"""The most prefixes in a tree."""
_SURE = 1e-9
"""How far probabilities may be from adding up, and how near two beliefs are that count as one."""


@dataclass(frozen=True, eq=False)
class HiddenMarkov:
    """The process T[v, i, j] = P(emit v and go to j | in i), started in its stationary
    distribution.

    Raises: DataError when T is no such table, or when the hidden chain has more than one stationary
    distribution."""

    T: Float[np.ndarray, "v i j"]

    def __post_init__(self) -> None:
        T = np.asarray(self.T, dtype=np.float64)
        object.__setattr__(self, "T", T)
        if T.ndim != 3 or T.shape[1] != T.shape[2] or 0 in T.shape:
            raise DataError(
                "a hidden Markov process needs a square matrix for each token, T[token, state, "
                f"state], got shape {list(T.shape)}"
            )
        if not np.isfinite(T).all() or (T < 0).any():
            raise DataError(
                f"matrices hold probabilities, none negative, got {T.min():.6g} as the least entry"
            )
        off = T.sum((0, 2))
        if np.abs(off - 1).max() > _SURE:
            i = int(np.abs(off - 1).argmax())
            raise DataError(
                "from every state the probabilities of all matrices must add up to 1, got "
                f"{off[i]:.6g} from state {i}"
            )
        # Stationary distributions are the left null vectors of chain − I: one of them where the
        # rank lacks one.
        if np.linalg.matrix_rank(self.chain - np.eye(self.states), tol=_SURE) < self.states - 1:
            raise DataError(
                "the hidden chain falls into parts that never meet, so its stationary "
                "distribution is not unique"
            )

    @property
    def vocab(self) -> int:
        """How many tokens there are."""
        return self.T.shape[0]

    @property
    def states(self) -> int:
        """How many hidden states there are."""
        return self.T.shape[1]

    @cached_property
    def chain(self) -> Float[np.ndarray, "i j"]:
        """P(go to j | in i), whatever is emitted."""
        return self.T.sum(0)

    @cached_property
    def stationary(self) -> Float[np.ndarray, " state"]:
        """The distribution over hidden states that the chain keeps: the belief before any token."""
        # πᵀ(chain − I) = 0 and Σ π = 1, solved together.
        system = np.vstack([self.chain.T - np.eye(self.states), np.ones(self.states)])
        solved = np.linalg.lstsq(system, np.r_[np.zeros(self.states), 1.0], rcond=None)[0].clip(0)
        return solved / solved.sum()

    def predicted(self, belief: Float[np.ndarray, "*b state"]) -> Float[np.ndarray, "*b v"]:
        """The distribution of the next token under a belief.

        Formula: P(v) = b T_v 1
        """
        return belief @ self.T.sum(2).T

    def updated(
        self, belief: Float[np.ndarray, "*b state"], token: Int[np.ndarray, "*b"]
    ) -> Float[np.ndarray, "*b state"]:
        """The belief after one more token.

        Formula: b' = b T_v / (b T_v 1)
        Raises: DataError for a token outside the alphabet, and for one that cannot come under its
        belief."""
        moved = np.einsum("...i,...ij->...j", belief, self.T[self._known(token)])
        total = moved.sum(-1, keepdims=True)
        if not (total > 0).all():
            v = np.broadcast_to(token, total.shape[:-1])[~(total[..., 0] > 0)].ravel()[0]
            raise DataError(
                f"token {v} cannot come here: after what went before, its probability is 0 in "
                "this process"
            )
        return moved / total

    def _known(self, tokens: Int[np.ndarray, "*b"]) -> Int[np.ndarray, "*b"]:
        """Check tokens and give them back. Raises: DataError when one of them is no whole number
        from 0 to vocab − 1."""
        tokens = np.asarray(tokens)
        if tokens.dtype.kind not in "iu":
            raise DataError(f"tokens are whole numbers, got {tokens.dtype}")
        if (off := tokens[(tokens < 0) | (tokens >= self.vocab)]).size:
            raise DataError(f"the tokens of this process are 0 to {self.vocab - 1}, got {off[0]}")
        return tokens

    def beliefs(self, tokens: Int[np.ndarray, "*b s"]) -> Float[np.ndarray, "*b s state"]:
        """The belief after each token of a sequence, from the stationary start.

        Raises: DataError for a token outside the alphabet, and for a sequence that cannot occur.
        """
        tokens = self._known(tokens)
        belief, out = np.broadcast_to(self.stationary, (*tokens.shape[:-1], self.states)), []
        for t in range(tokens.shape[-1]):
            belief = self.updated(belief, tokens[..., t])
            out.append(belief)
        return np.stack(out, -2)

    def sequences(
        self,
        seeds: Sequence[int] | Int[np.ndarray, " run"],
        batch: int,
        length: int,
        stream: str = "train",
    ) -> Callable[[int], Int[np.ndarray, "run b s"]]:
        """A source of batches, `batch` fresh sequences a step for each run, drawn token by token
        from the filter's predictions.

        Runs with the same seed get the same; streams of different names are independent.
        """
        distinct, back = np.unique(np.asarray(seeds), return_inverse=True)
        block = max(1, 4096 // (batch * length))  # steps drawn at once

        @lru_cache(maxsize=2)
        def draw_block(number: int) -> Int[np.ndarray, "seed step b s"]:
            uniforms = rng.uniform(
                distinct, f"hidden-markov.{stream}", number, (block, batch, length)
            ).astype(np.float64)
            belief = np.broadcast_to(self.stationary, (*uniforms.shape[:-1], self.states))
            tokens = np.empty(uniforms.shape, dtype=np.int64)
            for t in range(length):
                edges = self.predicted(belief).cumsum(-1)
                # The inverse of the distribution function. Scaled by the last edge, which rounding
                # may leave short of 1, and counted without it, so that no token beyond the last can
                # come out.
                token = (uniforms[..., t, None] * edges[..., -1:] >= edges[..., :-1]).sum(-1)
                belief, tokens[..., t] = self.updated(belief, token), token
            return tokens

        return lambda step: draw_block(step // block)[:, step % block][back]

    def tree(self, length: int) -> PrefixTree:
        """Every sequence of 1 … `length` tokens that can occur, shortest first, then in order of
        their tokens. Raises: DataError for more than `MOST_ROWS`."""
        if length < 1:
            raise DataError(f"prefixes have at least one token, got length {length}")
        belief, probability = self.stationary[None], np.ones(1)
        levels, first, above = [], 0, np.full(1, -1)
        for size in range(1, length + 1):
            chance = probability[:, None] * self.predicted(belief)
            parent, token = np.nonzero(chance > 0)
            if first + len(token) > MOST_ROWS:
                raise DataError(
                    f"this process has more than {MOST_ROWS:,} prefixes of at most {size} tokens, "
                    f"got length {length}: at most {size - 1} here"
                )
            belief, probability = self.updated(belief[parent], token), chance[parent, token]
            levels.append((token, above[parent], np.full(len(token), size), probability, belief))
            above, first = first + np.arange(len(token)), first + len(token)
        token, parent, depth, probability, belief = (
            np.concatenate(parts) for parts in zip(*levels, strict=True)
        )
        return PrefixTree(self, token, parent, depth, probability, belief)

    def floors(self, length: int) -> Float[np.ndarray, " s"]:
        """The least cross-entropy, in nats, of the token after n known ones, n = 1 … `length`:
        entropies, no one predicts better.

        Formula: Σ_w P(w) H(next token | w) over all prefixes w of n tokens
        """
        tree = self.tree(length)
        return np.bincount(
            tree.depth, tree.probability * entropy(tree.predicted), minlength=length + 1
        )[1:]


@dataclass(frozen=True)
class OwnProcess:
    """A process that somebody gives by its matrices.

    Raises: DataError where they are none of a `HiddenMarkov`, or are larger than `LARGEST`."""

    matrices: tuple[tuple[tuple[float, ...], ...], ...]
    """A matrix for each token: matrices[v][i][j] = P(emit v and go to j | in i)."""
    name: str = "own process"

    def __post_init__(self) -> None:
        if len({(len(T), len(row)) for T in self.matrices for row in T}) > 1:
            raise DataError("the matrices of a process must be square and all of one size")
        if max(len(self.matrices), *map(len, self.matrices), 0) > LARGEST:
            raise DataError(f"a process may have up to {LARGEST} states and {LARGEST} tokens")
        HiddenMarkov(np.array(self.matrices))

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class PrefixTree:
    """All prefixes of a process up to a length, one row each; a row's parent is the prefix without
    its last token."""

    process: HiddenMarkov
    token: Int[np.ndarray, " row"]
    """The last token."""
    parent: Int[np.ndarray, " row"]
    """The row of the parent; −1 for the empty prefix, which has none."""
    depth: Int[np.ndarray, " row"]
    """Number of tokens."""
    probability: Float[np.ndarray, " row"]
    """Chance that a sequence starts so; adds up to 1 over the rows of one depth."""
    belief: Float[np.ndarray, "row state"]

    def __len__(self) -> int:
        return len(self.token)

    @cached_property
    def predicted(self) -> Float[np.ndarray, "row v"]:
        """The exact distribution of the token that comes next."""
        return self.process.predicted(self.belief)

    @cached_property
    def child(self) -> Int[np.ndarray, "row v"]:
        """The row of each prefix longer by one token; the first line is the empty prefix's, −1
        where there is none."""
        table = np.full((len(self) + 1, self.process.vocab), -1)
        # Shifted by one: parent −1, the empty prefix, has line 0.
        table[self.parent + 1, self.token] = np.arange(len(self))
        return table

    @cached_property
    def ancestors(self) -> Int[np.ndarray, "row s"]:
        """For each row the rows of its first 1, 2, … tokens, itself last; filled up with itself."""
        paths = np.repeat(np.arange(len(self))[:, None], self.depth[-1], 1)
        for size in range(2, self.depth[-1] + 1):
            mask = self.depth == size
            paths[mask, : size - 1] = paths[self.parent[mask], : size - 1]
        return paths

    def rows(self, tokens: Int[np.ndarray, "*b s"]) -> Int[np.ndarray, "*b s"]:
        """The row of every prefix of these sequences.

        Raises: DataError for a token outside the alphabet, and where a sequence is impossible, or
        longer than the tree."""
        tokens = self.process._known(tokens)
        if tokens.shape[-1] > self.depth[-1]:
            raise DataError(
                f"this tree holds prefixes of at most {self.depth[-1]} tokens, got "
                f"{tokens.shape[-1]}"
            )
        nodes, out = np.full(tokens.shape[:-1], -1), []
        for t in range(tokens.shape[-1]):
            nodes = self.child[nodes + 1, tokens[..., t]]
            if (nodes < 0).any():
                raise DataError(
                    f"a sequence cannot occur in this process: its first {t + 1} tokens have "
                    "probability 0"
                )
            out.append(nodes)
        return np.stack(out, -1)

    def last(self, k: int) -> Int[np.ndarray, "row k"]:
        """The last k tokens of every prefix, the latest first; −1 before its start."""
        out, nodes = np.full((len(self), k), -1), np.arange(len(self))
        for place in range(k):
            inside = nodes >= 0
            out[inside, place] = self.token[nodes[inside]]
            nodes = np.where(inside, self.parent[nodes], -1)
        return out

    def suffixes(self, k: int) -> Int[np.ndarray, " row"]:
        """Groups of prefixes that end in the same k tokens, numbered from 0; shorter prefixes are
        groups of their own."""
        return np.unique(self.last(k), axis=0, return_inverse=True)[1].ravel()

    def shuffled(self, seed: int, stream: str) -> Int[np.ndarray, " row"]:
        """Rows in a random order that exchanges prefixes of one length only."""
        order = np.arange(len(self))
        for size in range(1, self.depth[-1] + 1):
            rows = np.flatnonzero(self.depth == size)
            order[rows] = rows[rng.permutation(np.array([seed]), stream, size, len(rows))[0]]
        return order

    @cached_property
    def state(self) -> Int[np.ndarray, " row"]:
        """Groups of prefixes with the same belief, numbered from 0."""
        return np.unique(
            np.round(self.belief / _SURE).astype(np.int64), axis=0, return_inverse=True
        )[1].ravel()


def mess3(x: float = 0.05, alpha: float = 0.85) -> HiddenMarkov:
    """Three states that mostly stay and mostly emit their own token; its beliefs draw a fractal on
    the simplex.

    Formula: P(go to j | i) = 1 − 2x where j = i, else x; P(emit v | arrived in j) = α where v = j,
    else (1 − α)/2
    Raises: DataError unless 0 < x ≤ 1/2 and 0 ≤ α ≤ 1.
    Source: Marzen and Crutchfield, Nearly maximally predictive features and their dimensions, 2017
    """
    if not 0 < x <= 0.5 or not 0 <= alpha <= 1:
        raise DataError(f"mess3 needs 0 < x ≤ 1/2 and 0 ≤ alpha ≤ 1, got x={x}, alpha={alpha}")
    go = np.full((3, 3), x) + (1 - 3 * x) * np.eye(3)
    emit = np.full((3, 3), (1 - alpha) / 2) + (1.5 * alpha - 0.5) * np.eye(3)  # [token, state]
    return HiddenMarkov(go[None] * emit[:, None, :])


def rrxor() -> HiddenMarkov:
    """Two random bits and then their exclusive or, over and over; states S, 0, 1, T, F.

    Source: Riechers and Crutchfield, Spectral simplicity of apparent complexity, 2018
    """
    start, zero, bit_one, true, false = range(5)
    T = np.zeros((2, 5, 5))
    T[0, start, zero] = T[1, start, bit_one] = 0.5
    T[0, zero, false] = T[1, zero, true] = T[0, bit_one, true] = T[1, bit_one, false] = 0.5
    T[1, true, start] = T[0, false, start] = 1.0
    return HiddenMarkov(T)


def entropy(p: Float[np.ndarray, "*b v"]) -> Float[np.ndarray, "*b"]:
    """Entropy of distributions in nats.

    Formula: −Σ_v p_v log p_v, with 0 log 0 = 0
    """
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(-1)


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
