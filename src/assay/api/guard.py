"""Guard: who may ask: names that the server answers to, pages of other sites, tokens, and how much
a request may hold.

Without tokens only programs of this machine get an answer, and no page in its browser: a Host that
is not ours is refused, so that no site can point its own name here, and so is a request that says
it comes from another site's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from assay.api import problems
from assay.api.problems import Refused
from assay.api.tokens import EVERYBODY, Holder, holder
from assay.explorer.security import LOOPBACK, bound, limited

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

BODY, ADDRESS = 256 * 1024, 8 * 1024
"""Bytes that a request's body, and its address, may have."""
METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "TRACE", "CONNECT")
HEADERS = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
CALLER = "assay.caller"
"""Where the guard leaves who asks."""


@dataclass(frozen=True)
class Rules:
    """Names that the server answers to; empty: any, which needs tokens. Who has a token; empty:
    nobody needs one."""

    hosts: tuple[str, ...] = LOOPBACK
    holders: Sequence[Holder] = ()


class Guard:
    """Stands before an application: refuses what the rules forbid, and leaves who asks at
    `scope[CALLER]`."""

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
        try:
            self._check(scope, headers)
            scope[CALLER] = self._caller(headers)
        except Refused as error:
            await problems.answer(error)(scope, receive, bound(send, HEADERS))
            return
        await self.app(scope, limited(receive, BODY, partial(Refused, 413)), bound(send, HEADERS))

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Refuse a name that is not ours, another site's page, or too much."""
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or (
            self.rules.hosts and _name(host) not in self.rules.hosts
        ):
            raise Refused(400, "this server does not answer to that name")
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and origin != f"{scope['scheme']}://{host}":
            raise Refused(403, "asked from a page of another site")
        if site in ("cross-site", "same-site"):
            raise Refused(403, "asked from a page of another site")
        if scope["method"] not in METHODS:
            raise Refused(405, "this method is not known here")
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > ADDRESS:
            raise Refused(414, f"an address has at most {ADDRESS:,} bytes")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal() and len(length) < 20) or int(length) > BODY:
            raise Refused(413, f"a request has at most {BODY:,} bytes")

    def _caller(self, headers: Headers) -> Holder:
        if not self.rules.holders:
            return EVERYBODY
        kind, _, token = headers.get("authorization", "").partition(" ")
        caller = holder(token.strip(), self.rules.holders) if kind.lower() == "bearer" else None
        if caller is None:
            raise Refused(
                401,
                "this server asks for a token: send the header Authorization: Bearer TOKEN",
                WWW_Authenticate="Bearer",
            )
        return caller


def _name(host: str) -> str:
    """A Host header without its port, in lower case."""
    head, colon, port = host.rpartition(":")
    return (head if colon and port.isdecimal() else host).lower()
