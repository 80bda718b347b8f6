"""Rules of an explanation, expressions or functions, called so that what they give is one number
for each position, or one line of refusal."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from assay.circuits import language
from assay.circuits.bounded import call
from assay.circuits.explanation import Rule
from assay.core import syntax
from assay.core.errors import SpecError, nearest


def bound(rule: Rule, what: str, known: Sequence[str], tokens: Sequence[str]) -> BoundRule:
    """Read a rule that may use these variables and tokens. Raises: SpecError where it uses
    another."""
    if isinstance(rule, BoundRule):
        return rule
    if isinstance(rule, str):
        try:
            read = language.read(rule, tokens)
        except SpecError as e:
            raise SpecError(f"{what}: {e}") from None
        bound_rule = BoundRule(what, read.names, read)
    else:
        bound_rule = BoundRule(what, tuple(inspect.signature(rule).parameters), rule)
    if unknown := [n for n in bound_rule.names if n not in known]:
        raise SpecError(
            f"{what} uses {unknown[0]}, which is no variable; {nearest(unknown[0], known)}"
        )
    return bound_rule


@dataclass(frozen=True)
class BoundRule:
    """A rule, with the names of the variables it needs; `what` it is called in an error."""

    what: str
    names: tuple[str, ...]
    rule: Rule | language.Expression

    def __call__(self, values: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """Give its numbers, in this shape. Raises: SpecError where it gives anything else, or
        nothing."""
        if isinstance(self.rule, language.Expression):
            numbers = self.rule(values)
        else:
            assert not isinstance(self.rule, str)
            numbers = call(
                self.what, partial(self.rule, **{n: values[n].copy() for n in self.names})
            )
        try:
            out = np.asarray(numbers, dtype=np.float64)
        except (TypeError, ValueError):
            raise SpecError(
                f"{self.what} gives {type(numbers).__name__}; a number for each position is "
                f"needed, {list(shape)}"
            ) from None
        if out.shape != shape:
            what = f"inputs, positions{', classes' * (len(shape) > 2)}"
            raise SpecError(
                f"{self.what} gives an array {list(out.shape)}; {list(shape)} is needed: {what}"
            )
        if (off := ~np.isfinite(out)).any():
            raise SpecError(
                f"{self.what} gives {out[off][0]} at position {np.argwhere(off)[0][1]}; only "
                "finite numbers count"
            )
        return out

    def size(self) -> int:
        """Count the names and numbers it is written with. Raises: SpecError where that is not
        known."""
        if isinstance(self.rule, language.Expression):
            return self.rule.size
        try:
            return leaves(textwrap.dedent(inspect.getsource(self.rule)))  # type: ignore[arg-type]
        except (OSError, TypeError, SyntaxError):
            raise SpecError(
                f"{self.what}: its length is not known, since it is in no file; give the "
                "explanation a size"
            ) from None


@dataclass(frozen=True)
class Shuffled(BoundRule):
    """A rule of other inputs' tokens: by one permutation wherever there are as many of them, so
    that such rules agree with each other."""

    seed: int = 0

    def __call__(self, values: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """Give its numbers, of other inputs."""
        order = np.random.default_rng([self.seed, shape[0]]).permutation(shape[0])
        return super().__call__({**values, "token": values["token"][order]}, shape)


def leaves(code: str) -> int:
    """Count the names and numbers in Python code, texts of documentation apart. Raises:
    SyntaxError."""
    return sum(
        isinstance(x, ast.Name | ast.Attribute | ast.arg)
        or (isinstance(x, ast.Constant) and not isinstance(x.value, str))
        for x in ast.walk(syntax.module(code))
    )
