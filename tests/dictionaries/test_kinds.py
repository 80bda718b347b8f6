"""One class, several kinds: transcoders, skips, crosscoders, rows normalised by themselves; against
loops and algebra."""

from dataclasses import replace

import pytest
import torch

from acceptance.test_kinds import D_IN, D_OUT, B, F, R, X, draw, transcoder
from assay.core.errors import DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated, GatedSigmoid, GatedUntied
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Identity, ReLU
from assay.dictionaries.selection import BatchTopK


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
