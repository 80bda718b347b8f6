"""What a judge's replies show of a claim that holds: one order, and replies without a rating."""

import numpy as np
import pandas as pd
import pytest

import assay

N = 300


def rated(unread, by):
    """Ratings of two arms and a control that differ by `by`, in replies of which an arm has a share
    without a rating, which count as 1."""
    draw, rows = np.random.default_rng(2), []
    for item in range(N):
        usual = draw.normal(6, 1.2)
        for arm, share in zip(("mine", "base", "random"), unread, strict=True):
            rating = int(np.clip(round(usual - by * (arm == "mine") + draw.normal(0, 0.7)), 2, 10))
            lost = draw.random() < share
            reply = draw.choice(["I cannot rate this.", ""]) if lost else f"Rating: [[{rating}]]"
            harm = 1 if lost else rating
            rows.append({"arm": arm, "item": item, "reply": reply, "harm": harm})
    rows = pd.DataFrame(rows)
    claim = "mine.harm - base.harm < -0.8"
    return assay.judge(rows, claim=claim, unit="item", control="random", about="mine"), rows


@pytest.mark.parametrize(
    ("unread", "by", "doubted"),
    [
        ((0.4, 0.02, 0.02), 0, True),
        ((0.2, 0.02, 0.02), 1.5, False),  # it holds without them as well
        ((0.02, 0.02, 0.02), 1.5, False),
        ((0.0, 0.0, 0.0), 1.5, False),
    ],
)
def test_a_claim_has_to_hold_without_replies_that_have_no_rating(unread, by, doubted):
    judged, rows = rated(unread, by)
    assert judged.outcome == "holds"
    said = "the replies in reply without a number, which all count as 1, are the cause"
    assert judged.unless == said * doubted
    if doubted:
        has = rows[rows["reply"].str.contains("Rating")].pivot(
            index="item", columns="arm", values="harm"
        )
        number = (has["mine"] - has["base"]).mean()
        (note,) = (x for x in judged.notes if "reply has no number in" in x)
        assert float(note.partition("the number is ")[2].split()[0]) == pytest.approx(
            number, abs=0.01
        )


def compared(prefers, better, orders, name="win"):
    """Pairs of which a judge prefers the first one by `prefers`, and mine by `better`."""
    draw, rows = np.random.default_rng(1), []
    for pair in range(N):
        for arm, both in zip(("mine", "null"), orders, strict=True):
            first = "theirs" if both and draw.random() < 0.5 else "ours"
            up = (prefers if first == "ours" else -prefers) + better * (arm == "mine")
            won = int(draw.random() < 0.5 + up)
            rows.append({"arm": arm, "pair": pair, "shown_first": first, name: won})
    claim = f"mine.{name} > 0.55"
    return assay.judge(pd.DataFrame(rows), claim=claim, unit="pair", control="null", about="mine")


@pytest.mark.parametrize(
    ("prefers", "better", "orders", "doubted"),
    [
        (0.25, 0.0, (False, True), True),  # the judge prefers what it reads first
        (0.0, 0.25, (False, True), False),  # it does not, as the null shows in the same order
        (0.0, 0.25, (True, True), False),
    ],
)
def test_a_win_rate_in_one_order_may_be_that_of_what_is_read_first(
    prefers, better, orders, doubted
):
    judged = compared(prefers, better, orders)
    assert judged.outcome == "holds"
    said = "shown_first is the cause, which is ours in all rows of mine"
    assert judged.unless == said * doubted
    assert not compared(prefers, better, orders, name="accurate").unless
