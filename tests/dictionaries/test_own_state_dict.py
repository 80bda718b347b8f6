"""A state dict of one's own: every architecture in every form that docs/formats.md names, against
plain PyTorch; and what its refusals say."""

import json

import pytest
import torch
from safetensors.torch import save_file

from assay.core.errors import DataError
from assay.dictionaries.formats import load
from assay.dictionaries.formats.plain import ARCHITECTURES, NAMES

D, N, K, SCALE, THRESHOLD = 5, 9, 3, 0.16, 0.4
SITE = "blocks.1.hook_mlp_out"
FORMS = ("mine.pt", "ae.pt", "state_dict", "model", "module.", "mine.safetensors")
FORMS += ("sae_weights.safetensors",)
CONFIGS = {
    "no config.json": None,
    "of the training": {"lr": 1e-3, "trainer": {"steps": 10}},
    "of a model": {"model_type": "llama", "architectures": ["LlamaForCausalLM"]},
}


def drawn(names):
    """The weights of a dictionary under these names, and as W_enc, b_enc, W_dec, b_dec."""
    g = torch.Generator().manual_seed(0)
    sizes = {"d": D, "N": N}
    shapes = [[sizes[letter] for letter in dims.split()] for dims in names.values()]
    values = [torch.randn(shape, generator=g) for shape in shapes]
    turned = [v.mT if v.ndim == 2 and names is not NAMES[0] else v for v in values]
    return dict(zip(names, values, strict=True)), [v.double() for v in turned]


def written(folder, form, tensors, around=None):
    """A file of one's own in this form."""
    path = folder / (form if "." in form.strip(".") else "mine.pt")
    if path.suffix == ".safetensors":
        save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    elif form == "module.":
        torch.save({f"module.{name}": value for name, value in tensors.items()}, path)
    elif form in ("state_dict", "model"):
        optimizer = {"lr": 0.1, "steps": [1, 2]}
        torch.save({form: tensors, "epoch": 3, "optimizer": optimizer, **(around or {})}, path)
    else:
        torch.save(tensors, path)
    return path


def features(x, weights, architecture, threshold, scale):
    """What the table of docs/formats.md says, in float64."""
    W_enc, b_enc, _, b_dec = weights
    x = x.double() * scale
    f = ((x if architecture.endswith("-uncentred") else x - b_dec) @ W_enc + b_enc).relu()
    if architecture.startswith("topk"):
        return f * (f >= f.topk(K).values[:, -1:])
    return f * (f > threshold) if architecture.startswith("jumprelu") else f


