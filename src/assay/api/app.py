"""App: which address answers what. Each answer is a verb's result as plain values; nothing is
decided here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from assay.api import problems
from assay.api.openapi import Operation, Query, describe
from assay.api.problems import plain_values
from assay.core.errors import AssayError
from assay.core.plain import as_json
from assay.core.schema import to_json
from assay.http.guard import CALLER, Guard, Refused, Rules
from assay.http.tokens import Holder
from assay.jobs.bounds import Bounds
from assay.jobs.state import OVER
from assay.jobs.submission import Asked, Chosen, Sets, Title
from assay.lab import catalogue as experiments
from assay.verbs import catalogue, fields, jobs
from assay.verbs.catalogue import Catalogue
from assay.verbs.fields import Described
from assay.verbs.jobs import Foreseen, Happened, Job, Jobs
from assay.verbs.preregister import Registered

if TYPE_CHECKING:
    from starlette.requests import Request


TEXTS = ("application/toml", "text/markdown")
"""Kinds of a body that is a study. Those that a web page may send without asking are not among
them."""
PATIENCE = 30.0
"""Seconds in which a body has to arrive."""
STATUS, EVENTS = 30, 600
"""Seconds that a request for a job's status, and for its events, may wait."""
LOOKS, ALIVE = 0.25, 10.0
"""Seconds between looks at a job, and between signs of life of a stream."""
READ, WAITING, WATCHING = 1, 8, 64
"""Studies that are read at the same time, that may wait for it, and requests that may wait for a
job."""
AGAIN = {"Retry-After": "5"}
log = logging.getLogger(__name__)


class Latest(Query, frozen=True):
    """How many jobs are listed."""

    limit: Annotated[int, Meta(ge=1, le=1000, description="At most so many, the latest")] = 100


class Wait(Query, frozen=True):
    """How long a request for a job may wait."""

    wait: Annotated[
        float, Meta(ge=0, le=STATUS, description="Seconds to wait until it is over")
    ] = 0


class Watch(Query, frozen=True):
    """How long a stream of events goes on."""

    wait: Annotated[
        float, Meta(ge=0, le=EVENTS, description="Seconds after which the stream ends")
    ] = EVENTS


class OfText(Query, frozen=True):
    """What a submission says beside its study, where the body is the study's text alone."""

    preset: Chosen = "default"
    set: Sets = ()
    name: Title = ""


@dataclass(frozen=True)
class Served:
    """What all answers share: the store, the bounds, and the longest that a request may wait."""

    root: Path
    bounds: Bounds = field(default_factory=Bounds)
    patience: float = STATUS
    """Seconds that a request for a job's status may wait; a stream of events twenty times that."""


@dataclass(frozen=True)
class Call:
    """A request that was read: who asks, what, and of which job."""

    request: Request
    caller: Holder
    query: Any
    asked: Asked
    key: str


def application(served: Served, rules: Rules = Rules()) -> Starlette:  # noqa: B008
    """Make the server of a store's jobs."""
    desk, by_path = _Desk(served, bool(rules.holders)), dict[str, dict[str, Operation]]()
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return Starlette(
        # one route for an address, so that a method that it lacks is refused with those it has
        routes=[
            Route(path, partial(desk.answer, operations), methods=list(operations))
            for path, operations in by_path.items()
        ],
        middleware=[Middleware(Guard, rules=rules, answer=problems.answer)],
        exception_handlers={HTTPException: _unknown},
    )


