"""Ask a configured endpoint, in the chat protocol of OpenAI's API, and know what came of it.

A question has an answer or is missing, with the reason counted: an endpoint that is slow, broken or
talks nonsense makes missing data, never a number. Answers are kept by the hash of what was asked,
so that nothing is asked twice. A refused key ends it with one line."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import urlsplit

from assay.core.errors import ModelError
from assay.features.explaining.endpoint import Endpoint

LONGEST = 4 * 2**20
"""Bytes of an answer; what is longer is nonsense."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a request is sent again: doubled each time; what a server asks for is granted up
to the longest."""
AGAIN = {408, 409, 425, 429}
"""Refusals after which a request is sent again, beside those of 500 and above."""


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
        file = (
            self.kept
            / f"{sha256(json.dumps([self.endpoint.address, body], sort_keys=True).encode()).hexdigest()}.json"  # noqa: E501
        )
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
        parts, end = urlsplit(self.endpoint.address), self._clock() + self.endpoint.timeout
        secure = parts.scheme == "https"
        connection: http.client.HTTPConnection = (
            http.client.HTTPSConnection(
                parts.hostname or "",
                parts.port,
                timeout=self.endpoint.timeout,
                context=ssl.create_default_context(),
            )
            if secure
            else http.client.HTTPConnection(
                parts.hostname or "", parts.port, timeout=self.endpoint.timeout
            )
        )
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.endpoint.key:
            headers["Authorization"] = f"Bearer {self.endpoint.key}"
        try:
            connection.request("POST", f"{parts.path.rstrip('/')}/chat/completions", sent, headers)
            response = connection.getresponse()
            _refused(response, self.endpoint)
            read = b""
            while piece := response.read1(2**16):
                read += piece
                if len(read) > LONGEST:
                    raise _Failed("answer too long", again=False)
                if self._clock() > end:
                    raise _Failed("time-out", again=True)
            if response.length:
                raise _Failed("answer cut off", again=True)
        except TimeoutError as error:
            raise _Failed("time-out", again=True) from error
        except (OSError, http.client.HTTPException) as error:
            raise _Failed(f"no connection ({type(error).__name__})", again=True) from error
        finally:
            connection.close()
        try:
            reply: object = json.loads(read)
        except (ValueError, RecursionError) as error:
            raise _Failed("answer is no JSON", again=True) from error
        return reply


def _refused(response: http.client.HTTPResponse, endpoint: Endpoint) -> None:
    """Say what a status other than 200 means."""
    status = response.status
    if status == 200:
        return
    if status in (401, 403):
        raise ModelError(
            f"{endpoint.address} refuses the key (status {status}); nothing more was asked of it"
        )
    retry_after = response.headers.get("Retry-After", "").strip()
    wait = (
        float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
    )  # "²" is a digit as well
    raise _Failed(
        "rate limit" if status == 429 else f"status {status}",
        again=status in AGAIN or status >= 500,
        wait=wait,
    )


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
    with NamedTemporaryFile(
        "w", dir=file.parent, prefix=".", suffix=".partial", delete=False
    ) as partial:
        json.dump({"answer": answer}, partial)
    Path(partial.name).replace(file)
