"""Running: tools that plan, freeze and run what is asked, and give its verdicts."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Annotated

from msgspec import Meta

from assay.agents import answers, basis
from assay.agents.answers import Answer
from assay.agents.arguments import Chosen, Key, Named, Sets, Study
from assay.agents.asking import experiment_of, submit
from assay.agents.opening import Opening
from assay.ask.freezing import preregister
from assay.core.errors import AssayError
from assay.core.experiment import Experiment
from assay.core.results import ResultData
from assay.jobs import folder
from assay.jobs.folder import OVER, Job
from assay.lab.plan.plan import command_times
from assay.lab.plan.preset import Preset

AGAIN = 0.1
"""Seconds between looks while `status` waits."""


class Running(Opening):
    """What is run, and how far it is."""

    def plan(
        self, study: Study = "", experiment: Named = "", preset: Chosen = "default", sets: Sets = ()
    ) -> Answer:
        """Say what running a study or an experiment would do and take: runs, time, which are
        stored, how wide intervals may be, how many units decide. Nothing runs.
        """
        with self._one, self._opened(study, experiment, preset, sets) as ready:
            return self._plan(ready)

    def preregister(
        self, study: Study = "", experiment: Named = "", preset: Chosen = "default", sets: Sets = ()
    ) -> Answer:
        """Freeze what will be judged, before any run of its seeds exists: only then is its verdict
        confirmatory, and any other exploratory.

        Do it between plan and run, on seeds that no one has looked at. What is frozen stays; then
        run with the same arguments.
        """
        with self._one, self._opened(study, experiment, preset, sets) as ready:
            registration = preregister(self._lab, ready.experiment, ready.preset, here=False)
            claims = answers.asks(ready.experiment.sized(ready.preset.specs))
            return answers.preregistered(registration, self._plan(ready), claims)

    def run(
        self, study: Study = "", experiment: Named = "", preset: Chosen = "default", sets: Sets = ()
    ) -> Answer:
        """Run a study or an experiment: starts it and returns at once with its key; where all of
        it is stored, with the verdicts.

        What is asked again is the same run; one that failed or was cancelled is resumed. It goes on
        when you leave. Then status, and result."""
        with self._one, self._opened(study, experiment, preset, sets) as ready:
            lab = self._lab
            planned = lab.plan(ready.experiment, ready.preset)
            width = lab.executor_for(ready.experiment).width
            times = command_times(planned, ready.experiment, width)
            seconds = times[0] if times is not None else None
            job = submit(self.root.absolute(), ready, self.bounds, len(planned.cached), seconds)
            is_done = job.state.status == "done"
            known = None if is_done else lab.known(ready.experiment, planned)
            if known is None:
                return self._progress(job)
            answer = self._judged(known, job, ready.experiment, ready.preset)
            return self._progress(job, answer)

    def status(self, key: Key, wait_s: Annotated[float, Meta(ge=0, le=30)] = 0) -> Answer:
        """Say how far a run is, and about how long it still takes; with `wait_s` as soon as it is
        over. There are no verdicts, and no estimates, before its end.

        Args:
            wait_s: Seconds to wait for its end, 30 at most.
        """
        job, until = self._job(key), time.monotonic() + wait_s
        while job.state.status not in OVER and time.monotonic() < until:
            time.sleep(AGAIN)
        with self._one:
            return self._progress(job)

    def result(self, key: Key) -> Answer:
        """Give the verdicts of a run that is done, each with its interval, its controls and its
        scope, and what they rest on."""
        with self._one:
            return self._result(self._job(key))

    def cancel(self, key: Key) -> Answer:
        """Stop a run. What it stored is kept, and run with the same arguments resumes it."""
        folder.cancel(self.root.absolute(), key)
        with self._one:
            return self._progress(self._job(key))

    def _job(self, key: str) -> Job:
        """The run of this key. Raises: NoJob."""
        job = Job(self.root.absolute(), key)
        job.asked  # noqa: B018 — raises where it is not there
        return job

    def _progress(self, job: Job, result: Answer | None = None) -> Answer:
        """How far a run is, with what it rests on."""
        state = job.state
        if state.status == "done" and result is None:
            result = self._result(job)
        experiment, preset = experiment_of(job, self.bounds) or (None, None)
        done = job.asked["runs"] if state.status == "done" else None
        if result is not None:
            return answers.submitted(job, state, done, experiment, preset, result=result)
        if experiment is not None and preset is not None:
            with suppress(AssayError):  # a model that is gone, say
                done = len(self._lab.plan(experiment, preset).cached)
        looks = self._looks(experiment, preset, include_current=False)
        rests = basis.planned(self._lab.store, experiment, preset)
        return answers.submitted(job, state, done, experiment, preset, looks, rests)

    def _result(self, job: Job) -> Answer:
        experiment, preset = experiment_of(job, self.bounds) or (None, None)
        data = ResultData.from_json(job.result)
        return self._judged(data, job, experiment, preset)

    def _judged(
        self, data: ResultData, job: Job, experiment: Experiment | None, preset: Preset | None
    ) -> Answer:
        looks = self._looks(experiment, preset, include_current=True)
        unlike = (
            basis.unlike(self._lab.store, experiment, preset)
            if experiment is not None and preset is not None
            else ""
        )
        return answers.judged(data, job, job.state, looks, unlike)
