"""Crosscoders of two models that a study trains: what both models have is shared, a planted
direction of one of them is its own, and the measures are those of a naive crosscoder."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_dictionaries_trained import LETTERS, files, ids, planted, run

from assay.core.errors import ExperimentError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.training.losses import L1Weighted
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.subjects.pretrained import fast_dtype

OWN = LETTERS[::4]
"""The letters that have one more direction in the second model."""


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """A folder with a model, its copy, a model with a direction of its own, and a text; and that
    direction."""
    here = tmp_path_factory.mktemp("pairs")
    truth = planted(here / "model")
    shutil.copytree(here / "model", here / "copy")
    shutil.copytree(here / "model", here / "tuned")
    path = here / "tuned" / "model.safetensors"
    weights = load_file(path)
    draw = torch.randn(24, generator=torch.Generator().manual_seed(5))
    own = torch.linalg.qr(torch.cat([truth, draw[None]]).T)[0][:, -1]
    for letter in OWN:
        weights["model.embed_tokens.weight"][ids(here / "tuned", letter)[0]] += 5 * own
    save_file(weights, path, {"format": "pt"})
    rng = np.random.default_rng(0)
    (here / "texts").mkdir()
    for n in range(300):
        (here / "texts" / f"{n}.txt").write_text("".join(rng.choice([*LETTERS], 16)))
    return here, own


@pytest.fixture
def here(worlds, tmp_path, monkeypatch):
    for name in ("model", "copy", "tuned", "texts"):
        (tmp_path / name).symlink_to(worlds[0] / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


STUDY = """
question = "Is it so?"
seeds = "1000:1002"

[[model]]
name = "./model"

[[model]]
name = "./{other}"
label = "other"

[[train]]
name = "cross"
models = ["main", "other"]
site = "hook_embed"
d_sae = 7
k = 2
text = "./texts"
context = 16
tokens = 3000
steps = {steps}
batch = 128
lr = 1e-2
"""
CLAIM = """
[[claim]]
text = "It is so"
holds = "{}"
threshold = "plan: by hand"
"""


def asked(other, *conditions, steps=300):
    claims = "".join(map(CLAIM.format, conditions))
    return STUDY.format(other=other, steps=steps) + claims


def estimated(other, value, steps=300):
    study = STUDY.format(other=other, steps=steps) + "controls = []\n"
    return study + f'[[estimate]]\ntext = "It is so"\nvalue = "{value}"\n'


def test_two_copies_share_every_latent(here):
    result = run(here, asked("copy", "cross.shared > 0.9", "cross.exclusive < 0.1"))
    arm = result.arms["cross"]
    assert (arm.shared.values == 1).all() and (arm.exclusive.values == 0).all()
    assert float(arm.relative_norm.mean()) == pytest.approx(0.5, abs=0.03)
    assert result.arms["cross/untrained"].shared.mean() < 1
    assert all(set(j.controls) == {"cross/untrained"} for j in result.judged)


@pytest.mark.thorough
def test_a_planted_direction_of_one_model_is_its_own(here, worlds):
    run(here, estimated("tuned", "cross.exclusive"))
    dictionaries = [Dictionary.load(path) for path in files(here)]
    most = "share(cross.relative_norm > 0.9) > 0.1"
    result = run(here, asked("tuned", "cross.exclusive > 0.05", most))
    assert all(set(j.controls) == {"cross/itself", "cross/shuffled"} for j in result.judged)
    assert len(dictionaries) == 1
    for d in dictionaries:
        first, second = d.W_dec[0].chunk(2, 1)
        r = second.norm(dim=1) / (first.norm(dim=1) + second.norm(dim=1))
        assert r.max() > 0.95 and (r.sort().values[:-1] < 0.7).all()
        assert torch.cosine_similarity(second[r.argmax()], worlds[1], dim=0).abs() > 0.99
    arm = result.arms["cross"]
    assert float(arm.exclusive.mean()) == pytest.approx(1 / 7)
    assert float(arm.shared.mean()) == pytest.approx(6 / 7)
    assert (result.arms["cross/itself"].exclusive.values == 0).all()


def test_its_measures_are_those_of_a_naive_crosscoder(here):
    """Two encoders whose projections are added, the k largest kept, and two decoders."""
    arm = run(here, estimated("tuned", "cross.fvu_of[model=other]", steps=5)).arms["cross"]
    (d,) = map(Dictionary.load, files(here))
    texts = [(here / "texts" / name).read_text() for name in arm.document.values]
    z, xs = 0.0, []
    for model, part in (("model", slice(24)), ("tuned", slice(24, 48))):
        weights = load_file(here / model / "model.safetensors")["model.embed_tokens.weight"]
        x = torch.cat([weights[ids(here / model, text)[1:]] for text in texts])
        x = x.to(getattr(torch, fast_dtype())).half().float()  # as activations are kept
        x = (x - d.mean[0, part]) * d.scale[0, part]
        z = z + (x - d.b_dec[0, part]) @ d.W_enc[0, part]
        xs.append(x)
    z = z + d.b_enc[0]
    kept = torch.where(z >= z.topk(2).values[:, -1:], z.relu(), 0)
    for i, (x, part) in enumerate(zip(xs, (slice(24), slice(24, 48)), strict=True)):
        back = kept @ d.W_dec[0][:, part] + d.b_dec[0, part]
        fvu = float((back - x).square().sum() / (x - x.mean(0)).square().sum())
        sums = arm.error_of[0].sum("document") / arm.variance_of[0].sum("document")
        assert float(sums[i]) == pytest.approx(fvu, rel=1e-3)
    assert arm.error_of.sum("model").values == pytest.approx(arm.error.values, rel=1e-4)
    assert float(arm.active.sum() / arm.tokens.sum()) == pytest.approx(
        float((kept > 0).sum(1).float().mean())
    )


def test_a_step_is_that_of_a_naive_crosscoder():
    """The loss of two models side by side, and its gradient, against an encoder and a decoder of
    each, whose penalty is the sum of the lengths of a latent's two decoder rows."""
    draw = torch.Generator().manual_seed(0)
    xs = [torch.randn(9, width, generator=draw) for width in (3, 5)]
    encoders = [torch.randn(width, 6, generator=draw).requires_grad_() for width in (3, 5)]
    decoders = [torch.randn(6, width, generator=draw).requires_grad_() for width in (3, 5)]
    features = sum(x @ w for x, w in zip(xs, encoders, strict=True)).relu()
    error = sum(
        (features @ w - x).square().sum(1).mean() for x, w in zip(xs, decoders, strict=True)
    )
    lengths = sum(w.norm(dim=1) for w in decoders)
    loss = error / 8 + 0.3 * (features * lengths).sum(1).mean() / 8**0.5
    loss.backward()
    joint = {"W_enc": torch.cat(encoders)[None].detach().requires_grad_()}
    joint["W_dec"] = torch.cat(decoders, 1)[None].detach().requires_grad_()
    zeros = {"b_enc": torch.zeros(1, 6), "b_dec": torch.zeros(1, 8)}
    ours = L1Weighted((3, 5))({**joint, **zeros}, torch.cat(xs, 1), ReLU(), torch.tensor([0.3]))
    ours.sum().backward()
    assert ours.item() == pytest.approx(loss.item(), rel=1e-5)
    expected = torch.cat([w.grad for w in encoders])
    assert torch.allclose(joint["W_enc"].grad[0], expected, atol=1e-5)
    expected = torch.cat([w.grad for w in decoders], 1)
    assert torch.allclose(joint["W_dec"].grad[0], expected, atol=1e-5)


