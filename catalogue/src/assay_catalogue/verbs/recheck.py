"""Recheck: every recorded claim judged anew, and every contest of one, by today's rule and
controls."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.core.errors import AssayError
from assay.core.experiment import ALL, Experiment
from assay.core.results import ResultData
from assay.lab import catalogue
from assay.lab.plan.preset import override
from assay.lab.records import contests, recording, records
from assay.lab.records.recording import departs
from assay.verbs.reproduce import in_words
from assay.verbs.verb import Answer, Door, Part, Table, verb
from assay_catalogue.recorded import contest
from assay_catalogue.verbs.series import Names


@dataclass(frozen=True)
class Moved:
    """One recorded statement, contest or input that is another one now."""

    record: str
    """The experiment's name, with its preset where that lies elsewhere."""
    what: str
    recorded: str
    now: str


@dataclass(frozen=True)
class Rechecked:
    """What was judged anew, and what moved."""

    records: int
    statements: int
    contests: int
    moved: tuple[Moved, ...]


@verb("what moved when every recorded claim was judged anew")
def command(name: Names = ALL, /, *, door: Door) -> Answer[Rechecked]:
    """Judge recorded claims and their contests anew, by the rule, controls and models as they are
    now; nothing is trained. Exit 1 where one moved.

    Examples
    --------
    assay recheck superposition
    """
    names = [e.name for e in catalogue.entries()] if name == ALL else [name]
    with door.bar("recheck", "experiments") as bar:
        result = recheck(names, lambda done: bar(done, len(names)))
    return Answer(result, words(result), int(bool(result.moved)))


def recheck(names: Sequence[str], report: Callable[[int], None]) -> Rechecked:
    """Judge the records of these experiments anew, with their contests; `report` hears how many
    experiments are done. A wheel has no measures of presets that lie elsewhere: those are not
    judged. Raises: ExperimentError."""
    moved: list[Moved] = []
    counts = {"records": 0, "statements": 0, "contests": 0}
    for done, each in enumerate(names):
        report(done)
        experiment = catalogue.find(each)
        for preset in ("default", *experiment.elsewhere):
            if not records.carried(records.name_of(experiment, preset), experiment.origin):
                continue
            if (record := records.load_record(experiment, preset)) is not None:
                counts["records"] += 1
                moved += _moved(experiment, preset, record, counts)
    report(len(names))
    return Rechecked(**counts, moved=tuple(moved))


def words(result: Rechecked) -> Iterator[Part]:
    """Tell what moved, and of how many."""
    if result.moved:
        rows = [(m.record, m.what, m.recorded, m.now) for m in result.moved]
        yield Table(("record", "what", "recorded", "now"), rows, wide={"what": 1})
    many = f"{result.statements} statements and {result.contests} contests in {result.records}"
    yield f"{many} records judged anew: {len(result.moved) or 'none'} moved."


def _moved(
    experiment: Experiment, preset: str, record: Mapping[str, Any], counts: dict[str, int]
) -> Iterator[Moved]:
    name = records.name_of(experiment, preset)
    judged, exact, findings = recording.rejudge(experiment, record)
    now = ResultData(verdicts=judged, exact=exact, findings=findings)
    for kind, text, old, new in recording.paired(now, ResultData.from_json(record)):
        counts["statements"] += 1
        if why := departs(old, new):
            yield Moved(name, f"{text} ({why})", in_words(old, kind), in_words(new, kind))
    for past in contests.of_record(name, experiment.origin):
        counts["contests"] += 1
        if (effect := contest.rejudge(experiment, past)) != past.effect:
            yield Moved(name, f"contest {past.name}", past.effect, effect)
    if experiment.inputs is None:
        return
    read = dict(record["provenance"]["inputs"])
    with contextlib.suppress(AssayError):  # the model is not at hand: its revision is not known
        for key, digest in experiment.inputs(override(experiment, preset).specs[0]).items():
            if key in read and read[key] != digest:
                yield Moved(name, f"{key} that it reads", read[key][:12], digest[:12])
