"""Monthly Caesar: two blocks of attention tell by how much a text was rotated, and from what they
read it

Group: puzzles
Paper: C. McDougall, Monthly Algorithmic Problem, January 2024 (ARENA, learn.arena.education), its
easy kind
Claim: models tell the shift; our explanation is good, and better than one that is half right
Baselines: untrained; two rivals; another model's explanation, moved, shuffled,
empty, whole
Cost: 588 s on 2 cores, 296 CPU-seconds, 2.1 GB a process
"""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge
from jaxtyping import Float, Int

from assay_catalogue.circuits.explanation import Explanation, Place, Variable
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.rules import leaves
from assay_catalogue.circuits.solving.entry import entry
from assay_catalogue.circuits.solving.solver import SMALL, Monthly, Solver
from assay_catalogue.circuits.solving.statements import above, explained, late, solved
from assay_catalogue.subjects.parts import Part
from assay_catalogue.worlds.algorithms.caesar import caesar, commonest


@dataclass(frozen=True, kw_only=True)
class Caesar(Solver):
    length: Annotated[int, Ge(12)] = 32
    """Characters of a text: words of three letters, each with a space."""

    @property
    def words(self) -> float:
        """Words in a text, the last of which may be cut."""
        return self.length / 4


SEED, INPUTS, TRIED = 2000, 100, 1500
"""Of the texts on which votes are fitted, and how many; on how many it is seen where the model
errs. No score is taken on them."""
KEPT = 0.25
"""A head gathers a letter of the word that draws so much of the attention that it gives to the word
so far."""
GAPS = np.arange(0, 6.1, 0.5)
"""By how much another shift may be ahead where the model is said to err."""
Gathered = tuple[tuple[tuple[int, ...], ...], ...]
"""By head and place in a word, which of its letters are gathered."""
LETTERS, SLOTS, WORD = 26, 3, 4
"""Letters of the alphabet, letters of a word, and places that it takes with the space after it."""


def explanation(problem: Problem) -> Explanation:
    """Explain a model of Caesar's cipher: letters gathered by word, votes of each letter by its
    place in it, and their mean over words.

    Which letters a head of the first block gathers is found by attention: `gathered`; all heads of
    the second have the same role. What a letter votes for is fitted: `votes`; the model is said to
    err where votes put another shift ahead by some gap: `weakest`.

    Caesar's cipher, explained: every letter votes for shifts by its place in a word, and the votes
    of all words are averaged.

    Heads of the first block gather at each place letters of the word so far, one the first two and
    another the last two. Those of the second spread their attention over the letters of all words
    alike, most over second and third ones, and so average what each word says: the shift with most
    votes is named. A vote depends on the letter turned back by the shift and on whether it is the
    first, second or third of its word, as in a naive Bayes classifier that takes letters for
    independent; what pairs of letters say comes on top and is small.
    """
    vote = votes(problem)
    draft = _voting(
        problem,
        vote,
        "letters vote for shifts by their place in a word, and words are averaged",
        gathered(problem),
    )
    gap = weakest(problem, vote)

    def fails(token: np.ndarray) -> np.ndarray:
        return ahead(problem, token, vote) > gap

    code = textwrap.dedent(inspect.getsource(fails)) + inspect.getsource(ahead)
    return dataclasses.replace(draft, fails=fails, size=(draft.size or 0) + leaves(code))


def rival(problem: Problem) -> Explanation:
    """Say that letters count wherever they stand: how often each letter occurs in all is what
    decides."""
    return _voting(
        problem,
        votes(problem, per_slot=False),
        "the frequencies of letters in the whole text decide",
    )


def half_right(problem: Problem) -> Explanation:
    """Say that the last letters of words alone have a vote.

    That is right about heads, what they gather, and how those letters vote.
    """
    ours = explanation(problem)
    vote = votes(problem) * (np.arange(SLOTS)[:, None] == SLOTS - 1)
    draft = _voting(
        problem,
        vote,
        "last letters of words vote for shifts, and words are averaged",
        gathered(problem),
    )
    return dataclasses.replace(draft, fails=ours.fails, size=ours.size)


