"""Folder: one job in the store: what was asked, sealed; how far it is; what happened; and the
lease of whoever works on it.

    <root>/jobs/<key>/asked.json       what was asked, by whom, when; sealed
                      text/            a study's file, and links to files of the workspace that it
                                       names; without a workspace the job runs in this folder
                      owners/          a file for each person who asked for it and did not cancel
                      state.json       state.py; written by whoever holds the lease
                      events.jsonl     what happened, a line each; the oldest are dropped
                      cancel           there once somebody wants it stopped while another process
                                       works on it
                      result.json      what `assay show --json` prints of it, sealed
    <root>/leases/job-<key>/           whose it is (lab.away.leases)
    <root>/wanted/<group>.json         what it asks of workers elsewhere, on its terms
                                       (lab.away.requests)

A job that says it is running, and that nobody holds, was interrupted: it is queued, and goes on
where it was."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import msgspec

from assay.core import foreign
from assay.core.errors import StoreError
from assay.core.experiment import Experiment
from assay.core.spec import canonical_json
from assay.jobs.state import OVER, Moment, State, Status
from assay.jobs.submission import DIGITS, Ready
from assay.lab import catalogue
from assay.lab.away import leases, requests
from assay.lab.away.leases import Lease
from assay.lab.plan.preset import Preset, override
from assay.lab.store.atomic import explained, sync, write
from assay.lab.store.origin import STUDIES
from assay.lab.store.sealed import seal, unseal
from assay.lab.store.store import Store, discard

KEY = re.compile(rf"[0-9a-f]{{{DIGITS}}}")
EVENTS = 512 * 1024
"""Bytes of a job's events; when there are more, the older half is dropped."""


class _Event(TypedDict):
    """What every line of events.jsonl has; more depends on its kind."""

    n: int
    time: Moment
    kind: str


class NoJob(StoreError):
    """A store has no job of this key."""


