"""A client against a server that speaks the protocol and misbehaves: what fails is missing and
counted, and limits hold."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from assay.core.errors import AssayError, ModelError
from assay_catalogue.explaining.chat import Chat, Endpoint, read
from assay_catalogue.explaining.chat_explainer import AskedExplainer
from assay_catalogue.explaining.evidence import Evidence
from assay_catalogue.explaining.rule import Positions

HELLO = [{"role": "user", "content": "hello"}]


def said(text, **usage):
    """A reply of the protocol."""
    return json.dumps(
        {"choices": [{"message": {"role": "assistant", "content": text}}], "usage": usage or None}
    ).encode()


@contextmanager
def server(*behaviours) -> Iterator[tuple[str, list]]:
    """(address, requests so far) of a server that does one thing after another, the last one for
    ever: (status, body, headers) or a function."""
    seen: list = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((self.path, dict(self.headers), body))
            act = behaviours[min(len(seen), len(behaviours)) - 1]
            if callable(act):
                act = act(self, body)
            if act is not None:
                status, reply, *more = act
                self.send_response(status)
                for name, value in (more[0] if more else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

        def log_message(self, *_):
            pass

    it = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    it.daemon_threads = True
    thread = threading.Thread(target=it.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{it.server_port}/v1", seen
    finally:
        it.shutdown()
        it.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def slept(monkeypatch) -> list:
    """How long a client waits between attempts; nobody waits in a test."""
    waits: list = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


def chat(address, tmp_path, **more):
    """A client of this address."""
    limits = {
        "most_requests": 50,
        "most_cost": 1.0,
        "price_in": 0.0,
        "price_out": 0.0,
        "timeout": 5.0,
        **more,
    }
    return Chat(Endpoint(address=address, model="m", **limits), tmp_path / "kept")


def test_an_answer_is_asked_for_once_and_then_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("A_KEY", "s3cret")
    with server((200, said("hi"))) as (address, seen):
        for _ in range(2):
            client = chat(address, tmp_path, key_from="A_KEY")
            assert client.ask(HELLO) == "hi"
        assert client.tally.kept == client.tally.answered == 1 and client.tally.sent == 0
        assert client.ask([{"role": "user", "content": "other"}]) == "hi"
    assert len(seen) == 2
    path, headers, body = seen[0]
    assert path == "/v1/chat/completions" and headers["Authorization"] == "Bearer s3cret"
    assert body == {"model": "m", "messages": HELLO, "max_tokens": 200, "temperature": 0}
    assert not any("s3cret" in file.read_text() for file in (tmp_path / "kept").iterdir())
    assert "s3cret" not in repr(client.endpoint)


def test_a_kept_file_that_is_not_whole_is_asked_again(tmp_path):
    with server((200, said("hi"))) as (address, seen):
        chat(address, tmp_path).ask(HELLO)
        (file,) = (tmp_path / "kept").iterdir()
        file.write_text('{"answ')
        assert chat(address, tmp_path).ask(HELLO) == "hi"
    assert len(seen) == 2


def hang_up(handler, body):
    """End the connection in the middle of a reply."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choi')
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


