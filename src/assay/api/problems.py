"""Problems: every refusal as `application/problem+json` (RFC 9457), in one line that says what
would be right."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from assay.core.errors import AssayError, RunError, StoreError
from assay.core.plain import as_json, plain
from assay.core.schema import OPTIONAL, to_json
from assay.http.guard import Refused
from assay.jobs.folder import NoJob
from assay.jobs.queue import Full, NotOver, NotYours
from assay.jobs.submission import Lacking
from assay.lab.judge.registered import TooLate

KIND = "application/problem+json"
LONGEST = 1_000
"""Characters of a refusal."""


@dataclass(frozen=True, kw_only=True)
class Lack:
    """Something that a study has to say."""

    where: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A refusal."""

    type: str = "about:blank"
    title: str
    """What the status means, in words."""
    status: int
    detail: str
    """What is wrong and what would be right, in one line."""
    lacks: tuple[Lack, ...] | None = field(default=None, metadata=OPTIONAL)
    """Of a study that says too little: all that it has to say."""


def to_problem(error: AssayError) -> tuple[Problem, dict[str, str]]:
    """Tell which problem an error is, and which headers it is sent with."""
    headers = error.headers if isinstance(error, Refused) else {}
    lacks = (
        tuple(Lack(where=m.where, text=m.text) for m in error.lacks)
        if isinstance(error, Lacking)
        else None
    )
    kinds: tuple[tuple[type[AssayError], int], ...] = (
        (NoJob, 404),
        (NotOver, 409),
        (NotYours, 403),
        (Full, 429),
        (TooLate, 409),
        (StoreError, 503),
        (RunError, 500),
    )
    status = (
        error.status
        if isinstance(error, Refused)
        else next((s for kind, s in kinds if isinstance(error, kind)), 422)
    )
    detail = plain(" ".join(error.request().split()))
    detail = detail if len(detail) <= LONGEST else f"{detail[: LONGEST - 2]} …"
    return Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, lacks=lacks
    ), headers


def answer(error: AssayError) -> Response:
    """Answer with the problem that an error is."""
    problem, headers = to_problem(error)
    return Response(as_json(to_json(problem)), problem.status, headers, KIND)


def plain_values(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer with a result as plain values."""
    return Response(as_json(to_json(value), allow_nan=False), status, headers, "application/json")
