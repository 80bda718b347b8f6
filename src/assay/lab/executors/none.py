"""Away: runs no task here, leaves all in the store for whoever joins it by `assay worker`, and
follows the store until they are done.

All that passes between this process and a worker lies in the store, so either may die, and come
back, on any machine. With a fleet it also has an engine start workers, as many as there is work
for."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path

from assay.core import errors, foreign
from assay.core.errors import FleetError
from assay.lab.away import depot, leases, requests
from assay.lab.away.fleets import Fleet, Member
from assay.lab.away.requests import Terms
from assay.lab.store.store import Store, Stored, discard
from assay.lab.store.urls import url_of
from assay.lab.work import groups
from assay.lab.work.events import Outcome, Progress, Said, Started, from_line
from assay.lab.work.groups import RunGroup
from assay.lab.work.worker import Report, Task

POLL = 0.5
"""Seconds between looks at the store, at the least."""
REST = 20
"""How many times as long as a look took it rests, so that ten thousand groups take a twentieth of a
core."""
APPEARS = 60.0
"""Seconds until a folder that machines share shows what another one stored, at the latest."""
IDLE = 30.0
"""Seconds after which a fleet's worker that finds nothing to do ends."""
BARREN = 3
"""How often in a row a fleet's worker may end and be replaced while nobody takes up a group, or
gets on with one."""
ASKS = 3.0
"""Seconds between two questions to the engine of a fleet."""
LATER = 60.0
"""Seconds until more workers are asked for again, where an engine refused them while others were at
it."""
_END = object()


class Away:
    """Leaves tasks in the store, and waits until they are done, failed or given up; with a fleet,
    it has workers started.

    `threads` is what each worker of a fleet gets, `terms` what a submitted job lays down for
    whoever takes up its groups.
    """

    def __init__(
        self,
        fleet: Fleet | None = None,
        threads: int = 1,
        terms: Terms = Terms(),  # noqa: B008 — frozen
    ):
        self.fleet, self.threads, self.terms = fleet, threads, terms
        self._present = 0
        self._pending: dict[str, _Left] = {}
        self._spent = 0.0

    @property
    def width(self) -> int:
        """How many workers there may be, as far as is known: a fleet's, or those that were seen
        last."""
        return self.fleet.width if self.fleet is not None else max(1, self._present)

    @property
    def cpu_seconds(self) -> float:
        """CPU-seconds that workers took for it so far, as of their last checkpoints."""
        return self._spent + sum(one.cpu_seconds for one in list(self._pending.values()))

    def map(self, tasks: Iterable[Task | None], report: Report) -> Generator[Outcome, None, None]:
        """The outcome of each task as the store tells it. Raises: FleetError when a fleet's workers
        end one after the other to no effect."""
        source, open_ = iter(tasks), True
        pending = self._pending
        crew: _Crew | None = None
        try:
            while True:
                while open_:
                    task = next(source, _END)
                    if task is _END:
                        open_ = False
                    if not isinstance(task, Task):
                        break
                    crew = crew or self._crew(task)
                    pending[task.group] = _Left(task, self.terms)
                if not open_ and not pending:
                    return
                ended, began = [], time.thread_time()
                if crew is not None:
                    if crew.away is not None:
                        followed = [left.runs for left in pending.values()]
                        crew.away.follow([runs for runs in followed if runs is not None])
                    wanted, present = requests.names(crew.root), groups.names(crew.root)
                    for name, left in list(pending.items()):
                        if outcome := left.outcome(name in wanted, name in present, report):
                            del pending[name]
                            self._spent += left.cpu_seconds
                            ended.append(outcome)
                    self._present = crew.look(list(pending.values()), bool(ended), report)
                yield from ended
                if not ended:
                    time.sleep(max(POLL, REST * (time.thread_time() - began)))
        finally:
            for left in pending.values():
                self._spent += left.cpu_seconds
                with contextlib.suppress(OSError):
                    requests.drop(left.root, left.group)
            pending.clear()
            if crew is not None:
                crew.dismiss(report)

    def command(self, root: Path, device: str) -> list[str]:
        """What a fleet is asked to start for this store."""
        address = url_of(root) or str(root.absolute())
        # a job is in a folder whose files are no programs unless that was allowed
        safe = ["-P"] if self.terms.job else []
        words = [sys.executable, *safe, "-m", "assay", "worker", "--root", address]
        options = {"--idle": f"{IDLE:g}", "--threads": str(self.threads), "--device": device}
        return [*words, *(word for option in options.items() for word in option)]

    def _crew(self, task: Task) -> _Crew:
        root = Path(task.root)
        return (
            _Crew(root)
            if self.fleet is None
            else _Engaged(root, self.fleet, self.command(root, task.device))
        )