class Folder:
    """One job of a store, which may not be there."""

    def __init__(self, root: Path, key: str):
        if not KEY.fullmatch(key):
            raise NoJob(f"a job's key has {DIGITS} hex digits, got {key[:80]!r}")
        self.root, self.key = root, key
        self.path = root / "jobs" / key

    @property
    def there(self) -> bool:
        """Whether it was submitted."""
        return (self.path / "asked.json").is_file()

    @cached_property
    def asked(self) -> Mapping[str, Any]:
        """What was asked. Raises: StoreError for no such job, or one that was changed."""
        if not self.there:
            raise NoJob(f"no job {self.key} in this store")
        request = unseal(self.path / "asked.json")
        if request.get("key") != self.key:
            raise StoreError(
                f"{self.path / 'asked.json'} is not of this job; delete {self.path} and "
                "submit it again"
            )
        return request

    @property
    def owners(self) -> tuple[str, ...]:
        """Who asked for it and did not cancel, the first first."""
        pairs = []
        for path in (self.path / "owners").glob("*.json"):
            with suppress(
                StoreError, KeyError, TypeError, ValueError
            ):  # another sealed file, by somebody else's hand
                note = unseal(path)
                pairs.append((float(note["asked"]), str(note["owner"])))
        return tuple(owner for _, owner in sorted(pairs))

    @property
    def typed(self) -> str:
        """How its experiment is found: a name, or the path of a file. Raises: StoreError."""
        typed: str = self.asked["typed"]
        study = typed.endswith(STUDIES)
        return str(self.path.resolve() / "text" / typed) if study else typed

    def experiment(self) -> tuple[Experiment, Preset]:
        """Give the experiment that it runs, and its preset. Raises: AssayError."""
        experiment = catalogue.find(self.typed)
        preset = override(experiment, self.asked["preset"], self.asked["sets"])
        return experiment.designed(preset.specs[:1]), preset

    @property
    def place(self) -> str:
        """The folder in which it runs, as seen from the store. Raises: StoreError."""
        return self.asked["workspace"] or f"jobs/{self.key}/text"

    # -- whose it is -------------------------------------------------------------------------------

    def take(self) -> Lease | None:
        """Take the job; None where another has it. It is ours until the lease is given back, or
        this process and all that inherited the lease's handle have ended."""
        with explained(self.root):
            return leases.open_leases(self.root).take(f"job-{self.key}")

    @contextmanager
    def mine(self, wait: float = 0.0) -> Iterator[bool]:
        """Have the job while the body runs, where nobody works on it, or nobody does any more
        within `wait` seconds; tell whether that is so."""
        until = time.monotonic() + wait
        while (lease := self.take()) is None and time.monotonic() < until:
            time.sleep(leases.AGAIN)
        try:
            yield lease is not None
        finally:
            if lease is not None:
                lease.done()

    @property
    def held(self) -> bool:
        """Whether a process works on it, as far as one can see who may not write here."""
        with suppress(OSError):
            return leases.open_leases(self.root).held(f"job-{self.key}")
        return True

    # -- its state ---------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """How far it is, as it was written last. Raises: StoreError for no such job."""
        try:
            return msgspec.json.decode(
                foreign.read_stored(self.path / "state.json"), type=State, strict=False
            )
        except FileNotFoundError:
            raise NoJob(f"no job {self.key} in this store") from None
        except (
            OSError,
            ValueError,
            msgspec.DecodeError,
        ):  # somebody else's hand: it is asked for all the same
            return State(status="queued", order=0, owner="")

    @property
    def now(self) -> State:
        """How far it is, interrupted ones as queued, and those that nobody will begin as
        cancelled."""
        state = self.state
        if state.status == "running" and not self.held:
            state = self.state  # it may have ended in between
        if state.status == "running" and not self.held:
            state = replace(state, status="queued", seconds_left=None)
        if state.status == "queued" and self.cancelled and not self.held:
            return replace(state, status="cancelled")
        return state

    def write(self, state: State) -> None:
        """Write how far it is; only whoever holds the lease does."""
        with explained(self.root):
            write(self._file("state.json"), msgspec.json.encode(state))

    def end(self, state: State, status: Status, **what: Any) -> None:
        """Write that it is over, and ask no more of workers on its behalf; only whoever holds the
        lease does."""
        requests.drop_job(self.root, self.key)
        self.write(replace(state, status=status, ended=time.time(), seconds_left=None))
        self.tell(status, **what)
        discard(self.path / "cancel")

    def fail(self, error: str) -> None:
        """Write that it failed, and why; only whoever holds the lease does."""
        self.end(replace(self.state, error=" ".join(error.split())[:500]), "failed", error=error)

    def stop(self) -> None:
        """Write that it is cancelled, unless it is over; only whoever holds the lease does."""
        if self.state.status not in OVER:
            self.end(self.state, "cancelled")
        discard(self.path / "cancel")

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants it stopped."""
        return (self.path / "cancel").exists()

    def _file(self, name: str) -> Path:
        """A file of the job that is to be written; what is no file in its place, by somebody else's
        hand, is moved to `tmp`."""
        path = self.path / name
        try:
            foreign.open_stored(path).close()
        except FileNotFoundError:
            pass
        except foreign.NotAFileError:
            path.rename(self.root / "tmp" / f"damaged-{self.key}-{uuid.uuid4().hex[:12]}")
        return path

    # -- what happened -----------------------------------------------------------------------------

    def tell(self, kind: str, **what: Any) -> None:
        """Write down what happened; only whoever holds the lease does."""
        path = self._file("events.jsonl")
        content = foreign.read_stored(path) if path.exists() else b""
        known = _events(content)
        event = {"n": known[-1][1]["n"] + 1 if known else 1, "time": round(time.time(), 3)}
        line = canonical_json({**event, "kind": kind, **what}).encode(errors="replace") + b"\n"
        lines = [line for line, _ in known]
        if sum(map(len, lines)) + len(line) > EVENTS:
            sizes = itertools.accumulate(len(line) for line in reversed(lines))
            lines = lines[len(lines) - sum(size <= EVENTS // 2 for size in sizes) :]
        with explained(self.root):
            if b"".join(lines) == content:
                with path.open("ab") as file:
                    file.write(line)
            else:  # too many, a kill while one was written, or somebody else's hand
                write(path, b"".join([*lines, line]))

    def events(self) -> list[dict[str, Any]]:
        """What happened, each with a number of its own; a first number above 1 says that older
        ones were dropped."""
        if not self.there:
            raise NoJob(f"no job {self.key} in this store")
        try:
            content = foreign.read_stored(self.path / "events.jsonl")
        except (FileNotFoundError, IsADirectoryError):
            return []
        return [event for _, event in _events(content)]

    # -- making it ---------------------------------------------------------------------------------

    def make(self, ready: Ready, owner: str, workspace: Path | None) -> None:
        """Write the whole folder by one rename, so that it is there with all its files or not at
        all; only whoever holds the lease does."""
        store, current_time = Store(self.root), time.time()
        request = {
            "key": self.key,
            **msgspec.structs.asdict(ready.asked),
            "sets": list(ready.asked.sets),
            "title": ready.preset.title,
            "called": ready.experiment.name,
            "question": ready.question,
            "typed": ready.typed,
            "runs": ready.runs,
            "code": dict(ready.code),
            "owner": owner,
            "asked": current_time,
            "workspace": str(workspace.resolve()) if workspace else "",
        }
        new_folder = self.root / "tmp" / f"job-{self.key}-{uuid.uuid4().hex[:12]}"
        with explained(self.root):
            store.prepare()
            (new_folder / "text").mkdir(parents=True)
            (new_folder / "owners").mkdir()
            state = State(status="queued", order=time.time_ns(), owner=owner)
            files = {
                "asked.json": seal(request),
                "state.json": msgspec.json.encode(state),
                f"owners/{_owner_file(owner)}": _signature(owner, current_time),
            }
            if ready.study is not None:
                files[f"text/{ready.typed}"] = ready.study.read_bytes()
            for name, data in files.items():
                (new_folder / name).write_bytes(data)
                sync(new_folder / name)
            for name, target in ready.links.items():
                (new_folder / "text" / name).symlink_to(target)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                self.path.rename(self.root / "tmp" / f"old-{self.key}-{uuid.uuid4().hex[:12]}")
            new_folder.rename(self.path)
            sync(self.path.parent)

    def sign(self, owner: str) -> None:
        """Note that this person asks for it as well."""
        note = self.path / "owners" / _owner_file(owner)
        with explained(self.root):
            if not note.exists():
                write(note, _signature(owner, time.time()))

    def leave(self, owner: str) -> None:
        """Note that this person does not ask for it any more."""
        with explained(self.root):
            discard(self.path / "owners" / _owner_file(owner))


def _events(content: bytes) -> list[tuple[bytes, dict[str, Any]]]:
    """The whole lines of a file of events, and what each says; others are left out."""
    events = []
    for line in content.splitlines(keepends=True):
        with suppress(ValueError, RecursionError, msgspec.ValidationError):
            event = json.loads(line)
            msgspec.convert(event, _Event)
            if line.endswith(b"\n"):
                events.append((line, event))
    return events


def _owner_file(owner: str) -> str:
    return f"{hashlib.sha256(owner.encode(errors='surrogatepass')).hexdigest()[:16]}.json"


def _signature(owner: str, current_time: float) -> bytes:
    return seal({"owner": owner, "asked": current_time})
