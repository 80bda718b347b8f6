"""Two changes in one arm, and parts that are chosen by what changing them does, against hooks of
one's own."""

import numpy as np
import pytest
from naive_asking import Naive, intervention, make, measured, rows_of

from assay.ask.measure import interventions
from assay.ask.tables import Block, Intervention, Read, Top
from assay.core.errors import DataError

MLP, STREAM = "blocks.0.hook_mlp_out", "blocks.1.hook_resid_pre"
CLOSE = {"rtol": 0, "atol": 2e-4}
ZERO = Intervention(name="zero", ablate="zero", site=MLP)
NOISY = Intervention(name="noisy", noise=3, site="blocks.0.hook_resid_pre")


@pytest.fixture
def shown():
    words = ["x", "sum of all", "def y", "the name", "return", "a list"] * 2
    return rows_of(*({"what": f"{w} = {n}"} for n, w in enumerate(words)), text="{what} and so")


def no_head(head):
    def change(z):
        z[:, :, head] = 0
        return z

    return change


def test_two_changes_are_made_in_one_arm(subject, shown):
    folder, naive = subject
    table = intervention(ablate="zero", heads=("1.1",), after="zero")
    got = measured(folder, shown, table, first=ZERO)[0]["one"][0]
    hooks = {MLP: lambda x: 0 * x, "blocks.1.attn.hook_z": no_head(1)}
    expected = [naive.reads(row.text, hooks)[0] for row in shown.rows]
    np.testing.assert_allclose(got, expected, **CLOSE)


def test_what_the_untouched_model_has_is_put_back_at_a_token(subject, shown):
    folder, naive = subject
    back = {"patch": "clean", "site": STREAM, "after": "zero"}
    whole = measured(folder, shown, intervention(**back), first=ZERO)[0]["one"][0]
    untouched = [naive.reads(row.text)[0] for row in shown.rows]
    np.testing.assert_allclose(whole, untouched, **CLOSE)
    at = measured(folder, shown, intervention(**back, position=2), first=ZERO)[0]["one"][0]
    for row, number in zip(shown.rows, at, strict=True):
        clean = naive.acts(row.text, STREAM)[2]

        def put(x, clean=clean):
            x[:, 2] = clean
            return x

        expected = naive.reads(row.text, {MLP: lambda x: 0 * x, STREAM: put})[0]
        assert number == pytest.approx(expected, abs=2e-4)


def test_noise_is_as_large_as_it_says_and_another_of_each_seed(subject, shown):
    folder, naive = subject
    read = Read(name="size", norm=True, site="blocks.0.hook_resid_pre", position=2)
    seeds = tuple(range(12))
    got = measured(folder, shown, NOISY, reads=(read,), seeds=seeds)[0]["size"]
    assert len({*got[:, 0].round(5)}) == len(seeds)
    acts = [naive.acts(row.text, "blocks.0.hook_resid_pre").numpy() for row in shown.rows]
    spread = np.concatenate([x[1:] for x in acts]).std()
    added = len(acts[0][2]) * (3 * spread) ** 2
    expected = np.mean([(x[2] ** 2).sum() + added for x in acts])
    assert np.mean(got**2) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("table", "tables", "why"),
    [
        ({"after": "other"}, (ZERO,), "no other intervention has this name"),
        ({"after": "zero"}, (Intervention(name="zero", after="x"),), "which has after"),
        ({}, (), 'comes before it with after = "…"'),
    ],
)
def test_changes_that_cannot_come_first_are_refused(table, tables, why):
    changed = intervention(patch="clean", site=STREAM, **table)
    with pytest.raises(DataError, match=why):
        interventions.check(changed, ())
        interventions.before(changed, tables)


def test_two_changes_of_one_site_are_refused(subject, shown):
    with pytest.raises(DataError, match="both change blocks"):
        measured(subject[0], shown, intervention(ablate="mean", site=MLP, after="zero"), first=ZERO)


