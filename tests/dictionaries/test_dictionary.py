"""Dictionary: raw in, raw out; files and headers round trip; views and triples."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from assay.core.errors import DataError
from assay.dictionaries.baselines.repair import shrunk
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated
from assay.dictionaries.nonlinearity import ReLU, Rescaled
from assay.dictionaries.selection import TopK
from random_dictionary import random_dictionary


def make(nonlinearity=None):
    return random_dictionary(nonlinearity or Gated(), d=5, f=7, sites=("blocks.3.hook_resid_pre",))


X = torch.randn(11, 5, generator=torch.Generator().manual_seed(1))


def test_views_of_runs():
    d = make()
    assert len(d) == 2
    assert d.width == 7
    assert len(d[1]) == 1
    assert len(d[-1]) == 1
    assert len(list(d)) == 2
    torch.testing.assert_close(d[1].reconstruct(X), d.reconstruct(X)[1])
    torch.testing.assert_close(d[-1].encode(X), d[1].encode(X))
    torch.testing.assert_close(d[np.int64(1)].encode(X), d[1].encode(X))
    assert d[0].W_enc.data_ptr() == d.W_enc.data_ptr()
    joined = Dictionary.join(list(d))
    assert all(torch.equal(value, joined.tensors()[name]) for name, value in d.tensors().items())
    with pytest.raises(IndexError):
        d[2]


@pytest.mark.parametrize("nonlinearity", [ReLU(), Gated(), TopK(2)], ids=str)
def test_active_features_are_the_ones_that_are_not_zero(nonlinearity):
    d = make(nonlinearity)
    active, features = d.active(X), d.encode(X)
    wanted = [
        (r, b, f) for r in range(2) for b in range(11) for f in range(7) if features[r, b, f] > 0
    ]
    assert (
        list(zip(active.run.tolist(), active.row.tolist(), active.feature.tolist(), strict=True))
        == wanted
    )
    assert active.value.tolist() == [features[i].item() for i in wanted]


def test_shrunk_features_are_shorter_by_the_factor():
    torch.testing.assert_close(shrunk(make(), 0.85).encode(X), 0.85 * make().encode(X))


@dataclass(frozen=True)
class Squared(ReLU):
    def __call__(self, z, b_enc, own):
        return super().__call__(z, b_enc, own) ** 2


@pytest.mark.parametrize("nonlinearity", [Squared(), Rescaled(Squared())], ids=str)
def test_a_file_that_could_not_be_read_again_is_not_written(nonlinearity, tmp_path):
    d = make(nonlinearity)
    with pytest.raises(
        DataError,
        match=(
            f"is not written: a file cannot name the nonlinearity {type(nonlinearity).__name__}, "
        ),
    ):
        d.save(tmp_path / "d.safetensors")
    assert not list(tmp_path.iterdir())
    again = Dictionary.from_tensors(d.tensors(), json.loads(json.dumps(d.header())), nonlinearity)
    assert torch.equal(again.encode(X), d.encode(X))


def test_what_a_user_can_get_wrong(tmp_path):
    d = make()
    with pytest.raises(
        DataError,
        match=r"b_enc must be \[2, 7\] with W_enc \[2, 5, 7\] \[run, d_in, f\], got \[2, 6\]",
    ):
        Dictionary(d.W_enc, d.b_enc[:, :6], d.W_dec, d.b_dec, ReLU())
    with pytest.raises(
        DataError,
        match=r"\[tokens, 5\] or \[run, tokens, 5\] for this dictionary of 2 runs, got \[11, 4\]",
    ):
        d.encode(X[:, :4])
    with pytest.raises(DataError, match="missing: b_dec"):
        Dictionary.from_tensors({k: v for k, v in d.tensors().items() if k != "b_dec"}, d.header())
    with pytest.raises(DataError, match="missing: nonlinearity"):
        Dictionary.from_tensors(d.tensors(), {})
    (tmp_path / "broken.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="not a readable safetensors file"):
        Dictionary.load(tmp_path / "broken.safetensors")
    with pytest.raises(DataError, match="not a readable safetensors file"):
        Dictionary.load(tmp_path / "absent.safetensors")
