"""One class, several kinds: transcoders, skips, crosscoders, rows normalised by themselves; against
loops and algebra."""

import json
from dataclasses import replace

import pytest
import torch

from assay.core.errors import DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated, GatedSigmoid, GatedUntied
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Identity, ReLU
from assay.dictionaries.selection import BatchTopK

R, B, F, D_IN, D_OUT = 2, 6, 7, 5, 3
G = torch.Generator().manual_seed(3)


def draw(*shape):
    return torch.randn(*shape, generator=G, dtype=torch.float64)


X = draw(B, D_IN)


def transcoder(**more):
    given = {
        "W_enc": draw(R, D_IN, F),
        "b_enc": draw(R, F),
        "W_dec": draw(R, F, D_OUT),
        "b_dec": draw(R, D_OUT),
        "nonlinearity": ReLU(),
        "b_pre": torch.zeros(R, D_IN, dtype=torch.float64),
        "mean": draw(R, D_IN),
        "scale": draw(R).exp(),
        "mean_out": draw(R, D_OUT),
        "scale_out": draw(R).exp(),
        "W_skip": draw(R, D_IN, D_OUT),
        "sites": ("blocks.1.ln2.hook_normalized",),
        "sites_out": ("blocks.1.hook_mlp_out",),
    }
    return Dictionary(**{**given, **more})


def test_a_skip_transcoder_number_by_number():
    d = transcoder()
    got = d.reconstruct(X)
    for r in range(R):
        for b in range(B):
            n = [((X[b, j] - d.mean[r, j]) * d.scale[r]).item() for j in range(D_IN)]
            code = [
                max(
                    sum(n[j] * d.W_enc[r, j, i].item() for j in range(D_IN)) + d.b_enc[r, i].item(),
                    0,
                )
                for i in range(F)
            ]
            for o in range(D_OUT):
                out = (
                    sum(code[i] * d.W_dec[r, i, o].item() for i in range(F)) + d.b_dec[r, o].item()
                )
                out += sum(n[j] * d.W_skip[r, j, o].item() for j in range(D_IN))
                assert got[r, b, o].item() == pytest.approx(
                    out / d.scale_out[r].item() + d.mean_out[r, o].item(), rel=1e-12
                )


def test_normalised_is_the_same_transcoder_for_normalised_activations():
    d = transcoder()
    n = d.normalise(X)
    torch.testing.assert_close(d.normalised.encode(n), d.encode(X))
    raw = d.normalised.reconstruct(n) / d.scale_out[:, None, None] + d.mean_out[:, None]
    torch.testing.assert_close(raw, d.reconstruct(X))


def test_a_crosscoder_may_scale_each_layer_by_itself():
    scale = torch.tensor([[2.0, 2.0, 0.5, 0.5, 0.5]] * R, dtype=torch.float64)
    W = draw(R, F, D_IN)
    d = Dictionary(W.mT, draw(R, F), W, draw(R, D_IN), ReLU(), scale=scale, sites=("a", "b"))
    torch.testing.assert_close(d.normalise(X), X * scale[:, None])
    torch.testing.assert_close(
        d.reconstruct(X), d.normalised.reconstruct(X * scale[:, None]) / scale[:, None]
    )


def identity(d=4, **more):
    eye = torch.eye(d, dtype=torch.float64)[None]
    zeros = torch.zeros(1, d, dtype=torch.float64)
    return Dictionary(eye, zeros, eye, zeros, Identity(), **more)


@pytest.mark.parametrize("kind", ["", "layer-norm-exact", "length"])
@pytest.mark.parametrize("size", [1.0, 1e-5])
def test_an_identity_coder_gives_each_row_back(kind, size):
    x = size * torch.tensor([[1.0, 2.0, 3.0, 4.0], [4.0, -1.0, 0.0, 2.0]], dtype=torch.float64)
    torch.testing.assert_close(identity(per_token=kind).reconstruct(x), x, rtol=1e-9, atol=0)


def test_layer_norm_as_other_libraries_undo_it():
    """x = 1e-5 · (1, 2, 3, 4): divided by σ + 1e-5, multiplied by σ."""
    x = 1e-5 * torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    expected = 1e-5 * torch.tensor([[1.655, 2.218, 2.782, 3.345]], dtype=torch.float64)
    torch.testing.assert_close(
        identity(per_token="layer-norm").reconstruct(x), expected, rtol=5e-4, atol=0
    )


def test_features_of_normalised_rows_do_not_know_the_rows_size():
    W = draw(1, F, D_IN)
    zeros = torch.zeros(1, D_IN, dtype=torch.float64)
    for kind in ("layer-norm", "length"):
        d = Dictionary(
            W.mT, torch.zeros(1, F, dtype=torch.float64), W, zeros, ReLU(), per_token=kind
        )
        torch.testing.assert_close(d.encode(7 * X), d.encode(X), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        d.normalise(X).square().mean(-1), torch.ones(1, B, dtype=torch.float64)
    )
    assert identity(per_token="length").reconstruct(
        torch.zeros(1, 4, dtype=torch.float64)
    ).tolist() == [[0, 0, 0, 0]]


