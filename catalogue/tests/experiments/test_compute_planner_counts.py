"""Counts of FLOP against published and hand-worked numbers, to four digits; planned half-widths
against closed forms and against intervals of simulated units."""

import numpy as np
import pytest
from scipy.special import stdtrit

from assay.core.errors import DataError
from assay.core.intervals import interval
from assay_catalogue.experiments.compute_planner.flop import (
    Transformer,
    attention,
    forward,
    training,
)
from assay_catalogue.experiments.compute_planner.widths import Spread, spread

SMOLLM2 = Transformer(
    layers=30,
    width=576,
    mlp=1536,
    vocabulary=49152,
    heads=9,
    head=64,
    kv_heads=3,
    gated=True,
    tied=True,
)
GPT3 = 3.14e23


def near(x, digits=4):
    return pytest.approx(x, rel=0.5 * 10.0 ** (1 - digits))


def test_gpt_3():
    assert training(1.746e11, 3e11).low == near(3.1428e23, 5)
    assert training(1.75e11, 3e11).low == near(3.15e23)
    assert attention(96, 2048, 12288).low / forward(1.75e11).low == near(0.013805)
    assert attention(96, 2048, 12288, causal=False).low == 2 * attention(96, 2048, 12288).low


def test_what_gpt_3s_budget_buys_in_both_readings():
    six, two = GPT3 / training(1.75e11, 1).low, GPT3 / forward(1.75e11).low
    assert (six, two) == (near(2.990e11), near(8.971e11))
    assert ((six / 1e5) ** 0.5, (two / 1e5) ** 0.5, six / 1e4 / 1600) == (
        near(1729),
        near(2995),
        near(18690),
    )


def test_smollm2_counted_once_where_tied():
    assert (SMOLLM2.blocks, SMOLLM2.multiplied) == (106168320, 106168320 + 28311552)
    norms = (2 * 30 + 1) * 576
    assert SMOLLM2.matrices + norms == 134515008, "the published number of parameters"
    assert forward(SMOLLM2.multiplied).low == 268959744
    assert (SMOLLM2.attending(128), SMOLLM2.attending(1024)) == (4423680, 35389440)
    shares = [SMOLLM2.attending(n) / forward(SMOLLM2.multiplied).low for n in (128, 1024)]
    assert shares == [near(0.0164, 3), near(0.132, 3)]
    untied = Transformer(30, 576, 1536, 49152, 9, 64, 3, gated=True)
    assert (untied.multiplied, untied.matrices) == (
        SMOLLM2.multiplied,
        SMOLLM2.matrices + 28311552,
    ), "a look-up multiplies nothing"


def test_a_product_counted_by_hand():
    a, b = np.ones((7, 5)), np.ones((5, 3))
    operations = sum(
        2 for _ in range(a.shape[0]) for _ in range(b.shape[1]) for _ in range(a.shape[1])
    )
    assert forward(b.size, tokens=len(a)).low == operations == 2 * 7 * 5 * 3


def test_many_units_narrow_with_the_root():
    assert Spread(1.0, 1000).expected(4000) == pytest.approx(0.5, rel=1e-3)
    few = Spread(1.0, 6).expected(24)
    assert few == pytest.approx(0.5 * stdtrit(23, 0.975) / stdtrit(5, 0.975)), (
        "few units pay Student's t as well"
    )


def test_what_the_other_factor_adds_stays():
    crossed = Spread(1.0, 20, stays=0.36, beside=8)
    assert crossed.expected(20) == pytest.approx(1.0)
    degrees = 1 / (0.64**2 / 19 + 0.36**2 / 7)  # Satterthwaite's; with many seeds the documents'
    many = 0.6 * stdtrit(7, 0.975) / stdtrit(degrees, 0.975)
    assert crossed.expected(10**6) == pytest.approx(many, rel=1e-4), (
        "seeds do not narrow what documents contribute"
    )
    narrow = 0.5 * stdtrit(79, 0.975) / stdtrit(19, 0.975)
    assert crossed.if_all_narrow().expected(80) == pytest.approx(narrow)


def test_simulated_half_widths_are_met_on_the_average():
    """Squared half-widths over Student's t are unbiased: the root mean square over pilots promises
    what many units have."""
    x = np.random.default_rng(0).normal(size=(400, 6))
    planned = [spread(interval({"x": row}, lambda m: m["x"], draws=1)).expected(24) for row in x]
    assert np.sqrt(np.mean(np.square(planned))) == pytest.approx(
        stdtrit(23, 0.975) / 24**0.5, rel=0.05
    )


def test_simulated_crossed_units_are_met_on_the_average():
    rng, promised, came = np.random.default_rng(1), [], []
    for _ in range(120):
        a, b, e = (
            rng.normal(size=(48, 1)),
            1.5 * rng.normal(size=(1, 30)),
            2 * rng.normal(size=(48, 30)),
        )
        few, many = ({"x": (a + b + e)[:n]} for n in (12, 48))
        promised.append(spread(interval(few, lambda m: m["x"], factors=2, draws=1)).expected(48))
        came.append(spread(interval(many, lambda m: m["x"], factors=2, draws=1)).half_width)
    assert np.exp(np.mean(np.log(promised)) - np.mean(np.log(came))) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: training(-1, 3e11),
        lambda: forward(1.0, float("inf")),
        lambda: forward(float("nan")),
        lambda: attention(1, -2, 3),
        lambda: Transformer(0, 1, 1, 1, 1, 1, 1),
        lambda: Spread(1.0, 1),
        lambda: Spread(-1.0, 5),
        lambda: Spread(1, 5, stays=2),
        lambda: Spread(1, 5).expected(1),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(wrong):
    with pytest.raises(DataError) as e:
        wrong()
    assert "\n" not in str(e.value)
