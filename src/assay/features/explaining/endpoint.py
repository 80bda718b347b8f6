"""Where a language model answers that is to explain features: one file that somebody wrote, and
nothing without it.

address = "http://127.0.0.1:8000/v1"     # whatever speaks the chat protocol of OpenAI's API; there
is no default model = "name-of-a-model"
key_from = "MY_KEY"                      # the environment variable that holds the key; leave it out
where none is needed most_requests = 500
most_cost = 1.0                          # in the currency of the prices
price_in = 0.15                          # per million tokens of a question; 0 on a machine of one's
own price_out = 0.60                         # per million tokens of an answer
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from assay.core import foreign
from assay.core.errors import ModelError, nearest

LARGEST = 64 * 2**10
"""Bytes of such a file."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An address, a model, and how much may be asked of it."""

    address: str
    """Where `/chat/completions` lies: http:// or https://, with a path if there is one."""
    model: str
    most_requests: int
    """No more requests than this are sent, repetitions counted."""
    most_cost: float
    """No request is sent that could cost more than what is left of this."""
    price_in: float
    price_out: float
    """Prices per million tokens."""
    key: str = field(default="", repr=False)
    """Sent as a bearer token; never stored or shown."""
    timeout: float = 60.0
    """Seconds until an answer must be there, from the connection to its last byte."""
    attempts: int = 4
    """Times that a request is sent before it is given up."""
    per_minute: float = 60.0
    """Requests a minute, at most."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.username
            or parts.query
            or parts.fragment
        ):
            expected = "http://HOST/PATH or https://HOST/PATH, without a key in it"
            raise ModelError(
                f"the endpoint's address has to be {expected}; got {_bare(self.address)!r}"
            )
        if (
            self.key
            and parts.scheme == "http"
            and parts.hostname not in ("localhost", "127.0.0.1", "::1")
        ):
            raise ModelError(
                f"the endpoint {_bare(self.address)} would read a key in the clear; use "
                "https://, or no key"
            )
        if not self.model:
            raise ModelError("the endpoint names no model")
        for name, least in {
            "most_requests": 1,
            "attempts": 1,
            "timeout": 0,
            "per_minute": 0,
            "most_cost": 0,
            "price_in": 0,
            "price_out": 0,
        }.items():
            value = getattr(self, name)
            above = value > least if name in ("timeout", "per_minute") else value >= least
            if not (above and value < float("inf")):
                raise ModelError(
                    f"the endpoint's {name} has to be a number "
                    f"{'above' if least == 0 else 'of at least'} {least}, got {value!r}"
                )


def read(path: Path) -> Endpoint:
    """The endpoint that a TOML file describes.

    Raises: ModelError for a file that cannot be read, an unknown or missing entry, one of another
    type, or a key that is not set."""
    expected = "a TOML file with address, model, most_requests, most_cost, price_in and price_out"
    try:
        entries = tomllib.loads(foreign.read(path, expected, LARGEST).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is no TOML: {error}; expected {expected}") from error
    return _checked(path, entries)


def _checked(path: Path, entries: dict[str, Any]) -> Endpoint:
    known = {f.name: f for f in fields(Endpoint) if f.name != "key"}
    for name in entries:
        if name == "key":
            raise ModelError(
                f"{path} holds a key; put it into an environment variable, and its name into "
                "key_from"
            )
        if name not in {*known, "key_from"}:
            raise ModelError(
                f"{path} has an entry {name!r} that no endpoint has; "
                f"{nearest(name, [*known, 'key_from'])}"
            )
    if missing := [
        name for name, f in known.items() if f.default is MISSING and name not in entries
    ]:
        raise ModelError(f"{path} does not say {', '.join(missing)}")
    values: dict[str, Any] = {}
    for name, value in entries.items():
        if name == "key_from":
            values["key"] = _key(path, value)
            continue
        kind: Any = {"str": str, "int": int, "float": float}[str(known[name].type)]
        if isinstance(value, bool) or not isinstance(
            value, (int, float) if kind is float else kind
        ):
            raise ModelError(
                f"{path}: {name} has to be {'a text' if kind is str else 'a number'}, got {value!r}"
            )
        values[name] = kind(value)
    return Endpoint(**values)


def _key(path: Path, name: object) -> str:
    key = os.environ.get(name, "").strip() if isinstance(name, str) else ""
    if not key:
        raise ModelError(
            f"{path} takes the key from the environment variable {name}, which is not set"
        )
    if not key.isascii() or not key.isprintable():
        raise ModelError(f"the environment variable {name} holds characters that no key has")
    return key


def _bare(address: str) -> str:
    """An address without what may be secret in it."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}" if parts.scheme else address
