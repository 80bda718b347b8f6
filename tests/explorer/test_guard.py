"""What an answer lets a browser do, and whose text is shown and not obeyed."""

import pytest
from shelf import Tags, assert_obeys_the_policy, client, replace, shelve, simulated

from assay.explorer.guard import BODY, Rules
from pages_world import HOSTILE

HOME = "/model/made-up~script"
"""The text of the index is called `<script>alert(1)</script>`."""
PAGES = (
    "/",
    HOME,
    f"{HOME}?where=density>=0.01",
    "/nothing",
    f"{HOME}?sort=%3Cscript%3E",
    "/static/style.css",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("guard")
    index = shelve(
        root,
        "a" * 16,
        simulated.made(root / "made"),
        notes=HOSTILE[:3],
        corpus=HOSTILE[0],
        model_words=HOSTILE[2],
        site=HOSTILE[10],
    )
    words = [HOSTILE[i % len(HOSTILE)] for i in range(simulated.VOCABULARY)]
    replace(index, "tokens", {"token": range(simulated.VOCABULARY), "text": words}, "token")
    return root


@pytest.fixture(scope="module")
def reader(store):
    return client(store)


@pytest.mark.parametrize("page", PAGES)
def test_every_answer_binds_the_browser(reader, page):
    headers = reader.get(page).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("page", [page for page in PAGES if "static" not in page])
def test_pages_obey_the_policy_that_they_are_sent_with(reader, page):
    """No script or style of their own, nothing of another host, nobody's text as markup."""
    assert_obeys_the_policy(Tags(reader.get(page).text).tags)


def test_hostile_text_is_shown_and_not_obeyed(reader):
    text = reader.get(HOME).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>alert" not in text and "<img" not in text
    assert not set(text) & set("\u202e\u2066\u2069\u200f\x1b\x00"), (
        "marks that turn the line or control a terminal are replaced"
    )
    assert "�gnorw" in text and "{{ 7 * 7 }}" in text.replace("·", " ").replace(
        '<i class="ws">', ""
    ).replace("</i>", "")


def test_json_keeps_hostile_text_as_it_is_by_escapes(reader):
    answer = reader.get(f"{HOME}.json")
    assert "\x1b" not in answer.text and "\u202e" not in answer.text
    assert answer.json()["about"]["model_words"] == HOSTILE[2]


def test_the_guard_stands_before_the_pages(store, reader):
    assert reader.get(HOME, headers={"origin": "https://evil.example"}).status_code == 403
    assert reader.post(f"{HOME}/steer").status_code == 403, "a browser says from which page"
    sent = reader.post(f"{HOME}/prompt", headers={"origin": "http://127.0.0.1:8377"})
    assert sent.status_code == 200
    many = (b"a" * 1024 for _ in range(BODY // 1024 + 1))
    ours = {"origin": "http://127.0.0.1:8377"}
    assert reader.post(f"{HOME}/prompt", content=many, headers=ours).status_code == 413
    guarded = client(store, Rules((), "secret"))
    assert guarded.get(HOME).status_code == 401
    assert guarded.get(f"{HOME}?token=secret").status_code == 303
    assert guarded.get(HOME).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_is_changed(reader, method):
    assert reader.request(method, HOME).status_code == 405


def test_pages_of_an_index_take_no_post(reader):
    answer = reader.post(HOME, headers={"origin": "http://127.0.0.1:8377"})
    assert answer.status_code == 405 and "content-security-policy" in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fpyproject.toml",
        "/static//etc/passwd",
        "/../../etc/passwd",
        "/model/..%2f..%2fx",
        "/%00/x",
        "/static/%00",
    ],
)
def test_no_path_leads_out_of_what_is_served(reader, path):
    answer = reader.get(path)
    assert answer.status_code == 404
    assert "root:" not in answer.text and "import" not in answer.text
