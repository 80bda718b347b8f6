"""A dictionary hooked into a module: outputs are those of a model whose activations were replaced
by hand, and nothing stays behind."""

import numpy as np
import pytest
import torch
from torch import nn

import tiny_models
from assay.core.errors import DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.hook import spliced
from assay.dictionaries.nonlinearity import ReLU

D = 24


def dictionary(d=D, d_out=None, f=60, seed=0, **more):
    own = torch.Generator().manual_seed(seed)
    W_dec = torch.randn(1, f, d_out or d, generator=own) / 5
    W_enc = torch.randn(1, d, f, generator=own) / 5
    bias = torch.randn(1, d_out or d, generator=own)
    return Dictionary(
        W_enc, torch.zeros(1, f), W_dec, bias, ReLU(), b_pre=torch.zeros(1, d), **more
    )


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def world(request, tmp_path_factory):
    import transformers

    folder = tiny_models.make(tmp_path_factory.mktemp(request.param) / "model", request.param)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    blocks = model.model.layers if request.param == "llama" else model.transformer.h
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, 250, (2, 9)))
    return folder, model, blocks, ids


def by_hand(d, x):
    """The naive pass through a plain ReLU dictionary, float64."""
    W_enc, W_dec, b = (t[0].double().numpy() for t in (d.W_enc, d.W_dec, d.b_dec))
    return np.maximum(x @ W_enc, 0), np.maximum(x @ W_enc, 0) @ W_dec + b


def naive_logits(world, edits):
    folder, _, _, ids = world
    return tiny_models.naive(folder, ids.numpy(), edits)


def logits(model, ids):
    with torch.no_grad():
        return model(ids).logits.double().numpy()


def test_a_block_s_output_is_replaced(world):
    _, model, blocks, ids = world
    d = dictionary()
    wanted, _ = naive_logits(world, {"blocks.1.hook_resid_post": lambda x: by_hand(d, x)[1]})
    plain, clean = naive_logits(world, {})
    with spliced(d, blocks[1]) as seen:
        np.testing.assert_allclose(logits(model, ids), wanted, atol=2e-4)
    np.testing.assert_allclose(
        seen.features, by_hand(d, clean["blocks.1.hook_resid_post"])[0], atol=1e-4
    )
    np.testing.assert_allclose(logits(model, ids), plain, atol=2e-4)
    assert abs(wanted - plain).max() > 0.1


def test_an_input_is_replaced_and_a_block_s_input_is_the_output_before_it(world):
    _, model, blocks, ids = world
    d = dictionary()
    with spliced(d, blocks[2], at="input"):
        a = logits(model, ids)
    with spliced(d, blocks[1]):
        np.testing.assert_allclose(logits(model, ids), a, atol=1e-5)


def test_a_transcoder_goes_through_a_module(world):
    _, model, blocks, ids = world
    d, seen_in = dictionary(seed=3), []
    handle = blocks[0].mlp.register_forward_pre_hook(
        lambda module, args: seen_in.append(args[0].double().numpy())
    )
    logits(model, ids)
    handle.remove()
    made = by_hand(d, seen_in[0])[1]
    wanted, _ = naive_logits(world, {"blocks.0.hook_mlp_out": lambda x: made})
    with spliced(d, blocks[0].mlp, at="through"):
        np.testing.assert_allclose(logits(model, ids), wanted, atol=2e-4)


def test_only_named_positions_are_replaced(world):
    _, model, blocks, ids = world
    d, mask = dictionary(), np.zeros((2, 9), bool)
    mask[0, 3:5] = mask[1, 0] = True
    wanted, _ = naive_logits(
        world,
        {"blocks.1.hook_resid_post": lambda x: np.where(mask[..., None], by_hand(d, x)[1], x)},
    )
    with spliced(d, blocks[1], positions=torch.from_numpy(mask)):
        np.testing.assert_allclose(logits(model, ids), wanted, atol=2e-4)
    with spliced(d, blocks[1], positions=torch.zeros(9, dtype=torch.bool)):
        np.testing.assert_allclose(logits(model, ids), naive_logits(world, {})[0], atol=2e-4)


def test_looking_and_an_edit_that_keeps_the_error_change_nothing(world):
    _, model, blocks, ids = world
    plain = logits(model, ids)
    with spliced(dictionary(), blocks[1], replace=False) as seen:
        assert (logits(model, ids) == plain).all()
    assert seen.features.shape == (2, 9, 60)
    with spliced(dictionary(), blocks[1], keep_error=True):
        np.testing.assert_allclose(logits(model, ids), plain, atol=1e-4)


