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
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from assay.core import foreign
from assay.core.errors import ModelError
from assay.core.heavy import httpx

ATTEMPTS = 4
"""Times that a request is sent before it is given up; each wait is twice the one before."""
LARGEST = 64 * 2**10
"""Bytes of a file that describes an endpoint."""
Price = Annotated[float, msgspec.Meta(ge=0)]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address, a model, and how much may be asked of it."""

    address: Annotated[str, msgspec.Meta(pattern=r"^https?://[^@?#\s]+$")]
    """Where `/chat/completions` lies, with a path if there is one and without a key."""
    model: Annotated[str, msgspec.Meta(min_length=1)]
    most_requests: Annotated[int, msgspec.Meta(ge=1)]
    """No more requests than this are sent, repetitions counted."""
    most_cost: Price
    """No request is sent that could cost more than what is left of this."""
    price_in: Price
    price_out: Price
    """Prices per million tokens."""
    key_from: str = ""
    """The environment variable that holds the key."""
    timeout: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    """Seconds until the endpoint must have said something."""

    def key(self) -> str:
        """The key, which is never stored or shown. Raises: ModelError where it is not set, or would
        be sent unencrypted."""
        if not self.key_from:
            return ""
        if not (key := os.environ.get(self.key_from, "").strip()):
            raise ModelError(f"the environment variable {self.key_from}, for the key, is not set")
        parts = urlsplit(self.address)
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ModelError(
                f"{self.address} would read a key unencrypted; use https://, or no key"
            )
        return key


def read(path: Path) -> Endpoint:
    """The endpoint that a TOML file describes. Raises: ModelError for a file that describes none,
    or a key that cannot be sent."""
    expected = "a TOML file with address, model, most_requests, most_cost, price_in and price_out"
    try:
        text = foreign.read(path, expected, LARGEST)
        endpoint = msgspec.toml.decode(text, type=Endpoint)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: {error}; expected {expected}") from error
    endpoint.key()
    return endpoint


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
    """One attempt failed: why, and whether another may succeed."""

    def __init__(self, why: str, again: bool = True):
        super().__init__(why)
        self.again = again


class Chat:
    """One endpoint, asked one question at a time."""

    def __init__(self, endpoint: Endpoint, kept: Path):
        self.endpoint, self.kept, self.tally = endpoint, kept, Tally()

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
        for attempt in range(ATTEMPTS):
            try:
                answer = self._send(body)
            except _Failed as failed:
                why = str(failed)
                if not failed.again or attempt + 1 == ATTEMPTS:
                    break
                time.sleep(2**attempt)
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
        """The text that one request brings, within the limits of number and cost."""
        e, sent = self.endpoint, json.dumps(body).encode()
        # A token has a byte at least, so that no request costs more than this.
        worst = (len(sent) * e.price_in + int(body["max_tokens"]) * e.price_out) / 1e6
        if self.tally.sent >= e.most_requests:
            raise _Failed("the ceiling of requests was reached", again=False)
        if not self.tally.cost + worst <= e.most_cost:
            raise _Failed("the ceiling of cost was reached", again=False)
        self.tally.sent += 1
        self.tally.cost += worst
        try:
            text = self._post(sent)["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            raise _Failed("answer without a text") from None
        if not (isinstance(text, str) and text.strip()):
            raise _Failed("answer without a text")
        return text

    def _post(self, sent: bytes) -> Any:
        """The reply as JSON. No redirection is followed, and no proxy asked."""
        e, key = self.endpoint, self.endpoint.key()
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        secure = e.address.startswith("https:")  # by certificates that this system trusts
        verify = ssl.create_default_context() if secure else False
        address = f"{e.address.rstrip('/')}/chat/completions"
        try:
            response = httpx.post(
                address,
                content=sent,
                headers=headers,
                timeout=e.timeout,
                trust_env=False,
                verify=verify,
            )
        except httpx.TimeoutException as error:
            raise _Failed("time-out") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _Failed(f"no connection ({type(error).__name__})") from error
        status = response.status_code
        if status in (401, 403):
            raise ModelError(
                f"{e.address} refuses the key (status {status}); nothing more was asked of it"
            )
        if status != 200:
            raise _Failed(f"status {status}", again=status in (408, 429) or status >= 500)
        try:
            return response.json()
        except (ValueError, RecursionError) as error:
            raise _Failed("answer is no JSON") from error


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
