"""Challenge-claim: a recorded claim judged again with an arm of your own, or earlier challenges."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.core import digits
from assay.core.errors import ExperimentError, nearest
from assay.core.experiment import Experiment
from assay.lab import catalogue
from assay.lab.lab import Lab
from assay.lab.records import contests, records
from assay.lab.records.contests import Contest
from assay.lab.work.events import OnEvent
from assay.report.tables import SIGNS
from assay.verbs.machine import CPU, Machine
from assay.verbs.parts import AnswerPart, Line, Table
from assay.verbs.verb import HERE, Answer, Door, Flag, Name, Place, Several, verb
from assay_catalogue.recorded import contest
from assay_catalogue.recorded.contest import Challenger


@dataclass(frozen=True)
class Contested:
    """The contests of a record: those committed with it, and those of a store."""

    experiment: str
    preset: str
    contests: tuple[Contest, ...]


@dataclass(frozen=True)
class Repeated:
    """A contest as it was recorded, and as it came out when repeated."""

    recorded: Contest
    now: Contest
    same: bool
    """Whether the outcome is the same, and one estimate is within the other's interval."""


@verb("the challenges to a recorded claim, with any new one; or one repeated")
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
    repeat: str = "",
    preset: str = "default",
    place: Place = HERE,
    machine: Machine = CPU,
    door: Door,
) -> Answer[Contested | Repeated]:
    """Challenge a recorded claim with an arm of your own. Only that arm is trained, on the record's
    seeds, and the claim is judged again with it. Without an arm, list earlier challenges.

    Parameters
    ----------
    number
        The number of the claim, from 1, as on its page.
    arm
        A Python file that defines `arm = Arm(…)`; or, with --set, an arm of the experiment.
    set
        field=value: how your arm differs from the experiment's arm.
    why
        What the arm is and why it is a fair challenge, if no file says so.
    by
        Who challenges the claim.
    record
        Write the challenge next to the record, so that its pages report it.
    repeat
        Train and measure a committed challenge again, from an empty store. It is named by the
        claim's number and the arm, as 2.lot. Exits with code 1 if the outcome differs.
    preset
        The preset that was recorded.

    Examples
    --------
    assay challenge-claim gated-sae 1
    assay challenge-claim gated-sae 1 --arm main --set steps=50 --why undertrained
    """
    experiment, lab = catalogue.find(name), place.lab()
    if repeat:
        return _repeated(experiment, preset, repeat, machine, door)
    if not arm:
        if set or why or record:
            raise ExperimentError("--set, --why and --record need an arm; name it with --arm")
        past = read(experiment, lab, number, preset)
        nothing = [f"{name}{f' {number}' if number else ''} has not been challenged"]
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


def _repeated(
    experiment: Experiment, preset: str, name: str, machine: Machine, door: Door
) -> Answer[Contested | Repeated]:
    with door.run(experiment.name) as display:
        repeated = again(experiment, preset, name, machine.lab, display)
    return Answer(repeated, compare(repeated), int(not repeated.same))


def read(experiment: Experiment, lab: Lab, number: int = 0, preset: str = "default") -> Contested:
    """Read the contests of a claim, of all claims without a number: those that are committed and
    those of a store. Raises: ExperimentError."""
    name = records.name_of(experiment, preset)
    past = contests.of_record(name, experiment.origin)
    past += contests.read_all(contest.stored(lab), name)
    return Contested(experiment.name, preset, tuple(c for c in past if number in (0, c.number)))


def words(past: Sequence[Contest]) -> Iterator[AnswerPart]:
    """Report the contests of each claim: the arm, its estimate, and the outcome."""
    for number in sorted({c.number for c in past}):
        of_claim = [c for c in past if c.number == number]
        yield Line(f"{SIGNS[of_claim[-1].after]} {number}. {of_claim[0].text}")
        yield Table(
            ("arm", "what it is", "estimate", "outcome"),
            [
                (
                    c.arm,
                    c.note,
                    interval(c),
                    contests.WORDS[c.effect] + (f": {c.why}" if c.why else ""),
                )
                for c in of_claim
            ],
            wide={"what it is": 1},
            narrow={"outcome": 22},
        )
        yield contests.state(of_claim)


def again(
    experiment: Experiment,
    preset: str,
    name: str,
    make_lab: Callable[[Path], Lab],
    on_event: OnEvent | None = None,
) -> Repeated:
    """Train and measure the arm of a committed contest again, from an empty store. Raises:
    ExperimentError if there is no such contest; StoreError for a store that is in use."""
    past_contests = contests.of_record(records.name_of(experiment, preset), experiment.origin)
    past = next((c for c in past_contests if c.name == name), None)
    if past is None:
        raise ExperimentError(
            f"{experiment.name} has no challenge {name!r}; "
            f"{nearest(name, [c.name for c in past_contests])}"
        )
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        lab = make_lab(Path(folder) / "store")
        now, _ = contest.contest(
            lab,
            experiment,
            past.number,
            contest.restore(experiment, past),
            preset=preset,
            by=past.by,
            on_event=on_event,
        )
    apart = not (past.low <= now.estimate <= past.high or now.low <= past.estimate <= now.high)
    return Repeated(past, now, past.effect == now.effect and not apart)


def compare(repeated: Repeated) -> Iterator[AnswerPart]:
    """Show a contest as it was recorded and as it came out again."""
    rows = [
        (side, interval(c), contests.WORDS[c.effect])
        for side, c in (("recorded", repeated.recorded), ("repeated", repeated.now))
    ]
    yield Table(("", "the arm's estimate", "outcome"), rows)
    yield "reproduced" if repeated.same else "not reproduced"


def interval(contest: Contest) -> str:
    """Write the number of a contest's arm, with its interval."""
    return " ".join(digits.estimate(contest.estimate, contest.low, contest.high))


def _challenger(experiment: Experiment, arm: str, sets: tuple[str, ...], why: str) -> Challenger:
    if arm.endswith(".py"):
        if sets or why:
            raise ExperimentError(f"{arm} defines the arm and its note; leave out --set and --why")
        return contest.from_file(Path(arm))
    return contest.varied_from(experiment, arm, sets, why)
