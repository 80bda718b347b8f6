"""Opening: the store that agents ask, and what they ask of it, opened and planned."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from assay.agents import answers, basis
from assay.agents.answers import Answer
from assay.agents.asking import Asked, Bounds, Ready, opened
from assay.agents.basis import Looks
from assay.ask.missing import find_gaps
from assay.ask.planned import plan
from assay.core.experiment import Experiment
from assay.lab.engines import Workers
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset


class Opening:
    """A store, and the files that an agent may name. Its state is in the store alone, so any number
    of servers may answer for it."""

    def __init__(self, root: Path, bounds: Bounds = Bounds()):  # noqa: B008 — frozen
        self.root, self.bounds = root, bounds
        self._one = threading.Lock()  # importing experiments, and judging, is one at a time

    @property
    def _lab(self) -> Lab:
        return Lab(self.root.absolute(), Workers())

    def _opened(
        self, study: str, experiment: str, preset: str, sets: tuple[str, ...]
    ) -> AbstractContextManager[Ready]:
        """Open what is asked. Raises: AssayError."""
        asked = Asked(study=study, experiment=experiment, preset=preset, sets=sets)
        return opened(self.root, asked, self.bounds)

    def _looks(
        self, experiment: Experiment | None, preset: Preset | None, *, include_current: bool
    ) -> Looks:
        if experiment is None or preset is None:
            return basis.unknown()
        seeds = [s.seed for s in preset.specs]
        store = self._lab.store
        return basis.count_looks(experiment, seeds, store, include_current=include_current)

    def _plan(self, ready: Ready) -> Answer:
        lab = self._lab
        gaps = find_gaps(ready.study, ready.experiment).gaps if ready.study else ()
        without_places = [
            replace(u, text=ready.without_places(u.text), cost=ready.without_places(u.cost))
            for u in gaps
        ]
        planned = plan(lab, ready.experiment, ready.preset)
        looks = self._looks(ready.experiment, ready.preset, include_current=False)
        rests = basis.planned(lab.store, ready.experiment, ready.preset)
        return answers.planned(ready.key, planned, without_places, looks, rests)
