"""Ask a configured endpoint, in the chat protocol of OpenAI's API, and know what came of it.

One file that somebody wrote says where a language model answers; nothing is sent without it:

    address = "http://127.0.0.1:8000/v1"   # there is no default
    model = "name-of-a-model"
    key_from = "MY_KEY"    # the environment variable that holds the key; leave it out without one
    most_requests = 500
    most_cost = 1.0        # in the currency of the prices
    price_in = 0.15        # per million tokens of a question; 0 on a machine of your own
    price_out = 0.60       # per million tokens of an answer

A question has an answer or is missing, with the reason counted: an endpoint that is slow, broken or
talks nonsense makes missing data, never a number. Answers are kept by the hash of what was asked,
so that nothing is asked twice. A refused key ends it with one line."""

from __future__ import annotations

import json
import os
import ssl
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from assay.core import foreign
from assay.core.errors import ModelError, nearest
from assay.core.heavy import httpx

LONGEST = 4 * 2**20
"""Bytes of an answer; what is longer is nonsense."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a request is sent again: doubled each time; what a server asks for is granted up
to the longest."""
AGAIN = {408, 409, 425, 429}
"""Refusals after which a request is sent again, beside those of 500 and above."""
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
        for name, least in _LEAST.items():
            value = getattr(self, name)
            above = value > least if name in ("timeout", "per_minute") else value >= least
            if not (above and value < float("inf")):
                bound = f"{'above' if least == 0 else 'of at least'} {least}"
                raise ModelError(f"the endpoint's {name} has to be a number {bound}, got {value!r}")


_LEAST = {
    "most_requests": 1,
    "attempts": 1,
    "timeout": 0,
    "per_minute": 0,
    "most_cost": 0,
    "price_in": 0,
    "price_out": 0,
}


