"""End-to-end training: loss and gradients of a naive float64 forward, resumable, and blind to what
the model does not read."""

import shutil
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from splicing import finish, splice_sums

import tiny_models
from assay.core.errors import SpecError
from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec, grid
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.measuring.ablation import capture
from assay.dictionaries.measuring.metrics import fvu
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.dead import Resample
from assay.dictionaries.training.kernels.reference import StepInput
from assay.dictionaries.training.train import Method, fit_dictionaries
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay.train import rng
from assay_catalogue.dictionaries.endtoend import Through, fit_end_to_end
from killed import Killed, dies_at


@dataclass(frozen=True, kw_only=True)
class Sweep(Spec):
    penalty: PerRun[float] = 0.1
    lr: PerRun[float] = 4e-3


D, WIDTH = 24, 40
SITE = Site("resid_pre", 1)
RUNS = Runs(grid(Sweep(), penalty=(0.02, 0.2), seed=(1, 2)))
METHODS = {
    "relu": (ReLU(), losses.l1),
    "gated": (Gated(), losses.gated),
    "topk": (TopK(4), losses.TopKAux(dead_after=60)),
    "batchtopk": (BatchTopK(4), losses.mse),
    "jumprelu": (JumpReLU(), losses.jumprelu),
    "resampled": (ReLU(), losses.l1, {"dead": Resample(at=(6,), exempt=0.5), "decoder": "free"}),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: tiny_models.make(root / kind, kind) for kind in ("llama", "gpt2")}


@pytest.fixture(scope="module")
def model(folders):
    return load(str(folders["llama"]))


def texts(step, shape=(4, 8)):
    return torch.from_numpy(rng.integers(np.array([3]), "windows", step, shape, 250)[0])


def windows(step):
    """All positions but the first are replaced."""
    return texts(step), torch.arange(8).expand(4, 8) > 0


def method(name, runs=RUNS):
    nonlinearity, loss, *more = METHODS[name]
    return Method(
        nonlinearity,
        loss,
        WIDTH,
        runs.each("lr"),
        runs.each("penalty"),
        warm_up=5,
        **(more[0] if more else {}),
    )


def train(name, model, bench, runs=RUNS, steps=20, given=windows, **more):
    return fit_end_to_end(
        [(runs, method(name, runs))],
        model,
        SITE,
        given,
        steps=steps,
        bench=bench,
        **{"later": 0.0, "mean": torch.zeros(D), "scale": 0.5} | more,
    )[0]


def parameters(nonlinearity, d, runs=2):
    """Somewhere in mid-training, encoders row per latent."""
    own = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(runs, *shape, generator=own)

    start = {
        name: value + 0.1 * draw(WIDTH) for name, value in nonlinearity.init(runs, WIDTH).items()
    }
    return {
        "W_enc": 0.3 * draw(WIDTH, d),
        "W_dec": 0.3 * draw(WIDTH, d),
        "b_enc": 0.1 * draw(WIDTH),
        "b_dec": 0.1 * draw(d),
        **start,
    }


def naive_codes(p, x, nonlinearity):
    """Features of each row, and what of them or of the gate the penalty sums."""
    z = (x - p["b_dec"]) @ p["W_enc"].T
    pi = z + p["b_enc"]
    if isinstance(nonlinearity, Gated):
        return (pi > 0) * np.maximum(np.exp(p["r_mag"]) * z + p["b_mag"], 0), np.maximum(pi, 0)
    f = np.maximum(pi, 0)
    if isinstance(nonlinearity, TopK):
        f = np.where(f >= np.sort(f, -1)[:, -nonlinearity.k, None], f, 0)
    return f, f


