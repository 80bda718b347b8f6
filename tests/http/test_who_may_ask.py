"""Who may ask over HTTP, at every door: the one guard before an application that answers all, with
pages for a browser and with data for programs; and the tokens that it knows."""

import hashlib

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from assay.core.errors import AssayError
from assay.http import tokens
from assay.http.guard import ADDRESS, BODY, CALLER, Guard, Refused, Rules, write_line

OURS = "http://127.0.0.1:8377"
LINK = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


async def answers(scope, receive, send):
    """Say who asks, and how much was sent."""
    try:
        body = await Request(scope, receive).body()
        answer = PlainTextResponse(f"{scope[CALLER].name}:{len(body)}")
    except Refused as error:
        answer = write_line(error)
    await answer(scope, receive, send)


def client(pages, rules=Rules()):  # noqa: B008
    return TestClient(Guard(answers, rules, pages=pages), base_url=OURS, follow_redirects=False)


@pytest.fixture(params=[True, False], ids=["pages", "data"])
def pages(request):
    return request.param


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
def test_a_name_that_is_not_ours_is_refused(pages, host):
    """Otherwise a page of another site could read by pointing its own name at this machine."""
    answer = client(pages).get("/", headers={"host": host})
    assert answer.status_code == 400 and len(answer.text.splitlines()) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9999", "LOCALHOST", "[::1]:8377"])
def test_names_of_this_machine_are_ours(pages, host):
    assert client(pages).get("/", headers={"host": host}).status_code == 200


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
def test_pages_of_other_sites_get_nothing(pages, method, headers):
    answer = client(pages).request(method, "/", headers=headers)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_link_from_elsewhere_may_be_followed_and_sends_nothing(pages):
    headers = {"sec-fetch-site": "cross-site", **LINK}
    assert client(pages).get("/", headers=headers).status_code == 200
    assert client(pages).post("/", headers=headers | {"origin": "null"}).status_code == 403


def test_a_browser_says_from_which_page_it_sends_and_a_program_does_not():
    assert client(True).post("/").status_code == 403
    assert client(True).post("/", headers={"origin": OURS}).status_code == 200
    assert client(False).post("/").status_code == 200


def test_requests_have_a_size(pages):
    ours, asks = {"origin": OURS}, client(pages)
    for content in (b"a" * (BODY + 1), (b"a" * 1024 for _ in range(BODY // 1024 + 1))):
        assert asks.post("/", content=content, headers=ours).status_code == 413
    assert asks.post("/", content=b"a" * BODY, headers=ours).text == f":{BODY}"
    assert asks.post("/", headers={**ours, "content-length": "-1"}).status_code == 413
    assert asks.get("/?" + "a" * ADDRESS).status_code == 414
    assert asks.request("MAKE", "/").status_code == 405


def test_every_answer_binds_a_browser(pages):
    for answer in (client(pages).get("/"), client(pages).get("/", headers={"host": "evil"})):
        policy = "default-src 'self'" if pages else "default-src 'none'"
        assert policy in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def new(name):
    """A new token, and whom it lets in."""
    made = tokens.new(name)
    digest = hashlib.sha256(made.token.encode()).hexdigest()
    assert digest in made.lines and made.token not in made.lines
    return made.token, tokens.Holder(name=name, sha256=digest, rights=("read",))


def test_a_token_says_who_asks(pages):
    (ann, of_ann), (bob, of_bob) = new("ann"), new("bob")
    asks = client(pages, Rules(holders=(of_ann, of_bob)))
    for name, token in (("ann", ann), ("bob", bob)):
        assert asks.get("/", headers={"authorization": f"Bearer {token}"}).text == f"{name}:0"
    for wrong in ("", "Bearer", "Bearer assay_x", f"Basic {ann}", f"Bearer {ann}x"):
        answer = asks.get("/", headers={"authorization": wrong})
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"


def test_a_browser_is_asked_for_its_token_once():
    asks = client(True, Rules((), (tokens.of_text("secret"),)))
    assert asks.get("/x").status_code == asks.get("/x?token=wrong").status_code == 401
    assert asks.get("/x", cookies={"assay_token": "wrong"}).status_code == 401
    asks.cookies.clear()
    let_in = asks.get("/x?token=secret&sort=density")
    assert (let_in.status_code, let_in.headers["location"]) == (303, "/x?sort=density")
    cookie = let_in.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie
    assert asks.get("/x").status_code == 200, "the browser has brought its cookie"
    elsewhere = client(True, asks.app.rules).get("//evil.example/x?token=secret")
    assert not elsewhere.headers.get("location", "/").startswith("//")
    assert client(False, asks.app.rules).get("/x?token=secret").status_code == 401


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("token = 3", "each"),
        ("[[token]]\nname='a'", "sha256"),
        ("x", "no TOML"),
        ("token = []", "names nobody"),
        ("[[token]]\nname='a'\nsha256='ab'\nrights=['read']", "64 hex digits"),
        (f"[[token]]\nname='a'\nsha256='{'0' * 64}'\nrights=['all']", "each"),
        (f"[[token]]\nname='../a'\nsha256='{'0' * 64}'\nrights=['read']", "letters"),
        (f"[[token]]\nname='a'\nsha256='{'0' * 64}'\nrights=[]\n" * 2, "same name"),
    ],
)
def test_a_file_of_tokens_that_is_none_is_one_line(tmp_path, text, words):
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    with pytest.raises(AssayError, match=words) as wrong:
        tokens.read(path)
    assert "\n" not in str(wrong.value)


def test_a_new_token_opens_with_the_lines_that_come_with_it(tmp_path):
    made = tokens.new("ann")
    (tmp_path / "tokens.toml").write_text(made.lines)
    (read,) = tokens.read(tmp_path / "tokens.toml")
    assert tokens.holder(made.token, [read]) == read
    assert tokens.holder(made.token + "x", [read]) is None
