"""OpenAPI: what describes the interface to programs: addresses, results by their types' schemas,
problems, and what leads where.

Shapes are told from the results' own types (`assay.core.schema`), so that they cannot differ from
what is answered."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from assay.api.problems import KIND, Problem
from assay.core.schema import schema
from assay.jobs.submission import DIGITS
from assay.verbs.catalogue import Catalogue, Described
from assay.verbs.jobs import Foreseen, Happened, Job, Jobs
from assay.verbs.preregister import Registered

STATUS, EVENTS = 30, 600
"""Seconds that a request for a job's status, and for its events, may wait."""
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
KEY = {
    "name": "key",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": f"^[0-9a-f]{{{DIGITS}}}$"},
    "description": "A job's key, as POST /studies answered it",
}
NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[a-z0-9-]{1,64}$"},
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
LOOKS = {
    "name": "looks",
    "in": "query",
    "schema": {"type": "string", "maxLength": 64, "pattern": "^[0-9]{1,9}(,[0-9]{1,9}){0,3}$"},
    "description": (
        "After how many seeds it may be judged, such as 8,16; without it once, after all"
    ),
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


def _text(most: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": most}


SUBMISSION: dict[str, Any] = {
    "type": "object",
    "description": "Either a study's text, or an experiment's name.",
    "properties": {
        "study": _text(65536),
        "experiment": _text(200),
        "preset": _text(64),
        "sets": {"type": "array", "items": _text(200), "maxItems": 32},
        "name": _text(64),
    },
    "anyOf": [{"required": ["study"]}, {"required": ["experiment"]}],
    "additionalProperties": False,
}


@cache
def _document() -> dict[str, Any]:
    job = _ref("Job")
    result = {
        "type": "object",
        "description": (
            "What `assay show --json` prints: verdicts, each with interval, controls, scope and "
            "provenance"
        ),
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Assay",
            "version": "1",
            "description": "Submit an experiment or a study, wait for it, and read its verdicts. A job's key "  # noqa: E501
            "is a hash of what is asked: submitting "
            "twice is one job. What is there before the end is told as `early`, and is no verdict.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": {
            "/studies": {
                "post": _sent(
                    "submit",
                    "Submit a study or an experiment",
                    {
                        200: _response("It was done before", job, links=_links()),
                        202: _response("It waits or runs", job, links=_links()),
                    },
                    429,
                )
            },
            "/registrations": {
                "post": _sent(
                    "preregister",
                    "Freeze what would be judged, before any result exists; nothing runs",
                    {
                        200: _response("It was frozen so already", _ref("Registered")),
                        201: _response("It is frozen", _ref("Registered")),
                    },
                    409,
                    more=(LOOKS,),
                )
            },
            "/plan": {
                "post": _sent(
                    "plan",
                    "What would run and take, and what a study does not say",
                    {200: _response("The plan", _ref("Foreseen"))},
                )
            },
            "/jobs": {
                "get": _operation(
                    "jobs",
                    "Jobs in the order of submission; of a token those that it asked for",
                    {200: _response("Jobs", _ref("Jobs"))},
                    _query("limit", "At most so many, the latest", 1, 1000, whole=True),
                )
            },
            "/jobs/{key}": {
                "parameters": [KEY],
                "get": _operation(
                    "status",
                    "How far a job is",
                    {200: _response("The job", job, links=_links("status"))},
                    _query("wait", "Seconds to wait until it is over", 0, STATUS),
                    refusals=(404,),
                ),
                "delete": _operation(
                    "cancel",
                    "Cancel a job; what it stored is kept",
                    {200: _response("The job", job, links=_links("cancel"))},
                    refusals=(404,),
                ),
            },
            "/jobs/{key}/events": {
                "parameters": [KEY],
                "get": _operation(
                    "events",
                    (
                        "What happens to a job, as server-sent events; with Last-Event-ID from "
                        "that event on"
                    ),
                    {
                        200: {
                            "description": "Events; the schema is that of one",
                            "content": {"text/event-stream": {"schema": STREAMED}},
                        }
                    },
                    _query("wait", "Seconds after which the stream ends", 0, EVENTS),
                    {
                        "name": "Last-Event-ID",
                        "in": "header",
                        "schema": {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
                    },
                    refusals=(404,),
                ),
            },
            "/jobs/{key}/result": {
                "parameters": [KEY],
                "get": _operation(
                    "result",
                    "The verdicts of a job that is done",
                    {200: _response("The result", result)},
                    refusals=(404, 409),
                ),
            },
            "/experiments": {
                "get": _operation(
                    "experiments",
                    "The catalogue",
                    {200: _response("Experiments", _ref("Catalogue"))},
                )
            },
            "/experiments/{name}": {
                "parameters": [NAME],
                "get": _operation(
                    "experiment",
                    "One experiment: arms, fields, claims",
                    {200: _response("The experiment", _ref("Described"))},
                    refusals=(404,),
                ),
            },
            "/openapi.json": {
                "get": _operation(
                    "openapi",
                    "This description",
                    {200: _response("OpenAPI 3.1", {"type": "object"})},
                )
            },
        },
        "components": {
            "schemas": {
                "Submission": SUBMISSION,
                "Event": schema(Happened),
                "Problem": schema(Problem),
                **{
                    model.__name__: schema(model)
                    for model in (Job, Jobs, Foreseen, Registered, Catalogue, Described)
                },
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def described() -> dict[str, Any]:
    """Describe the interface as OpenAPI 3.1."""
    return copy.deepcopy(_document())


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _response(description: str, body_schema: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": dict(body_schema)}},
        **more,
    }


def _links(without: str = "") -> dict[str, Any]:
    """Where an answer that is a job leads."""
    descriptions = {
        "status": "How far it is",
        "events": "What happens to it",
        "result": "Its verdicts, once it is done",
        "cancel": "Stop it",
    }
    links = {
        name: {
            "operationId": name,
            "parameters": {"key": "$response.body#/key"},
            "description": words,
        }
        for name, words in descriptions.items()
    }
    return {name: link for name, link in links.items() if name != without}


def _query(
    name: str, description: str, low: float, high: float, whole: bool = False
) -> dict[str, Any]:
    kind = "integer" if whole else "number"
    return {
        "name": name,
        "in": "query",
        "description": description,
        "schema": {"type": kind, "minimum": low, "maximum": high},
    }


def _operation(
    name: str,
    summary: str,
    answers: Mapping[int, Any],
    *parameters: Mapping[str, Any],
    refusals: tuple[int, ...] = (),
) -> dict[str, Any]:
    problem = {
        KIND: {
            "schema": _ref("Problem"),
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "no job …",
            },
        }
    }
    refused = {
        status: {"description": WORDS[status], "content": problem}
        for status in sorted({*ALWAYS, *refusals})
    }
    operation: dict[str, Any] = {"operationId": name, "summary": summary}
    if parameters:
        operation["parameters"] = [dict(p) for p in parameters]
    return {
        **operation,
        "responses": {str(status): response for status, response in {**answers, **refused}.items()},
    }


def _sent(
    name: str,
    summary: str,
    answers: Mapping[int, Any],
    *refusals: int,
    more: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """An operation that takes a submission."""
    text = {"schema": {"type": "string", "minLength": 1, "maxLength": 65536}, "example": STUDY}
    examples = {
        "experiment": {"value": {"experiment": "superposition", "preset": "smoke"}},
        "study": {"value": {"study": STUDY}},
    }
    body = {
        "application/json": {"schema": _ref("Submission"), "examples": examples},
        "application/toml": text,
        "text/markdown": dict(text, example=f"+++\n{STUDY}+++\n\nWhy this matters.\n"),
    }
    query_parameters = (
        {
            "name": "preset",
            "in": "query",
            "schema": _text(64),
            "description": "Of a text: smoke, default, full",
        },
        {
            "name": "set",
            "in": "query",
            "schema": {"type": "array", "items": _text(200)},
            "description": "Of a text: field=value, repeatable",
        },
        {
            "name": "name",
            "in": "query",
            "schema": _text(64),
            "description": "Of a text: what to call the study",
        },
    )
    operation = _operation(
        name, summary, answers, *query_parameters, *more, refusals=(408, 413, 415, 422, *refusals)
    )
    return {**operation, "requestBody": {"required": True, "content": body}}
