"""Every committed verdict is given a second time, by other code, written from docs/verdicts.md."""

import functools
import math

import pytest
import second_judge
from committed import OTHERS, RECORDED, SOME, claims, committed, judged_again

from assay.lab.judge.result import with_derived
from assay.lab.records import recording

CHANCE = 0.05
"""By what share of an interval's width exact limits from two streams of draws may differ."""


def same(ours, recorded, slack):
    """Whether a number is the recorded one; a record has None where there is none."""
    return math.isfinite(ours) == (recorded is not None) and (
        recorded is None or abs(ours - recorded) <= slack
    )


def numbers(answer, recorded):
    """Which numbers of an arm differ from the recorded ones."""
    low, high, estimate = (recorded[k] for k in ("low", "high", "estimate"))
    width = 0.0 if low is None or high is None else high - low
    fine = {
        k: 1e-6 * (abs(recorded[k] or 0) + width) + 1e-12
        for k in recorded
        if k.startswith(("t_", "skew_"))
    }
    wrong = (
        []
        if same(answer.estimate, estimate, 1e-6 * abs(estimate or 0) + 1e-12)
        else [("estimate", answer.estimate, estimate)]
    )
    for kind in {"t", "skew"} & answer.limits.keys():
        for side, ours in zip(("low", "high"), answer.limits[kind], strict=True):
            key = f"{kind}_{side}"
            wrong += [] if same(ours, recorded[key], fine[key]) else [(key, ours, recorded[key])]
    slack = 1e-6 if answer.limits else CHANCE
    for side in ("low", "high"):
        wrong += (
            []
            if same(getattr(answer, side), recorded[side], slack * width + 1e-9)
            else [(side, getattr(answer, side), recorded[side])]
        )
    return [(answer.arm, *w) for w in wrong]


def by_chance(claim, low, high):
    """Whether a limit lies so near a threshold that another stream of draws may put it on the other
    side."""
    edges = [e for e in (claim.low, claim.high, *claim.fail_range) if math.isfinite(e)]
    return any(abs(limit - e) <= CHANCE * (high - low) for limit in (low, high) for e in edges)


def kind(reason):
    """A reason without its counts."""
    return reason.split(":")[0]


@functools.cache
def compared(name):
    """How many answers were compared, what differs, and what differs only because a limit lies at a
    threshold."""
    experiment, record = committed(name)
    arms = with_derived(experiment, recording.arms(experiment, record))
    count, wrong, tolerated = 0, [], []
    again = [
        judged.to_json() for judged in judged_again(name)[0]
    ]  # a record's numbers have seen more digits than its measures have
    for claim, recorded in zip(claims(name), again, strict=True):
        ours = second_judge.judge(claim, arms)
        found, near = [], []
        pairs = [
            (a, recorded[role][arm])
            for role in ("controls", "planted", "violations")
            for arm, a in getattr(ours, role).items()
        ]
        for answer, told in [*pairs, (ours.verdict, recorded)]:
            found += numbers(answer, told)
            if (answer.outcome, kind(answer.reason)) != (told["outcome"], kind(told["reason"])):
                told_apart = (
                    answer.arm,
                    answer.outcome,
                    answer.reason,
                    told["outcome"],
                    told["reason"],
                )
                known = told["low"] is not None and told["high"] is not None
                (
                    near
                    if near or (known and by_chance(claim, told["low"], told["high"]))
                    else found
                ).append(told_apart)
        if list(ours.others) != recorded["asked"]:
            found.append(("asked", list(ours.others), recorded["asked"]))
        for arm in set(ours.also) ^ set(recorded["also"]):
            a = ours.others[arm]
            (near if by_chance(claim, a.low, a.high) else found).append(
                (arm, "satisfies it in one judgement only")
            )
        count += 1 + len(pairs) + len(ours.others)
        wrong += [(claim.text, *f) for f in found]
        tolerated += [(claim.text, *t) for t in near]
    return count, wrong, tolerated


@pytest.mark.parametrize("name", SOME)
def test_a_second_judge_says_the_same(name):
    says_the_same(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_a_second_judge_says_the_same_of_all_others(name):
    says_the_same(name)


def says_the_same(name):
    _, record = committed(name)
    assert [c.text for c in claims(name)] == [v["text"] for v in record["verdicts"]], (
        "the record is older than the claims"
    )
    assert compared(name)[1] == []


def test_chance_excuses_few():
    few(SOME)


@pytest.mark.slow
def test_chance_excuses_few_of_all():
    few(RECORDED)


def few(names):
    results = [compared(name) for name in names]
    tolerated = [t for _, _, near in results for t in near]
    assert len(tolerated) <= 0.01 * sum(count for count, _, _ in results), tolerated