class _Left:
    """A task in the store, and what was seen of it."""

    def __init__(self, task: Task, terms: Terms):
        self.task, self.root, self.group = task, Path(task.root), task.group
        self.terms = terms
        self.folder = self.root / "groups" / task.group
        self.runs: RunGroup | None = groups.read(self.folder)
        self.moved = 0
        """How often it was seen to get on, or to be taken up again."""
        self._seen = 0
        self._heard = ""
        self._gone: float | None = None
        self._begun = False
        self._stored: Mapping[str, Stored] = {}
        self._before = self._clock() if terms.job else 0.0
        discard(self.folder / "failed.json")
        if self.runs is not None:
            requests.leave(task, terms)

    @property
    def cpu_seconds(self) -> float:
        """CPU-seconds that workers took for it since it was left here: as its runs say, and until
        they are stored as its clock did at the last checkpoint."""
        runs = [r.provenance for r in self._stored.values()]
        spent = sum(r.get("cpu_seconds", 0.0) for r in runs if r.get("group") == self.group)
        return max(0.0, max(spent, self._clock() if self.moved else 0.0) - self._before)

    def _clock(self) -> float:
        seconds = 0.0
        # what is stored meanwhile has no folder any more
        with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
            for path in self.folder.rglob("clock.json"):
                seconds += sum(float(cpu) for *_, cpu in json.loads(foreign.read_stored(path)))
        return seconds

    def outcome(self, is_wanted: bool, exists: bool, report: Report) -> Outcome | None:
        """How it ended; None while it has not."""
        if self.runs is None:
            return Outcome(self.group, "done")
        if not exists:
            return self._done(self.runs, report)
        if not is_wanted:
            if (failed := self._failed()) is not None:
                return failed
            if groups.read(self.folder) is not None:  # somebody else waited for it, and went
                requests.leave(self.task, self.terms)
            return None
        self._follow(self.runs, report)
        return None

    def _done(self, runs: RunGroup, report: Report) -> Outcome | None:
        self._gone = self._gone or time.monotonic()
        self._stored = Store(self.root).get_each(runs.places, runs.experiment)
        stored = len(self._stored)
        if stored < len(runs.keys) and time.monotonic() - self._gone < APPEARS:
            return None
        requests.drop(self.root, self.group)
        self._begin(runs, report)
        return Outcome(self.group, "done", stored=stored)

    def _failed(self) -> Outcome | None:
        try:
            failure = json.loads(foreign.read_stored(self.folder / "failed.json"))
            kind = failure["kind"] if hasattr(errors, failure["kind"]) else "RunError"
            return Outcome(self.group, "failed", error=kind, text=str(failure["error"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _follow(self, runs: RunGroup, report: Report) -> None:
        try:
            path = self.folder / "progress.json"
            written = path.stat().st_mtime_ns
            if written == self._seen:
                return
            line = foreign.read_stored(path).decode()
            self.moved, self._seen = self.moved + 1, written
            if line == self._heard:
                return
            self._heard, event = line, from_line(line)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return
        self._begin(runs, report)
        if isinstance(event, Progress) and event.group == self.group:
            report(event)

    def _begin(self, runs: RunGroup, report: Report) -> None:
        if not self._begun:
            self._begun = True
            report(Started(runs.name, tuple(runs.arms), len(runs.members), runs.seeds))


class _Crew:
    """Whoever has joined a store."""

    def __init__(self, root: Path):
        self.root, self.away = root, depot.open_depot(root)
        self._unchanged = leases.Unchanged()
        self._told = -1
        self._said: set[str] = set()

    def look(self, pending: Sequence[_Left], ended: bool, report: Report) -> int:
        """How many there are; tells whoever waits when the first comes or the last one goes, and
        what one could not do."""
        count = self.away.at_work if self.away is not None else 0
        for path in sorted((self.root / "workers").glob("[!.]*")):
            current_time = time.monotonic()
            with contextlib.suppress(OSError):
                look = foreign.read_stored(path).decode()
                if self._unchanged.seconds(path.name, look, current_time) >= leases.lapse():
                    path.unlink(missing_ok=True)
                    continue
                count += 1
                if (words := look.partition(" ")[2]) and words not in self._said:
                    self._said.add(words)
                    report(Said(f"a worker says: {words}"))
        if self._told < 0 or (pending and (count > 0) != (self._told > 0)):
            self._told = count
            report(Said(self.words(count)))
        return count

    def words(self, count: int) -> str:
        """Say in a line how many are at it, and what to type where none is."""
        if count:
            return f"{count} worker{'s are' if count > 1 else ' is'} at it"
        what = "folder" if self.away is None else "depot"
        root = shlex.quote(_store_address(self.root))
        return (
            f"no worker is at it; type, here or on any machine that sees this {what}: assay "
            f"worker --root {root}"
        )

    def dismiss(self, report: Report) -> None:
        """Let them be."""


class _Engaged(_Crew):
    """Those that an engine starts besides: as many as there is work for, again where they were
    lost."""

    def __init__(self, root: Path, fleet: Fleet, command: Sequence[str]):
        super().__init__(root)
        self._fleet, self._command = fleet, command
        self._members: dict[str, Member] = {}
        self._tries: dict[str, int] = {}
        """Of each member, how many before it in a row came to nothing, itself included."""
        self._barren = 0
        self._moved = 0
        self._asked = -ASKS
        self._later = 0.0
        """When more may be asked for again, after they were refused."""

    def look(self, pending: Sequence[_Left], ended: bool, report: Report) -> int:
        """See to it that there are as many as can be used. Raises: FleetError when they end one
        after the other to no effect."""
        moved = sum(pending_group.moved for pending_group in pending)
        if ended or moved != self._moved:
            self._barren, self._tries = 0, dict.fromkeys(self._members, 1)
        self._moved = moved
        if time.monotonic() - self._asked >= ASKS:
            self._asked = time.monotonic()
            self._replace(pending, report)
        return super().look(pending, ended, report)

    def _replace(self, pending: Sequence[_Left], report: Report) -> None:
        known = self.away or leases.open_leases(self.root)
        free = len(pending) - sum(
            known.held(f"group-{pending_group.group}") for pending_group in pending
        )
        states = self._fleet.look(list(self._members.values())) if self._members else {}
        for name, member in list(self._members.items()):
            state = states.get(name, "lost")
            if state in ("waiting", "running"):
                continue
            del self._members[name]
            if state != "ended":
                report(Said(f"worker {name} was {state}; another one takes its place"))
            if free:  # else it ended for want of work
                self._barren = max(self._barren, self._tries[name])
            if self._barren >= BARREN:
                raise FleetError(
                    f"{self._barren} workers in a row ended, and nothing came of it; what the "
                    f"last one said is in {member.log}"
                )
        idle = max(0, len(self._members) - (len(pending) - free))
        if (
            more := min(self._fleet.width - len(self._members), free - idle)
        ) > 0 and time.monotonic() >= self._later:
            self._submit(more, report)

    def _submit(self, n: int, report: Report) -> None:
        try:
            submitted = self._fleet.submit(n, self._command)
        except FleetError as e:
            if not self._members:
                raise
            self._later = (
                time.monotonic() + LATER
            )  # a limit on what one may submit, perhaps: those that are at it go on
            report(Said(f"no more workers for now, {e}"))
            return
        for member in submitted:
            self._members[member.id] = member
            self._tries[member.id] = self._barren + 1

    def words(self, count: int) -> str:
        """Say in a line how many are at it, and how many were asked for."""
        member_count = len(self._members)
        return (
            super().words(count)
            if count
            else (
                f"{member_count} worker{'s were' if member_count > 1 else ' was'} asked for, and "
                "none is at it "
                "now"
            )
        )

    def dismiss(self, report: Report) -> None:
        """Stop all of them; of an engine that does not answer, only tell: what was asked for is
        stored, and they end when nothing is wanted."""
        if self._members:
            try:
                self._fleet.cancel(list(self._members.values()))
            except FleetError as e:
                report(Said(str(e)))
            self._members = {}


def _store_address(root: Path) -> str:
    """What to type for this store: its folder, or the URL of the depot that it mirrors."""
    return url_of(root) or str(root)


EXECUTOR = Away
