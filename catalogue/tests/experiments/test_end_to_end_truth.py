"""What splicing a dictionary into a model does, against passes through the model written out window
by window."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay_catalogue.experiments.end_to_end.method import EndToEnd, spliced_sums
from tiny_models import make

WINDOWS, LENGTH, D = 20, 12, 24
BENCH = SimpleNamespace(device=torch.device("cpu"))
S = EndToEnd(layers=3, block=1, d=D, context=LENGTH)


@pytest.fixture(scope="module")
def test(tmp_path_factory):
    """Random windows of seven documents in a random model of three blocks; some positions stay as
    they are."""
    model = load(str(make(tmp_path_factory.mktemp("end-to-end") / "gpt2", "gpt2")))
    g = np.random.default_rng(0)
    keep = g.random((WINDOWS, LENGTH)) < 0.8
    keep[:, 0] = False
    return SimpleNamespace(
        model=lambda device: model,
        tokens=g.integers(0, 256, (WINDOWS, LENGTH)),
        keep=keep,
        kept=np.flatnonzero(keep),
        mean=np.full(D, 0.1, np.float32),
        windows=SimpleNamespace(document=np.sort(g.integers(0, 7, WINDOWS)) * 3),
    )


def dictionary(W_enc, W_dec, b_enc=None):
    f = W_enc.shape[-1]
    return Dictionary(
        W_enc[None],
        torch.zeros(1, f) if b_enc is None else b_enc[None],
        W_dec[None],
        torch.zeros(1, D),
        ReLU(),
    )


def found(test, one):
    return {name: x for name, (_, x, _) in spliced_sums(S, test, one, BENCH).items()}


def test_a_perfect_dictionary_costs_nothing_and_changes_nothing(test):
    """Every coordinate as two features, one for each sign, gives back what goes in."""
    eye = torch.eye(D)
    sums = found(test, dictionary(torch.cat([eye, -eye], 1), torch.cat([eye, -eye])))
    np.testing.assert_allclose(sums["ce"], sums["clean"], rtol=1e-5)
    assert np.abs(sums["kl"]).max() < 1e-4 and (sums["error"] / sums["variance"]).max() < 1e-8
    assert (sums["later_error"] / sums["later_variance"]).max() < 1e-8
    assert (sums["ablated"] - sums["clean"]).sum() != 0


def test_sums_are_those_of_passes_window_by_window(test):
    g = torch.Generator().manual_seed(1)
    one = dictionary(
        torch.randn(D, 40, generator=g),
        torch.randn(40, D, generator=g) / 6,
        torch.randn(40, generator=g),
    )
    sums, model = found(test, one), test.model(None)
    here, after = Site("resid_pre", 1), Site("resid_pre", 2)
    files = np.unique(test.windows.document)
    wanted = {
        name: np.zeros(len(files))
        for name in ("clean", "ce", "kl", "ablated", "predictions", "error", "later_error")
    }
    at_site, at_later = [], []
    for w in range(WINDOWS):
        tokens, keep = torch.from_numpy(test.tokens[w : w + 1]), torch.from_numpy(test.keep[w])
        clean = model.run(tokens, capture=[here, after])
        x = clean.acts[here][0].float()
        x_hat = torch.where(keep[:, None], one.reconstruct(x), x)
        spliced = model.run(
            tokens, edits={here: lambda old, new=x_hat: new.reshape(old.shape)}, capture=[after]
        )
        mean = torch.where(keep[:, None], torch.full_like(x, 0.1), x)
        ablated = model.run(tokens, edits={here: lambda old, new=mean: new.reshape(old.shape)})
        logs = [
            trace.head(trace.final)[0, :-1].double().log_softmax(-1)
            for trace in (clean, spliced, ablated)
        ]
        nll = [-log.gather(1, tokens[0, 1:, None]).sum().item() for log in logs]
        off = (spliced.acts[after][0] - clean.acts[after][0])[keep].square().sum().item()
        new = {
            "clean": nll[0],
            "ce": nll[1],
            "ablated": nll[2],
            "kl": (logs[0].exp() * (logs[0] - logs[1])).sum().item(),
            "predictions": LENGTH - 1,
            "error": (x - x_hat).square().sum().item(),
            "later_error": off,
        }
        for name, value in new.items():
            wanted[name][np.flatnonzero(files == test.windows.document[w])[0]] += value
        at_site.append(x[keep])
        at_later.append(clean.acts[after][0][keep].float())
    for name, value in wanted.items():
        got = sums[name][0] if name == "later_error" else sums[name]
        np.testing.assert_allclose(got, value, rtol=2e-4, atol=1e-3, err_msg=name)
    for name, rows in (("variance", at_site), ("later_variance", at_later)):
        x = torch.cat(rows).double()
        assert sums[name].sum() == pytest.approx(float((x - x.mean(0)).square().sum()), rel=1e-5), (
            name
        )
