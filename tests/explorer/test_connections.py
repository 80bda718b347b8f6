"""Whoever sends slowly keeps nobody out: headers and bodies have deadlines, and many half requests
leave room for whole ones."""

import socket
import threading
import time

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from assay.explorer import connections
from assay.explorer.connections import listen


async def length(request):
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture(scope="module")
def port():
    """An application at this port, with short deadlines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "HEADERS", 2.0)
        patch.setattr(connections, "BODY", 2.0)
        app = Starlette(routes=[Route("/", length, methods=["GET", "POST"])])
        listening = listen("127.0.0.1", 0)
        threading.Thread(target=connections.answer, args=(app, listening), daemon=True).start()
        yield listening.getsockname()[1]
        listening.close()


def opened(port, text):
    made = socket.create_connection(("127.0.0.1", port), timeout=10)
    made.sendall(text)
    return made


def get(port):
    """The status of an answer; no certificate is read for it, which takes longer than all else."""
    return httpx.get(f"http://127.0.0.1:{port}/", timeout=20, verify=False).status_code


def closes(holder):
    """Whether the server closes a connection without an answer."""
    try:
        return holder.recv(100) == b""
    except ConnectionError:
        return True


def test_300_half_headers_keep_nobody_out(port):
    holders = [opened(port, b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ") for _ in range(300)]
    for _ in range(20):
        assert get(port) == 200
    start = time.monotonic()
    assert all(closes(holder) for holder in holders)
    assert time.monotonic() - start < 10
    assert not +connections.Punctual.waiting


def test_a_body_that_does_not_come_is_not_waited_for(port):
    holder = opened(port, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    assert closes(holder)


def test_many_requests_on_one_connection_and_at_once_are_answered(port):
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert [client.post("/", content=b"x" * n).text for n in range(5)] == [
            "0",
            "1",
            "2",
            "3",
            "4",
        ]
        time.sleep(2.5)  # longer than a header may take: an idle connection owes nothing
        assert client.get("/").text == "0"
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(get(port))) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 60
