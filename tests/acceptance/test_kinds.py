"""One class, several kinds: transcoders, skips, crosscoders, rows normalised by themselves; against
loops and algebra."""

import json

import pytest
import torch

from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU

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
