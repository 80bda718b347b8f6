"""Which requests the explorer's guard lets through to an application that answers all."""

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from assay.explorer.guard import ADDRESS, BODY, Guard, Refused, Rules

OURS = "http://127.0.0.1:8377"
LINK = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


async def answers(scope, receive, send):
    """Say how much was sent."""
    try:
        body = await Request(scope, receive).body()
        answer = PlainTextResponse(str(len(body)))
    except Refused as error:
        answer = PlainTextResponse(str(error), error.status)
    await answer(scope, receive, send)


def client(rules=Rules()):  # noqa: B008
    return TestClient(Guard(answers, rules), base_url=OURS, follow_redirects=False)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "",
        "localhost.evil.example:8377",
        "[::1",
        "169.254.1.1:8377",
    ],
)
def test_a_name_that_is_not_ours_is_refused(host):
    """Otherwise a page of another site could read by pointing its own name at this machine."""
    answer = client().get("/", headers={"host": host})
    assert answer.status_code == 400 and len(answer.text.splitlines()) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9999", "LOCALHOST", "[::1]:8377"])
def test_names_of_this_machine_are_ours(host):
    assert client().get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1:8377"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
    ],
)
def test_pages_of_other_sites_get_nothing(method, headers):
    answer = client().request(method, "/", headers=headers)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_link_from_elsewhere_may_be_followed_and_sends_nothing():
    headers = {"sec-fetch-site": "cross-site", **LINK}
    assert client().get("/", headers=headers).status_code == 200
    assert client().post("/", headers=headers | {"origin": "null"}).status_code == 403


def test_what_a_browser_sends_comes_from_our_own_page():
    assert client().post("/").status_code == 403
    assert client().post("/", headers={"origin": OURS}).status_code == 200


def test_requests_have_a_size():
    ours, asks = {"origin": OURS}, client()
    for content in (b"a" * (BODY + 1), (b"a" * 1024 for _ in range(BODY // 1024 + 1))):
        assert asks.post("/", content=content, headers=ours).status_code == 413
    assert asks.post("/", content=b"a" * BODY, headers=ours).text == str(BODY)
    assert asks.post("/", headers={**ours, "content-length": "-1"}).status_code == 413
    assert asks.get("/?" + "a" * ADDRESS).status_code == 414
    assert asks.request("MAKE", "/").status_code == 405


def test_a_browser_is_asked_for_its_token_once():
    asks = client(Rules((), "secret"))
    assert asks.get("/x").status_code == asks.get("/x?token=wrong").status_code == 401
    assert asks.get("/x", cookies={"assay_token": "wrong"}).status_code == 401
    asks.cookies.clear()
    let_in = asks.get("/x?token=secret&sort=density")
    assert (let_in.status_code, let_in.headers["location"]) == (303, "/x?sort=density")
    cookie = let_in.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie
    assert asks.get("/x").status_code == 200, "the browser has brought its cookie"
    elsewhere = client(asks.app.rules).get("//evil.example/x?token=secret")
    assert not elsewhere.headers.get("location", "/").startswith("//")


def test_a_program_brings_the_token_in_a_header():
    asks = client(Rules((), "secret"))
    assert asks.get("/", headers={"authorization": "Bearer secret"}).status_code == 200
    for wrong in ("", "Bearer", "Bearer x", "Basic secret", "Bearer secretx", "Bearer \u00e9"):
        answer = asks.get("/", headers={"authorization": wrong.encode()})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
