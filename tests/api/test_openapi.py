"""The description of the interface: whole, and what a program that believes it finds; schemathesis
walks it by its links."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from interface import client
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from assay.api import app
from assay.api.app import described
from assay.http.guard import Rules

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]


def walk(root, examples, steps):
    """Send requests that were made from the description, each following from the answers before
    it."""
    api = schemathesis.openapi.from_asgi(
        "/openapi.json", app.application(app.Served(root, patience=0.05), Rules(hosts=()))
    )
    refusals = api.config.checks.negative_data_rejection
    refusals.expected_statuses = [
        *refusals.expected_statuses,
        "413",
        "414",
    ]  # too large is refused as well, which the usual list leaves out
    machine, answered = api.as_state_machine(), []

    class Asks(machine):
        def validate_response(self, response, case, **more):
            answered.append((case.method, response.status_code))
            case.validate_response(response, checks=CHECKS)

    Asks.run(
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
    )
    assert {method for method, _ in answered} >= {"GET", "POST"}
    assert {code // 100 for _, code in answered} >= {2, 4}, "some were heard, some refused"


def test_what_the_description_promises_is_kept_on_a_few_walks(tmp_path):
    walk(tmp_path / "store", 4, 4)


@pytest.mark.thorough
def test_what_the_description_promises_is_kept(tmp_path):
    walk(tmp_path / "store", 15, 4)


@pytest.mark.slow
def test_what_the_description_promises_is_kept_on_long_walks(tmp_path):
    walk(tmp_path / "store", 300, 10)


def test_every_link_and_reference_leads_somewhere():
    told = described()
    known = {
        op["operationId"]
        for path in told["paths"].values()
        for op in path.values()
        if isinstance(op, dict)
    }
    text = str(told)
    links = [
        link
        for path in told["paths"].values()
        for op in path.values()
        if isinstance(op, dict)
        for answer in op["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert links and {link["operationId"] for link in links} <= known
    assert {"submit", "status", "result", "cancel", "events", "plan", "preregister"} <= known
    for name in (
        "Job",
        "Jobs",
        "Foreseen",
        "Registered",
        "Catalogue",
        "Described",
        "Submission",
        "Problem",
    ):
        assert name in told["components"]["schemas"] and f"#/components/schemas/{name}'" in text


def test_the_examples_are_taken(tmp_path):
    asks = client(tmp_path / "store")
    body = described()["paths"]["/studies"]["post"]["requestBody"]["content"]
    for example in body["application/json"]["examples"].values():
        assert asks.post("/studies", json=example["value"]).status_code == 202
    for kind in ("application/toml", "text/markdown"):
        assert (
            asks.post(
                "/studies", content=body[kind]["example"], headers={"content-type": kind}
            ).status_code
            == 202
        )