def naive(folder, tokens, keep, site, p, nonlinearity, penalty, mean, scale, later):
    """(loss, kl, ce, mse) of one run in float64, from the formula."""
    clean, acts = tiny_models.naive(folder, tokens)
    true = acts[site].reshape(*tokens.shape, -1)
    x = (true[keep] - mean) * scale
    f, summed = naive_codes(p, x, nonlinearity)
    new = true.copy()
    new[keep] = (f @ p["W_dec"] + p["b_dec"]) / scale + mean
    logits, after = tiny_models.naive(folder, tokens, edits={site: lambda v: new.reshape(v.shape)})
    log_p, log_q = (z - np.log(np.exp(z).sum(-1, keepdims=True)) for z in (clean, logits))
    kl = (np.exp(log_p) * (log_p - log_q)).sum(-1)[:, :-1].mean()
    ce = tiny_models.naive_loss(logits, tokens).mean()
    mse = ((x - f @ p["W_dec"] - p["b_dec"]) ** 2).mean()
    total = kl + (
        0
        if isinstance(nonlinearity, TopK)
        else penalty * summed.sum(-1).mean() / np.sqrt(x.shape[1])
    )
    if isinstance(nonlinearity, Gated):
        frozen = p.get("frozen", p)
        total += ((x - summed @ frozen["W_dec"] - frozen["b_dec"]) ** 2).mean()
    if later:
        first = int(site.split(".")[1]) + 1
        pairs = [
            (acts[s][keep], after[s][keep])
            for s in (f"blocks.{layer}.hook_resid_pre" for layer in range(first, 3))
        ]
        total += later * np.mean(
            [((a - b) ** 2).sum() / ((a - a.mean(0)) ** 2).sum() for a, b in pairs]
        )
    return total, kl, ce, mse


@pytest.mark.parametrize(
    ("kind", "site", "nonlinearity", "loss", "later"),
    [
        ("llama", "blocks.1.hook_resid_pre", ReLU(), losses.l1, 0.0),
        ("llama", "blocks.1.attn.hook_z", Gated(), losses.gated, 0.7),
        ("gpt2", "blocks.0.hook_resid_mid", TopK(4), losses.mse, 2.0),
        ("gpt2", "blocks.2.hook_resid_post", ReLU(), losses.l1, 0.0),
    ],
)
def test_loss_and_gradients_are_those_of_a_naive_forward(
    folders, kind, site, nonlinearity, loss, later
):
    subject, place = load(str(folders[kind])), Site.parse(site)
    tokens = texts(0, (2, 6))
    keep = torch.from_numpy(rng.uniform(np.array([0]), "keep", 0, (2, 6))[0] < 0.7)
    d, mean, scale = subject.width(place), torch.linspace(-0.5, 0.5, D), 0.6
    through = Through(
        subject, place, lambda step: (tokens, keep), later=later, mean=mean, scale=scale
    )
    params, penalty = parameters(nonlinearity, d), torch.tensor([0.1, 0.4])
    series, grads = through(
        StepInput(loss, params, through.batch(0), nonlinearity, penalty, torch.float32)
    )
    for r in range(2):
        p = {name: value[r].double().numpy() for name, value in params.items()}
        fixed = (folders[kind], tokens.numpy(), keep.numpy(), site)
        rest = (nonlinearity, float(penalty[r]), mean.double().numpy(), scale, later)
        wanted = dict(zip(("loss", "kl", "ce", "mse"), naive(*fixed, p, *rest), strict=True))
        for name, value in wanted.items():
            assert series[name][r].item() == pytest.approx(value, rel=1e-4), name
        for i, name in enumerate(p):
            way = np.random.default_rng(i).normal(size=p[name].shape)
            ends = [
                naive(*fixed, {**p, name: p[name] + h * way, "frozen": p}, *rest)[0]
                for h in (1e-6, -1e-6)
            ]
            slope = (ends[0] - ends[1]) / 2e-6
            assert (grads[name][r].double().numpy() * way).sum() == pytest.approx(
                slope, rel=2e-3, abs=2e-5
            ), name