def test_heads_are_chosen_by_what_each_does_on_the_other_half(subject, shown):
    folder, naive = subject
    table = intervention(ablate="zero", top=Top(n=2, of="heads", by="one"))
    got, _ = measured(folder, shown, table, chooses=True)
    learned, judged = ([shown.rows[i].text for i in rows] for rows in shown.halves())
    heads = [(layer, head) for layer in range(2) for head in range(naive.heads)]

    def read(text, some):
        by_layer = {n: [h for layer, h in some if layer == n] for n, _ in some}
        hooks = {f"blocks.{n}.attn.hook_z": no_head(hs) for n, hs in by_layer.items()}
        return naive.reads(text, hooks)[0]

    falls = [np.mean([read(t, []) - read(t, [h]) for t in learned]) for h in heads]
    best = sorted(np.argsort(falls)[::-1][:2])
    assert sorted(got["chosen_parts"][0].astype(int)) == best
    expected = [read(t, [heads[k] for k in best]) for t in judged]
    np.testing.assert_allclose(got["one"][0], expected, **CLOSE)


def with_blocks(tmp_path_factory, count):
    folder = make(tmp_path_factory.mktemp("deep") / "llama", "llama", num_hidden_layers=count)
    return folder, Naive(folder)


def test_a_window_is_restored_around_each_level_and_clipped_at_the_ends(tmp_path_factory, shown):
    """Causal tracing: MLPs of the blocks from one before to two after are as in the clean run."""
    folder, naive = with_blocks(tmp_path_factory, 6)
    zero = Intervention(name="zero", ablate="zero", site="blocks.0.hook_resid_pre", position=2)
    table = intervention(
        patch="clean",
        site="blocks.{at}.hook_mlp_out",
        window=(-1, 2),
        position=2,
        after="zero",
        sweep={"at": (0, 2, 5)},
    )
    got = measured(folder, shown, table, first=zero)[0]["one"][0]

    def put(value):
        def change(x):
            x[:, 2] = value
            return x

        return change

    for level, blocks in enumerate(([0, 1, 2], [1, 2, 3, 4], [4, 5])):
        for i, row in enumerate(shown.rows):
            sites = [f"blocks.{n}.hook_mlp_out" for n in blocks]
            hooks = {site: put(naive.acts(row.text, site)[2]) for site in sites}
            hooks["blocks.0.hook_resid_pre"] = put(0.0)
            expected = naive.reads(row.text, hooks)[0]
            assert got[level, i] == pytest.approx(expected, abs=2e-4)


def test_the_control_of_a_window_is_another_window_as_wide(tmp_path_factory, shown):
    folder, naive = with_blocks(tmp_path_factory, 6)
    table = intervention(ablate="zero", site="blocks.1.hook_mlp_out", window=(-1, 0))
    got = measured(folder, shown, table, control="layer")[0]["one"][0]
    hooks = {f"blocks.{n}.hook_mlp_out": lambda x: 0 * x for n in (2, 3)}
    expected = [naive.reads(row.text, hooks)[0] for row in shown.rows]
    np.testing.assert_allclose(got, expected, **CLOSE)


def test_attention_is_blocked_in_a_window_of_layers(tmp_path_factory, shown):
    folder, _ = with_blocks(tmp_path_factory, 4)
    block = {"to": 1, "layers": ("2",)}
    window = intervention(block=Block(**block), window=(-1, 1))
    listed = intervention(block=Block(to=1, layers=(1, 2, 3)))
    numbers = [measured(folder, shown, t)[0]["one"][0] for t in (window, listed)]
    np.testing.assert_allclose(*numbers, **CLOSE)


@pytest.mark.parametrize(
    "fields", [{"heads": ("1.1",), "window": (-1, 1)}, {"site": MLP, "window": (1, 2)}]
)
def test_a_window_around_no_block_is_refused(fields):
    with pytest.raises(DataError, match="a window is"):
        interventions.check(intervention(ablate="zero", **fields), ())
