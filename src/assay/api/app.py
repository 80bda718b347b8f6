"""App: which address answers what. Each answer is a verb's result as plain values; nothing is
decided here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from assay.api import problems
from assay.api.openapi import EVENTS, STATUS, described
from assay.api.problems import plain_values
from assay.core.errors import AssayError
from assay.core.plain import as_json
from assay.core.schema import to_json
from assay.http.guard import CALLER, Guard, Refused, Rules
from assay.http.tokens import Holder, Right
from assay.jobs.bounds import Bounds
from assay.jobs.state import OVER
from assay.jobs.submission import Asked
from assay.lab import catalogue as experiments
from assay.verbs import catalogue, jobs
from assay.verbs.jobs import Job

if TYPE_CHECKING:
    from starlette.requests import Request


TEXTS = ("application/toml", "text/markdown")
"""Kinds of a body that is a study. Those that a web page may send without asking are not among
them."""
PATIENCE = 30.0
"""Seconds in which a body has to arrive."""
LOOKS, ALIVE = 0.25, 10.0
"""Seconds between looks at a job, and between signs of life of a stream."""
READ, WAITING, WATCHING = 1, 8, 64
"""Studies that are read at the same time, that may wait for it, and requests that may wait for a
job."""
MOST = 1_000
"""Jobs in a list."""
AGAIN = {"Retry-After": "5"}
log = logging.getLogger(__name__)


class _Submission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body of JSON: what `Asked` says."""

    study: str = ""
    experiment: str = ""
    preset: str = "default"
    sets: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Served:
    """What all answers share: the store, the bounds, and the longest that a request may wait."""

    root: Path
    bounds: Bounds = field(default_factory=Bounds)
    patience: float = STATUS
    """Seconds that a request for a job's status may wait; a stream of events twenty times that."""


def application(served: Served, rules: Rules = Rules()) -> Starlette:  # noqa: B008
    """Make the server of a store's jobs."""
    desk = _Desk(served, bool(rules.holders))
    routes = [
        Route("/studies", desk.answer("submit", desk.submit), methods=["POST"]),
        Route("/registrations", desk.answer("submit", desk.preregister), methods=["POST"]),
        Route("/plan", desk.answer("read", desk.plan), methods=["POST"]),
        Route("/jobs", desk.answer("read", desk.jobs), methods=["GET"]),
        Route("/jobs/{key}", desk.answer("read", desk.job), methods=["GET"]),
        Route("/jobs/{key}", desk.answer("cancel", desk.cancel), methods=["DELETE"]),
        Route("/jobs/{key}/events", desk.answer("read", desk.events), methods=["GET"]),
        Route("/jobs/{key}/result", desk.answer("read", desk.result), methods=["GET"]),
        Route("/experiments", desk.answer("read", desk.experiments), methods=["GET"]),
        Route("/experiments/{name}", desk.answer("read", desk.experiment), methods=["GET"]),
        Route("/openapi.json", desk.answer("read", desk.openapi), methods=["GET"]),
    ]
    return Starlette(
        routes=_merge_routes(routes),
        middleware=[Middleware(Guard, rules=rules, answer=problems.answer)],
        exception_handlers={HTTPException: _unknown},
    )


def _merge_routes(routes: list[Route]) -> list[Route]:
    """One route for each address, whatever the methods, so that a method that it lacks is refused
    with those that it has."""
    by_path: dict[str, dict[str, Any]] = {}
    for route in routes:
        by_path.setdefault(route.path, {}).update(
            dict.fromkeys(route.methods or (), route.endpoint)
        )

    def make_route(
        path: str, endpoints: Mapping[str, Callable[[Request], Awaitable[Response]]]
    ) -> Route:
        async def endpoint(request: Request) -> Response:
            return await endpoints[request.method](request)

        return Route(path, endpoint, methods=list(endpoints))

    return [make_route(path, endpoints) for path, endpoints in by_path.items()]


