"""A training that is killed before it is done."""

from collections.abc import Callable
from typing import Any


class Killed(Exception):
    """Stands for a kill."""


def dies_at(last: int, batches: Callable[[int], Any]) -> Callable[[int], Any]:
    """The batches up to a step, at which the training is killed."""

    def until(step: int) -> Any:
        if step == last:
            raise Killed
        return batches(step)

    return until
