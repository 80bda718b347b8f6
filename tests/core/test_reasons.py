"""Why a verdict is undecided is said in words, with what to do next; every reason that the judge
gives or a record holds has some."""

import json
import math
from pathlib import Path

import pytest
from msgspec import structs

from assay.core.reasons import STRADDLES, explain_reason, remedy
from assay.core.results import Contrast, Judged, Price, Verdict

RECORDS = [
    json.loads(path.read_text())
    for path in sorted((Path(__file__).parents[2] / "replications/records").glob("*.json"))
]


@pytest.mark.parametrize(
    ("reason", "words"),
    {
        "gate converged": "not converged",
        "interval straddles": "the interval spans the threshold",
        "gate sound": "its condition 'sound' is not met",
        "planted strong not found": "the planted effect strong is not found",
        "control drawn undecided": "control drawn is undecided",
        "too few units: 5 of 6 seeds": "too few units: 5 of 6 seeds",
        "control drawn satisfies it too": "control drawn satisfies it too",
        "control a, b satisfies it too": "controls a and b satisfy it too",
        "control a, b, c satisfies it too": "controls a, b and c satisfy it too",
        "control r (draw 1 of 4), r (draw 3 of 4) satisfies it too": (
            "control r (2 of 4 draws) satisfies it too"
        ),
        "control drawn not beaten": "control drawn is not beaten",
        "violation drawn not found": "the planted violation drawn is not found",
        "drawn satisfies it too, unlearned": (
            "drawn satisfies it too, although the credited part was not learned there"
        ),
        "blind": "blind: nothing shows that an effect of twice the threshold would be found",
    }.items(),
)
def test_a_reason_in_words(reason, words):
    assert explain_reason(reason) == words


def test_no_recorded_reason_is_told_in_the_judges_own_words():
    verdicts = [v for record in RECORDS for v in record["verdicts"]]
    parts = [p for v in verdicts for p in (v, *v["controls"].values(), *v["planted"].values())]
    for one in parts:
        told = explain_reason(one["reason"])
        assert not told.startswith("gate ") and "straddles" not in told
        assert one["outcome"] != "undecided" or told
    assert {"holds", "fails", "undecided"} <= {part["outcome"] for part in parts}


def test_a_remedy_is_words_and_a_command():
    assert remedy("about 5 more seeds, about 2 CPU-minutes: assay run llc --set seed=0:15") == (
        "to decide it: about 5 more seeds, about 2 CPU-minutes",
        "run llc --set seed=0:15",
    )
    assert remedy("more units do not help: mend the training") == (
        "more units do not help: mend the training",
        "",
    )
    unspecific = "more seeds may make the claim unspecific, because the control satisfies it too"
    assert remedy(unspecific) == (unspecific, "")
    never = "even ten times as many units would not decide it: the means lie too near"
    assert remedy(never) == (never, "")
    assert remedy("about 2,219 more seeds: assay run cut", 277.4, "choose quieter units") == (
        "more units would be impractical (about 2,219 more seeds); choose quieter units",
        "",
    )


@pytest.mark.parametrize(
    ("method", "control", "threshold", "advice"),
    [
        ((-0.05, -0.04), (-0.01, 0.0088), (-math.inf, 0), "the control (-0.0006), such as < -0.03"),
        ((0.04, 0.05), (-0.01, 0.0088), (0, math.inf), "the control (-0.0006), such as > 0.02"),
        (
            (0.04, 0.05),
            (-0.01, 0.0088),
            (0, 1),
            "seeds, with a threshold farther from the control (-0.0006)",
        ),
        ((-0.05, -0.005), (-0.01, 0.0088), (-math.inf, 0), "no threshold lies between"),
    ],
)
def test_a_new_claim_has_a_threshold_away_from_a_control_that_keeps_the_claim_undecided(
    method, control, threshold, advice
):
    beside = Verdict(
        outcome="undecided", reason=STRADDLES, estimate=-0.0006, low=control[0], high=control[1]
    )
    price = Price("old: about 221 more seeds, about 90 CPU-minutes", "seed", 221)
    claim = {"low": method[0], "high": method[1], "range": threshold, "price": price}
    said = Judged(
        outcome="undecided",
        reason="control old not beaten",
        n={"seed": 24},
        controls={"old": beside},
        **claim,
    ).remedy[0]
    assert said.startswith("more units would be impractical (about 221 more seeds")
    assert advice in said
    alone = Judged(outcome="undecided", reason=STRADDLES, n={"seed": 24}, **claim).remedy[0]
    assert "to claim less, test a new claim on fresh seeds" in alone
    study = {"condition": "main.x > 1", "reason": STRADDLES, "n": {"seed": 24}}
    written = Judged(outcome="undecided", **study, **claim).remedy[0]
    assert "to claim less, freeze a new claim on fresh seeds" in written


@pytest.mark.parametrize(
    ("noted", "advice"),
    [
        ((), "the strongest control (-2.3), such as < -4"),
        (("the interval would be [-8.29, -3.48], and",), "the strongest control (-2.3), such as <"),
        (("the interval would be [-8.29, -2.9], and",), "no threshold lies between"),
    ],
)
def test_a_new_threshold_lies_between_the_widest_interval_and_the_strongest_control(noted, advice):
    draws = {
        f"random draw {k}": Verdict(
            outcome="undecided", reason=STRADDLES, estimate=x, low=x - 0.7, high=x + 0.7
        )
        for k, x in ((1, -1.3), (2, -2.3))
    }
    said = Judged(
        outcome="undecided",
        reason="control random draw 1 not beaten",
        n={"prompt": 24},
        low=-7.2,
        high=-5.1,
        range=(-math.inf, -1.5),
        controls=draws,
        notes=noted,
        price=Price("random draw 1: about 900 more prompts", "prompt", 900),
    ).remedy[0]
    assert advice in said
    if advice.endswith("such as <"):
        assert -3.48 < float(said.partition("such as < ")[2]) < -3.0


def test_more_units_are_not_advised_where_a_control_is_ahead_of_the_method():
    def advice(control, more, half=0.0001):
        lead = 0.744 - control
        by = Contrast(lead, lead - half, lead + half, shared=8)
        ahead = Verdict(outcome="undecided", reason=STRADDLES, estimate=control, contrast=by)
        return Judged(
            outcome="undecided",
            reason=STRADDLES,
            arm="b",
            estimate=0.744,
            range=(0.75, math.inf),
            n={"seed": 8, "event": 12},
            controls={"b/bag": structs.replace(ahead, estimate=0.6), "b/embedding": ahead},
            price=Price(f"about {more} more events", "event", more),
        ).remedy[0]

    more = "more seeds or events can only make it fail or become unspecific: the control "
    better = "b/embedding, at {}, does better than b, at 0.744"
    assert advice(0.85, 28578) == advice(0.85, 40) == more + better.format("0.85")
    assert advice(0.745, 28578) == more + better.format("0.745")
    # a lead that may be noise says nothing for certain about more units
    given = "if these estimates are the true values, "
    assert advice(0.85, 40, half=0.3) == given + more + better.format("0.85")
    fails = "; it will then probably fail, because the estimate is outside the range"
    assert advice(0.745, 40) == f"to decide it: about 40 more events{fails}"
    assert "to claim less, test a new claim on fresh seeds and events" in advice(0.65, 28578)
