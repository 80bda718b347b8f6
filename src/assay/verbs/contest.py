"""Contest: somebody else's arm put to a recorded claim, and what came of it; or what was put to it
before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.core.errors import ExperimentError
from assay.core.experiment import Experiment
from assay.lab import catalogue, contest
from assay.lab.contest import Challenger
from assay.lab.lab import Lab
from assay.lab.records import contests, records
from assay.lab.records.contests import Contest
from assay.report import tables
from assay.report.tables import SIGNS
from assay.verbs.options import HERE, Flag, Name, Place, Several
from assay.verbs.verb import Answer, Door, Line, Part, Table, verb


@dataclass(frozen=True)
class Contested:
    """The contests of a record: those committed beside it, and those of a store."""

    experiment: str
    preset: str
    contests: tuple[Contest, ...]


@verb("the contests of a recorded claim, a new one too")
def command(
    name: Name,
    number: int = 0,
    /,
    *,
    arm: str = "",
    set: Several = (),
    why: str = "",
    by: str = "",
    record: Flag = False,
    preset: str = "default",
    place: Place = HERE,
    door: Door,
) -> Answer[Contested]:
    """Put an arm of your own to a recorded claim: only that arm is trained, on the record's seeds,
    and the claim is judged again with it. Without an arm: what was put to it before.

    Parameters
    ----------
    number
        The claim's, from 1, as on pages.
    arm
        A Python file that defines `arm = Arm(…)`; or an arm of the experiment's, with --set.
    set
        field=value: how your arm differs from that of the experiment.
    why
        What it is and why it is honest, where no file says so.
    by
        Who puts it.
    record
        Write it beside the record, whose pages then tell of it.
    preset
        The preset that was recorded.

    Examples
    --------
    assay contest gated-sae 1
    assay contest gated-sae 1 --arm main --set steps=50 --why "hardly trained"
    """
    experiment, lab = catalogue.find(name), place.lab()
    if not arm:
        if set or why or record:
            raise ExperimentError("--set, --why and --record are of an arm: name it by --arm")
        past = read(experiment, lab, number, preset)
        nothing = [f"nobody has contested {name}{f' {number}' if number else ''}"]
        return Answer(past, words(past.contests) if past.contests else nothing)
    challenger = _challenger(experiment, arm, set, why)
    with door.run(experiment.name) as display:
        result, data = contest.contest(
            lab, experiment, number, challenger, preset=preset, by=by, on_event=display
        )
    folder = contests.folder(experiment) if record else contest.stored(lab)
    file = contests.path(folder, records.name_of(experiment, preset), result)
    contest.save(file, result, data)
    answer = Contested(experiment.name, preset, (result,))
    return Answer(answer, [*words((result,)), Line(str(file))])


def read(experiment: Experiment, lab: Lab, number: int = 0, preset: str = "default") -> Contested:
    """Read the contests of a claim, of all claims without a number: those that are committed and
    those of a store. Raises: ExperimentError."""
    name = records.name_of(experiment, preset)
    past = contests.of_record(name, experiment.origin)
    past += contests.read_all(contest.stored(lab), name)
    return Contested(experiment.name, preset, tuple(c for c in past if number in (0, c.number)))


def words(past: Sequence[Contest]) -> Iterator[Part]:
    """Tell each contest: the arm, its number, and what came of it."""
    yield Table(
        ("claim", "arm", "its number", "effect"),
        [
            (
                f"{SIGNS[c.after]} {c.number}. {c.text}",
                [c.arm, c.note],
                interval(c),
                contests.WORDS[c.effect] + (f": {c.why}" if c.why else ""),
            )
            for c in past
        ],
        wide={"claim": 1, "arm": 1},
        narrow={"effect": 30},
    )
    yield from contests.lines(past)


def interval(contest: Contest) -> str:
    """Write the number of a contest's arm, with its interval."""
    low, high = tables.number(contest.low), tables.number(contest.high)
    return f"{tables.number(contest.estimate)} [{low}, {high}]"


def _challenger(experiment: Experiment, arm: str, sets: tuple[str, ...], why: str) -> Challenger:
    if arm.endswith(".py"):
        if sets or why:
            raise ExperimentError(
                f"{arm} says itself how it differs and why: leave out --set and --why"
            )
        return contest.from_file(Path(arm))
    return contest.varied_from(experiment, arm, sets, why)
