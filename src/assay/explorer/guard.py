"""Guard: which requests the explorer answers: by the host that they name, the page that they come
from, their size and, beyond this machine, a token.

Without a token only programs and browsers of this machine get an answer. A Host that is not ours is
refused, so that no site can point its own name here, and so is a request from another site's page.
A link from another site may be followed: only the person who follows it sees the answer."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse

from assay.core.errors import AssayError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY, ADDRESS = 256 * 1024, 8 * 1024
"""The most bytes that a request's body, and its address, may have."""
METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "TRACE", "CONNECT")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
COOKIE = "assay_token"
HEADERS = {
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}
"""Headers of every answer; a page that has a policy of its own keeps it."""


class Refused(AssayError):
    """A request that is not answered, with its status and headers."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None):
        super().__init__(text)
        self.status, self.headers = status, dict(headers or {})


@dataclass(frozen=True)
class Rules:
    """Which requests are answered."""

    hosts: tuple[str, ...] = LOOPBACK
    """Names that the server answers to; empty: any, which needs a token."""
    token: str = ""
    """The token that a browser has to bring; empty: none is needed."""


class Guard:
    """Refuses what the rules forbid before it reaches the application, and adds `HEADERS` to
    answers.

    A token that comes in an address, as ?token=, is kept by the browser as a cookie."""

    def __init__(self, app: ASGIApp, rules: Rules):
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "websocket":
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, send = Headers(scope=scope), _with_headers(send)
        try:
            self._check(scope, headers)
            self._check_token(scope, headers)
        except Refused as error:
            answer = PlainTextResponse(f"{error}\n", error.status, error.headers)
            await answer(scope, receive, send)
        except _LetInError as let_in:
            await let_in.answer(scope, receive, send)
        else:
            await self.app(scope, _limited(receive), send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Refuse a name that is not ours, another site's page, and too many bytes."""
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or (
            self.rules.hosts and _name(host) not in self.rules.hosts
        ):
            raise Refused(400, "this server does not answer to that name")
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        elsewhere = site in ("cross-site", "same-site") or (
            origin is not None and origin != f"{scope['scheme']}://{host}"
        )
        if elsewhere and not _is_link(scope, headers):
            raise Refused(403, "asked from a page of another site")
        if scope["method"] == "POST" and origin is None and site not in ("same-origin", "none"):
            raise Refused(403, "a POST request needs the header Origin")
        if scope["method"] not in METHODS:
            raise Refused(405, "this method is not known here")
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > ADDRESS:
            raise Refused(414, f"an address has at most {ADDRESS:,} bytes")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal() and len(length) < 20) or int(length) > BODY:
            raise Refused(413, f"a request has at most {BODY:,} bytes")

    def _check_token(self, scope: Scope, headers: Headers) -> None:
        """Check the token, where one is needed. Raises: Refused; _LetInError where the browser is
        to come back with a cookie."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        bearer = token.strip() if kind.lower() == "bearer" else ""
        if not self.rules.token or self._is_token(bearer) or self._is_token(_cookie(headers)):
            return
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if any(name == "token" and self._is_token(value) for name, value in query):
            other_pairs = urlencode([pair for pair in query if pair[0] != "token"])
            raise _LetInError(scope["path"], other_pairs, self.rules.token)
        raise Refused(
            401,
            "this server needs a token: open the address that it printed, with ?token=",
            {"WWW-Authenticate": "Bearer"},
        )

    def _is_token(self, text: str) -> bool:
        """Whether this is the token, compared in the same time whatever it is."""
        return hmac.compare_digest(text.encode(errors="replace"), self.rules.token.encode())


class _LetInError(Exception):
    """A browser brought its token in the address, and is sent on without it there."""

    def __init__(self, path: str, query: str, token: str):
        to = "/" + path.lstrip("/\\") + (f"?{query}" if query else "")
        self.answer = RedirectResponse(to, 303)
        self.answer.set_cookie(COOKIE, token, httponly=True, samesite="lax")


def _limited(receive: Receive) -> Receive:
    """Count the bytes of a body, whatever its header says, and refuse more than `BODY`."""
    count = 0

    async def limited() -> Message:
        nonlocal count
        message = await receive()
        count += len(message.get("body", b""))
        if count > BODY:
            raise Refused(413, f"a request has at most {BODY:,} bytes")
        return message

    return limited


def _with_headers(send: Send) -> Send:
    """Add `HEADERS` to an answer, except those that it has itself."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers


def _is_link(scope: Scope, headers: Headers) -> bool:
    """Whether a person followed a link to a page: only they see the answer."""
    return (
        scope["method"] in ("GET", "HEAD")
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _name(host: str) -> str:
    """A Host header without its port, in lower case."""
    head, colon, port = host.rpartition(":")
    return (head if colon and port.isdecimal() else host).lower()


def _cookie(headers: Headers) -> str:
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie else ""