NONSENSE = {
    "no JSON": (b"<html>busy</html>", "answer is no JSON"),
    "another object": (b'{"choices": []}', "answer without a text"),
    "a list": (b"[1, 2]", "answer without a text"),
    "no text": (said(None), "answer without a text"),
    "a number": (said(7), "answer without a text"),
    "blank": (said("  "), "answer without a text"),
    "nothing": (b"", "answer is no JSON"),
    "deep": (b"[" * 200_000, "answer is no JSON"),
    "no unicode": (b"\xff\xfe\x00", "answer is no JSON"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_missing_and_counted(name, tmp_path):
    reply, why = NONSENSE[name]
    with server((200, reply)) as (address, seen):
        client = chat(address, tmp_path)
        assert client.ask(HELLO) is None
    assert len(seen) == 4 and client.tally.missing == {why: 1} and client.tally.answered == 0
    assert (
        f"0 of 1 questions answered (0 kept from before), 4 requests, cost up to 0; 1 × {why}"
        == client.tally.words()
    )
    assert not (tmp_path / "kept").exists()


def test_it_tries_again_and_waits_longer_each_time(tmp_path, slept):
    with server((503, b"busy"), (429, b"slow down"), hang_up, (200, said("at last"))) as (
        address,
        seen,
    ):
        client = chat(address, tmp_path)
        assert client.ask(HELLO) == "at last"
    assert len(seen) == 4 and client.tally.sent == 4 and not client.tally.missing
    assert slept == [1, 2, 4]


@pytest.mark.parametrize(
    ("status", "requests", "why"),
    [
        (429, 4, "status 429"),
        (500, 4, "status 500"),
        (400, 1, "status 400"),
        (307, 1, "status 307"),
    ],
)
def test_refusals_are_missing(status, requests, why, tmp_path):
    with server((status, b"no", {"Location": "http://127.0.0.1:9/elsewhere"})) as (address, seen):
        client = chat(address, tmp_path)
        assert client.ask(HELLO) is None
    assert len(seen) == requests and client.tally.missing == {why: 1}


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_ends_it_with_one_line(status, tmp_path, monkeypatch):
    monkeypatch.setenv("A_KEY", "wrong")
    with server((status, b"")) as (address, seen):
        client = chat(address, tmp_path, key_from="A_KEY")
        with pytest.raises(ModelError, match=f"refuses the key .status {status}") as told:
            client.ask(HELLO)
    assert len(seen) == 1 and "wrong" not in str(told.value)


def test_nobody_there_is_missing(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    client = chat(address, tmp_path)
    assert client.ask(HELLO) is None
    assert client.tally.missing == {"no connection (ConnectError)": 1}


def test_a_silent_server_times_out(tmp_path):
    ended = threading.Event()

    def silent(handler, body):
        ended.wait(30)

    with server(silent) as (address, _):
        client = chat(address, tmp_path, timeout=0.2)
        assert client.ask(HELLO) is None
        ended.set()
    assert client.tally.missing == {"time-out": 1}


def test_no_request_goes_over_the_ceilings(tmp_path):
    with server((200, said("hi"))) as (address, seen):
        client = chat(address, tmp_path, most_requests=2)
        assert [client.ask([{"role": "user", "content": str(i)}]) for i in range(4)] == [
            "hi",
            "hi",
            None,
            None,
        ]
        assert len(seen) == 2 and client.tally.missing == {"the ceiling of requests was reached": 2}
        dear = chat(
            address, tmp_path / "dear", price_out=1e4, most_cost=5.0
        )  # 200 tokens of an answer may cost 2
        assert [dear.ask([{"role": "user", "content": str(i)}]) for i in range(3)] == [
            "hi",
            "hi",
            None,
        ]
        assert (
            dear.tally.missing == {"the ceiling of cost was reached": 1} and dear.tally.cost <= 5.0
        )


SETTINGS = {
    "address": '"http://127.0.0.1:1/v1"',
    "model": '"m"',
    "most_requests": "5",
    "most_cost": "1",
    "price_in": "0.5",
    "price_out": "2",
}


def written(tmp_path, **changed):
    file = tmp_path / "endpoint.toml"
    file.write_text(
        "\n".join(f"{name} = {value}" for name, value in (SETTINGS | changed).items() if value)
    )
    return file


def test_an_endpoint_is_read_from_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("A_KEY", " abc ")
    endpoint = read(written(tmp_path, key_from='"A_KEY"', timeout="9"))
    assert (endpoint.address, endpoint.key(), endpoint.most_cost, endpoint.timeout) == (
        "http://127.0.0.1:1/v1",
        "abc",
        1.0,
        9.0,
    )


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"address": ""}, "missing required field `address`"),
        ({"address": '"ftp://host/v1"'}, "address"),
        ({"address": '"https://me:pass@host/v1"'}, "address"),
        ({"modle": '"x"'}, "unknown field `modle`"),
        ({"key": '"abc"'}, "unknown field `key`"),
        ({"key_from": '"NO_SUCH_KEY"'}, "NO_SUCH_KEY, for the key, is not set"),
        ({"most_requests": "0"}, "`int` >= 1"),
        ({"most_requests": "1.5"}, "Expected `int`"),
        ({"most_cost": "true"}, "Expected `float`"),
        ({"price_in": "-1"}, "`float` >= 0"),
        ({"model": "[[["}, "expected a TOML file"),
    ],
)
def test_a_file_that_says_too_little_gets_one_line(changed, match, tmp_path):
    with pytest.raises(ModelError, match=match) as told:
        read(written(tmp_path, **changed))
    assert "\n" not in str(told.value) and "pass" not in str(told.value)


