"""Compute: counts of FLOP against published and hand-worked numbers, to four digits; budgets; what
is refused."""

import numpy as np
import pytest

from assay.core import compute
from assay.core.compute import (
    Range,
    Transformer,
    attention,
    budget,
    dictionary,
    forward,
    search,
    training,
)
from assay.core.errors import DataError

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


def test_amp_and_the_factor_of_three():
    amp = {k: search(1e17, 1, 1e8, 5e4, 5e4, k).low for k in (6, 2)}
    assert training(1e17, 1e17).low == near(6e34)
    assert (amp[6], amp[2], amp[6] / amp[2]) == (near(1.5e35), near(5e34), pytest.approx(3))
    assert search(1e17, 1, 1e8, 5e4, 1).low == near(1e30)
    told = search(1e17, Range(1, 2048), 1e8, 5e4, 5e4)
    assert (told.low, told.high, told.known) == (near(5e34), near(1.024e38), False)


def test_what_gpt_3s_budget_buys_in_both_readings():
    six, two = GPT3 / training(1.75e11, 1).low, GPT3 / forward(1.75e11).low
    assert (six, two) == (near(2.990e11), near(8.971e11))
    used = search(1.75e11, 1, 1e5, 1600, 1600, 6).low
    assert (used, used / GPT3) == (near(2.688e23), near(0.856, 3))
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
    assert dictionary(512, 64, 10).low == 6 * 2 * 64 * 512 * 10


def test_ranges_multiply_and_divide_by_their_worst_cases():
    assert (Range(1, 2) * Range(3, 5), Range(1, 2) + 1, 2 * Range(1, 2)) == (
        Range(3, 10),
        Range(2, 3),
        Range(2, 4),
    )
    assert (Range(4, 6) / Range(1, 2), Range(4, 9).middle, Range(0, 4).middle) == (
        Range(2, 6),
        6.0,
        2.0,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: training(-1, 3e11),
        lambda: forward(1.0, float("inf")),
        lambda: forward(float("nan")),
        lambda: Range(2, 1),
        lambda: Range(-1, 1),
        lambda: search(1e9, 1, -5, 1, 1),
        lambda: attention(1, -2, 3),
        lambda: dictionary(-1, 2),
        lambda: Range(1, 2) / Range(0, 1),
        lambda: Transformer(0, 1, 1, 1, 1, 1, 1),
        lambda: budget("-5m"),
        lambda: budget("0m"),
        lambda: budget("soon"),
        lambda: budget("5"),
        lambda: budget("1e15flop@h200"),
        lambda: budget("8h@abacus"),
        lambda: budget("1.2.3h"),
        lambda: budget("1e999flop"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(wrong):
    with pytest.raises(DataError) as e:
        wrong()
    assert "\n" not in str(e.value)


def test_budgets():
    assert [budget(t).seconds for t in ("90s", "5m", "5min", "2h", "1.5d")] == [
        90,
        300,
        300,
        7200,
        129600,
    ]
    assert budget("1e15FLOP").flop == Range(1e15, 1e15)
    bought = budget("8h@h200")
    assert bought.flop == Range(8 * 3600 * 9.89e14 * 0.2, 8 * 3600 * 9.89e14 * 0.5)
    assert "20%" in bought.assumed and "data sheet" in bought.assumed
    assert all(p.source for p in compute.PEAKS.values())


def test_the_benchmark_counts_what_it_does():
    assert compute.measured(0.01) > 1e6
