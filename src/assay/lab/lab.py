"""Lab: plan, run, judge and show an experiment in a store, as commands and notebooks do."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay.core.display import follower
from assay.core.errors import AssayError, ExperimentError
from assay.core.experiment import Experiment
from assay.core.results import ResultData
from assay.lab.catalogue import STORE
from assay.lab.engines import Executor, Inline, Workers
from assay.lab.judge import followed, kept, looks, questions
from assay.lab.judge.followed import Followed
from assay.lab.judge.questions import Questions
from assay.lab.judge.result import Result, replaced
from assay.lab.plan.plan import Plan, as_stored, plan, replan
from assay.lab.plan.preset import Preset, override
from assay.lab.store import groups as grouping
from assay.lab.store import journal
from assay.lab.store.atomic import explained
from assay.lab.store.store import Store
from assay.lab.work.events import BEFORE, Finished, OnEvent, Said, Saved, Waiting, one_at_a_time
from assay.lab.work.slots import UNKNOWN, Slots
from assay.lab.work.work import Work, take, work

PresetChoice = str | Preset
OWN = 0.7e9
"""Bytes that a worker takes at least besides what it shares."""


class Lab:
    """A store of runs, and something that runs tasks.

    Args:
        root: a folder, made when first written to.
        executor: what runs tasks; None: worker processes.
        device: of tensors, as torch names it.
        together: whether its tasks share the cores and the memory of this machine with those of
            other commands.
    Raises: StoreError when the folder `root` is no store this version can read.
    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from assay import Lab
        >>> from assay.lab.engines import Inline
        >>> from assay import Arm, Experiment, Spec, Trained, grid, measures, normal
        >>> def measure(runs, trained, bench):
        ...     x = normal(runs.seeds, "inputs", 0, (100,))
        ...     return measures(runs, power=("run", (x**2).mean(1), "1"))
        >>> arms = {"main": Arm(lambda runs, bench: Trained.nothing(runs))}
        >>> seeds = grid(Spec(), seed=range(1000, 1008))
        >>> experiment = Experiment(arms, measure, (), seeds[:2], seeds, seeds, name="power")
        >>> with TemporaryDirectory() as folder:
        ...     lab = Lab(f"{folder}/store", Inline())
        ...     len(lab.plan(experiment).missing), lab.run(experiment)
        (8, <Result of power (default): no verdicts; to_pandas() has the table>)
    """

    def __init__(
        self,
        root: Path | str | None = None,
        executor: Executor | None = None,
        device: str = "cpu",
        together: bool = False,
    ):
        self.store, self.together = Store(root), together
        STORE.set(self.store.root)
        self.executor = executor if executor is not None else Workers()
        self.device = device

    def plan(self, experiment: Experiment, preset: PresetChoice = "default") -> Plan:
        """Show what `run` would do for each run; nothing is written."""
        return plan(
            self.store,
            experiment,
            _preset(experiment, preset),
            self.executor_for(experiment).width,
        )

    def run(
        self,
        experiment: Experiment,
        preset: PresetChoice = "default",
        on_event: OnEvent | None = None,
        planned: Plan | None = None,
    ) -> Result:
        """Train and measure what is missing, and judge; what was interrupted is
        continued. A notebook shows a bar. `planned` is what `plan` gave just now, if it was asked.

        Raises: RunError when training crashed (what could be stored is stored); StoreError before
        anything is written when the disk is too small; KeyboardInterrupt at once, resumable.
        """
        tell = one_at_a_time(on_event or follower() or (lambda event: None))
        chosen = _preset(experiment, preset)
        experiment = experiment.designed(chosen.specs[:1])
        first = planned or self.plan(experiment, chosen)
        frozen = followed.following(self.store, experiment, first, models=True)
        if frozen.warning:
            tell(Said(frozen.warning))
        if first.missing and frozen.declared is None:  # what was frozen is measured for itself
            taken = take(self.store, experiment, first)
            for name, count in taken.items():
                tell(Said(f"runs taken from {name}, which measured the same: {count}"))
            first = self.plan(experiment, chosen) if taken else first
        if first.missing:
            if experiment.materials is not None:
                arms, seeds = (
                    {*x}
                    for x in zip(
                        *((r.job.arm, r.job.spec.seed) for r in first.missing), strict=True
                    )
                )

                def say(text: str) -> None:
                    tell(Waiting(text) if text.startswith(BEFORE) else Said(text))

                experiment.materials.rehearse(arms, seeds, self.device, say)
            noting = self._noting(experiment, first, tell)
            work_item = Work(self.store, experiment, first, self.device, noting)
            executor = self.executor_for(experiment)
            slots = self._slots(experiment, first, executor) if self.together else None
            work(self.store, executor, work_item, slots)
            if work_item.error is not None:
                raise work_item.error
        current_plan = replan(self.store, experiment, first)
        grouping.tidy(self.store, experiment.name, [row.job.key for row in current_plan.cached])
        result = self.finish(experiment, current_plan, frozen)
        tell(Finished(result))
        return result

    def _slots(self, experiment: Experiment, first: Plan, executor: Executor) -> Slots:
        """The cores and memory that its tasks need, by what is shared and what stored runs took."""
        shared = experiment.shared.size() if experiment.shared is not None else 0.0
        took = [float(run.provenance.get("peak_rss", 0)) for run in first.stored]
        own_memory = max(OWN, max(took, default=0.0) - shared)
        seconds = UNKNOWN if first.cpu_seconds is None else first.cpu_seconds
        each = getattr(executor, "threads", 1)
        return Slots(each, shared, own_memory, name=experiment.name, seconds=seconds)

    def _noting(self, experiment: Experiment, first: Plan, tell: OnEvent) -> OnEvent:
        """Return a listener that also notes, once runs are stored, that they are measured: a user
        who interrupts the others may have seen these."""
        noted = experiment.materials is None

        def listen(event: Any) -> None:
            nonlocal noted
            if isinstance(event, Saved) and not noted:
                noted = True
                with suppress(AssayError), explained(self.store.root):
                    parts = questions.measured(experiment, first.preset)
                    Questions.of(self.store).note_measured(experiment.name, parts)
            tell(event)

        return listen

    def finish(self, experiment: Experiment, now: Plan, frozen: Followed | None = None) -> Result:
        """Judge what is stored, and write the result into the store. Raises: StoreError when runs
        are missing; ClaimError."""
        if frozen is None or frozen.frozen is None:  # it may have been frozen during the run
            frozen = followed.following(self.store, experiment, now, models=True)
        result = frozen.judged(now)
        self.store.prepare()
        with explained(self.store.root):
            result = frozen.noted(result, now)
        result.note(self.store)
        with explained(self.store.root):
            path = journal.stored(self.store, experiment.name)
            looks.freeze(path, experiment, result.look, result.exact)
            outcomes = {j.text: j.outcome for j in result.judged}
            ledger, asked = Questions.of(self.store), frozen.asked
            ledger.note_study(experiment.name, questions.JUDGED, asked, outcomes)
            about = journal.subject(experiment, now.preset.specs)
            noted = frozen.ledger.note("judged", experiment.name, now.preset.title, about)
        result = replace(result, ledger=noted)
        about_files = kept.described(self.store, experiment, now, result, questions.written(asked))
        speaks = tuple(kept.speaks_for(result.data))
        result = replace(result, kept=about_files, speaks=speaks)
        result.write(self.store)
        return result

    def judge(self, experiment: Experiment, preset: PresetChoice = "default") -> Result:
        """Judge what is stored; nothing is trained or written. Raises: StoreError when runs are
        missing."""
        chosen = _preset(experiment, preset)
        experiment = experiment.designed(chosen.specs[:1])
        now = self._stored(experiment, chosen)
        result = followed.following(self.store, experiment, now).judged(now)
        notes = (*result.notes, *replaced(self.store, now))
        return replace(result, notes=notes, speaks=tuple(kept.speaks_for(result.data)))

    def known(self, experiment: Experiment, planned: Plan) -> ResultData | None:
        """Give the stored result of a plan if judging again would give the same; None if it might
        not."""
        if planned.missing:
            return None
        place = self.store.root, experiment.name, experiment.origin, planned.preset.title
        stored = kept.read(*place, is_planned=True)
        return stored and stored.data

    def _stored(self, experiment: Experiment, preset: Preset) -> Plan:
        """What is stored, whatever it read; runs that read different things count only where the
        experiment says they should."""
        stored_plan = plan(self.store, experiment, preset, inputs_of=as_stored)
        read = {tuple(sorted(r.inputs.items())) for r in stored_plan.cached}
        noted = {pair for run in stored_plan.stored for pair in run.read.items()}
        mixed = len(noted) > len(dict(noted))  # of one file several contents
        # Several where arms are meant to differ, or where a command was interrupted after the model
        # or corpus changed.
        return stored_plan if len(read) <= 1 and not mixed else plan(self.store, experiment, preset)

    def executor_for(self, experiment: Experiment) -> Executor:
        """The executor of its tasks: this lab's, or this process where it is in no file."""
        # functions do not travel to a worker
        return self.executor if experiment.origin else Inline()


def _preset(experiment: Experiment, preset: PresetChoice) -> Preset:
    if not isinstance(experiment, Experiment):
        raise ExperimentError(
            f"expected an Experiment, got {experiment!r}; assay.lab.catalogue.find gives it "
            "for a name or a file"
        )
    return preset if isinstance(preset, Preset) else override(experiment, preset)