def test_untied_magnitudes_read_the_input_through_an_encoder_of_their_own():
    W, own = draw(R, F, D_IN), {"W_mag": draw(R, D_IN, F), "b_mag": draw(R, F)}
    d = Dictionary(W.mT, draw(R, F), W, draw(R, D_IN), GatedUntied(), own)
    centred = X - d.b_dec[:, None]
    opens = centred @ d.W_enc + d.b_enc[:, None] > 0
    torch.testing.assert_close(
        d.encode(X), opens * (centred @ own["W_mag"] + own["b_mag"][:, None]).relu()
    )


def test_as_trained_is_the_soft_gate_and_the_batchs_competition():
    W, own = draw(R, F, D_IN), {"r_mag": draw(R, F), "b_mag": draw(R, F)}
    hard = Dictionary(
        W.mT,
        draw(R, F),
        W,
        draw(R, D_IN),
        Gated(),
        own,
        origin={"trained_as": {"name": "GatedSigmoid"}},
    )
    assert hard.as_trained.nonlinearity == GatedSigmoid()
    assert identity().as_trained.nonlinearity == Identity()
    gate = ((X - hard.b_dec[:, None]) @ hard.W_enc + hard.b_enc[:, None]).sigmoid()
    on = hard.encode(X) > 0
    torch.testing.assert_close(hard.as_trained.encode(X)[on], (gate * hard.encode(X))[on])
    own = {"threshold": torch.full((R, F), 0.5, dtype=torch.float64)}
    jump = Dictionary(
        W.mT,
        draw(R, F),
        W,
        draw(R, D_IN),
        JumpReLU(),
        own,
        origin={"trained_as": {"name": "BatchTopK", "k": 2}},
    )
    assert jump.as_trained.nonlinearity == BatchTopK(2)
    assert ((jump.as_trained.encode(X) > 0).sum((1, 2)) == 2 * B).all()


@pytest.mark.parametrize("per_token", ["", "length"])
def test_every_field_round_trips_through_file_header_and_join(per_token, tmp_path):
    d = transcoder(per_token=per_token, origin={"format": "made up", "inferred": ["scale"]})
    d.save(tmp_path / "d.safetensors")
    again = Dictionary.from_tensors(d.tensors(), json.loads(json.dumps(d.header())))
    for other in (
        Dictionary.load(tmp_path / "d.safetensors"),
        again,
        Dictionary.of(d.to_trained()),
        Dictionary.join(list(d)),
        d[:],
    ):
        assert other.sites == d.sites
        assert other.sites_out == d.sites_out
        assert other.per_token == d.per_token
        assert dict(other.origin) == dict(d.origin)
        assert torch.equal(other.reconstruct(X), d.reconstruct(X))
    torch.testing.assert_close(d[1].reconstruct(X), d.reconstruct(X)[1])


def test_tensors_that_are_beside_a_dictionary_are_not_read_as_its_own():
    d = transcoder()
    tensors = {**d.tensors(), "exempt": torch.zeros(R, F), "drift": torch.zeros(R, 3)}
    assert not Dictionary.from_tensors(tensors, {**d.header(), "beside": ["exempt", "drift"]}).own


def test_a_stores_file_opens_too(tmp_path):
    from assay.lab.store.runs import dump_trained, rows

    d = transcoder()
    (tmp_path / "params.safetensors").write_bytes(dump_trained(rows(d.to_trained(), [1])))
    assert torch.equal(
        Dictionary.load(tmp_path / "params.safetensors").reconstruct(X), d[1].reconstruct(X)
    )


def test_what_a_user_can_get_wrong(tmp_path):
    from safetensors.torch import save_file

    d = transcoder()
    with pytest.raises(DataError, match=r"call decode\(features, x\) with the input x"):
        d.decode(d.encode(X))
    with pytest.raises(DataError, match=r"call decode\(features, x\)"):
        identity(per_token="length").decode(torch.zeros(1, 2, 4, dtype=torch.float64))
    with pytest.raises(
        DataError, match="b_pre must be given where d_in 5 is not d_out 3: b_dec has another width"
    ):
        transcoder(b_pre=None)
    with pytest.raises(
        DataError,
        match="mean_out must be given where d_in 5 is not d_out 3: mean has another width",
    ):
        transcoder(mean_out=None)
    with pytest.raises(DataError, match=r"W_skip must be \[2, 5, 3\]"):
        transcoder(W_skip=torch.zeros(R, D_OUT, D_IN))
    with pytest.raises(
        DataError,
        match=(
            "per_token must be one of '', 'layer-norm', 'layer-norm-exact', 'length', 'mean', "
            "got 'batch-norm'"
        ),
    ):
        transcoder(per_token="batch-norm")
    with pytest.raises(DataError, match=r"JumpReLU needs its threshold as \[2, 7\], got none"):
        transcoder(nonlinearity=JumpReLU())
    with pytest.raises(DataError, match=r"JumpReLU needs its threshold as \[2, 7\], got \[2, 6\]"):
        transcoder(nonlinearity=JumpReLU(), own={"threshold": torch.zeros(R, 6)})
    with pytest.raises(
        DataError,
        match=r"W_enc must be \[run, d_in, f\].*one dictionary has a run axis of length 1",
    ):
        replace(d, W_enc=d.W_enc[0])
    save_file({"W_enc": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(DataError, match=r"holds no dictionary of Assay's own.*assay export"):
        Dictionary.load(tmp_path / "foreign.safetensors")
