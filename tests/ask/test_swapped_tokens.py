"""Two places of a prompt that are swapped, and the control that swaps one of them with another
token, against hooks of one's own."""

import numpy as np
import pytest
from naive_asking import Naive, direction, intervention, make, measured, rows_of

from assay.ask.measure import controls, interventions
from assay.core.errors import DataError

STREAM = "blocks.1.hook_resid_pre"
MLP = "blocks.0.hook_mlp_out"
HEADS = "blocks.1.attn.hook_z"
CLOSE = {"rtol": 0, "atol": 2e-4}
PAIRS = [("x", "y"), ("a", "b"), ("y", "d"), ("b", "x"), ("e", "a"), ("d", "e")]


@pytest.fixture
def shown():
    rows = [{"first": a, "second": b} for a, b in PAIRS]
    return rows_of(*rows, text="sum of {first} and so {second} = the")


def swap(**more):
    return intervention(patch="swapped", **{"position": ("{first}", "{second}"), **more})


def places(naive, text, values):
    """The tokens of two words, each found by cutting the text behind it."""
    return [len(naive.tokens(text[: text.index(f" {x} ") + len(x) + 1])) - 1 for x in values]


def exchanged(one, other, heads=slice(None)):
    def change(x):
        x[:, [one, other], heads] = x[:, [other, one], heads]
        return x

    return change


@pytest.mark.parametrize(
    ("where", "site", "part"),
    [({"site": STREAM}, STREAM, slice(None)), ({"site": MLP}, MLP, slice(None)),
     ({"heads": ("1.1",)}, HEADS, 1)],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["llama", "gemma3_text"])
def test_each_of_two_places_gets_what_the_other_has(tmp_path, shown, kind, where, site, part):
    folder = make(tmp_path / kind, kind)
    naive = Naive(folder)
    got = measured(folder, shown, swap(**where))[0]["one"][0]
    for row, pair, number in zip(shown.rows, PAIRS, got, strict=True):
        hooks = {site: exchanged(*places(naive, row.text, pair), part)}
        assert number == pytest.approx(naive.reads(row.text, hooks)[0], abs=2e-4)
    assert np.abs(got - [naive.reads(row.text)[0] for row in shown.rows]).max() > 1e-3


def test_the_control_swaps_the_first_place_with_another_token(subject, shown):
    folder, naive = subject
    table = swap(site=STREAM)
    assert [c.name for c in controls.of_intervention(table, ())] == ["token"]
    got = measured(folder, shown, table, "token")[0]["one"][0]

    def by(shift):
        found = []
        for row, pair in zip(shown.rows, PAIRS, strict=True):
            one, other = places(naive, row.text, pair)
            found.append(naive.reads(row.text, {STREAM: exchanged(one, other + shift)})[0])
        return found

    spots = [places(naive, row.text, pair) for row, pair in zip(shown.rows, PAIRS, strict=True)]
    shifts = [
        n
        for n in range(-9, 9)
        if all(
            0 < b + n < len(naive.tokens(row.text)) and b + n not in (a, b)
            for (a, b), row in zip(spots, shown.rows, strict=True)
        )
    ]
    assert any(np.allclose(got, by(n), **CLOSE) for n in shifts)


def test_a_swap_along_a_direction_leaves_the_rest(subject, shown):
    folder, naive = subject
    along = direction(unembedding=" a")
    got = measured(folder, shown, swap(along="d", site=STREAM), tables=(along,))[0]["one"][0]
    rows = naive.model.lm_head.weight * naive.model.model.norm.weight
    (token,) = naive.tokenizer.encode(" a", add_special_tokens=False)
    unit = (rows[token] / rows[token].norm()).detach()
    for row, pair, number in zip(shown.rows, PAIRS, got, strict=True):
        one, other = places(naive, row.text, pair)

        def change(x, one=one, other=other):
            gap = ((x[:, other] - x[:, one]) @ unit)[:, None] * unit
            x[:, one] += gap
            x[:, other] -= gap
            return x

        assert number == pytest.approx(naive.reads(row.text, {STREAM: change})[0], abs=2e-4)


def test_slots_of_several_tokens_are_swapped_token_by_token(subject):
    folder, naive = subject
    rows = rows_of(
        *({"first": "x y", "second": "y x", "end": end} for end in "bde"),
        text="{first} = {second} {end}",
    )
    table = swap(site=STREAM, position=("all of {first}", "all of {second}"))
    got = measured(folder, rows, table)[0]["one"][0]
    for row, number in zip(rows.rows, got, strict=True):
        n = len(naive.tokens("x y"))
        hook = exchanged([*range(n)], [*range(n + 1, 2 * n + 1)])
        assert number == pytest.approx(naive.reads(row.text, {STREAM: hook})[0], abs=2e-4)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"position": (1, 2, 3)}, "at two places of a prompt"),
        ({"after": "zero"}, "after no other change"),
    ],
)
def test_swaps_that_cannot_be_are_refused(more, why):
    with pytest.raises(DataError, match=why):
        interventions.check(swap(site=STREAM, **more), ())


def test_places_with_other_numbers_of_tokens_are_refused(subject, shown):
    table = swap(site=STREAM, position=("{first}", "{first}"))
    with pytest.raises(DataError, match="cannot be swapped"):
        measured(subject[0], shown, table)