class _Desk:
    """Answers requests about one store."""

    def __init__(self, served: Served, tokens: bool):
        self.served, self.root, self.tokens = served, served.root, tokens
        self._reads, self._waiting, self._watching = asyncio.Semaphore(READ), 0, 0

    async def answer(self, operations: Mapping[str, Operation], request: Request) -> Response:
        """Answer whoever has the right; whatever goes wrong is a problem in one line."""
        operation = operations.get(request.method) or operations["GET"]
        try:
            return await operation.work(self, await self._call(operation, request))
        except AssayError as error:
            return problems.answer(error)
        except OSError as error:
            why = error.strerror or type(error).__name__
            return problems.answer(Refused(503, f"the store cannot be used: {why}"))
        except Exception:  # a mistake of the program: its traceback belongs in the terminal
            log.exception("a request failed: %s", request.url.path)
            where = "the terminal in which the server runs says where"
            return problems.answer(Refused(500, f"this request failed; {where}"))

    async def _call(self, operation: Operation, request: Request) -> Call:
        """Read a request. Raises: Refused."""
        caller: Holder = request.scope[CALLER]
        caller.need(operation.right)
        asked, query = Asked(), None
        if operation.sent:
            asked, query = await _asked(request, operation.query)
        else:
            (query,) = _query(request, operation.query)
        key = str(request.path_params.get("key", ""))
        if key and not await run_in_threadpool(jobs.concerns, self.root, key, self._owner(caller)):
            raise Refused(404, f"no job {key[:80]} in this store")
        return Call(request, caller, query, asked, key)

    # -- what is submitted -------------------------------------------------------------------------

    async def submit(self, call: Call) -> Response:
        """Submit a study or an experiment."""
        caller = call.caller
        bounds = replace(
            self.served.bounds, queued_each=caller.queued, cpu_seconds_each=caller.cpu_seconds_a_day
        )
        job = await self._in_turn(partial(jobs.submit, self.root, call.asked, caller.name, bounds))
        place = {"location": f"/jobs/{job.key}"}
        return plain_values(job, 200 if job.status in OVER else 202, place)

    async def preregister(self, call: Call) -> Response:
        """Freeze what would be judged, before any result exists; nothing runs."""
        asks = (self.root, call.asked, self.served.bounds)
        found = await self._in_turn(partial(jobs.preregister, *asks))
        return plain_values(found, 200 if found.already else 201)

    async def plan(self, call: Call) -> Response:
        """What would run and take, and what a study does not say."""
        asks = (self.root, call.asked, self.served.bounds)
        return plain_values(await self._in_turn(partial(jobs.plan, *asks)))

    async def _in_turn(self, work: Callable[[], Any]) -> Any:
        """Read what is submitted, one at a time, and let few wait: it takes seconds of a core."""
        if self._waiting >= WAITING:
            again = "send it again in a moment"
            raise Refused(503, f"{WAITING} submissions are being read; {again}", AGAIN)
        self._waiting += 1
        try:
            async with self._reads:
                return await run_in_threadpool(work)
        finally:
            self._waiting -= 1

    # -- jobs --------------------------------------------------------------------------------------

    async def jobs(self, call: Call) -> Response:
        """Jobs in the order of submission; of a token those that it asked for."""
        found = await run_in_threadpool(jobs.jobs, self.root, self._owner(call.caller))
        return plain_values(jobs.Jobs(found.jobs[-call.query.limit :]))

    async def status(self, call: Call) -> Response:
        """How far a job is, as soon as it is over where that is waited for."""
        wait = min(call.query.wait, self.served.patience)
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        self._refuse_crowd()
        self._watching += 1
        try:
            while True:
                job = await run_in_threadpool(jobs.status, self.root, call.key)
                if job.status in OVER or loop.time() >= until:
                    return plain_values(job)
                await asyncio.sleep(min(LOOKS, max(0.0, until - loop.time())))
        finally:
            self._watching -= 1

    async def cancel(self, call: Call) -> Response:
        """Cancel a job; what it stored is kept."""
        owner = self._owner(call.caller)
        return plain_values(await run_in_threadpool(jobs.cancel, self.root, call.key, owner))

    async def result(self, call: Call) -> Response:
        """The verdicts of a job that is done."""
        return plain_values(await run_in_threadpool(jobs.result, self.root, call.key))

    async def events(self, call: Call) -> Response:
        """What happens to a job, as server-sent events; with Last-Event-ID from that event on."""
        wait = min(call.query.wait, self.served.patience * EVENTS / STATUS)
        last = call.request.headers.get("last-event-id", "0").strip()
        if not (last.isascii() and last.isdecimal() and len(last) < 16):
            raise Refused(400, f"Last-Event-ID is the number of an event, got {last[:40]!r}")
        self._refuse_crowd()
        stream = self._stream(call.key, int(last), wait)
        return StreamingResponse(stream, media_type="text/event-stream")

    async def _stream(self, key: str, since: int, wait: float) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        until, alive = loop.time() + wait, loop.time()
        self._watching += 1
        try:
            while True:
                try:
                    found = await run_in_threadpool(jobs.events, self.root, key, since)
                except (
                    AssayError
                ) as error:  # removed meanwhile: the answer has begun, so it can only end
                    log.info("a stream ended: %s", error)
                    return
                for event in found.events:
                    since, alive = event.number, loop.time()
                    yield (
                        f"id: {event.number}\nevent: {event.kind}\ndata: "
                        f"{as_json(to_json(event))}\n\n"
                    ).encode()
                if found.over or loop.time() >= until:
                    return
                if loop.time() - alive > ALIVE:
                    alive = loop.time()
                    yield b": still there\n\n"
                await asyncio.sleep(min(LOOKS, max(0.0, until - loop.time())))
        finally:
            self._watching -= 1

    def _owner(self, caller: Holder) -> str | None:
        """Whose jobs are meant; None where no tokens are asked for: everybody's."""
        return caller.name if self.tokens else None

    def _refuse_crowd(self) -> None:
        """Refuse one request too many that waits for a job."""
        if self._watching >= WATCHING:
            again = "ask again in a moment"
            raise Refused(503, f"{WATCHING} requests wait for jobs; {again}", AGAIN)

    # -- experiments -------------------------------------------------------------------------------

    async def experiments(self, call: Call) -> Response:
        """The catalogue."""
        return plain_values(await run_in_threadpool(catalogue.listed, self.root))

    async def experiment(self, call: Call) -> Response:
        """One experiment: arms, fields, claims."""
        name = str(call.request.path_params["name"])
        if name not in {entry.name for entry in experiments.entries()}:
            raise Refused(
                404, f"no experiment is called {name[:80]!r}; GET /experiments lists them"
            )
        return plain_values(await run_in_threadpool(fields.described, self.root, name))

    async def openapi(self, call: Call) -> Response:
        """This description."""
        return plain_values(described())


