"""Worlds have the effects that they plant, and a desk's answers are those of its statistics."""

import re
from pathlib import Path

import numpy as np
import pytest
from desks import BUDGET, Judged, Plain, Spent
from scipy import stats
from worlds import World

from agents import AGENTS
from assay.core.claims import claims_key
from assay.lab import catalogue
from assay.lab.judge import recording
from assay.lab.records import records
from forks import program

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_a_training_seed_gives_the_same_numbers_alone_and_among_others():
    world = World(5, 1003)
    whole = world.measure(np.arange(1000, 1008), 2)
    np.testing.assert_array_equal(world.measure(np.array([1005]), 2)[0], whole[5])


def test_the_plain_desk_says_what_a_t_test_says():
    world = World(2, 1001)
    reading = Plain(world).ask(0, 0, 12)
    own, near = (world.measure(np.arange(1000, 1012), 0, k)[:, 0] for k in (0, 1))
    test = stats.ttest_rel(own, near)
    low, high = test.confidence_interval(0.95)
    assert (reading.low, reading.high) == pytest.approx((low, high))
    assert (reading.answer == "yes") == (low > 0)


def test_whoever_peeks_is_charged_for_what_was_looked_at():
    desk = Plain(World(1, 1001))
    desk.ask(0, 0, 12, control=False, peek=True)
    assert 3 <= desk.spent <= 12 and desk.looks == desk.spent - 2


def test_a_budget_ends():
    desk = Plain(World(1, 1001))
    desk.pilot(0, 0, BUDGET - 6)
    desk.ask(0, 0, 6)
    with pytest.raises(Spent):
        desk.ask(0, 0, 6)


def test_loud_is_no_discovery_where_near_controls_come_by_themselves(tmp_path):
    world = next(
        w for w in (World(3, seed) for seed in range(1000, 1020)) if _only_loud(w) is not None
    )
    loud = _only_loud(world)
    assert loud is not None
    kept = Judged(world, root=tmp_path / "near").ask(loud, 0, 24, control=False, at_least=0.65)
    weak = Judged(world, root=tmp_path / "weak", near=False).ask(
        loud, 0, 24, control=False, at_least=0.65
    )
    assert kept.answer != "yes"
    assert weak.answer == "yes"  # 1.5 where .65 is asked, and the control has .5


def _only_loud(world):
    """A candidate that is loud and not planted, beside some that are not loud."""
    mask = (world.loudness > 1) & ~world.planted[:, 0]
    return int(np.flatnonzero(mask)[0]) if mask.any() and (world.loudness == 1).any() else None


def test_agents_report_nothing_that_was_not_asked_and_answered_yes():
    for name, agent in AGENTS.items():
        desk = Plain(World(5, 1001))
        reported = agent(desk, 7)
        assert all(r.answer == "yes" for r in reported), name
        assert desk.spent <= BUDGET
        assert [*reported] == [*agent(Plain(World(5, 1001)), 7)]


def test_it_is_a_program_by_its_folder(tmp_path):
    def run(*words):
        return program(BENCHMARKS / "gym", words, tmp_path)

    out = run("play", "p-hacker", "--level", "5", "--seed", "7", "--desk", "plain").out
    assert re.fullmatch(
        r"level 5: found \d+ of \d+ planted effects and reported \d+ false discoveries\n", out
    )
    assert run("new", "world", "--seed", "1").out.endswith("world/effects.csv\n")
    assert sorted(path.name for path in (tmp_path / "world").iterdir()) == [
        "effects.csv",
        "gym.json",
    ]
    (tmp_path / "answers.csv").write_text("candidate,group\n0,0\n")
    planted = World(3, 1).planted
    out = run("score", "world", "answers.csv").out
    assert out.startswith(f"level 3: found {planted[0, 0]:d} of {planted.sum()} planted effects ")
    false = "0 false discoveries" if planted[0, 0] else "1 false discovery"
    assert out.endswith(f" and reported {false}\n")
    (tmp_path / "answers.csv").write_text("candidate,group\n99,0\n")
    refused = run("score", "world", "answers.csv")
    assert refused.code == 2 and "line 2: needs candidate" in refused.err


def test_its_record_is_that_of_the_experiment():
    experiment = catalogue.find(str(BENCHMARKS / "gym/gym.py"))
    record = records.read(experiment.name, experiment.origin)
    assert record is not None and record["claims_key"] == claims_key(experiment.claims)
    judged, _, _ = recording.rejudge(experiment, record)
    assert [j.verdict.outcome for j in judged] == [v["outcome"] for v in record["verdicts"]]
