"""Requests to the application: submitted, asked after, cancelled; every refusal is one line."""

import hashlib
import json
import re
from dataclasses import replace

import pytest
from interface import SMOKE, client
from jsonschema import Draft202012Validator

from assay.api.openapi import STUDY
from assay.api.problems import Problem
from assay.core.schema import schema
from assay.http import tokens
from assay.http.guard import BODY
from assay.jobs.folder import Folder
from assay.lab.store.sealed import seal
from assay.verbs.jobs import Happened, Job

TOML = {"content-type": "application/toml"}


@pytest.fixture
def asks(tmp_path):
    return client(tmp_path / "store")


def refused(answer, status):
    """The one line of a refusal."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (
        not list(Draft202012Validator(schema(Problem)).iter_errors(told))
        and told["status"] == status
    )
    assert told["detail"] and "\n" not in told["detail"] and "Traceback" not in told["detail"]
    return told["detail"]


def finish(root, key):
    """End a job as its process does, with a result."""
    folder = Folder(root, key)
    (folder.path / "result.json").write_bytes(seal({"verdicts": [], "provenance": {}}))
    folder.write(replace(folder.state, status="done", done=3, total=3, cached=0, ended=1.0))
    folder.tell("done", runs=3)


def test_a_study_is_submitted_and_followed_by_its_links(asks, tmp_path):
    sent = asks.post(
        "/studies", content=STUDY, headers=TOML, params={"name": "mine", "preset": "smoke"}
    )
    assert sent.status_code == 202 and not list(
        Draft202012Validator(schema(Job)).iter_errors(sent.json())
    )
    where = sent.headers["location"]
    assert where == f"/jobs/{sent.json()['key']}" and asks.get(where).json() == sent.json()
    assert (
        asks.post("/studies", json={"study": STUDY, "name": "mine", "preset": "smoke"}).json()[
            "key"
        ]
        == sent.json()["key"]
    )
    assert "it waits" in refused(asks.get(f"{where}/result"), 409)
    assert asks.get("/jobs").json() == {"jobs": [sent.json()]}
    finish(tmp_path / "store", sent.json()["key"])
    assert asks.get(where, params={"wait": 30}).json()["status"] == "done"
    assert asks.get(f"{where}/result").json() == {"verdicts": [], "provenance": {}}
    assert (
        asks.post(
            "/studies", content=STUDY, headers=TOML, params={"name": "mine", "preset": "smoke"}
        ).status_code
        == 200
    )
    assert asks.delete(where).json()["status"] == "done"


def test_events_go_on_after_the_last_one_that_was_had(asks, tmp_path):
    key = asks.post("/studies", json=SMOKE).json()["key"]
    assert asks.get(f"/jobs/{key}/events").text.count("\n\n") == 1, (
        "the stream ends when waiting is over"
    )
    finish(tmp_path / "store", key)
    events = asks.get(f"/jobs/{key}/events").text.strip().split("\n\n")
    assert [e.splitlines()[0] for e in events] == ["id: 1", "id: 2"]
    assert not list(
        Draft202012Validator(schema(Happened)).iter_errors(
            json.loads(events[1].splitlines()[2].removeprefix("data: "))
        )
    )
    rest = asks.get(f"/jobs/{key}/events", headers={"last-event-id": "1"})
    assert rest.headers["content-type"].startswith("text/event-stream") and rest.text.startswith(
        "id: 2\nevent: done\n"
    )
    assert "number of an event" in refused(
        asks.get(f"/jobs/{key}/events", headers={"last-event-id": "x"}), 400
    )


def test_a_cancelled_job_is_asked_for_again(asks):
    key = asks.post("/studies", json=SMOKE).json()["key"]
    assert asks.delete(f"/jobs/{key}").json()["status"] == "cancelled"
    assert asks.post("/studies", json=SMOKE).json()["status"] == "queued"


def test_a_plan_tells_what_is_lacking_and_what_would_run(asks, tmp_path):
    lacking = asks.post("/plan", content='question = "Why?"', headers=TOML).json()
    assert lacking["plan"] is None and [
        u["where"] for u in lacking["unsaid"] if u["default"] is None
    ] == ["experiment", "claim"]
    found = asks.post("/plan", content=STUDY, headers=TOML).json()
    assert found["runs"] == found["plan"]["missing"] > 0 and "budget" in {
        u["where"] for u in found["unsaid"]
    }
    assert not (tmp_path / "store").exists(), "planning writes nothing"
    assert asks.post("/studies", content=STUDY, headers=TOML).json()["key"] == found["key"]


def test_what_is_frozen_over_http_stays_and_the_plan_says_which_look_comes_next(asks, tmp_path):
    body = STUDY.replace('"1000000:1000006"', '"1000000:1000012"')
    kind = {"content-type": "application/toml"}
    frozen = asks.post("/registrations?looks=6,12", content=body, headers=kind)
    assert frozen.status_code == 201 and [one["units"] for one in frozen.json()["looks"]] == [6, 12]
    assert all(
        (tmp_path / "store" / file).is_file() and not file.startswith("/")
        for file in frozen.json()["files"]
    )
    assert (
        asks.post("/registrations", content=body, headers=kind).status_code == 200
    )  # it was frozen so already
    planned = asks.post("/plan", content=body, headers=kind).json()["plan"]["frozen"]
    assert (
        planned["hash"] == frozen.json()["hash"] and planned["taken"] == 0 and planned["next"] == 1
    )
    detail = refused(asks.post("/registrations?looks=7,12", content=body, headers=kind), 409)
    assert "what was frozen stays" in detail and str(tmp_path) not in detail
    refused(
        asks.post(
            "/registrations?looks=many",
            content=body.replace("1000000:1000012", "1000100:1000112"),
            headers=kind,
        ),
        400,
    )


def test_the_catalogue_is_told(asks):
    names = [e["name"] for e in asks.get("/experiments").json()["experiments"]]
    assert "superposition" in names
    one = asks.get("/experiments/superposition").json()
    assert "main" in one["arms"] and "density" in one["fields"] and one["claims"]
    assert "GET /experiments lists them" in refused(asks.get("/experiments/superpositoin"), 404)


@pytest.mark.parametrize(
    ("status", "words", "sent"),
    [
        (400, "no submission", {"content": "{", "headers": {"content-type": "application/json"}}),
        (400, "no submission", {"json": {"experiment": 3}}),
        (400, "no submission", {"json": {"experimnt": "superposition"}}),
        (400, "no submission", {"json": [1]}),
        (
            400,
            "no submission",
            {"content": "[" * 100_000, "headers": {"content-type": "application/json"}},
        ),
        (400, "the body is empty", {"content": "", "headers": TOML}),
        (400, "UTF-8", {"content": b"\xff", "headers": TOML}),
        (
            400,
            "means nothing here",
            {"content": STUDY, "headers": TOML, "params": {"presets": "smoke"}},
        ),
        (
            400,
            "said twice",
            {"content": STUDY, "headers": TOML, "params": [("name", "a"), ("name", "b")]},
        ),
        (413, "at most", {"content": "x" * (BODY + 1), "headers": TOML}),
        (413, "at most", {"content": [b"x" * 1000] * 1000, "headers": TOML}),
        (415, "application/toml", {"content": STUDY}),
        (415, "application/toml", {"data": {"experiment": "superposition"}}),
        (415, "application/toml", {"content": STUDY, "headers": {"content-type": "text/plain"}}),
        (422, "line 1 column 5", {"content": "x = ", "headers": TOML}),
        (400, "length <= 65536", {"json": {"study": "x" * 70_000}}),
    ],
)
@pytest.mark.parametrize("address", ["/studies", "/plan"])
def test_what_cannot_be_submitted_is_one_line(asks, tmp_path, address, status, words, sent):
    assert words in refused(asks.post(address, **sent), status)
    assert not (tmp_path / "store").exists()


def test_what_a_study_lacks_is_a_list(asks):
    answer = asks.post("/studies", content='question = "Why?"', headers=TOML)
    refused(answer, 422)
    assert [lack["where"] for lack in answer.json()["lacks"]] == ["experiment", "claim"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/jobs/" + "0" * 32, 404),
        ("GET", "/jobs/..%2F..%2Fetc/result", 404),
        ("GET", "/jobs/%00/events", 404),
        ("DELETE", "/jobs/" + "f" * 32, 404),
        ("PUT", "/jobs", 405),
        ("TRACE", "/jobs", 405),
        ("GET", "/studies", 405),
        ("GET", "/jobs?limit=0", 400),
        ("GET", "/jobs?limit=1.5", 400),
        ("GET", "/jobs?wait=1", 400),
        ("GET", "/jobs/" + "0" * 32 + "?wait=31", 400),
        ("GET", "/jobs?limit=nan", 400),
        ("GET", "/jobs?" + "x" * 9000, 414),
    ],
)
def test_addresses_that_are_not_there(asks, method, path, status):
    answer = asks.request(method, path)
    refused(answer, status)
    assert status != 405 or answer.headers["allow"]


def test_a_page_of_another_site_submits_and_reads_nothing(asks):
    headers = {"origin": "http://evil.example"}
    for answer in (
        asks.post("/studies", json=SMOKE, headers=headers),
        asks.get("/jobs", headers=headers),
    ):
        refused(answer, 403)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert asks.get("/jobs").json() == {"jobs": []}


def holder(name, *rights, **quotas):
    made = tokens.new(name)
    digest = hashlib.sha256(made.token.encode()).hexdigest()
    says = {"authorization": f"Bearer {made.token}"}
    return tokens.Holder(name=name, sha256=digest, rights=rights, **quotas), says


def test_tokens_say_who_may_what_and_whose_jobs_are_whose(tmp_path):
    ann, ann_says = holder("ann", "read", "submit", "cancel", queued=1)
    bob, bob_says = holder("bob", "read")
    eve, eve_says = holder("eve", "submit")
    asks = client(tmp_path / "store", holders=(ann, bob, eve))
    assert refused(asks.get("/jobs"), 401)
    key = asks.post("/studies", json=SMOKE, headers=ann_says).json()["key"]
    assert "1 jobs of yours" in refused(
        asks.post("/studies", json={**SMOKE, "sets": ["seed=9"]}, headers=ann_says), 429
    )
    assert "no right to submit" in refused(asks.post("/studies", json=SMOKE, headers=bob_says), 403)
    assert asks.get("/jobs", headers=bob_says).json() == {"jobs": []}
    refused(asks.get(f"/jobs/{key}", headers=bob_says), 404)
    assert asks.post("/studies", json=SMOKE, headers=eve_says).json()["key"] == key
    refused(asks.get(f"/jobs/{key}", headers=eve_says), 403)
    refused(asks.delete(f"/jobs/{key}", headers=eve_says), 403)
    still = asks.delete(f"/jobs/{key}", headers=ann_says).json()["status"]
    assert still == "queued", "eve still asks for it"


def test_no_answer_says_where_the_server_keeps_its_files(tmp_path):
    study = (
        'question = "Which?"\n[[model]]\nname = "./model"\n[[prompts]]\ntext = "A"\n[[read]]\n'
        'name = "b"\nlog_prob = " b"\n[[claim]]\ntext = "More"\nholds = "main.b > 0"\n'
        'threshold = "plan: nought"\n'
    )
    with client(tmp_path / "store") as asks:
        answer = asks.post("/plan", json={"study": study})
        assert answer.status_code == 422
        assert not re.search(r"(?<![\w…])/\w+/", answer.json()["detail"]), answer.text
