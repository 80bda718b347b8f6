"""Check an answer: call it with copies of its arguments, compare it number by number, and report in
one line what is wrong.

A check knows common mistakes: it computes what each of them would give, and reports the mistake if
an answer gives the same."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


class NotYet(AssertionError):
    """An answer that is not right yet; its text says in one line what is wrong."""


def called(answer: Callable[..., Any], *arguments: Any) -> Any:
    """Call an answer with copies of what it is given.

    Raises: NotImplementedError for a starter that was not filled in, NotYet for an answer that
    raises anything else."""
    name = getattr(answer, "__name__", "the answer")
    try:
        return answer(
            *(argument if callable(argument) else copy.deepcopy(argument) for argument in arguments)
        )
    except NotImplementedError:
        raise NotImplementedError(f"{name} is still as the page has it") from None
    except Exception as error:
        raise NotYet(f"{name} raises {type(error).__name__}: {error}") from error


Mistakes = Mapping[str, Any] | Callable[[], Mapping[str, Any]]
"""What is wrong, in words, and the numbers that it gives; or a function that works them out, where
that takes long."""


def same(
    result: Any, due: Any, what: str, mistakes: Mistakes | None = None, within: float = 1e-6
) -> None:
    """Compare an answer's numbers with the expected ones, within a share of the largest expected
    one.

    Raises: NotYet, with the words of the mistake that gives these numbers, or else the place of the
    largest error."""
    truth = np.asarray(due, float)
    numbers = as_numbers(result, truth.shape, what)
    if near(numbers, truth, within):
        return
    known = mistakes() if callable(mistakes) else mistakes or {}
    for words, wrong in known.items():
        if np.shape(wrong) == truth.shape and near(numbers, np.asarray(wrong, float), within):
            raise NotYet(f"{what}: {words}")
    raise NotYet(f"{what}: {_furthest(numbers, truth)}")


def as_numbers(result: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Give an answer as numbers of this shape. Raises: NotYet where it is none."""
    if result is None:
        raise NotYet(f"{what}: the function returns nothing; is a return missing?")
    try:
        numbers = np.asarray(result, float)
    except (TypeError, ValueError):
        raise NotYet(f"{what}: got {type(result).__name__}, expected {_shaped(shape)}") from None
    if numbers.shape != shape:
        raise NotYet(f"{what}: got {_shaped(numbers.shape)}, expected {_shaped(shape)}")
    return numbers


def near(numbers: np.ndarray, truth: np.ndarray, within: float) -> bool:
    """Whether all numbers are within a share of the largest expected one; values that are not
    finite must be at the same places."""
    if (np.isnan(numbers) != np.isnan(truth)).any() or (np.isinf(numbers) | np.isinf(truth)).any():
        return bool(np.array_equal(numbers, truth, equal_nan=True))
    scale = float(np.abs(truth[~np.isnan(truth)]).max(initial=0)) or 1.0
    return bool((np.abs(np.nan_to_num(numbers - truth)) <= within * scale).all())


def right(name: str, *remarks: str) -> None:
    """Print that an answer is right, with remarks."""
    print(". ".join([f"{name}: right", *remarks]))


def _shaped(shape: tuple[int, ...]) -> str:
    return f"an array of shape {list(shape)}" if shape else "one number"


def _furthest(numbers: np.ndarray, truth: np.ndarray) -> str:
    with np.errstate(invalid="ignore"):
        off = np.nan_to_num(np.abs(numbers - truth), nan=np.inf)
    index = np.unravel_index(int(off.argmax()), truth.shape)
    where = f"at {[int(i) for i in index]} " if index else ""
    return f"{where}got {numbers[index]:.6g}, expected {truth[index]:.6g}"
