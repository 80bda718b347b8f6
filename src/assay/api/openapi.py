"""OpenAPI: what describes the interface to programs: addresses, what is sent and answered by the
types that read and write it, problems, and what leads where."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from assay.api.problems import KIND, Problem
from assay.core.schema import schema
from assay.http.tokens import Right
from assay.jobs.submission import DIGITS, Asked
from assay.verbs.jobs import Happened, Job

if TYPE_CHECKING:
    from starlette.responses import Response

STUDY = """question = "Do five dimensions hold most of twenty sparse features after a quarter of the usual training?"
seeds = "1000000:1000006"

[[experiment]]
name = "superposition"
fields = { density = 0.01, steps = 2000 }

[[claim]]
text = "More than half of the features are represented, which a linear model of this width cannot do"
holds = "mean(main.represented, over=feature) > 0.5"
control = ["linear"]
bounds = [0, 1]
threshold = "plan: written before anything was looked at"
"""  # noqa: E501
IN_PATH: dict[str, dict[str, Any]] = {
    "key": {
        "schema": {"type": "string", "pattern": f"^[0-9a-f]{{{DIGITS}}}$"},
        "description": "A job's key, as POST /studies answered it",
    },
    "name": {"schema": {"type": "string", "pattern": "^[a-z0-9-]{1,64}$"}},
}
LAST = {
    "name": "Last-Event-ID",
    "in": "header",
    "schema": {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
}
STREAMED = {  # as OpenAPI 3.2 has it under itemSchema, and programs that read 3.1 take it
    "type": "object",
    "required": ["id", "event", "data"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "event": {"type": "string"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/Event"},
        },
    },
}
WORDS = {
    400: "The request cannot be read",
    401: "A token is asked for",
    403: "This token, or this page, may not ask",
    404: "It is not there",
    408: "The body came too slowly",
    409: "It is not done yet, or too late for it",
    413: "The body is too large",
    414: "The address is too long",
    415: "The body is of another kind",
    422: "What was sent was read, and cannot run",
    429: "The queue or the quota is full",
    500: "A mistake of the server",
    503: "The store or the server is busy",
}
ALWAYS = (400, 401, 403, 414, 500, 503)
NAMES = {Happened: "Event", Asked: "Submission"}
"""What types are called where that is not their own name."""


class Query(msgspec.Struct, frozen=True):
    """What stands behind the ? of an address: nothing, but in the kinds that have fields."""


@dataclass(frozen=True)
class Operation:
    """An address, what answers it, and all that describes it."""

    method: str
    path: str
    right: Right
    work: Callable[[Any, Any], Awaitable[Response]]
    """Its name and docstring are those of the operation."""
    answers: Mapping[int, tuple[str, Any]]
    """By status what it means, and the type of what is answered."""
    query: type[Query] = Query
    sent: bool = False
    """Whether it takes a submission."""
    refusals: tuple[int, ...] = ()
    """Beside those that every operation has, and those of a key or a body."""

    @property
    def in_path(self) -> list[str]:
        """The names that its address has places for."""
        return re.findall(r"{(\w+)}", self.path)


def describe(operations: Sequence[Operation], of_text: type[Query]) -> dict[str, Any]:
    """Describe an interface as OpenAPI 3.1; `of_text` may stand in the address where a body is a
    study's text."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        described = _operation(operation, operations, of_text)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    results = {kind for o in operations for _, kind in o.answers.values() if isinstance(kind, type)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Assay",
            "version": "1",
            "description": (
                "Submit an experiment or a study, wait for it, and read its verdicts. A job's key "
                "is a hash of what is asked: submitting twice is one job. What is there before the "
                "end is told as `early`, and is no verdict."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": {
                "Submission": _of_struct(Asked)
                | {"anyOf": [{"required": ["study"]}, {"required": ["experiment"]}]},
                **{_name(kind): schema(kind) for kind in (Problem, *results)},
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(
    operation: Operation, known: Sequence[Operation], of_text: type[Query]
) -> dict[str, Any]:
    kinds = [operation.query, *([of_text] if operation.sent else [])]
    parameters = [
        {"name": name, "in": "path", "required": True} | IN_PATH[name] for name in operation.in_path
    ]
    for kind in kinds:
        for name, of_field in _of_struct(kind)["properties"].items():
            parameters.append({"name": name, "in": "query", "schema": of_field})
    events = Happened in [kind for _, kind in operation.answers.values()]
    responses = {
        str(status): {"description": meaning, **_content(kind, operation, known)}
        for status, (meaning, kind) in operation.answers.items()
    }
    refusals = {*ALWAYS, *operation.refusals, *((404,) if operation.in_path else ())}
    refusals |= {408, 413, 415, 422} if operation.sent else set()
    for status in sorted(refusals):
        responses[str(status)] = {
            "description": WORDS[status],
            "content": {KIND: {"schema": _ref(Problem)}},
        }
    summary = (inspect.getdoc(operation.work) or "").rstrip(".")
    described: dict[str, Any] = {
        "operationId": operation.work.__name__,
        "summary": summary,
        "parameters": [*parameters, *([LAST] if events else [])],
        "responses": responses,
    }
    if operation.sent:
        described["requestBody"] = {"required": True, "content": _body()}
    return described


def _content(kind: Any, operation: Operation, known: Sequence[Operation]) -> dict[str, Any]:
    """What is answered; where it is a job, with what that leads to."""
    if kind is Happened:
        return {"content": {"text/event-stream": {"schema": STREAMED}}}
    described = _ref(kind) if isinstance(kind, type) else {"type": "object"}
    links = {
        o.work.__name__: {
            "operationId": o.work.__name__,
            "parameters": {"key": "$response.body#/key"},
            "description": (inspect.getdoc(o.work) or "").rstrip("."),
        }
        for o in known
        if kind is Job and "key" in o.in_path and o is not operation
    }
    answer: dict[str, Any] = {"content": {"application/json": {"schema": described}}}
    return answer | ({"links": links} if links else {})


def _body() -> dict[str, Any]:
    """What a submission may be sent as."""
    text = {"schema": {"type": "string", "minLength": 1, "maxLength": 65536}}
    examples = {
        "experiment": {"value": {"experiment": "superposition", "preset": "smoke"}},
        "study": {"value": {"study": STUDY}},
    }
    return {
        "application/json": {"schema": _ref(Asked), "examples": examples},
        "application/toml": {**text, "example": STUDY},
        "text/markdown": {**text, "example": f"+++\n{STUDY}+++\n\nWhy this matters.\n"},
    }


def _of_struct(kind: type[msgspec.Struct]) -> dict[str, Any]:
    described: dict[str, Any] = msgspec.json.schema(kind)["$defs"][kind.__name__]
    told = {"description": " ".join((inspect.getdoc(kind) or "").split())}
    return {k: v for k, v in described.items() if k not in ("title", "required")} | told


def _name(kind: type) -> str:
    return NAMES.get(kind, kind.__name__)


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{_name(kind)}"}