def same(found, wanted):
    torch.testing.assert_close(found.double(), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_is_read_as_documented_from_every_form(
    tmp_path, architecture, form, config
):
    if CONFIGS[config] is not None:
        (tmp_path / "config.json").write_text(json.dumps(CONFIGS[config]))
    x = 3 * torch.randn(40, D, generator=torch.Generator().manual_seed(1)) / SCALE
    number = torch.linspace(0, 1, N), torch.tensor(THRESHOLD), torch.tensor([THRESHOLD])
    for i, names in enumerate(NAMES):
        tensors, weights = drawn(names)
        hints, threshold = {"architecture": architecture, "site": SITE}, number[i % 3]
        if architecture.startswith("jumprelu"):
            tensors |= {"threshold": threshold}
            tensors |= {"k": torch.tensor(K)} if i % 2 else {}  # as a BatchTopK has it
        elif architecture.startswith("topk"):
            tensors |= {"k": torch.tensor(K)} if i % 2 else {}
            hints |= {} if i % 2 else {"k": K}
        path = written(tmp_path, form, tensors)
        for scale in (None, SCALE):
            found = load(path, **hints, scale=scale)
            s = scale or 1.0
            f = features(x, weights, architecture, threshold.double(), s)
            assert 0 < (f > 0).sum() < f.numel()
            same(found.encode(x), f)
            made = (f @ weights[2] + weights[3]) / s
            same(found.reconstruct(x), made)
            same(found.decode(f.float()), made)
            assert (found.sites, found.origin["format"]) == ((SITE,), "plain")


@pytest.mark.parametrize("form", FORMS[2:4])
def test_numbers_next_to_a_state_dict_are_read_or_named(tmp_path, form):
    """A training loop saves its settings next to the weights: k and a threshold are read, and a
    scale, which may be meant either way, is named."""
    tensors, weights = drawn(NAMES[0])
    x = torch.randn(40, D, generator=torch.Generator().manual_seed(1))
    around = {"k": K, "threshold": THRESHOLD, "input_scale": 2.0}
    for architecture in ARCHITECTURES:
        found = load(written(tmp_path, form, tensors, around), architecture=architecture)
        same(found.encode(x), features(x, weights, architecture, THRESHOLD, 1.0))
        assert found.origin["unread"] == ["input_scale"]
    said = load(
        written(tmp_path, form, tensors, {"scale": SCALE}), architecture="relu", scale=SCALE
    )
    same(said.encode(x), features(x, weights, "relu", THRESHOLD, SCALE))
    assert "unread" not in said.origin  # as its user says it


def test_a_threshold_may_be_stated(tmp_path):
    tensors, weights = drawn(NAMES[1])
    x = torch.randn(40, D, generator=torch.Generator().manual_seed(1))
    path = written(tmp_path, "mine.pt", tensors)
    with pytest.raises(DataError, match=r"does not say threshold; .*--hint threshold=NUMBER"):
        load(path, architecture="jumprelu")
    found = load(path, architecture="jumprelu", threshold=THRESHOLD)
    same(found.encode(x), features(x, weights, "jumprelu", THRESHOLD, 1.0))


def test_the_command_states_all_that_is_open(tmp_path):
    path = written(tmp_path, "mine.pt", drawn(NAMES[1])[0])
    with pytest.raises(DataError, match="does not say how features are computed") as refused:
        load(path)
    for hint in ("architecture", "site", "context", "bos"):
        assert f"--hint {hint}=" in str(refused.value)


@pytest.mark.parametrize(
    ("more", "hints", "says"),
    [
        ({}, {"architecture": "relu", "k": 2}, "k belongs to the architecture topk, and relu"),
        (
            {},
            {"architecture": "topk", "k": 2, "threshold": 0.1},
            "threshold belongs to .* jumprelu",
        ),
        ({"threshold": torch.ones(N)}, {"architecture": "relu"}, "has a threshold, which belongs"),
        ({"scale": torch.ones(())}, {"architecture": "relu"}, "tensors that .* not have: scale"),
        ({}, {"architecture": "relu", "scale": 0}, "hint scale must be a positive number, got 0"),
        ({}, {"architecture": "relu", "scale": "x"}, "scale must be a positive number, got 'x'"),
        ({}, {"architecture": "relo"}, "architecture 'relo' is not known; did you mean relu"),
        (
            {"threshold": torch.ones(2)},
            {"architecture": "jumprelu"},
            r"threshold is \[2\], expected",
        ),
        ({"threshold": torch.ones(N)}, {}, "which, JumpReluAutoEncoder, jumprelu or jumprelu-unc"),
    ],
)
def test_what_fits_no_reading_is_refused_for_what_it_is(tmp_path, more, hints, says):
    path = written(tmp_path, "mine.pt", drawn(NAMES[0])[0] | more)
    with pytest.raises(DataError, match=says) as refused:
        load(path, **hints)
    assert "config.json" not in str(refused.value), "there is none"


def test_settings_say_that_a_file_is_dictionary_learnings(tmp_path):
    """Its JumpReLU is not centred, as a user's may be: what config.json says is not talked over."""
    tensors = drawn(NAMES[0])[0] | {"threshold": torch.ones(N)}
    path = written(tmp_path, "ae.pt", tensors)
    trainer = {"dict_class": "JumpReluAutoEncoder"}
    (tmp_path / "config.json").write_text(json.dumps({"trainer": trainer}))
    with pytest.raises(
        DataError, match=r"config\.json says .* JumpReluAutoEncoder of dictionary_l"
    ):
        load(path, architecture="jumprelu")
    assert load(path).origin["format"] == "dictionary-learning"
