"""How an answer is held to the truth: called with copies, compared number by number, and told in
one line what is wrong with it.

A check knows the mistakes that are easy to make: it works out what each of them would give, and an
answer that gives that is told so."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


class NotYet(AssertionError):
    """An answer that is not right yet; its text says in one line what is wrong."""


def called(answer: Callable[..., Any], *arguments: Any) -> Any:
    """Call an answer with copies of what it is given.

    Raises: NotImplementedError for a starter that nobody has filled in, NotYet for an answer that
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
    """Compare an answer's numbers with those that are due; a share of the largest one that is due
    may be missed.

    Raises: NotYet, with the words of the mistake that gives these numbers, or else the place where
    they are furthest off."""
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
        raise NotYet(
            f"{what}: {type(result).__name__} is given where {_shaped(shape)} is due"
        ) from None
    if numbers.shape != shape:
        raise NotYet(f"{what}: {_shaped(numbers.shape)} is given where {_shaped(shape)} is due")
    return numbers


def near(numbers: np.ndarray, truth: np.ndarray, within: float) -> bool:
    """Tell whether all numbers lie within a share of the largest one that is due; what is not
    finite has to be so in the same places."""
    if (np.isnan(numbers) != np.isnan(truth)).any() or (np.isinf(numbers) | np.isinf(truth)).any():
        return bool(np.array_equal(numbers, truth, equal_nan=True))
    scale = float(np.abs(truth[~np.isnan(truth)]).max(initial=0)) or 1.0
    return bool((np.abs(np.nan_to_num(numbers - truth)) <= within * scale).all())


def right(name: str, *remarks: str) -> None:
    """Print that an answer is right, and what is to be seen by it."""
    print(". ".join([f"{name}: right", *remarks]))


def _shaped(shape: tuple[int, ...]) -> str:
    return f"an array of shape {list(shape)}" if shape else "one number"


def _furthest(numbers: np.ndarray, truth: np.ndarray) -> str:
    with np.errstate(invalid="ignore"):
        off = np.nan_to_num(np.abs(numbers - truth), nan=np.inf)
    index = np.unravel_index(int(off.argmax()), truth.shape)
    where = f"at {[int(i) for i in index]} " if index else ""
    return f"{where}{numbers[index]:.6g} is given where {truth[index]:.6g} is due"
