"""Language models trained as an ensemble: each run as if alone, exact laws of weight decay and of
tokens never seen, resumes."""

import math

import numpy as np
import pytest
import torch

from assay.core.bench import Unkept
from assay.core.errors import SpecError
from assay.core.fit import fit, warm_up_decay
from assay.core.runs import Runs
from assay.core.spec import grid
from assay.data import lm as lms
from assay.data.checkpoint import Alone
from assay.data.lm import HELD_OUT, LmSpec, group_of, loss_on, shape_of, start, train_lms
from assay.data.lm_text import batches
from assay.subjects.decoder import write
from assay.subjects.pretrained import load
from tiny_models import save_tokenizer

VOCAB = 40
SMALL = LmSpec(d=16, heads=2, m=24, context=12, batch=8, steps=50, warm=5)
KINDS = {
    "gpt2": SMALL,
    "llama": SMALL.replace(
        norm="rms", positions="rotary", gated=True, activation="silu", layers=2, tied=True
    ),
}
TOKENS = np.random.default_rng(3).integers(VOCAB - 4, size=(64, 12)).astype(np.int32)
"""Windows in which the last four tokens never occur."""


def trained(runs, steps=None, **how):
    runs = Runs([s.replace(steps=steps) for s in runs]) if steps else runs
    shape = shape_of(runs.specs[0], VOCAB)
    return train_lms(
        runs,
        shape,
        batches(runs.seeds, TOKENS, VOCAB, runs.shared.batch),
        how.pop("bench", Unkept()),
        **how,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_alone_is_the_same_run_in_an_ensemble(kind):
    specs = [
        *grid(KINDS[kind], lr=(1e-3, 3e-3), decay=(0.0, 0.1)),
        KINDS[kind].replace(seed=4, std=0.1),
    ]
    together = trained(Runs(specs))
    for i in (0, 3, 4):
        alone = trained(Runs(specs[i : i + 1]))
        for name, value in alone.tensors.items():
            torch.testing.assert_close(value[0], together.tensors[name][i], atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(alone.history["loss"][0], together.history["loss"][i], atol=1e-5)


def test_the_start_belongs_to_the_seed_and_other_blocks_leave_it_as_it_is():
    shape = shape_of(SMALL, VOCAB)
    runs = Runs([SMALL, SMALL.replace(seed=1, std=0.5), SMALL])
    params = start(runs, shape)
    assert {name: tuple(value.shape[1:]) for name, value in params.items()} == shape.parameters()
    deeper = SMALL.replace(layers=3)
    deep = start(Runs([deeper]), shape_of(deeper, VOCAB))
    for name, value in params.items():
        assert torch.equal(value[0], value[2])
        mine = deep[name][0] if value.shape[1:] == deep[name].shape[1:] else deep[name][0, :1]
        assert torch.equal(mine, value[0])
    assert not torch.equal(params["W_in"][0], params["W_in"][1])
    assert params["W_QKV"][1].std().item() == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_fixed_is_used_and_not_learned(kind):
    runs = Runs([KINDS[kind].replace(steps=4, decay=0.1)])
    shape, draw = shape_of(runs.specs[0], VOCAB), batches(runs.seeds, TOKENS, VOCAB, 8)
    params = start(runs, shape)
    fixed = {name: params.pop(name) for name in ("W_QKV", "W_in")}
    before = {name: p.clone() for name, p in fixed.items()}
    [done] = fit(
        [group_of(runs, shape, params, fixed)], draw, steps=4, probe_at=(1,), bench=Unkept()
    )
    whole = start(runs, shape)
    [all_learned] = fit(
        [group_of(runs, shape, whole)], draw, steps=4, probe_at=(1,), bench=Unkept()
    )
    assert set(done.tensors) == set(shape.parameters()) - set(fixed)
    # the first step reads the same model
    np.testing.assert_allclose(done.history["loss"][0, 0], all_learned.history["loss"][0, 0])
    for name, p in fixed.items():
        assert torch.equal(p, before[name])
        assert not torch.equal(all_learned.tensors[name], p)


@pytest.mark.parametrize("kind", KINDS)
def test_before_training_the_loss_is_that_of_a_uniform_guess(kind):
    spec = KINDS[kind]
    shape = shape_of(spec, VOCAB)
    loss = float(loss_on(start(Runs([spec]), shape), TOKENS, shape))
    assert loss == pytest.approx(math.log(VOCAB), abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_one_batch_can_be_learned_by_heart(kind):
    runs = Runs([KINDS[kind].replace(steps=300, batch=1, lr=1e-2)])
    one = torch.from_numpy(TOKENS[None, :1].astype(np.int64))
    found = train_lms(runs, shape_of(runs.specs[0], VOCAB), lambda step: one, Unkept())
    assert found.history["loss"][0, -1] < 0.05


def test_a_token_never_seen_keeps_its_row_or_decays_by_the_law():
    runs = Runs(grid(SMALL, decay=(0.0, 0.1)))
    before = start(runs, shape_of(SMALL, VOCAB))["W_E"]
    after = trained(runs).tensors["W_E"]
    assert torch.equal(after[0, -4:], before[0, -4:])  # bit for bit
    rate = warm_up_decay(SMALL.steps, SMALL.warm, 0.8)
    left = math.prod(1 - SMALL.lr * rate(t) * 0.1 for t in range(SMALL.steps))
    torch.testing.assert_close(after[1, -4:], left * before[1, -4:], atol=0, rtol=1e-5)
    assert not torch.equal(after[0, :-4], before[0, :-4])


def test_tied_rows_of_tokens_never_seen_move_as_outputs_do():
    runs = Runs([SMALL.replace(tied=True)])
    shape = shape_of(runs.specs[0], VOCAB)
    moved = (trained(runs).tensors["W_E"] - start(runs, shape)["W_E"])[0]
    unit = moved / moved.norm(dim=1, keepdim=True)
    cosine = unit @ unit.T
    assert float(cosine[-4:, -4:].min()) > 0.9
    assert float(cosine[:-4, :-4].triu(1).mean()) < 0.5


def test_what_is_held_out_is_what_transformers_says(tmp_path):
    runs = Runs([SMALL.replace(seed=1), SMALL.replace(seed=2)])
    vocab = save_tokenizer(tmp_path)
    shape = shape_of(SMALL, vocab)
    others = np.random.default_rng(9).integers(VOCAB, size=(5, 12)).astype(np.int32)
    found = train_lms(
        runs,
        shape,
        batches(runs.seeds, TOKENS, VOCAB, 8),
        Unkept(),
        evaluate_at=(1, 20, 50),
        held_out=others,
    )
    for run in range(2):
        write(tmp_path / str(run), found.tensors, shape, tmp_path / "tokenizer.json", {}, run)
        wanted = (
            load(str(tmp_path / str(run))).losses(torch.from_numpy(others.astype(np.int64))).mean()
        )
        assert float(found.tensors[HELD_OUT][run, -1]) == pytest.approx(float(wanted), abs=1e-5)
    assert found.tensors[HELD_OUT].shape == (2, 3)


def test_a_killed_training_goes_on_bit_for_bit(tmp_path, plain_bench, monkeypatch):
    runs, others = Runs(grid(SMALL.replace(steps=12), decay=(0.0, 0.1))), TOKENS[:3]
    how = {"evaluate_at": (1, 4, 12), "held_out": others}
    whole = trained(runs, **how)
    monkeypatch.setattr(Alone, "due", lambda self: True)
    bench = Alone(plain_bench(tmp_path), tmp_path)
    report = bench.report

    def dies(done, total, **numbers):
        if done == 7:
            raise KeyboardInterrupt
        report(done, total, **numbers)

    bench.report = dies
    with pytest.raises(KeyboardInterrupt):
        trained(runs, bench=bench, **how)
    again = trained(runs, bench=Alone(plain_bench(tmp_path), tmp_path), **how)
    for name, value in whole.tensors.items():
        assert torch.equal(value, again.tensors[name]), name
    np.testing.assert_array_equal(whole.history["loss"], again.history["loss"])


def test_long_held_out_texts_are_read_in_parts(monkeypatch):
    shape = shape_of(SMALL, VOCAB)
    params = start(Runs([SMALL.replace(std=0.3)]), shape)
    whole = loss_on(params, TOKENS, shape)
    monkeypatch.setattr(lms, "AT_ONCE", 30)
    torch.testing.assert_close(loss_on(params, TOKENS, shape), whole, atol=1e-6, rtol=1e-6)


def test_each_run_reads_in_its_own_order_and_equal_seeds_the_same():
    draw = batches(np.array([1, 2, 1]), TOKENS, VOCAB, 8)
    x = draw(0)
    assert torch.equal(x[0], x[2]) and not torch.equal(x[0], x[1])
    assert torch.equal(batches(np.array([2]), TOKENS, VOCAB, 8)(0)[0], x[1])
    epoch = torch.cat([draw(step)[0] for step in range(8)])  # each window once
    assert len(epoch.unique(dim=0)) == len(TOKENS) and not torch.equal(draw(8), x)
    with pytest.raises(SpecError, match="a batch of 65 windows is more than the 64 of 12 tokens"):
        batches(np.array([1]), TOKENS, VOCAB, 65)


@pytest.mark.parametrize(
    "changes",
    [
        {"d": 10},
        {"positions": "rotary", "d": 12, "heads": 4},
        {"decay": -1.0},
        {"std": 0.0},
        {"warm": -1},
    ],
    ids=str,
)
def test_impossible_specs_are_told_in_one_line(changes):
    with pytest.raises(SpecError) as told:
        LmSpec(**changes)
    assert "\n" not in str(told.value) and "LmSpec" in str(told.value)
