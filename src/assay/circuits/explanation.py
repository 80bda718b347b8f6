"""Explanation: a claim about a small model as a value: which parts matter, what each of them holds,
and what the logits make of it.

A variable is a function of the tokens, or of other variables: the names of a function's arguments,
or the names in an expression, say which. So variables are a causal graph that can be run, also with
one of them set to something else. Where a variable lives says where the model is to hold it. The
names `token` and `place` are given: what is read at each position, and its number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from assay.circuits.places import Place
from assay.core.heavy import torch

Rule = str | Callable[..., np.ndarray]
"""An expression of the small language, or a function whose arguments are named after variables: [n,
s] arrays → [n, s]."""
GIVEN = ("token", "place")
"""Names that every explanation has: the token at each position, and the position's number."""


@dataclass(frozen=True, eq=False)
class Variable:
    """Something that the model is said to work out."""

    name: str
    rule: Rule
    """What it is, at each position."""
    at: tuple[Place, ...] = ()
    """Where it is written: several places for several copies; none for a step of reasoning that the
    model does not show."""
    reads: tuple[str, ...] | None = None
    """What its parts read of other variables: "before", or "before.k" for the keys of a head alone.
    None: all names of its rule, by all of q, k and v."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Explanation:
    """What is claimed about one model. What is left out scores nothing."""

    of: str
    """What it explains: a built circuit such as induction, or a model folder."""
    name: str
    leaves_out: str = ""
    """What it does not cover, in words."""
    variables: tuple[Variable, ...] = ()
    matter: tuple[Place, ...] = ()
    """What matters beside the places of variables, though it is not said what for. All else may be
    ablated."""
    answer: Rule | None = None
    """Which class the model names, at each position."""
    margin: float = 10.0
    """How far the logit of that class lies above the others, which are alike."""
    logits: Rule | tuple[Rule, ...] | None = None
    """In place of `answer`: the logits, a rule for each class or a function that gives [n, s,
    class]."""
    reads: tuple[str, ...] | None = None
    """The variables that the logits read; None: all names of the rule."""
    weights: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """Hand-written weights in place of the model's own, by name and of the same shape: [1, …]."""
    fails: Rule | None = None
    """Where the model is predicted to answer wrongly; None: where the explanation's own answer is
    wrong."""
    size: int | None = None
    """Names and numbers that it takes to write it down; None: counted, where rules are expressions
    or functions in a file."""
    source: str = "the explanation"
    """Where it stands, for errors."""