def votes(problem: Problem, *, per_slot: bool = True) -> Float[np.ndarray, "slot letter"]:
    """Fit what each letter, turned back by a shift, adds to that shift's logit: by its place in the
    word, or the same at all places.

    Formula: logit of X at i, less the mean over shifts ≈ Σ over letters up to i of vote[place in
    the word, letter − X] / words begun, by least squares over texts, places and shifts.
    """
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    logits = problem.logits(tokens)
    logits -= logits.mean(-1, keepdims=True)
    place = np.arange(tokens.shape[1])
    often = np.zeros((*tokens.shape, SLOTS if per_slot else 1, LETTERS))
    for slot in range(SLOTS):
        positions = place[place % WORD == slot]
        np.add.at(
            often[:, :, slot if per_slot else 0],
            (np.arange(len(tokens))[:, None], positions, tokens[:, positions]),
            1,
        )  # type: ignore[arg-type]  # several axes
    often = np.cumsum(often, 1) / (place // WORD + 1)[:, None, None]
    turned = (
        np.arange(LETTERS)[:, None] + np.arange(LETTERS)
    ) % LETTERS  # [shift, plain letter] → what is read
    terms = (
        often[..., turned].swapaxes(2, 3).reshape(*logits.shape, -1)
    )  # [n, s, shift, slot · letter]
    terms -= terms.mean(2, keepdims=True)
    x, y = terms.reshape(-1, terms.shape[-1]), logits.ravel()
    coefficients = np.linalg.lstsq(x.T @ x, x.T @ y, rcond=1e-9)[0].reshape(-1, LETTERS)
    return np.round(np.broadcast_to(coefficients, (SLOTS, LETTERS)), 2)


def weakest(problem: Problem, vote: Float[np.ndarray, "slot letter"]) -> float:
    """Find from which gap on the model errs: the one that tells texts on which it does from others
    best."""
    tokens = problem.task.draw(SEED, 1, TRIED, held_out=True)
    wrong = problem.wrong(problem.logits(tokens), tokens) > 0
    most = ahead(problem, tokens.astype(np.float64), vote).max(1)
    beyond = [most > gap for gap in GAPS]
    few = TRIED // 50
    contrasts = [
        wrong[x].mean() - wrong[~x].mean() if few <= x.sum() <= len(x) - few else -1 for x in beyond
    ]
    return float(GAPS[int(np.argmax(contrasts))])


def ahead(
    problem: Problem, token: Float[np.ndarray, "n s"], vote: Float[np.ndarray, "slot letter"]
) -> Float[np.ndarray, "n s"]:
    """By how many votes another shift is ahead of the one that is likeliest by the exact predictor;
    0 where that is in doubt."""
    tokens = token.astype(np.int64)
    if problem.task.chances is None:
        right = problem.task.answer(tokens)
    else:
        with np.errstate(divide="ignore"):
            right = problem.named(np.log(problem.task.chances(tokens)))
    tally = evidence(token, vote)
    right_votes = np.take_along_axis(tally, right.clip(min=0)[..., None], -1)[..., 0]
    return (tally.max(-1) - right_votes) * (right >= 0)


def evidence(
    token: Float[np.ndarray, "n s"], vote: Float[np.ndarray, "slot letter"]
) -> Float[np.ndarray, "n s shift"]:
    """Average over the words so far what their letters vote for."""
    read: Int[np.ndarray, "n s"] = token.astype(np.int64)
    place = np.arange(read.shape[1])
    table = np.concatenate([vote, np.zeros((1, LETTERS))])  # a space has no vote
    tally = table[(place % WORD)[:, None], (read[..., None] - np.arange(LETTERS)) % LETTERS]
    return np.cumsum(tally, 1) / (place // WORD + 1)[:, None]


def gathered(problem: Problem) -> Gathered:
    """Find which letters of a word each head of the first block gathers: those that draw KEPT of
    what attention it gives to this word."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    pattern = problem.run(tokens).patterns[0][0].mean(0).double().numpy()  # [head, here, there]
    by_head = []
    for head in pattern:
        shares = [
            np.mean([head[w + k, w : w + k + 1] for w in range(0, len(head) - k, WORD)], 0)
            for k in range(WORD)
        ]
        by_head.append(
            tuple(
                tuple(int(j) for j in np.flatnonzero(share >= KEPT * share.sum()))
                for share in shares
            )
        )
    return tuple(by_head)


def _code(letters: tuple[tuple[int, ...], ...]) -> str:
    """A number for the letters that a head gathers, at each place of a word."""
    sums = [
        " + ".join(f"{27**i} * letter{j}" for i, j in enumerate(slots)) or "0" for slots in letters
    ]
    return (
        "".join(f"{code} if place % {WORD} == {k} else " for k, code in enumerate(sums[:-1]))
        + sums[-1]
    )


def _name_letters(letters: tuple[tuple[int, ...], ...]) -> tuple[str, ...]:
    return tuple(f"letter{j}" for j in sorted({j for slots in letters for j in slots}))


def _voting(
    problem: Problem, vote: Float[np.ndarray, "slot letter"], name: str, slots: Gathered = ()
) -> Explanation:
    second = tuple(Place(Part("head", 1, h)) for h in range(problem.params["W_QKV"].shape[4]))

    def guess(token: np.ndarray) -> np.ndarray:
        return evidence(token, vote).argmax(-1)

    def logits(token: np.ndarray, guess: np.ndarray) -> np.ndarray:
        tally = evidence(token, vote)
        most, guessed = tally.argmax(-1)[..., None], guess.astype(np.int64)[..., None]
        high, low = (np.take_along_axis(tally, index, -1) for index in (most, guessed))
        np.put_along_axis(tally, most, low, -1)
        np.put_along_axis(tally, guessed, high, -1)
        return tally

    steps = [
        Variable(f"letter{slot}", f"last(token, there(place) == place - place % {WORD} + {slot})")
        for slot in range(WORD)
    ]
    first = [
        Variable(
            f"letters{h}",
            _code(letters),
            (Place(Part("head", 0, h)),),
            ("token", "place", *_name_letters(letters)),
        )
        for h, letters in enumerate(slots)
    ]
    reads = ("token", "place", *(v.name for v in first))
    draft = Explanation(
        of="monthly-caesar",
        name=name,
        variables=(*(steps if slots else ()), *first, Variable("guess", guess, second, reads)),
        logits=logits,
        reads=(*reads, "guess"),
        leaves_out=(
            "What pairs and triples of letters say beyond their letters; that later words find "
            "less attention."
        ),
    )
    numbers = (
        len(np.unique(vote, axis=0)) * LETTERS
    )  # a function's own length does not tell what is in its tables
    return dataclasses.replace(
        draft, size=Program(draft, problem).size + numbers + leaves(inspect.getsource(evidence))
    )


monthly = Monthly(
    name="monthly-caesar",
    task=lambda s: caesar(commonest(), s.length),
    explanation=explanation,
    rival=rival,
    half_right=half_right,
)
SOURCE = "C. McDougall, Monthly Algorithmic Problem of January 2024"
PAGE = """
**The question.** A text of words of three letters was rotated by 0 to 25 letters: by how many?
Asked at every position, of a decoder of two blocks without an MLP. The announcement speaks of
attention both ways and also says that later positions are easier, which needs attention to what was
read alone; so ours reads that alone. The exact predictor knows the words and their frequencies. """
experiment = entry(
    monthly,
    seed=23500,
    claims=explained(
        monthly,
        "tell a rotation",
        "that letters count alike wherever they stand",
        "that last letters of words alone have a vote",
        solved(
            "tell the shift: from the ninth character on the right one has a probability of at "
            "least .9 on average",
            late,
            SOURCE,
            low=0.9,
        ),
        solved(
            "use what there is: over all positions their cross-entropy lies at most .1 nat above "
            "the exact predictor's",
            above,
            SOURCE,
            high=0.1,
        ),
    ),
    smoke=Caesar(layers=2, heads=2, d=16, e=8, length=12, **SMALL),
    default=Caesar(
        layers=2, heads=2, d=48, e=24, steps=1300, batch=64, lr=5e-3, tried=120, resamples=240
    ),
    frozen={"layers": 'the title, "two blocks of attention",'},
    scope="{decoders}, on texts of {words} words of three letters",
    page=PAGE,
)
