"""Jobs: work that somebody submits, asks after, reads the result of, and cancels; a runner of the
store does it.

`submit` comes back at once: what is asked is read and held to its bounds, and lies in the store. A
runner (`assay.jobs.runner.running`) takes jobs in order. All that is known of a job is in the
store, so that any process can ask."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assay.core.compute import Range
from assay.jobs import queue
from assay.jobs.bounds import Bounds
from assay.jobs.folder import KEY, Folder, NoJob
from assay.jobs.state import OVER, Early, State, Status
from assay.jobs.submission import Asked, Lacking, Ready, opened
from assay.lab.engines import Workers
from assay.lab.lab import Lab
from assay.lab.store.sealed import unseal
from assay.lab.store.store import Store
from assay.verbs.plan import Planned, Unsaid
from assay.verbs.plan import plan as planned
from assay.verbs.preregister import Registered
from assay.verbs.preregister import preregister as register
from assay.verbs.unsaid import find_unsaid
from assay.verbs.verb import lasting

LONGEST = 30.0
"""Seconds that `status` waits at most."""
LOOKS = 0.1
"""Seconds between looks while it waits."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job, and how far it is."""

    key: str
    """32 hex digits of what is asked: asked again, it is the same job."""
    status: Status
    words: str
    """How far it is and what comes next, in a sentence."""
    experiment: str
    """The name under which its runs and verdicts are stored."""
    preset: str
    """The preset's title, with digits of the fields that were set."""
    sets: tuple[str, ...]
    question: str
    study: bool
    """Whether it is a study's text, and no experiment of the catalogue."""
    owner: str
    """Who asked for it first."""
    asked: str
    """When, in ISO 8601."""
    started: str | None
    """When it was begun last."""
    ended: str | None
    runs: int
    """Runs that it has, of all arms."""
    runs_done: int
    """Runs that are stored."""
    runs_cached: int | None
    """Runs that were stored before it began; null before that is known."""
    seconds_left: Range | None
    """How long it still takes once it runs; null where that cannot be told."""
    ahead: int
    """Jobs that are taken before it, while it waits."""
    cpu_seconds: float
    early: Early | None
    """What is there before the end, which is no verdict."""
    error: str
    """Why it failed, in a line."""


@dataclass(frozen=True)
class Jobs:
    """The jobs of a store, in the order in which they were submitted."""

    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class Happened:
    """Something that happened to a job."""

    number: int
    """Counted from 1; a gap says that older ones were dropped."""
    time: str
    kind: str
    """queued, begun, continued, planned, started, progress, saved, partial, group-failed; workers,
    what is known of those who train elsewhere; at its end done, failed or cancelled."""
    what: Mapping[str, Any]


@dataclass(frozen=True)
class Events:
    """What happened to a job after a number."""

    key: str
    events: tuple[Happened, ...]
    over: bool
    """Whether nothing more will happen."""


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """What would run if it were submitted, and what a study does not say; nothing is written."""

    key: str | None
    """The key that its job would have; null for a study that cannot run yet."""
    runs: int
    unsaid: tuple[Unsaid, ...]
    """What a study does not say; where `default` is null it has to be said."""
    plan: Planned | None
    """Runs, times, and what is to be expected of each claim."""


def plan(root: Path, request: Asked, bounds: Bounds = Bounds()) -> Foreseen:  # noqa: B008
    """Tell what a submission would run and take, and what a study does not say, with defaults and
    costs. Raises: AssayError."""
    try:
        with opened(root, request, bounds) as ready:
            return foresee(Lab(root, Workers()), ready)
    except Lacking as error:
        rows = tuple(Unsaid(m.where, m.text, m.default, "") for m in error.lacks)
        return Foreseen(key=None, runs=0, unsaid=rows, plan=None)


def foresee(lab: Lab, ready: Ready, budget: str | None = None) -> Foreseen:
    """Tell what a submission that is open would run and take, and what a budget buys. Raises:
    AssayError."""
    unsaid = find_unsaid(ready.study, lab, ready.experiment).unsaid if ready.study else ()
    return Foreseen(
        key=ready.key,
        runs=ready.runs,
        unsaid=tuple(
            replace(u, text=ready.without_places(u.text), cost=ready.without_places(u.cost))
            for u in unsaid
        ),
        plan=planned(lab, ready.experiment, ready.preset, budget),
    )


# — frozen
def submit(root: Path, request: Asked, owner: str = "", bounds: Bounds = Bounds()) -> Job:  # noqa: B008
    """Put an experiment or a study into the queue; what was submitted before is the same job,
    failed and cancelled ones run again.

    Raises: AssayError, one line, for what cannot run: a study with line and column, or with the
    list of what it lacks; for a bound; a full queue."""
    return _to_job(queue.put(root, request, owner, bounds))


# — frozen
def preregister(
    root: Path,
    request: Asked,
    looks: str = "",
    bounds: Bounds = Bounds(),  # noqa: B008
) -> Registered:
    """Freeze what a submission would judge, before any result exists, as `assay preregister` does;
    it is written into the store alone.

    Raises: AssayError for what cannot run, for looks that cannot be, and where results may have
    been seen."""
    with opened(root, request, bounds) as ready:
        return freeze(Lab(root, Workers()), ready, looks)


