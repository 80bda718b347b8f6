"""A contest changes a verdict exactly where an arm that lacks what is credited satisfies the
claim."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from assay.core.errors import ExperimentError
from assay.core.experiment import Arm, Experiment
from assay.lab import catalogue
from assay.lab import verifying as verify
from assay.lab.engines import Inline
from assay.lab.judge import recording
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.lab.records import contests, records
from assay.report.stored import page_of
from assay_catalogue.recorded import contest
from assay_catalogue.recorded.contest import Challenger
from assay_catalogue.verbs.challenge_claim import again

WORLD = '''
"""Do trained heights exceed a half?

Group: toys
Paper: none
Claim: heights are at least a half
Baselines: flat, zero
Cost: nothing
"""
from assay import Arm, Claim, Experiment, Spec, Trained, grid, measures, normal
import dataclasses

@dataclasses.dataclass(frozen=True)
class Height(Spec):
    height: float = 1.0

def train(runs, bench):
    return Trained.nothing(runs)

def measure(runs, trained, bench):
    noise = normal(runs.seeds, "noise", 0, (50,)).mean(1)
    return measures(runs, height=("run", runs.specs[0].height + 0.1 * noise, "1"))

def flat(runs, bench):
    return train(runs, bench)

def at(height):
    return lambda specs: tuple(s.replace(height=height) for s in specs)

experiment = Experiment(
    arms={
        "main": Arm(train, note="the method"),
        "flat": Arm(flat, specs=at(0.0), note="zero", learned=()),
    },
    measure=measure,
    claims=(
        Claim(
            text="Heights are at least a half",
            value=lambda arm, others: arm.height,
            low=0.5, units=("seed",), unit="1", must_fail=("flat",), threshold_from="plan: half",
            source="here",
        ),
        Claim(
            text="Heights are at least two",
            value=lambda arm, others: arm.height,
            low=2.0, units=("seed",), unit="1", must_fail=("flat",), threshold_from="plan: two",
            source="here",
        ),
    ),
    smoke=grid(Height(), seed=range(1000, 1002)),
    default=grid(Height(), seed=range(1000, 1008)),
    full=grid(Height(), seed=range(1000, 1008)),
)
'''
ARM = """
from assay import Arm, Trained
arm = Arm(
    lambda runs, bench: Trained.nothing(runs),
    specs=lambda main: tuple(s.replace(height={height}) for s in main),
    note="{note}",
    learned={learned},
)
"""


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Lab, Experiment]:
    """An experiment in a file of its own, run and recorded."""
    file = tmp_path / "heights.py"
    file.write_text(WORLD)
    experiment, lab = catalogue.find(str(file)), Lab(tmp_path / "store", Inline())
    result = lab.run(experiment)
    recording.write_record(experiment, result, lab.plan(experiment))
    return lab, experiment


def put(
    recorded: tuple[Lab, Experiment], name: str, height: float, learned: str = "()", number: int = 1
) -> contests.Contest:
    """Contest a claim by an arm of this height, and record it."""
    lab, experiment = recorded
    file = Path(experiment.origin).with_name(f"{name}.py")
    file.write_text(ARM.format(height=height, note="another height", learned=learned))
    made, data = contest.contest(lab, experiment, number, contest.from_file(file), by="me")
    contest.save(contests.path(contests.folder(experiment), experiment.name, made), made, data)
    return made


def test_an_arm_that_lacks_what_is_credited_and_satisfies_the_claim_makes_it_unspecific(
    recorded: tuple[Lab, Experiment],
) -> None:
    made = put(recorded, "tall", 0.9)
    assert (made.role, made.effect, made.before, made.after) == (
        "control",
        "unspecific",
        "holds",
        "unspecific",
    )
    assert abs(made.estimate - 0.9) < 0.05  # the mean of 8 seeds' noise of .1 / √50


def test_what_is_beaten_or_learned_changes_no_verdict(recorded: tuple[Lab, Experiment]) -> None:
    low, rival = put(recorded, "low", 0.1), put(recorded, "rival", 0.9, "None")
    assert (low.effect, low.after) == ("beaten", "holds")
    assert (rival.role, rival.effect, rival.after) == ("rival", "shared", "holds")


def test_an_arm_with_the_methods_own_numbers_is_void(recorded: tuple[Lab, Experiment]) -> None:
    copy = put(recorded, "copy", 1.0)
    assert (copy.effect, copy.after) == ("void", "holds")
    assert copy.why == "it has the numbers of main, unit by unit"


def test_an_arm_is_not_compared_with_what_was_measured_by_an_earlier_rule(
    recorded: tuple[Lab, Experiment],
) -> None:
    lab, experiment = recorded
    with pytest.raises(ExperimentError, match="now measures by rule 2, but its record by rule 1"):
        put((lab, replace(experiment, measured=2)), "tall", 0.9)


def test_each_contest_of_a_claim_asks_the_next_for_a_stricter_interval(
    recorded: tuple[Lab, Experiment],
) -> None:
    made = [put(recorded, f"low-{i}", 0.1 + i / 100) for i in range(3)]
    assert [c.look for c in made] == [1, 2, 3]
    assert [c.level for c in made] == pytest.approx([0.95, 0.975, 1 - 0.05 / 3])
    again = put(recorded, "low-0", 0.1)
    assert again.look == 3  # two others were put to it; itself counts once


def test_a_record_tells_what_came_of_its_contests(recorded: tuple[Lab, Experiment]) -> None:
    lab, experiment = recorded
    put(recorded, "low", 0.1)
    when = put(recorded, "tall", 0.9).when[:7]
    line = (
        f"claim 1 is unspecific after 2 challenges ({when}): low (another height) was beaten; tall "
        "(another height) satisfies it too (should fail)"
    )
    assert contests.lines(contests.of_record(experiment.name, experiment.origin)) == (line,)
    assert line in lab.plan(experiment).notes
    smoke = lab.plan(experiment, "smoke")
    assert not any("challenge" in note for note in smoke.notes)  # nobody challenged a smoke run


def test_the_page_of_the_contested_preset_says_so_beside_the_verdict_and_no_other_page(
    recorded: tuple[Lab, Experiment],
) -> None:
    lab, experiment = recorded
    put(recorded, "tall", 0.9)
    lab.run(experiment, "smoke")
    for preset, times in (("default", 1), ("smoke", 0)):
        page, _ = page_of(lab, experiment, override(experiment, preset))
        # at the top, above its picture, and in the table
        assert page.count("by challenge</span>") == 3 * times, preset


def test_only_a_claim_that_a_contest_turned_has_another_outcome_now(
    recorded: tuple[Lab, Experiment],
) -> None:
    beaten, fallen = put(recorded, "low", 0.1), put(recorded, "tall", 0.9)
    assert contests.turned([beaten]) == {}
    assert contests.turned([beaten, fallen]) == {fallen.text: "unspecific"}


def test_a_contest_that_was_changed_by_hand_is_refused(recorded: tuple[Lab, Experiment]) -> None:
    experiment = recorded[1]
    made = put(recorded, "tall", 0.9)
    file = contests.path(contests.folder(experiment), experiment.name, made)
    file.write_text(file.read_text().replace("another height", "an honest control"))
    with pytest.raises(ExperimentError, match="was changed after it was written"):
        contests.of_record(experiment.name, experiment.origin)


def test_judging_and_repeating_a_contest_give_what_was_recorded(
    recorded: tuple[Lab, Experiment], tmp_path: Path
) -> None:
    experiment = recorded[1]
    made = put(recorded, "tall", 0.9)
    Path(experiment.origin).with_name("tall.py").unlink()  # its text is in the contest
    assert contest.rejudge(experiment, made) == "unspecific"
    record = records.load_record(experiment)
    assert record is not None
    found = verify.judged_again(experiment, "default", record)
    assert (found.contests, found.differences) == (1, ())
    repeated = again(experiment, "default", "1.tall", lambda root: Lab(root, Inline()))
    assert repeated.same and repeated.now.estimate == made.estimate


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"note": ""}, "has no note"),
        ({"measure": lambda runs, trained, bench: None}, "has its own measure"),
        ({"specs": lambda main: main[:3]}, "has to use those of the record, 1000 to 1007"),
    ],
)
def test_unfair_arms_are_refused(
    recorded: tuple[Lab, Experiment], change: dict[str, object], why: str
) -> None:
    lab, experiment = recorded
    fair = replace(experiment.arms["flat"], note="again", train=lambda runs, bench: None)
    arm: Arm[object] = replace(fair, **change)  # type: ignore[arg-type]
    with pytest.raises(ExperimentError, match=why):
        contest.contest(lab, experiment, 1, Challenger("mine", arm, "text"))


def test_arms_that_are_the_methods_are_refused(recorded: tuple[Lab, Experiment]) -> None:
    lab, experiment = recorded
    main = experiment.arms["main"]
    with pytest.raises(ExperimentError, match="trains the same as the recorded arm main"):
        contest.contest(lab, experiment, 1, Challenger("mine", main, "text"))
    with pytest.raises(
        ExperimentError, match="says that nothing was learned; for those it is: main all"
    ):
        contest.contest(lab, experiment, 1, Challenger("mine", replace(main, learned=()), "text"))
    made_of = Arm(derive=lambda arms: arms["main"], note="its own numbers", learned=())
    with pytest.raises(ExperimentError, match="uses the measures of main itself"):
        contest.contest(lab, experiment, 1, Challenger("mine", made_of, "text"))


def test_only_what_holds_can_be_contested(recorded: tuple[Lab, Experiment]) -> None:
    with pytest.raises(ExperimentError, match="recorded as fails; only a claim that holds"):
        put(recorded, "tall", 0.9, number=2)
    with pytest.raises(ExperimentError, match="recorded claims 1 to 2, got 3"):
        put(recorded, "tall", 0.9, number=3)
