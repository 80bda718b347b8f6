"""Guard: who may ask over HTTP: names that the server answers to, pages of other sites, tokens, and
how much a request may hold.

Without tokens only programs and browsers of this machine get an answer. A Host that is not ours is
refused, so that no site can point its own name here, and so is what another site's page asks for;
a person who follows a link from there shows the answer to nobody else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from assay.http.tokens import EVERYBODY, Holder, Refused, holder

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY, ADDRESS = 256 * 1024, 8 * 1024
"""Bytes that a request's body, and its address, may have."""
METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "TRACE", "CONNECT")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
COOKIE = "assay_token"
CALLER = "assay.caller"
"""Where the guard leaves who asks."""
ALL = {"x-content-type-options": "nosniff", "cross-origin-resource-policy": "same-origin"}
DATA = {
    **ALL,
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
"""What every answer to a program carries."""
PAGES = {
    **ALL,
    "content-security-policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}
"""What every page carries; one that has a policy of its own keeps it."""


@dataclass(frozen=True)
class Rules:
    """Names that the server answers to; empty: any, which needs tokens. Who has a token; empty:
    nobody needs one."""

    hosts: tuple[str, ...] = LOOPBACK
    holders: Sequence[Holder] = ()


def write_line(error: Refused) -> Response:
    """Answer with the one line of a refusal."""
    return PlainTextResponse(f"{error}\n", error.status, error.headers)


class Guard:
    """Stands before an application: refuses what the rules forbid, leaves who asks at
    `scope[CALLER]`, and adds `headers` to answers.

    With `pages` a browser asks: what it sends says from which page, and a token that comes in an
    address, as ?token=, stays with it as a cookie."""

    def __init__(
        self,
        app: ASGIApp,
        rules: Rules,
        *,
        pages: bool = False,
        answer: Callable[[Refused], Response] = write_line,
    ):
        self.app, self.rules, self.pages, self.answer = app, rules, pages, answer
        self.headers = PAGES if pages else DATA

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "websocket":
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, send = Headers(scope=scope), _adding(send, self.headers)
        try:
            self._check(scope, headers)
            scope[CALLER] = self._caller(scope, headers)
        except Refused as error:
            await self.answer(error)(scope, receive, send)
        except _LetInError as let_in:
            await let_in.answer(scope, receive, send)
        else:
            await self.app(scope, _counted(receive), send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Refuse a name that is not ours, another site's page, or too much."""
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
        sent = self.pages and scope["method"] == "POST"
        if sent and origin is None and site not in ("same-origin", "none"):
            raise Refused(403, "what is sent says from where")
        if scope["method"] not in METHODS:
            raise Refused(405, "this method is not known here")
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > ADDRESS:
            raise Refused(414, f"an address has at most {ADDRESS:,} bytes")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal() and len(length) < 20) or int(length) > BODY:
            raise Refused(413, f"a request has at most {BODY:,} bytes")

    def _caller(self, scope: Scope, headers: Headers) -> Holder:
        """Tell who asks. Raises: Refused; _LetInError where a browser is to come again with a
        cookie."""
        known = self.rules.holders
        if not known:
            return EVERYBODY
        kind, _, token = headers.get("authorization", "").partition(" ")
        caller = holder(token.strip(), known) if kind.lower() == "bearer" else None
        if caller is None and self.pages:
            caller = holder(_cookie(headers), known)
            query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            for token in (v for name, v in query if name == "token" and caller is None):
                if holder(token, known) is not None:
                    rest = urlencode([pair for pair in query if pair[0] != "token"])
                    raise _LetInError(scope["path"], rest, token)
        if caller is None:
            how = (
                "open the address that it printed, with ?token="
                if self.pages
                else "send the header Authorization: Bearer TOKEN"
            )
            asks = {"WWW-Authenticate": "Bearer"}
            raise Refused(401, f"this server asks for a token: {how}", asks)
        return caller


class _LetInError(Exception):
    """A browser brought its token in the address, and goes on without it there."""

    def __init__(self, path: str, query: str, token: str):
        to = "/" + path.lstrip("/\\") + (f"?{query}" if query else "")
        self.answer = RedirectResponse(to, 303)
        self.answer.set_cookie(COOKIE, token, httponly=True, samesite="lax")


def _counted(receive: Receive) -> Receive:
    """Count what a body has, whatever its header said, and refuse more than a request may have."""
    had = 0

    async def counted() -> Message:
        nonlocal had
        message = await receive()
        had += len(message.get("body", b""))
        if had > BODY:
            raise Refused(413, f"a request has at most {BODY:,} bytes")
        return message

    return counted


def _adding(send: Send, added: Mapping[str, str]) -> Send:
    """Add headers to an answer, but those that it has itself."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in added.items():
                headers.setdefault(name, value)
        await send(message)

    return sent


def _is_link(scope: Scope, headers: Headers) -> bool:
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
