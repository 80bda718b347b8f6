"""Series: several experiments as one command, in one store, on one set of workers; each is judged
as soon as it is whole."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from assay.core.compute import Range
from assay.core.errors import AssayError, ClaimError, RunError
from assay.core.experiment import Experiment
from assay.lab import catalogue
from assay.lab.lab import Lab
from assay.lab.plan.plan import START, Plan, command, replan, spanned
from assay.lab.plan.preset import override
from assay.lab.work.events import one_at_a_time
from assay.lab.work.work import Work, work


@dataclass(frozen=True)
class Surveyed:
    """What every experiment of a series lacks; nothing has been done yet."""

    experiments: int
    """How many were named; some may have no plan."""
    plans: tuple[Plan, ...]
    seconds: Range | None
    """How long what is missing takes, where that is known."""
    workers: int


@dataclass(frozen=True)
class ExperimentOutcome:
    """One experiment of a series, and how it ended."""

    name: str
    data: Mapping[str, Any] | None = None
    """Its result as plain values; None where it ended in an error."""
    error: AssayError | None = None
    runs: int = 0
    """Runs that it has."""
    trained: int = 0
    """Runs of these that this command trained or measured; 0: everything was stored."""
    sessions: tuple[tuple[float, float], ...] = ()
    """When its stored runs were worked on, in seconds of the epoch."""


@dataclass(frozen=True)
class Ended:
    """One experiment of a series is judged, or ended in an error."""

    part: ExperimentOutcome
    done: int
    """How many of them have ended, this one included."""
    total: int


@dataclass(frozen=True)
class Series:
    """What became of every experiment of a series, in the order in which they were named."""

    preset: str
    parts: tuple[ExperimentOutcome, ...]

    @property
    def sessions(self) -> tuple[tuple[float, float], ...]:
        """When any of its stored runs was worked on, by whichever command, in seconds of the
        epoch."""
        return tuple(sorted({s for p in self.parts for s in p.sessions}))

    @property
    def seconds(self) -> float:
        """Seconds during which at least one of its stored runs was worked on, by whichever
        command."""
        return spanned(self.sessions)

    @property
    def cpu_seconds(self) -> float:
        """CPU-seconds of all its stored runs."""
        return sum(float(p.data["cpu_seconds"]) for p in self.parts if p.data is not None)

    @property
    def exit_code(self) -> int:
        """0 when everything was measured, else that of the worst error: 3 where runs crashed, 2 for
        what a user can mend."""
        unjudged = [
            ClaimError.exit_code for p in self.parts if p.data is not None and p.data["failed"]
        ]
        return max(
            [*unjudged, *(p.error.exit_code for p in self.parts if p.error is not None)], default=0
        )


def series(
    lab: Lab,
    names: Sequence[str],
    preset: str = "default",
    on_event: Callable[[str, Any], None] = lambda name, event: None,
) -> Series:
    """Train and measure whatever is missing of these experiments, judge each, and say what became
    of it.

    The dearest is begun first, so that short ones fill the end. One that ends in an error does not
    stop the others. `on_event` gets the experiment's name, "" for the whole, and an event.

    Raises: KeyboardInterrupt at once, also while an experiment is judged; the same call then goes
    on where it was."""
    hear = one_at_a_time(lambda message: on_event(*message))

    def tell(name: str, event: Any) -> None:
        hear((name, event))

    parts: dict[str, ExperimentOutcome] = {}
    plans: dict[str, tuple[Experiment, Plan]] = {}
    order: dict[str, None] = {}
    for name in names:
        try:
            experiment = catalogue.find(name)
            order[experiment.name] = None
            plans[experiment.name] = experiment, lab.plan(experiment, override(experiment, preset))
        except Exception as e:
            order.setdefault(name)
            parts[name] = ExperimentOutcome(name, error=_to_error(e))
    works = [
        Work(lab.store, e, p, lab.device, partial(tell, n))
        for n, (e, p) in plans.items()
        if p.missing
    ]
    works.sort(key=lambda w: -w.left())
    executor = lab.executor_for([w.experiment for w in works])
    planned = _seconds(works, executor.width)
    tell("", Surveyed(len(order), tuple(p for _, p in plans.values()), planned, executor.width))

    def ended(part: ExperimentOutcome) -> None:
        parts[part.name] = part
        tell(part.name, Ended(part, len(parts), len(order)))

    for i, part in enumerate(list(parts.values()), 1):
        tell(part.name, Ended(part, i, len(order)))
    with _serve_in_background(lambda name: _judged(lab, *plans[name]), ended) as judge:
        for name, (_, p) in plans.items():
            if not p.missing:
                judge(name)

        def whole(work_item: Work) -> None:
            if work_item.error is None:
                judge(work_item.experiment.name)
            else:
                ended(
                    ExperimentOutcome(work_item.experiment.name, error=_to_error(work_item.error))
                )

        work(lab.store, executor, works, whole)
    return Series(preset, tuple(parts[n] for n in order))


@contextlib.contextmanager
def _serve_in_background(
    do: Callable[[str], ExperimentOutcome], callback: Callable[[ExperimentOutcome], None]
) -> Iterator[Callable[[str], None]]:
    """A function that has things done one after the other, beside what the caller does; `then` is
    told what came of each.

    Leaving waits for all of them. An interrupt waits for none: what is being done is heard of no
    more, and ends with the process if that ends first, so it must leave whole files or none.
    """
    requests: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    failed: list[BaseException] = []
    heard, stop_event = threading.Lock(), threading.Event()

    def serve() -> None:
        try:
            while (name := requests.get()) is not None and not stop_event.is_set():
                part = do(name)
                with heard:
                    if not stop_event.is_set():
                        callback(part)
        except BaseException as e:
            failed.append(e)

    # no pool: the interpreter waits for the threads of one
    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        yield requests.put
        requests.put(None)
        server.join()
        if failed:
            raise failed[0]
    finally:
        with heard:  # whoever is being told something is told it to the end
            stop_event.set()
        requests.put(None)


def _judged(lab: Lab, experiment: Experiment, first: Plan) -> ExperimentOutcome:
    """The part of an experiment whose runs are all stored: its stored result where judging would
    say the same again."""
    part = ExperimentOutcome(experiment.name, runs=len(first.rows), trained=len(first.missing))
    try:
        current_plan = replan(lab.store, experiment, first)
        stored = lab.known(experiment, current_plan)
        data = (stored or lab.finish(experiment, current_plan).data).to_json()
    except Exception as e:
        return replace(part, error=_to_error(e))
    return replace(part, data=data, sessions=current_plan.sessions)


def _seconds(works: Sequence[Work], width: int) -> Range | None:
    """Return how long all of it takes, each judged by itself, where something is known of each."""
    if not works:
        return Range(0, 0)
    known = [w.first.cpu_seconds for w in works if w.first.cpu_seconds is not None]
    if len(known) < len(works):
        return None
    judging = START * (sum(bool(w.first.missing) for w in works) - 1)
    scaled = any(w.first.scaled for w in works)
    return command(sum(known) + max(0.0, judging), width, scaled)[0]


def _to_error(e: Exception) -> AssayError:
    if isinstance(e, AssayError):
        return e
    return RunError(f"{type(e).__name__}: {(str(e) or 'no message').splitlines()[0]}")