def test_a_key_goes_nowhere_in_the_clear(tmp_path, monkeypatch):
    monkeypatch.setenv("A_KEY", "abc")
    with pytest.raises(ModelError, match="unencrypted"):
        read(written(tmp_path, key_from='"A_KEY"', address='"http://somewhere.example/v1"'))
    assert (
        read(written(tmp_path, key_from='"A_KEY"', address='"https://somewhere.example/v1"')).key()
        == "abc"
    )


def test_no_file_no_endpoint(tmp_path):
    with pytest.raises(AssayError, match="TOML"):
        read(tmp_path / "none.toml")


def test_a_feature_is_explained_and_judged_by_answers(tmp_path):
    """The server explains with a quoted letter and finds it again, unless the quotes are gone;
    every third judgement is nonsense."""
    judged = []

    def model(handler, body):
        question = body["messages"][1]["content"]
        if "Does it fire" not in question:
            return 200, said("fires on “c” alone")
        listed = [line.partition(": ")[2] for line in question.splitlines() if line[:1].isdigit()]
        judged.append(question)
        if len(judged) % 3 == 0:
            return 200, said("yes, certainly")
        return 200, said(json.dumps([int("“c”" in question and "c" in text) for text in listed]))

    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 2, (40, 32))
    tokens[::2, 5] = 2
    at = Positions(tokens, np.ones(tokens.shape, bool))
    value = (at.shifted(0) == 2) * 1.5
    evidence = Evidence(at, value, np.zeros(len(at), bool), np.array([1, 0]))
    with server(model) as (address, seen):
        client = chat(address, tmp_path)
        asked = AskedExplainer(client, "abc".__getitem__, side="both")
        words = asked.explain(evidence)
        assert words == "fires on “c” alone"
        shown = seen[0][2]["messages"][1]["content"]
        assert "«c»" in shown and "9: " in shown and "“b”, “a”" in shown
        score, missing = asked.detection(words, at, value, seed=0)
        assert (
            score == 1.0 and missing == 10
        )  # 8 questions of 5 contexts, two of them answered with nonsense
        assert client.tally.missing == {"answer of another form than asked for": 2}
        bare, _ = asked.detection(words, at, value, seed=0, quotes=False)
        assert bare == 0.5


def test_without_answers_the_score_is_missing_and_not_0(tmp_path):
    at = Positions(np.arange(64).reshape(2, 32) % 3, np.ones((2, 32), bool))
    value = np.zeros(64)
    value[3] = 1
    with server((500, b"")) as (address, _):
        client = chat(address, tmp_path)
        asked = AskedExplainer(client, str)
        assert asked.explain(Evidence(at, value, np.zeros(64, bool), np.array([0]))) is None
        score, missing = asked.detection("anything", at, value, seed=0)
    assert np.isnan(score) and missing == 2
    assert client.tally.missing == {"status 500": 2}