def test_an_edit_with_the_error_kept_takes_one_feature_out(world):
    _, model, blocks, ids = world
    d, feature = dictionary(), 7

    def off(f):
        f[..., feature] = 0  # in place, as one writes it
        return f

    row = d.W_dec[0, feature].double().numpy()
    wanted, _ = naive_logits(
        world,
        {"blocks.1.hook_resid_post": lambda x: x - by_hand(d, x)[0][..., feature, None] * row},
    )
    with spliced(d, blocks[1], edit=off, keep_error=True) as seen:
        np.testing.assert_allclose(logits(model, ids), wanted, atol=2e-4)
    assert (seen.features[..., feature] > 0).any()
    assert abs(wanted - naive_logits(world, {})[0]).max() > 0.01


def test_nested_blocks_meet_what_the_outer_one_left(world):
    _, model, blocks, ids = world
    a, b = dictionary(seed=1), dictionary(seed=2)
    edits = {
        "blocks.0.hook_resid_post": lambda x: by_hand(a, x)[1],
        "blocks.1.hook_resid_post": lambda x: by_hand(b, x)[1],
    }
    with spliced(a, blocks[0]), spliced(b, blocks[1]):
        np.testing.assert_allclose(logits(model, ids), naive_logits(world, edits)[0], atol=2e-4)
    twice = {"blocks.0.hook_resid_post": lambda x: by_hand(b, by_hand(a, x)[1])[1]}
    with spliced(a, blocks[0]), spliced(b, blocks[0]):
        np.testing.assert_allclose(logits(model, ids), naive_logits(world, twice)[0], atol=2e-4)


def test_the_hook_is_gone_after_an_exception(world):
    _, model, blocks, ids = world
    plain = logits(model, ids)
    for at in ("output", "input", "through"):
        with pytest.raises(ZeroDivisionError), spliced(dictionary(), blocks[1], at=at):
            _ = 1 / 0
        with (
            pytest.raises(DataError, match="reads 5 numbers per token"),
            spliced(dictionary(d=5), blocks[1], at=at),
        ):
            logits(model, ids)
    assert (logits(model, ids) == plain).all()
    assert not blocks[1]._forward_hooks and not blocks[1]._forward_pre_hooks


def test_tuples_keywords_heads_and_dtypes():
    class Gives(nn.Module):
        def forward(self, *, hidden=None, flag=1):
            return hidden * 2, "kept"

    x = torch.randn(
        2, 3, 4, 6, dtype=torch.bfloat16
    )  # four heads of six numbers: together the width
    d = dictionary()
    wanted = d.reconstruct((2 * x).reshape(-1, D).float())[0].reshape(x.shape)
    with spliced(d, module := Gives()):
        out, rest = module(hidden=x)
    assert rest == "kept" and out.dtype == torch.bfloat16
    assert torch.equal(out, wanted.bfloat16())
    with spliced(d, module, at="input"):
        assert torch.equal(
            module(hidden=x)[0],
            2 * d.reconstruct(x.reshape(-1, D).float())[0].reshape(x.shape).bfloat16(),
        )


def test_gradients_pass_through():
    d, x = dictionary(), torch.randn(2, 3, D, requires_grad=True)
    with spliced(d, module := nn.Identity()):
        module(x).sum().backward()
    on = (x.detach() @ d.W_enc[0] > 0).float()
    np.testing.assert_allclose(x.grad, (on * d.W_dec[0].sum(1)) @ d.W_enc[0].T, atol=1e-5)


def test_what_cannot_be_hooked_is_refused():
    two = Dictionary(
        torch.zeros(2, D, 3), torch.zeros(2, 3), torch.zeros(2, 3, D), torch.zeros(2, D), ReLU()
    )
    with pytest.raises(DataError, match="holds 2 runs"), spliced(two, nn.Identity()):
        pass
    with pytest.raises(DataError, match="at must be"), spliced(two[0], nn.Identity(), at="middle"):
        pass
    with (
        pytest.raises(DataError, match="positions must be"),
        spliced(dictionary(), m := nn.Identity(), positions=torch.ones(7) > 0),
    ):
        m(torch.zeros(2, 3, D))
    with (
        pytest.raises(DataError, match="without activations"),
        spliced(dictionary(), m := nn.Identity(), at="input"),
    ):
        m("words")


@pytest.mark.parametrize("shape", [(24,), (0, 3, 24), (3, 24), (2, 3, 24)])
def test_features_have_the_width_of_the_dictionary_whatever_the_module_is_given(shape):
    draw = torch.Generator().manual_seed(0)
    W = torch.randn(1, 24, 40, generator=draw)
    d = Dictionary(W, torch.zeros(1, 40), W.mT.contiguous(), torch.zeros(1, 24), ReLU())
    module, x = torch.nn.Identity(), torch.randn(shape, generator=draw)
    with spliced(d, module) as seen:
        out = module(x)
    assert out.shape == x.shape and seen.features.shape[-1] == 40
    assert torch.allclose(seen.features.reshape(-1, 40), d.encode(x.reshape(-1, 24))[0])
