"""Problem: why a page cannot be shown, with the status it is answered with and what to do about
it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.core.errors import AssayError, DataError, ModelError, StoreError
from assay.explorer.guard import Refused
from assay.features.index.about import Damaged

ASKED, UNKNOWN, UNFIT, AWAY = 400, 404, 409, 503
"""What was asked makes no sense; there is no such thing; two things do not fit together; it is
damaged, missing or busy."""


class Problem(AssayError):
    """A page cannot be shown; `words` say why, `then` is a command to type, where one helps.
    `field` names the field of a form that it is about. `page` is the template, values and drawings
    of the page that says it, so that what was typed stays; None: one of its own."""

    page: tuple[str, Mapping[str, Any], Mapping[str, Any]] | None = None

    def __init__(self, status: int, words: str, command: str = "", field: str = ""):
        super().__init__(words)
        self.status, self.words, self.then, self.field = status, words, command, field


def to_problem(error: AssayError) -> Problem:
    """Tell which problem of a page an error is."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Refused):
        return Problem(error.status, str(error))
    is_away = isinstance(error, Damaged | ModelError | StoreError)
    return Problem(
        AWAY if is_away else UNFIT if isinstance(error, DataError) else ASKED, str(error)
    )