class _Desk:
    """Answers requests about one store."""

    def __init__(self, served: Served, tokens: bool):
        self.served, self.root, self.tokens = served, served.root, tokens
        self._reads, self._waiting, self._watching = asyncio.Semaphore(READ), 0, 0

    def answer(
        self, right: Right, work: Callable[[Request, Holder], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Answer by `work`, whoever has the right; whatever goes wrong is a problem in one line."""

        async def answered(request: Request) -> Response:
            caller: Holder = request.scope[CALLER]
            try:
                if right not in caller.rights:
                    raise Refused(
                        403,
                        (
                            f"this token has no right to {right}; its rights are "
                            f"{', '.join(caller.rights) or 'none'}"
                        ),
                    )
                return await work(request, caller)
            except AssayError as error:
                return problems.answer(error)
            except OSError as error:
                return problems.answer(
                    Refused(
                        503, f"the store cannot be used: {error.strerror or type(error).__name__}"
                    )
                )
            except Exception:  # a mistake of the program: its traceback belongs in the terminal
                log.exception("a request failed: %s", request.url.path)
                return problems.answer(
                    Refused(
                        500, "this request failed; the terminal in which the server runs says where"
                    )
                )

        return answered

    # -- what is submitted -------------------------------------------------------------------------

    async def submit(self, request: Request, caller: Holder) -> Response:
        """Submit a study or an experiment."""
        asked = await _asked(request)
        bounds = replace(
            self.served.bounds, queued_each=caller.queued, cpu_seconds_each=caller.cpu_seconds_a_day
        )
        job = await self._in_turn(partial(jobs.submit, self.root, asked, caller.name, bounds))
        return plain_values(
            job, 200 if job.status in OVER else 202, {"location": f"/jobs/{job.key}"}
        )

    async def preregister(self, request: Request, caller: Holder) -> Response:
        """Freeze what a submission would judge."""
        asked, looks = (
            await _asked(request, "looks"),
            _query(request, "preset", "name", "set", "looks", several=("set",)).get("looks", [""])[
                0
            ],
        )
        found = await self._in_turn(
            partial(jobs.preregister, self.root, asked, looks, self.served.bounds)
        )
        return plain_values(found, 200 if found.already else 201)

    async def plan(self, request: Request, caller: Holder) -> Response:
        """Tell what would run, and what a study does not say."""
        return plain_values(
            await self._in_turn(
                partial(jobs.plan, self.root, await _asked(request), self.served.bounds)
            )
        )

    async def _in_turn(self, work: Callable[[], Any]) -> Any:
        """Read what is submitted, one at a time, and let few wait: it takes seconds of a core."""
        if self._waiting >= WAITING:
            raise Refused(
                503,
                f"{WAITING} submissions are being read; send it again in a moment",
                AGAIN,
            )
        self._waiting += 1
        try:
            async with self._reads:
                return await run_in_threadpool(work)
        finally:
            self._waiting -= 1

    # -- jobs --------------------------------------------------------------------------------------

    async def jobs(self, request: Request, caller: Holder) -> Response:
        """List jobs: of a token those that it asked for."""
        query = _query(request, "limit")
        found = await run_in_threadpool(jobs.jobs, self.root, self._owner(caller))
        limit = _number(query, "limit", 1, MOST, 100)
        return plain_values(jobs.Jobs(found.jobs[-int(limit) :]))

    async def job(self, request: Request, caller: Holder) -> Response:
        """Tell how far a job is, as soon as it is over where that is waited for."""
        wait = min(_number(_query(request, "wait"), "wait", 0, STATUS, 0), self.served.patience)
        key = await self._mine(request, caller)
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        with self._watch():
            job = await self._status(key)
            while job.status not in OVER and loop.time() < until:
                await asyncio.sleep(min(LOOKS, max(0.0, until - loop.time())))
                job = await self._status(key)
        return plain_values(job)

    async def cancel(self, request: Request, caller: Holder) -> Response:
        """Cancel a job."""
        _query(request)
        key = await self._mine(request, caller)
        return plain_values(
            await run_in_threadpool(jobs.cancel, self.root, key, self._owner(caller))
        )

    async def result(self, request: Request, caller: Holder) -> Response:
        """Give the verdicts, as `assay show --json` does."""
        _query(request)
        key = await self._mine(request, caller)
        return plain_values(await run_in_threadpool(jobs.result, self.root, key))

    async def events(self, request: Request, caller: Holder) -> Response:
        """Send what happens to a job as it happens, from the event on that the client had last."""
        query = _query(request, "wait")
        wait = min(
            _number(query, "wait", 0, EVENTS, EVENTS), self.served.patience * EVENTS / STATUS
        )
        last = request.headers.get("last-event-id", "0").strip()
        if not (last.isascii() and last.isdecimal() and len(last) < 16):
            raise Refused(400, f"Last-Event-ID is the number of an event, got {last[:40]!r}")
        key = await self._mine(request, caller)
        if self._watching >= WATCHING:
            raise Refused(503, f"{WATCHING} requests wait for jobs; ask again in a moment", AGAIN)
        return StreamingResponse(self._stream(key, int(last), wait), media_type="text/event-stream")

    async def _stream(self, key: str, since: int, wait: float) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        until, alive = loop.time() + wait, loop.time()
        with self._watch(refuse=False):
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

    async def _status(self, key: str) -> Job:
        return await run_in_threadpool(jobs.status, self.root, key)

    def _owner(self, caller: Holder) -> str | None:
        """Whose jobs are meant; None where no tokens are asked for: everybody's."""
        return caller.name if self.tokens else None

    async def _mine(self, request: Request, caller: Holder) -> str:
        """The key in the address, where the caller may know of the job."""
        key = str(request.path_params["key"])
        if not await run_in_threadpool(jobs.concerns, self.root, key, self._owner(caller)):
            raise Refused(404, f"no job {key[:80]} in this store")
        return key

    def _watch(self, refuse: bool = True) -> _Watch:
        return _Watch(self, refuse)

    # -- experiments -------------------------------------------------------------------------------

    async def experiments(self, request: Request, caller: Holder) -> Response:
        """List the catalogue."""
        _query(request)
        return plain_values(await run_in_threadpool(catalogue.listed, self.root))

    async def experiment(self, request: Request, caller: Holder) -> Response:
        """Describe one experiment of the catalogue."""
        _query(request)
        name = str(request.path_params["name"])
        if name not in {entry.name for entry in experiments.entries()}:
            raise Refused(
                404, f"no experiment is called {name[:80]!r}; GET /experiments lists them"
            )
        return plain_values(await run_in_threadpool(catalogue.described, self.root, name))

    async def openapi(self, request: Request, caller: Holder) -> Response:
        """Describe this interface."""
        _query(request)
        return plain_values(described())


class _Watch:
    """Counts a request that waits for a job, and refuses one too many."""

    def __init__(self, desk: _Desk, refuse: bool):
        self.desk, self.refuse = desk, refuse

    def __enter__(self) -> None:
        if self.refuse and self.desk._watching >= WATCHING:
            raise Refused(503, f"{WATCHING} requests wait for jobs; ask again in a moment", AGAIN)
        self.desk._watching += 1

    def __exit__(self, *_: object) -> None:
        self.desk._watching -= 1


async def _asked(request: Request, *more: str) -> Asked:
    """What a body asks for: JSON, or a study's text with preset, name and set in the address;
    `more` may stand there as well."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (*TEXTS, "application/json"):
        raise Refused(
            415,
            (
                "send application/toml, text/markdown or application/json, got "
                f"{kind[:80] or 'no content-type'}"
            ),
        )
    try:
        async with asyncio.timeout(PATIENCE):
            body = await request.body()
    except TimeoutError:
        raise Refused(408, f"a body arrives within {PATIENCE:.0f} s") from None
    if kind == "application/json":
        _query(request, *more)
        try:
            return Asked(**msgspec.structs.asdict(msgspec.json.decode(body, type=_Submission)))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
            raise Refused(
                400,
                (
                    f"the body is no submission: {str(e) or 'it nests too deep'}; it has study or "
                    "experiment, preset, sets"
                ),
            ) from None
    query = _query(request, "preset", "name", "set", *more, several=("set",))
    try:
        text = body.decode()
    except UnicodeDecodeError as e:
        raise Refused(400, f"a study is UTF-8 text, and byte {e.start:,} is not") from None
    if not text.strip():
        raise Refused(400, "the body is empty; send a study's text")
    preset = query.get("preset", ["default"])[0]
    return Asked(
        study=text, preset=preset, sets=tuple(query.get("set", ())), name=query.get("name", [""])[0]
    )


def _query(request: Request, *known: str, several: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """What stands behind the ? of an address, where each name is known. Raises: Refused."""
    values_by_name: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.url.query, keep_blank_values=True, max_num_fields=None):
        if name not in known:
            raise Refused(
                400, f"{name[:40]!r} means nothing here; known: {', '.join(known) or 'none'}"
            )
        values_by_name.setdefault(name, []).append(value)
        if len(values_by_name[name]) > 1 and name not in several:
            raise Refused(400, f"{name} is said twice")
    return values_by_name


def _number(
    query: Mapping[str, list[str]], name: str, low: float, high: float, usual: float
) -> float:
    text = query.get(name, [str(usual)])[0]
    try:
        value = float(text) if len(text) < 20 else high + 1
    except ValueError:
        value = high + 1
    if not low <= value <= high or (name == "limit" and value != int(value)):
        raise Refused(400, f"{name} is a number from {low:g} to {high:g}, got {text[:40]!r}")
    return value


async def _unknown(request: Request, error: Exception) -> Response:
    """Answer for an address that is not here, or a method that it does not take."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    words = (
        "there is nothing at this address; GET /openapi.json tells what there is"
        if status == 404
        else HTTPStatus(status).phrase.lower()
    )
    refused = Refused(status, words)
    refused.headers = headers
    return problems.answer(refused)