def freeze(lab: Lab, ready: Ready, looks: str = "") -> Registered:
    """Freeze what a submission that is open would judge. Raises: as `preregister`."""
    registration = register(lab, ready.experiment, ready.preset, looks or None, here=False)
    return replace(
        registration, files=tuple(path.relative_to(lab.store.root) for path in registration.files)
    )


def status(root: Path, key: str, wait_s: float = 0.0) -> Job:
    """Tell how far a job is; with `wait_s` as soon as it is over, or after so many seconds, 30 at
    most. Raises: AssayError for no such job."""
    until = time.monotonic() + min(max(wait_s, 0.0), LONGEST)
    folder = _folder(root, key)
    while folder.now.status not in OVER and time.monotonic() < until:
        time.sleep(min(LOOKS, max(0.0, until - time.monotonic())))
    return _to_job(folder)


def result(root: Path, key: str) -> dict[str, Any]:
    """Give the plain values that `assay show --json` printed when the job was done. Raises:
    NotOver; AssayError for no such job."""
    folder = _folder(root, key)
    if folder.now.status != "done":
        raise queue.NotOver(f"job {key} has no result: {_to_job(folder).words}")
    return unseal(folder.path / "result.json")


def events(root: Path, key: str, since: int = 0) -> Events:
    """Tell what happened to a job after the event of this number. Raises: AssayError for no such
    job."""
    folder = _folder(root, key)
    # Read in this order: whoever ends a job writes its state, then tells of it, then lets go of it.
    over = folder.now.status in OVER
    held = over and folder.held
    events = folder.events()
    to_come = held and bool(events) and events[-1]["kind"] not in OVER
    recent_events = (
        Happened(e.pop("n"), _when(e.pop("time")) or "", e.pop("kind"), e)
        for e in events
        if e["n"] > since
    )
    return Events(key, tuple(recent_events), over and not to_come)


def cancel(root: Path, key: str, owner: str | None = None) -> Job:
    """Stop a job, and keep what it stored; with an `owner`, unless others ask for it as well. It
    may take some seconds until it stops.

    Raises: AssayError for no such job, or one that this owner did not ask for.
    """
    return _to_job(queue.cancel(Store(root).root, key, owner))


def jobs(root: Path, owner: str | None = None) -> Jobs:
    """List the jobs of a store, or those that an owner asked for."""
    every = queue.every(Store(root).root)
    places = _places(root)
    listed = list[Job]()
    for folder, _ in every:
        if owner is None or owner in folder.owners:
            with suppress(NoJob):  # forgotten meanwhile
                listed.append(_to_job(folder, places))
    return Jobs(tuple(listed))


def concerns(root: Path, key: str, owner: str | None) -> bool:
    """Whether there is such a job, and this owner, where one is given, asked for it."""
    folder = Folder(Store(root).root, key) if KEY.fullmatch(key) else None
    return folder is not None and folder.there and (owner is None or owner in folder.owners)


def _folder(root: Path, key: str) -> Folder:
    folder = Folder(Store(root).root, key)
    folder.asked  # noqa: B018
    return folder


def _places(root: Path) -> dict[str, int]:
    """How many jobs are taken before each that waits."""
    return {folder.key: i for i, folder in enumerate(queue.Watched(root).waiting())}


def _to_job(folder: Folder, places: Mapping[str, int] | None = None) -> Job:
    request, state = folder.asked, folder.now
    ahead = 0
    if state.status == "queued":
        ahead = (places if places is not None else _places(folder.root)).get(folder.key, 0)
    stopping = state.status == "running" and folder.cancelled
    return Job(
        key=folder.key,
        status=state.status,
        words=_words(state, ahead, stopping),
        experiment=request["called"],
        preset=request["title"],
        sets=tuple(request["sets"]),
        question=request["question"],
        study=bool(request["study"]),
        owner=request["owner"],
        asked=_when(request["asked"]) or "",
        started=_when(state.started),
        ended=_when(state.ended),
        runs=state.total or request["runs"],
        runs_done=state.done,
        runs_cached=state.cached,
        seconds_left=Range(*state.seconds_left) if state.seconds_left else None,
        ahead=ahead,
        cpu_seconds=state.cpu_seconds,
        early=state.early,
        error=state.error,
    )


def _words(state: State, ahead: int, stopping: bool) -> str:
    runs = (
        f"{state.done:,} of {state.total:,} runs are stored"
        if state.total
        else "nothing is stored yet"
    )
    if state.status == "queued":
        turn = f"{ahead} job{'s are' if ahead > 1 else ' is'} before it" if ahead else "it is next"
        return (
            f"it was interrupted and goes on where it was; {turn}"
            if state.starts and not state.ended
            else f"it waits; {turn}"
        )
    if stopping:
        return f"it is being cancelled; {runs}, and kept"
    if state.status == "running":
        remaining = (
            f", and {lasting(Range(*state.seconds_left))} are left" if state.seconds_left else ""
        )
        return f"it runs: {runs}{remaining}{state.workers and '; '}{state.workers}"
    if state.status == "done":
        return (
            f"it is done, all of it was stored: {runs}"
            if state.cached == state.total
            else f"it is done: {runs}"
        )
    if state.status == "cancelled":
        return f"it was cancelled; {runs}, and kept; submitted again it goes on"
    return f"it failed: {state.error}"


def _when(seconds: float | None) -> str | None:
    return (
        None
        if seconds is None
        else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    )