def test_rounded_weights_and_prompts(here):
    """A model whose weights are changed is the second one, and both read half of the prompts."""
    rows = ", ".join(f'{{text = "{x}{y}{x}{y}"}}' for x in LETTERS[:10] for y in LETTERS[9:14])
    study = estimated("model", "cross.fvu_of[model=other]", steps=5)
    study = study.replace('label = "other"', 'label = "other"\nweights = { round = 0 }')
    study = study.replace('text = "./texts"\ncontext = 16\ntokens = 3000', 'prompts = "prompts"')
    arm = run(here, study + f"[[prompts]]\nrows = [{rows}]\n").arms["cross"]
    assert arm.sizes["prompt"] == 25
    assert arm.error_of.sum("model").values == pytest.approx(arm.error.values, rel=1e-4)
    weights = load_file(here / "model" / "model.safetensors")["model.embed_tokens.weight"]
    (d,) = map(Dictionary.load, files(here))
    letters = [w for x in LETTERS for w in weights[ids(here / "model", x)]]
    assert torch.stack(letters).round().norm() != torch.stack(letters).norm()
    middle, rounded = d.mean[0].chunk(2)
    assert not torch.allclose(middle, rounded)
    folder = next(p for p in (here / "store").rglob("assay.json"))
    written = load_file(folder.parent / "model.safetensors")["model.embed_tokens.weight"]
    assert torch.equal(written, weights.round())


def test_with_one_for_each_seed_latents_and_seeds_are_units(here):
    study = estimated("tuned", "cross.shared", steps=5) + CLAIM.format("cross.dead < 0.9")
    result = run(here, study.replace("controls = []", 'controls = ["random"]'))
    arm = result.arms["cross"]
    assert arm.shared.dims == ("run", "latent")
    assert not np.array_equal(*arm.relative_norm.values)
    assert np.isnan(arm.shared.values).mean(1) == pytest.approx(arm.dead.values)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('["main", "other"]', '["main", "others"]', "line 14 column 10: .*did you mean other"),
        ('["main", "other"]', '["main", "main"]', "line 14 column 10: .*reads a model twice"),
        ('"hook_embed"', '["hook_embed", "blocks.1.hook_resid_pre"]', "each at one site"),
        ("k = 2", 'k = 2\nof = "other"', "leave out of"),
        ("k = 2", 'k = 2\nsite_out = "blocks.1.hook_mlp_out"', "writes them all"),
        ('"other"\n\n', '"other"\nbos = true\n\n', "the same tokenizer"),
        ('"./copy"', '"./foreign"', "line 14 column 10: .*the same tokenizer"),
        ("cross.shared", "cross.fvu_of", r"fvu_of\[model=.*for one value"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(here, old, new, told):
    if "foreign" in new:
        shutil.copytree(here / "copy", here / "foreign")
        tokenizer = here / "foreign" / "tokenizer.json"
        tokenizer.write_text(tokenizer.read_text().replace('"A"', '"Ä"'))
    study = asked("copy", "cross.shared > 0.9")
    assert old in study
    with pytest.raises(ExperimentError, match=told) as e:
        (here / "study.toml").write_text(study.replace(old, new, 1))
        Lab(here / "store", Inline()).plan(catalogue.find("study.toml"))
    assert "\n" not in str(e.value)
