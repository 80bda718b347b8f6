"""Security: who may ask, and what an answer allows a browser to do. A page of another site must not
read or use this server."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse

from assay.explorer.problems import Problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src "
    "'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
REPORT = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'; "
    "sandbox allow-scripts allow-downloads"
)
"""For a report page, which is one file with style and script inside: it gets an origin of its own,
and so no access to this server."""
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}
SENT = {"content-security-policy": POLICY, **HEADERS}
"""What every answer carries; one that has a policy of its own keeps it."""
BODY, ADDRESS = 64 * 1024, 8 * 1024
"""Bytes that a request's body, and its address, may have."""
COOKIE = "assay_token"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Rules:
    """Names that the server answers to; empty: any, which needs a token. The token that a browser
    must have brought, if there is one."""

    hosts: tuple[str, ...] = LOOPBACK
    token: str = ""


class Guard:
    """Stands before the pages: refuses what the rules forbid, and adds the headers that bind a
    browser."""

    def __init__(self, app: ASGIApp, rules: Rules):
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "websocket":
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = self._refused(scope, headers)
        if refused is not None:
            await PlainTextResponse(refused[1] + "\n", refused[0])(
                scope, receive, bound(send, SENT)
            )
            return
        let_in = self._token(scope, headers)
        if let_in is not None:
            await let_in(scope, receive, bound(send, SENT))
            return
        await self.app(scope, limited(receive, BODY, partial(Problem, 413)), bound(send, SENT))

    def _refused(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Why this request is not answered: a name that is not ours, another site behind it, or too
        much of it."""
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or (
            self.rules.hosts and _name(host) not in self.rules.hosts
        ):
            return 400, "this server does not answer to that name"
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405, "pages are read, not changed"
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if (
            origin is not None
            and origin != f"{scope['scheme']}://{host}"
            and not _link(scope, headers)
        ):
            return 403, "asked from a page of another site"
        if site in ("cross-site", "same-site") and not _link(scope, headers):
            return 403, "asked from a page of another site"
        if scope["method"] == "POST" and origin is None and site not in ("same-origin", "none"):
            return 403, "what is sent says from where"
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > ADDRESS:
            return 414, f"an address has at most {ADDRESS:,} bytes"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > BODY:
            return 413, f"a request has at most {BODY:,} bytes"
        return None

    def _token(self, scope: Scope, headers: Headers) -> PlainTextResponse | RedirectResponse | None:
        """Ask for the token, once: an address with ?token= leaves a cookie and goes on without
        it."""
        token = self.rules.token
        if not token or _same(_cookie(headers), token):
            return None
        parameters = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if not any(name == "token" and _same(value, token) for name, value in parameters):
            return PlainTextResponse(
                "this server asks for a token: open the address that it printed, with ?token=\n",
                401,
            )
        rest = urlencode([(name, value) for name, value in parameters if name != "token"])
        path = "/" + scope["path"].lstrip("/\\")
        answer = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(COOKIE, token, httponly=True, samesite="lax")
        return answer


def limited(receive: Receive, most: int, refused: Callable[[str], Exception]) -> Receive:
    """Count what a body has, whatever its header said, and raise what a line of refusal makes once
    it is more than so many bytes."""
    had = 0

    async def counted() -> Message:
        nonlocal had
        message = await receive()
        had += len(message.get("body", b""))
        if had > most:
            raise refused(f"a request has at most {most:,} bytes")
        return message

    return counted


def bound(send: Send, added: Mapping[str, str]) -> Send:
    """Add headers to an answer, but those that it has itself."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in added.items():
                headers.setdefault(name, value)
        await send(message)

    return sent


def _link(scope: Scope, headers: Headers) -> bool:
    """Whether a person followed a link to a page: that shows it to nobody else."""
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
        held = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return held.value if held else ""


def _same(value: str, expected: str) -> bool:
    return hmac.compare_digest(value.encode(errors="replace"), expected.encode())