OPERATIONS = (
    Operation(
        "POST",
        "/studies",
        "submit",
        _Desk.submit,
        {200: ("It was done before", Job), 202: ("It waits or runs", Job)},
        sent=True,
        refusals=(429,),
    ),
    Operation(
        "POST",
        "/registrations",
        "submit",
        _Desk.preregister,
        {200: ("It was frozen so already", Registered), 201: ("It is frozen", Registered)},
        sent=True,
        refusals=(409,),
    ),
    Operation("POST", "/plan", "read", _Desk.plan, {200: ("The plan", Foreseen)}, sent=True),
    Operation("GET", "/jobs", "read", _Desk.jobs, {200: ("Jobs", Jobs)}, Latest),
    Operation("GET", "/jobs/{key}", "read", _Desk.status, {200: ("The job", Job)}, Wait),
    Operation("DELETE", "/jobs/{key}", "cancel", _Desk.cancel, {200: ("The job", Job)}),
    Operation(
        "GET", "/jobs/{key}/events", "read", _Desk.events, {200: ("Events", Happened)}, Watch
    ),
    Operation(
        "GET",
        "/jobs/{key}/result",
        "read",
        _Desk.result,
        {200: ("What `assay show --json` prints of it", dict[str, Any])},
        refusals=(409,),
    ),
    Operation("GET", "/experiments", "read", _Desk.experiments, {200: ("Experiments", Catalogue)}),
    Operation("GET", "/experiments/{name}", "read", _Desk.experiment, {200: ("It", Described)}),
    Operation("GET", "/openapi.json", "read", _Desk.openapi, {200: ("OpenAPI", dict[str, Any])}),
)
"""All that is answered; the description is made of these."""


def described() -> dict[str, Any]:
    """Describe the interface as OpenAPI 3.1."""
    return describe(OPERATIONS, OfText)


async def _asked(request: Request, beside: type[Query]) -> tuple[Asked, Any]:
    """Read what a body asks for: JSON, or a study's text with preset, name and set in the address;
    and what stands there beside these. Raises: Refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (*TEXTS, "application/json"):
        takes = "application/toml, text/markdown or application/json"
        raise Refused(415, f"send {takes}, got {kind[:80] or 'no content-type'}")
    try:
        async with asyncio.timeout(PATIENCE):
            body = await request.body()
    except TimeoutError:
        raise Refused(408, f"a body arrives within {PATIENCE:.0f} s") from None
    if kind == "application/json":
        (query,) = _query(request, beside)
        try:
            return msgspec.json.decode(body, type=Asked), query
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
            why = str(e) or "it nests too deep"
            has = "it has study or experiment, preset, sets"
            raise Refused(400, f"the body is no submission: {why}; {has}") from None
    query, text = _query(request, beside, OfText)
    try:
        study = body.decode()
    except UnicodeDecodeError as e:
        raise Refused(400, f"a study is UTF-8 text, and byte {e.start:,} is not") from None
    if not study.strip():
        raise Refused(400, "the body is empty; send a study's text")
    return Asked(study=study, preset=text.preset, sets=text.set, name=text.name), query


def _query(request: Request, *kinds: type[Query]) -> list[Any]:
    """Read what stands behind the ? of an address, where each name is known. Raises: Refused."""
    types = {f.name: f.type for kind in kinds for f in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {}
    for name, value in parse_qsl(request.url.query, keep_blank_values=True, max_num_fields=None):
        if name not in types:
            raise Refused(
                400, f"{name[:40]!r} means nothing here; known: {', '.join(types) or 'none'}"
            )
        if types[name] is Sets:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise Refused(400, f"{name} is said twice")
        else:
            values[name] = value
    try:
        return [msgspec.convert(values, kind, strict=False) for kind in kinds]
    except msgspec.ValidationError as e:
        what, _, place = str(e).partition(" - at `$.")
        name = place.rstrip("`").partition("[")[0]
        said = str(values.get(name))[:40]
        raise Refused(400, f"{name}: {what.replace('`', '').lower()}, got {said!r}") from None


async def _unknown(request: Request, error: Exception) -> Response:
    """Answer for an address that is not here, or a method that it does not take."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    words = (
        "there is nothing at this address; GET /openapi.json tells what there is"
        if status == 404
        else HTTPStatus(status).phrase.lower()
    )
    return problems.answer(Refused(status, words, headers))
