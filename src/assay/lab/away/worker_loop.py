"""Joined: a process that works at a store's groups by lease, from any machine that sees the folder,
until nothing is wanted.

    <root>/workers/<name>           the beat of each such process, and the last thing that it could
    not do <root>/groups/<group>/progress.json     how far it is, for whoever waits; at most one a
    second

Asked to leave, by a signal, it saves the next step of what it trains, gives the lease back, and
ends; what takes too long for that goes on from the last checkpoint, by whoever takes it up.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from assay.core import extras
from assay.core.errors import AssayError, StoreError
from assay.core.heavy import torch
from assay.core.spec import canonical_json
from assay.lab.away import depot, leases, requests
from assay.lab.away.requests import Wanted
from assay.lab.catalogue import load
from assay.lab.records import provenance
from assay.lab.store.atomic import write
from assay.lab.store.origin import in_file
from assay.lab.store.store import Store
from assay.lab.work import groups, memory
from assay.lab.work.events import Outcome, Progress, Started, to_line
from assay.lab.work.worker import Stopped, Task, run_group

POLL = 0.5
"""Seconds between looks at what is wanted."""
TELLS = 1.0
"""Seconds between two files of progress, and between looks at whether a group is still wanted."""
GRACE = 20.0
"""Seconds for the next step to come and be saved, once it was asked to leave; engines kill after 30
or more."""
DEADLY = 5
"""Processes that may die of a group, one after the other and at the same step, until it counts as
failed."""


@dataclass(frozen=True)
class Did:
    """A group that this worker took up, and how it ended here."""

    group: str
    experiment: str
    arms: tuple[str, ...]
    status: Literal["done", "failed", "left"]
    """done; failed; left: it goes on from its checkpoint, here or elsewhere."""
    seconds: float
    text: str = ""
    """What it died of."""


class Joined:
    """One process at work for a store. `tell` hears of each group as it is taken up (`Started`),
    and how it ended (`Did`).

    Only groups of the experiments in `only`, where any are named; on `device`, or, without it,
    where whoever waits wants them; on `threads` threads, after which the process has its own number
    back.
    Raises: StoreError when the store cannot be read or written.
    """

    def __init__(
        self,
        root: Path,
        only: Sequence[str] = (),
        device: str | None = None,
        tell: Callable[[Any], None] = lambda told: None,
        threads: int = 1,
    ):
        extras.require("torch")
        self.threads = threads
        self._store = Store(root.absolute()).prepare()
        self._only, self._device, self._tell = frozenset(only), device, tell
        self._away = depot.open_depot(self._store.root)
        self._asked = False
        self._working = self._started = False
        self._known: dict[str, Wanted] = {}
        self._served: dict[str, int] = {}
        """Of each owner the number of the last group that was taken up for it here."""
        self._refused: set[str] = set()
        self._before = ""
        (self._store.root / "workers").mkdir(exist_ok=True)
        self._beat = leases.Beat(
            self._store.root / "workers" / leases.owner(), leases.lapse() / leases.BEATS
        )

    def run(self, idle: float | None = None) -> list[Did]:
        """Work until asked to leave, or until nothing could be done for so many seconds; what was
        done.

        Raises: StoreError when the store cannot be written any more.
        """
        did: list[Did] = []
        before, quiet = torch.get_num_threads(), time.monotonic()
        torch.set_num_threads(self.threads)
        self._beat.start()
        try:
            with self._leaving():
                while not self._asked:
                    work_record = self._next()
                    if work_record is not None:
                        did.append(work_record)
                        self._tell(work_record)
                        quiet = time.monotonic()
                    elif idle is not None and time.monotonic() - quiet >= idle:
                        break
                    else:
                        time.sleep(POLL)
        except Stopped:
            pass
        finally:
            self._beat.stop()
            torch.set_num_threads(before)
        return did

    def _next(self) -> Did | None:
        """Work at the first group that is wanted and free; None where there is none."""
        root = self._store.root
        if self._away is not None:
            self._away.asked()
        names = requests.names(root)
        self._known = {
            name: request
            for name in names
            if (request := self._known.get(name) or requests.read(root, name))
        }
        # Owners take turns, so that a thousand groups of one hold up nobody else; of an owner the
        # oldest comes first, by a rule that all workers share. Leases keep two from one group.
        for request in sorted(self._known.values(), key=self._turn):
            if (not self._only or request.name in self._only) and (did := self._try(request)):
                self._served[request.terms.owner] = 1 + max(self._served.values(), default=0)
                return did
        return None

    def _turn(self, request: Wanted) -> tuple[int, float, str]:
        return self._served.get(request.terms.owner, 0), request.since, request.group

    def _try(self, request: Wanted) -> Did | None:
        """Work at this group, unless another process has it, or it is not ready, or not for this
        machine."""
        store, name = self._store, f"group-{request.group}"
        folder = store.root / "groups" / request.group
        if leases.open_leases(store.root).held(name):
            return None
        group = groups.read(folder)
        if group is None:
            requests.drop(store.root, request.group)
            return None
        # A folder that machines share may show what another one stored only after a while.
        if any(store.get(parent, request.name) is None for parent in group.parents):
            return None
        with contextlib.ExitStack() as terms:
            if (task := self._task(request, terms)) is None:
                return None
            if self._before not in ("", request.name) and memory.resident() > memory.MUCH:
                memory.hand_back()
            self._before = request.name
            provenance.forget_peak()
            began = time.monotonic()
            outcome = self._ran(task, folder)
        if outcome is not None and outcome.status == "busy":
            if self._started:
                self._tell(
                    f"{request.name}: another worker took this group over, as this one gave no "
                    f"sign of life for {leases.lapse():g} s"
                )
            return None
        seconds = round(time.monotonic() - began, 2)
        if outcome is None:
            return Did(request.group, request.name, tuple(group.arms), "left", seconds)
        return Did(
            request.group,
            request.name,
            tuple(group.arms),
            "failed" if outcome.status == "failed" else "done",
            seconds,
            outcome.text,
        )

    def _task(self, request: Wanted, terms: contextlib.ExitStack) -> Task | None:
        """What is to be run here, on terms that hold until the stack is closed; None where this
        machine cannot, which is said once."""
        device = self._device or request.device
        try:
            terms.enter_context(request.terms.hold(self._store.root, device))
            origin = request.found(self._store)
            if not origin:
                where = (
                    request.origin if in_file(request.origin) else f"the module {request.origin}"
                )
                raise AssayError(
                    f"{where} is not here, or is not the text that whoever waits has; put the "
                    "same file or version of Assay there"
                )
            experiment = load(request.name, origin)
            if not _has_device(device):
                raise AssayError(
                    f"it is wanted on {device[:40]!r}, which is not here; join from a machine "
                    "that has it, or say --device"
                )
        except AssayError as e:
            self._refuse(f"{request.name} cannot run here: {' '.join(str(e).split())}")
            return None
        return Task(
            str(self._store.root),
            request.group,
            request.name,
            origin,
            device,
            experiment=experiment,
        )

    def _refuse(self, line: str) -> None:
        if line not in self._refused:
            self._refused.add(line)
            self._beat.words = line
            self._tell(line)

    def _ran(self, task: Task, folder: Path) -> Outcome | None:
        """How it ended; None where we left it, so that whoever takes it up goes on from its
        checkpoint."""
        root, last_report, looked, is_wanted = self._store.root, 0.0, time.monotonic(), True

        def heard(event: Started | Progress) -> None:
            nonlocal last_report
            if isinstance(event, Started):
                self._started = True
                self._tell(event)
            if isinstance(event, Started) or time.monotonic() - last_report >= TELLS:
                last_report = time.monotonic()
                with contextlib.suppress(OSError):
                    write(folder / "progress.json", to_line(event).encode())

        def stop() -> bool:
            nonlocal looked, is_wanted
            # Asked at every step of a training, so the folder is looked at once a second only.
            if time.monotonic() - looked >= TELLS:
                looked, is_wanted = time.monotonic(), requests.is_wanted(root, task.group)
            return self._asked or not is_wanted

        self._working, self._started = True, False
        try:
            outcome = run_group(task, heard, stop=stop, deadly=DEADLY)
        except Stopped:
            return None
        finally:
            self._working = False
        if outcome.status == "failed":
            if (
                outcome.error == "StoreError"
            ):  # this machine's, such as a full disk: another one may do it
                raise StoreError(outcome.text)
            why = canonical_json({"error": outcome.text, "kind": outcome.error}).encode()
            with contextlib.suppress(OSError):
                write(folder / "failed.json", why)
            if self._away is not None:
                self._away.failed(task.group, why)
        if outcome.status != "busy":
            requests.drop(root, task.group)
        return outcome

    @contextlib.contextmanager
    def _leaving(self) -> Iterator[None]:
        """Take SIGTERM and Ctrl-C as a wish to leave; a second Ctrl-C, or GRACE seconds, as an
        order."""

        def leave(number: int, frame: FrameType | None) -> None:
            was_asked, self._asked = self._asked, True
            if not self._working or (
                was_asked and number != signal.SIGTERM
            ):  # which engines say twice, and then kill
                raise Stopped
            if not was_asked:
                signal.setitimer(signal.ITIMER_REAL, GRACE)

        if (
            threading.current_thread() is not threading.main_thread()
        ):  # a notebook's or a test's: nobody sends it signals
            yield
            return
        before = {
            number: signal.signal(number, leave)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
        }
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)


def _has_device(device: str) -> bool:
    """Whether this machine has such a device."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):  # the latter of a torch without CUDA
        return False
    return True
