"""Watch: what whoever follows a run is told: what is stored, how long it will take, and early
verdicts now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from assay.core.compute import Range
from assay.core.experiment import Experiment
from assay.lab.events import Failed, Outcome, Partial, Progress, Saved, Started
from assay.lab.plan import Plan, as_planned, plan
from assay.lab.result import common_seeds, judge_all
from assay.lab.schedule import Schedule
from assay.lab.store import Store
from assay.lab.time_left import Pace


class Watch:
    """Turns outcomes into events: counts what is stored, tells how long it will take, and judges
    now and then what is there."""

    def __init__(
        self,
        store: Store,
        experiment: Experiment,
        initial_plan: Plan,
        schedule: Schedule,
        tell: Callable[[Any], None],
        pace: Pace,
        eta: Callable[[], Range | None],
        early: bool = True,
    ):
        self._store, self._experiment, self._now, self._schedule, self._tell = (
            store,
            experiment,
            initial_plan,
            schedule,
            tell,
        )
        self._pace, self._eta, self._early = pace, eta, early
        self._done_share: dict[str, float] = {}
        self._judging: threading.Thread | None = None
        self._next_look = 0.0
        self._closed = False

    def heard(self, event: Any) -> None:
        """Pass on what a worker reported, with the time that is left."""
        if isinstance(event, Started):
            self._pace.began(event.group, self._schedule.amount(event.group))
        if isinstance(event, Progress):
            self._done_share[event.group] = event.done / event.total if event.total else 0.0
            event = replace(event, eta=self._eta())
        self._tell(event)

    def settled(self, outcome: Outcome) -> None:
        """Tell how a task ended, and judge now and then what is stored."""
        group = self._schedule.groups[outcome.group]
        self._done_share.pop(outcome.group, None)
        if outcome.status == "done":
            self._pace.stored(outcome.group, self._schedule.resumed(outcome.group))
        else:
            self._pace.gone(outcome.group)
        if outcome.status == "failed":
            self._tell(Failed(group.name, tuple(group.arms), outcome.text))
        elif outcome.status == "done":
            runs = len(self._now.cached) + self._schedule.runs_done
            self._tell(
                Saved(
                    group.name,
                    tuple(group.arms),
                    min(runs, len(self._now.rows)),
                    len(self._now.rows),
                    self._eta(),
                )
            )
            self._look()

    def close(self) -> None:
        """Wait for an early verdict that is being judged, and tell none after this."""
        self._closed = True
        if self._judging is not None:
            self._judging.join()

    def left(self) -> float:
        """The cost of everything that is not stored, what groups have done so far taken off, in the
        units of `per_run`."""
        return self._schedule.left() - sum(
            self._schedule.cost(n) * share for n, share in list(self._done_share.items())
        )

    def _look(self) -> None:
        """Judge in a thread what every arm has by now, at most a twentieth of the time, so that
        training is not held up."""
        alive = self._judging is not None and self._judging.is_alive()
        if (
            alive
            or not self._early
            or not self._schedule.left()
            or time.monotonic() < self._next_look
        ):
            return
        self._judging = threading.Thread(target=self._judge, daemon=True)
        self._judging.start()

    def _judge(self) -> None:
        started = time.monotonic()
        try:
            current_plan = plan(
                self._store, self._experiment, self._now.preset, inputs_of=as_planned(self._now)
            )
            arms, seeds = common_seeds(current_plan)
            if seeds and current_plan.missing:
                result = judge_all(self._experiment, current_plan, arms, figures=False)
                if not self._closed:
                    self._tell(Partial(result, seeds))
        except Exception:
            pass  # too little is there; the last judging, on everything, says what stays wrong
        self._pace.closing = time.monotonic() - started
        self._next_look = time.monotonic() + max(2.0, 20 * self._pace.closing)