def read(path: Path) -> Endpoint:
    """The endpoint that a TOML file describes.

    Raises: ModelError for a file that cannot be read, an unknown or missing entry, one of another
    type, or a key that is not set."""
    expected = "a TOML file with address, model, most_requests, most_cost, price_in and price_out"
    try:
        entries = tomllib.loads(foreign.read(path, expected, LARGEST).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is no TOML: {error}; expected {expected}") from error
    if "key" in entries:
        where = "put it into an environment variable, and its name into key_from"
        raise ModelError(f"{path} holds a key; {where}")
    key = _key(path, entries.pop("key_from")) if "key_from" in entries else ""
    known = {f.name: f for f in fields(Endpoint) if f.name != "key"}
    for name in entries:
        if name not in known:
            near = nearest(name, [*known, "key_from"])
            raise ModelError(f"{path} has an entry {name!r} that no endpoint has; {near}")
    if missing := [n for n, f in known.items() if f.default is MISSING and n not in entries]:
        raise ModelError(f"{path} does not say {', '.join(missing)}")
    values: dict[str, Any] = {}
    for name, value in entries.items():
        try:  # a whole number is a float, and True is no number
            values[name] = msgspec.convert(value, _TYPES[str(known[name].type)])
        except msgspec.ValidationError:
            kind = "a text" if known[name].type == "str" else "a number"
            raise ModelError(f"{path}: {name} has to be {kind}, got {value!r}") from None
    return Endpoint(**values, key=key)


_TYPES: dict[str, type] = {"str": str, "int": int, "float": float}


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


@dataclass
class Tally:
    """What became of the questions of one Chat."""

    asked: int = 0
    answered: int = 0
    kept: int = 0
    """Answers among these that were there from before."""
    sent: int = 0
    """Requests, repetitions counted."""
    cost: float = 0.0
    """What was spent at most, in the currency of the prices."""
    missing: Counter[str] = field(default_factory=Counter)
    """Questions without an answer, by reason."""

    def words(self) -> str:
        """Say it in one line."""
        why = "".join(f"; {n} × {reason}" for reason, n in self.missing.most_common())
        summary = (
            f"{self.answered} of {self.asked} questions answered ({self.kept} kept from before)"
        )
        return f"{summary}, {self.sent} requests, cost up to {self.cost:.4g}{why}"


class _Failed(Exception):
    """One attempt failed: why, whether another may succeed, and how long the server asks to
    wait."""

    def __init__(self, why: str, again: bool, wait: float = 0.0):
        super().__init__(why)
        self.why, self.again, self.wait = why, again, wait


class Chat:
    """One endpoint, asked one question at a time."""

    def __init__(
        self,
        endpoint: Endpoint,
        kept: Path,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.endpoint, self.kept, self.tally = endpoint, kept, Tally()
        self._sleep, self._clock, self._next = sleep, clock, -float("inf")

    def ask(self, messages: Sequence[Mapping[str, str]], most_tokens: int = 200) -> str | None:
        """The answer to these messages, or None, the reason counted in `tally`. Kept answers cost
        nothing.

        Raises: ModelError where the endpoint refuses the key: no later question would fare better.
        """
        self.tally.asked += 1
        body = {
            "model": self.endpoint.model,
            "messages": [dict(m) for m in messages],
            "max_tokens": most_tokens,
            "temperature": 0,
        }
        question = json.dumps([self.endpoint.address, body], sort_keys=True)
        file = self.kept / f"{sha256(question.encode()).hexdigest()}.json"
        if (known := _load_answer(file)) is not None:
            self.tally.answered, self.tally.kept = self.tally.answered + 1, self.tally.kept + 1
            return known
        why = "nothing sent"
        for attempt in range(self.endpoint.attempts):
            try:
                answer = self._send(body)
            except _Failed as failed:
                why = failed.why
                if not failed.again or attempt + 1 == self.endpoint.attempts:
                    break
                self._sleep(min(max(failed.wait, FIRST_PAUSE * 2**attempt), LONGEST_PAUSE))
            else:
                _keep(file, answer)
                self.tally.answered += 1
                return answer
        self.tally.missing[why] += 1
        return None

    def nonsense(self) -> None:
        """Count the last answer as missing: it was no answer to what was asked."""
        self.tally.answered -= 1
        self.tally.missing["answer of another form than asked for"] += 1

    def _send(self, body: Mapping[str, Any]) -> str:
        """Send one request, within the limits of number, rate and cost."""
        e, sent = self.endpoint, json.dumps(body).encode()
        worst = (
            len(sent) * e.price_in + int(body["max_tokens"]) * e.price_out
        ) / 1e6  # a token has a byte at least
        if self.tally.sent >= e.most_requests:
            raise _Failed("the ceiling of requests was reached", again=False)
        if self.tally.cost + worst > e.most_cost and worst > 0:
            raise _Failed("the ceiling of cost was reached", again=False)
        if (wait := self._next - self._clock()) > 0:
            self._sleep(wait)
        self._next = self._clock() + 60 / e.per_minute
        self.tally.sent += 1
        self.tally.cost += worst  # until the endpoint says that it was less
        reply = self._post(sent)
        answer, usage = _answer(reply)
        self.tally.cost += _spent(usage, e, worst) - worst
        return answer

    def _post(self, sent: bytes) -> object:
        """The reply as JSON, within the time limit and the longest length. No redirection is
        followed, and no proxy asked."""
        e, end = self.endpoint, self._clock() + self.endpoint.timeout
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if e.key:
            headers["Authorization"] = f"Bearer {e.key}"
        address, read = f"{e.address.rstrip('/')}/chat/completions", b""
        secure = urlsplit(e.address).scheme == "https"  # by certificates that this system trusts
        verify = ssl.create_default_context() if secure else False
        try:
            with (
                httpx.Client(timeout=e.timeout, trust_env=False, verify=verify) as client,
                client.stream("POST", address, content=sent, headers=headers) as response,
            ):
                _refuse(response, e)
                for piece in response.iter_bytes():
                    read += piece
                    if len(read) > LONGEST:
                        raise _Failed("answer too long", again=False)
                    if self._clock() > end:
                        raise _Failed("time-out", again=True)
        except httpx.TimeoutException as error:
            raise _Failed("time-out", again=True) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = "answer cut off" if read else f"no connection ({type(error).__name__})"
            raise _Failed(why, again=True) from error
        try:
            reply: object = json.loads(read)
        except (ValueError, RecursionError) as error:
            raise _Failed("answer is no JSON", again=True) from error
        return reply


def _refuse(response: httpx.Response, endpoint: Endpoint) -> None:
    """Say what a status other than 200 means."""
    status = response.status_code
    if status == 200:
        return
    if status in (401, 403):
        raise ModelError(
            f"{endpoint.address} refuses the key (status {status}); nothing more was asked of it"
        )
    pause = response.headers.get("Retry-After", "").strip()
    wait = float(pause) if pause.isascii() and pause.isdigit() else 0.0  # "²" is a digit as well
    why = "rate limit" if status == 429 else f"status {status}"
    raise _Failed(why, again=status in AGAIN or status >= 500, wait=wait)


def _answer(reply: object) -> tuple[str, object]:
    """The text of a reply, and what it says of its use; anything without a text is nonsense."""
    with suppress(KeyError, IndexError, TypeError, AttributeError):
        text = reply["choices"][0]["message"]["content"]  # type: ignore[index]
        if isinstance(text, str) and text.strip():
            return text, reply.get("usage")  # type: ignore[attr-defined]
    raise _Failed("answer without a text", again=True)


def _spent(usage: object, endpoint: Endpoint, worst: float) -> float:
    """What a request cost by the endpoint's own count, which is believed only where it is a count
    and not above the worst case."""
    with suppress(KeyError, TypeError):
        counts = [usage["prompt_tokens"], usage["completion_tokens"]]  # type: ignore[index]
        if all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in counts):
            return min(
                worst, (counts[0] * endpoint.price_in + counts[1] * endpoint.price_out) / 1e6
            )
    return worst


def _load_answer(file: Path) -> str | None:
    """An answer that was kept; None where there is none, or a file that is not whole."""
    try:
        answer = json.loads(file.read_text())["answer"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return answer if isinstance(answer, str) else None


def _keep(file: Path, answer: str) -> None:
    """Write an answer whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{os.getpid()}-{file.name}.partial")
    partial.write_text(json.dumps({"answer": answer}))
    partial.replace(file)