def test_a_dictionary_that_reconstructs_everything_costs_nothing(model):
    eye = torch.eye(D)
    both = torch.cat([eye, -eye])[None]
    params = {
        "W_enc": both,
        "W_dec": both,
        "b_enc": torch.zeros(1, 2 * D),
        "b_dec": torch.zeros(1, D),
    }
    through = Through(model, SITE, windows, later=1.0, mean=torch.zeros(D), scale=2.0)
    series, _ = through(
        StepInput(losses.l1, params, through.batch(0), ReLU(), torch.zeros(1), torch.float32)
    )
    assert abs(series["kl"].item()) < 1e-6
    assert abs(series["loss"].item()) < 1e-5
    assert series["mse"].item() < 1e-10
    assert series["ce"].item() == pytest.approx(model.losses(texts(0)).mean().item(), rel=1e-5)


def test_its_kl_is_the_one_that_is_measured(model, bench):
    """At the start, by `splice_sums` of the stored dictionary on raw activations."""
    mean, keep = torch.linspace(-1, 1, D), texts(1) % 3 > 0
    start = Dictionary.of(train("relu", model, bench, steps=0, mean=mean))
    through = Through(model, SITE, lambda step: (texts(0), keep), later=0.0, mean=mean, scale=0.5)
    params = {
        name: start.normalised.tensors()[name] for name in ("W_enc", "W_dec", "b_enc", "b_dec")
    }
    params["W_enc"] = params["W_enc"].mT
    series, _ = through(
        StepInput(losses.l1, params, through.batch(0), ReLU(), torch.zeros(4), torch.float32)
    )
    measured = finish(
        splice_sums(
            model, SITE, start, texts(0), np.zeros(4, int), 1, None, keep=keep, ablations=()
        )
    )
    np.testing.assert_allclose(series["kl"], measured["kl_spliced"], rtol=1e-4)
    np.testing.assert_allclose(series["ce"], measured["ce_spliced"], rtol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_alone_is_as_in_a_group_and_starts_like_any_dictionary(name, model, bench):
    together = fit_end_to_end(
        [(RUNS, method(n)) for n in ("relu", name)],
        model,
        SITE,
        windows,
        steps=12,
        bench=bench,
        mean=torch.zeros(D),
        scale=0.5,
        later=0.5,
    )[1]
    assert set(together.history) == {"loss", "mse", "l0", "kl", "ce"}
    assert not together.diverged.any()
    alone = train(name, model, bench, Runs([list(RUNS)[1]]), steps=12, later=0.5)
    for key, value in alone.tensors.items():
        assert (together.tensors[key][1].double() - value[0].double()).abs().max() <= 1e-5, key
    plain = fit_dictionaries(
        [(RUNS, method(name))], lambda step: torch.zeros(1, D), d=D, steps=0, bench=bench, scale=0.5
    )[0]
    start = train(name, model, bench, steps=0)
    assert all(torch.equal(start.tensors[key], value) for key, value in plain.tensors.items())
    if name != "resampled":
        torch.testing.assert_close(together.tensors["W_dec"].norm(dim=-1), torch.ones(4, WIDTH))
    found = Dictionary.of(together)
    assert found.sites == (str(SITE),) and found.origin["objective"] == {
        "name": "kl",
        "local": 0.0,
        "later": 0.5,
    }


@pytest.mark.parametrize("name", ["topk", pytest.param("batchtopk", marks=pytest.mark.thorough)])
def test_resume_is_bitwise(name, model, plain_bench, plain_slot, tmp_path):
    whole = train(name, model, plain_bench(tmp_path))
    slot = plain_slot(every=7)

    with pytest.raises(Killed):
        train(name, model, plain_bench(tmp_path, [slot]), given=dies_at(16, windows))
    assert slot.saved[0] == 14
    resumed = train(name, model, plain_bench(tmp_path, [plain_slot(saved=slot.saved)]))
    assert all(torch.equal(resumed.tensors[key], value) for key, value in whole.tensors.items())
    assert all(np.array_equal(resumed.history[key], value) for key, value in whole.history.items())


def test_the_model_stays_as_it_was(folders, bench):
    subject = load(str(folders["gpt2"]))
    before = {name: value.clone() for name, value in subject.model.state_dict().items()}
    whole = subject.run(texts(0)).logits
    train("relu", subject, bench, steps=5, later=1.0)
    assert all(
        torch.equal(before[name], value) for name, value in subject.model.state_dict().items()
    )
    assert all(p.grad is None and not p.requires_grad for p in subject.model.parameters())
    assert torch.equal(subject.run(texts(0)).logits, whole)
    assert not whole.requires_grad


def test_a_broken_run_leaves_its_neighbours_alone(model, bench):
    def broken(params):
        return params["b_enc"].index_fill(0, torch.tensor([1]), torch.nan)

    through = Through(model, SITE, windows, later=0.0, mean=torch.zeros(D), scale=1.0)
    params = parameters(ReLU(), D)
    x = through.batch(0)
    whole, half = (
        through(StepInput(losses.l1, p, x, ReLU(), torch.zeros(2), torch.float32))
        for p in (params, {**params, "b_enc": broken(params)})
    )
    assert half[0]["loss"].isfinite().tolist() == [True, False]
    assert all(torch.equal(half[1][name][0], value[0]) for name, value in whole[1].items())


@pytest.fixture(scope="module")
def half_blind(folders, tmp_path_factory):
    """A model that from block 1 on does not read the first half of its stream, where three quarters
    of the variance is put."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("blind") / "model"
    shutil.copytree(folders["llama"], folder)
    w = load_file(folder / "model.safetensors")
    for name, value in w.items():
        if name == "model.norm.weight" or ("layernorm" in name and ".0." not in name):
            value[: D // 2] = 0
    w["model.embed_tokens.weight"][:, : D // 2] *= 3
    save_file(w, folder / "model.safetensors", {"format": "pt"})
    return load(str(folder))


@pytest.mark.thorough
def test_it_learns_what_the_model_reads_and_squared_error_what_varies(half_blind, bench):
    """Held-out KL and FVU of the same dictionaries, trained on the same text at equal k: each
    objective wins by its own measure."""
    runs = Runs(grid(Sweep(), seed=(1, 2)))
    same = Method(
        TopK(4),
        losses.mse,
        WIDTH,
        np.full(2, 1e-2),
        np.zeros(2),
        betas=(0.9, 0.999),
        encoder_scale=1.0,
    )
    held = torch.cat([texts(s) for s in range(1000, 1008)])
    (passage, _), steps = capture(half_blind, SITE, held), 150
    scale = float((D / passage.acts[:, 1:].square().sum(-1).mean()).sqrt())
    given = {"later": 0.0, "mean": torch.zeros(D), "scale": scale}
    reader = Through(half_blind, SITE, windows, **given)
    ends = {
        "kl": fit_end_to_end(
            [(runs, same)], half_blind, SITE, windows, steps=steps, bench=bench, **given
        ),
        "mse": fit_dictionaries(
            [(runs, same)], reader.batch, d=D, steps=steps, bench=bench, scale=scale
        ),
        "start": fit_end_to_end(
            [(runs, same)], half_blind, SITE, windows, steps=0, bench=bench, **given
        ),
    }
    keep = torch.ones(held.shape, dtype=torch.bool)
    keep[:, 0] = False
    rows, kl, unexplained = passage.acts[keep], {}, {}
    for name, (trained,) in ends.items():
        d = Dictionary.of(trained)
        kl[name] = finish(
            splice_sums(
                half_blind,
                SITE,
                d,
                held,
                np.zeros(len(held), int),
                1,
                None,
                keep=keep,
                ablations=(),
            )
        )["kl_spliced"]
        unexplained[name] = fvu(rows, d.reconstruct(rows)).numpy()
    assert (kl["kl"] < 0.5 * kl["start"]).all()
    assert (kl["kl"] < 0.9 * kl["mse"]).all()
    assert (unexplained["mse"] < 0.6 * unexplained["kl"]).all()


def test_errors_behind_the_last_block_are_refused_in_one_line(model, bench):
    with pytest.raises(
        SpecError,
        match=r"no block's input comes after blocks\.2\.hook_mlp_out .* later must be 0, got 1",
    ):
        Through(model, Site("mlp_out", 2), windows, later=1.0, mean=torch.zeros(D), scale=1.0)
