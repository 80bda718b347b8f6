"""Activations in a file: the measures of a plain float64 computation, however the file is cut; and
files that will not do."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from assay.core.errors import DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import AbsTopK
from assay.evaluation import acts, evaluate
from assay.report import evaluations

D, F = 10, 30


def dictionary(nonlinearity=None, seed=0):
    draw = torch.Generator().manual_seed(seed)
    W = torch.nn.functional.normalize(torch.randn(1, F, D, generator=draw), dim=-1)
    return Dictionary(
        0.5 * W.mT, torch.full((1, F), -0.1), W, 0.3 * torch.ones(1, D), nonlinearity or ReLU()
    )


def naive(x, d=None):
    one = d or dictionary()
    W_enc, W_dec, b, b_enc = (
        t[0].double().numpy() for t in (one.W_enc, one.W_dec, one.b_dec, one.b_enc)
    )
    f = np.maximum((x - b) @ W_enc + b_enc, 0)
    x_hat, mean = f @ W_dec + b, x.mean(0)
    c, h = x - mean, x_hat - mean
    return {
        "l0": (f > 0).sum(1).mean(),
        "fvu": ((x - x_hat) ** 2).sum() / (c**2).sum(),
        "gamma": (h**2).sum() / (h * c).sum(),
        "gamma_raw": (x_hat**2).sum() / (x_hat * x).sum(),
        "dead": ((f > 0).sum(0) == 0).mean(),
    }


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(2, 1, (60, 7, D)).astype(np.float32)


def test_windows_and_rows_with_documents_are_the_same(x, tmp_path, monkeypatch):
    rows = x.reshape(-1, D)
    save_file({"acts": torch.from_numpy(x)}, tmp_path / "windows.safetensors")
    save_file(
        {"x": torch.from_numpy(rows), "document": torch.arange(60).repeat_interleave(7)},
        tmp_path / "rows.safetensors",
    )
    wanted = naive(rows.astype(np.float64))
    ask = {"root": tmp_path / "store", "outlier": 0, "skip_first": 0}
    a = evaluate(dictionary(), acts=tmp_path / "windows.safetensors", **ask)["dictionary 1"]
    monkeypatch.setattr(acts, "PIECE", 33)  # cuts that respect neither windows nor documents
    b = evaluate(dictionary(), acts=tmp_path / "rows.safetensors", **ask)["dictionary 1"]
    for name, value in wanted.items():
        assert a[name]["estimate"] == pytest.approx(value, rel=1e-5) == b[name]["estimate"]
    assert a["fvu"]["n"] == {"document": 60} == b["fvu"]["n"]
    assert a["fvu"]["low"] == pytest.approx(b["fvu"]["low"], rel=1e-6)
    assert "ce_clean" not in a


def test_documents_that_count_in_nothing_are_told(x, tmp_path):
    x[3:6] *= 100
    save_file({"acts": torch.from_numpy(x)}, tmp_path / "a.safetensors")
    found = evaluate(dictionary(), acts=tmp_path / "a.safetensors", root=tmp_path / "s")
    assert found.dictionaries[0]["documents"] == 60
    assert found["dictionary 1"]["fvu"]["n"] == {"document": 57}
    assert (
        "dictionary 1: 3 of 60 documents have no position left, and are left out"
        in found.to_json()["notes"]
    )
    whole = evaluate(dictionary(), acts=tmp_path / "a.safetensors", root=tmp_path / "s", outlier=0)
    assert not [note for note in whole.notes if "documents have" in note]


def test_skipped_positions_and_outliers_are_left_out(x, tmp_path):
    x[3, 4] *= 100
    save_file({"acts": torch.from_numpy(x)}, tmp_path / "a.safetensors")
    found = evaluate(
        dictionary(), acts=tmp_path / "a.safetensors", root=tmp_path / "s", skip_first=2
    )
    keep = np.ones((60, 7), bool)
    keep[:, :2] = keep[3, 4] = False
    assert found.dictionaries[0]["tokens"] == keep.sum()
    assert found["dictionary 1"]["fvu"]["estimate"] == pytest.approx(
        naive(x[keep].astype(np.float64))["fvu"], rel=1e-5
    )


def test_rows_without_documents_have_no_interval(x, tmp_path):
    save_file({"only": torch.from_numpy(x.reshape(-1, D))}, tmp_path / "a.safetensors")
    found = evaluate(dictionary(), acts=tmp_path / "a.safetensors", root=tmp_path / "s", outlier=0)
    fvu = found["dictionary 1"]["fvu"]
    assert fvu["low"] is None and fvu["estimate"] == pytest.approx(
        naive(x.reshape(-1, D).astype(np.float64))["fvu"], rel=1e-5
    )
    assert any("nothing has an interval" in note for note in found.notes)


def test_signed_features_count_as_on(x, tmp_path):
    save_file({"acts": torch.from_numpy(x)}, tmp_path / "a.safetensors")
    found = evaluate(dictionary(AbsTopK(4)), acts=tmp_path / "a.safetensors", root=tmp_path / "s")
    assert found["dictionary 1"]["l0"]["estimate"] == pytest.approx(4)


def test_copies_another_scale_and_what_does_not_vary_are_reported(x, tmp_path):
    """The same seven rows as thirty documents; activations ten times as large as those on which
    n(x) has E‖n(x)‖² = d; and rows that do not vary, of which no share is defined."""
    rows, document = x.reshape(-1, D), torch.arange(60).repeat_interleave(7)
    scale = float(np.sqrt(D / np.square(rows - rows.mean(0)).sum(1).mean()))
    own = replace(
        dictionary(), mean=torch.from_numpy(rows.mean(0))[None], scale=torch.tensor([scale])
    )
    copied = np.concatenate([x[:30], *[x[30:31]] * 30])
    for name, acts_of, told in (
        ("as-trained", x, ""),
        ("copied", copied, "29 of 60 documents have the same numbers"),
        ("large", 10 * x, "vary 10 times as much"),
        ("flat", np.ones_like(x), "59 of 60 documents"),
    ):
        of = torch.from_numpy(acts_of.reshape(-1, D).astype(np.float32))
        save_file({"acts": of, "document": document}, tmp_path / f"{name}.safetensors")
        found = evaluate(own, acts=tmp_path / f"{name}.safetensors", root=tmp_path / "s", outlier=0)
        notes = [n for n in found.dictionaries[0]["notes"] if "documents have" in n or "vary" in n]
        assert told in notes[0] if told else not notes, (name, notes)
    compared = {"tokens": 9, "rank": 2, "ahead": {"low": None, "high": None}}
    assert "no share of the variance is defined" in evaluations.baselines(compared)


def test_a_transcoder_needs_its_target(x, tmp_path):
    from dataclasses import replace

    d = replace(
        dictionary(),
        b_pre=torch.zeros(1, D),
        sites=("blocks.0.hook_resid_mid",),
        sites_out=("blocks.0.hook_mlp_out",),
    )
    save_file({"acts": torch.from_numpy(x)}, tmp_path / "a.safetensors")
    with pytest.raises(DataError, match="needs them as a second tensor, target"):
        evaluate(d, acts=tmp_path / "a.safetensors", root=tmp_path / "s")
    y = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
    save_file(
        {"acts": torch.from_numpy(x), "target": torch.from_numpy(y)}, tmp_path / "b.safetensors"
    )
    found = evaluate(
        d, acts=tmp_path / "b.safetensors", root=tmp_path / "s", outlier=0, skip_first=0
    )["dictionary 1"]
    x64, y64 = (v.reshape(-1, D).astype(np.float64) for v in (x, y))
    W_enc, W_dec = d.W_enc[0].double().numpy(), d.W_dec[0].double().numpy()
    y_hat = (
        np.maximum(x64 @ W_enc + d.b_enc[0].double().numpy(), 0) @ W_dec
        + d.b_dec[0].double().numpy()
    )
    assert found["fvu"]["estimate"] == pytest.approx(
        ((y64 - y_hat) ** 2).sum() / ((y64 - y64.mean(0)) ** 2).sum(), rel=1e-5
    )


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        (
            {"acts": torch.zeros(5)},
            r"must be \[rows, d\] or \[windows, positions, d\] and not empty, got \[5\]",
        ),
        ({"acts": torch.zeros(0, D)}, "not empty"),
        ({"acts": torch.zeros(5, D, dtype=torch.int32)}, "must be floating-point numbers, got I32"),
        ({"acts": torch.full((9, D), torch.nan)}, "row 0 has a number that is NaN or infinite"),
        ({"acts": torch.zeros(5, D + 1)}, f"reads {D} numbers per token, .* has {D + 1}"),
        (
            {"a": torch.zeros(5, D), "b": torch.zeros(5, D)},
            "holds a, b; the activations should be called acts",
        ),
        (
            {"acts": torch.zeros(5, D), "document": torch.zeros(4)},
            "document must be 5 whole numbers",
        ),
        (
            {"acts": torch.randn(4, D), "document": torch.tensor([0, 1, 0, 1])},
            "the rows of a document must follow each other",
        ),
        ({"acts": torch.zeros(5, D), "target": torch.zeros(4, D)}, "expected one row for each"),
    ],
)
def test_files_that_will_not_do(tensors, says, tmp_path):
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(DataError, match=says):
        evaluate(dictionary(), acts=tmp_path / "a.safetensors", root=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_no_file_and_no_safetensors_file(tmp_path):
    with pytest.raises(DataError, match=r"no file .*nowhere"):
        evaluate(dictionary(), acts=tmp_path / "nowhere", root=tmp_path / "s")
    (tmp_path / "a.safetensors").write_bytes(b"words")
    with pytest.raises(DataError, match="is not a readable safetensors file"):
        evaluate(dictionary(), acts=tmp_path / "a.safetensors", root=tmp_path / "s")


def test_files_that_leave_nothing_to_measure_or_do_not_fit_end_with_one_line(x, tmp_path):
    rows = torch.from_numpy(x.reshape(-1, D))
    ask = {"acts": tmp_path / "a.safetensors", "root": tmp_path / "s"}

    def refused(says, tensors, one=None, **more):
        save_file(tensors, tmp_path / "a.safetensors")
        with pytest.raises(DataError, match=says):
            evaluate(one or dictionary(), **ask, **more)

    refused(
        "writes 10 numbers per token, .* has 4 in target",
        {"acts": rows, "target": rows[:, :4].contiguous()},
    )
    refused("target must be floating-point", {"acts": rows, "target": rows.long()})
    refused(
        "all 420 activations are left out, with skip_first 7",
        {"acts": torch.from_numpy(x)},
        skip_first=7,
    )
    broken = dictionary()
    broken.W_enc[0, 0, 0] = float("nan")
    refused("not finite", {"acts": rows}, broken)


def test_documents_may_be_numbered_in_the_smallest_type(x, tmp_path, recwarn):
    rows = torch.from_numpy(x.reshape(-1, D))
    numbers = torch.arange(60).repeat_interleave(7)
    found = []
    for kind in (torch.uint8, torch.int64):
        save_file({"acts": rows, "document": numbers.to(kind)}, tmp_path / f"{kind}.safetensors")
        found.append(
            evaluate(dictionary(), acts=tmp_path / f"{kind}.safetensors", root=tmp_path / "s")[
                "dictionary 1"
            ]["fvu"]
        )
    assert found[0] == found[1]
    assert not [w for w in recwarn if "overflow" in str(w.message)]


def test_a_notebook_shows_the_measures_and_the_trade_off(x, tmp_path):
    from assay import notebook

    save_file({"acts": torch.from_numpy(x)}, tmp_path / "a.safetensors")
    found = evaluate(
        dictionary(), dictionary(seed=1), acts=tmp_path / "a.safetensors", root=tmp_path / "s"
    )
    shown = notebook.evaluation(found)
    assert "<table>" in shown and "<svg" in shown and "dictionary 2" in shown
    fvu = found["dictionary 1"]["fvu"]
    assert f"<td>{fvu['estimate']:.2f} [{fvu['low']:.2f}, {fvu['high']:.2f}]</td>" in shown
