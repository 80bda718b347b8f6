"""Every file that a peer's own package wrote is read to what that package computes from it; what
has two readings is refused.

The fixtures and what the peers computed, in float64 from float32 weights, are data;
tests/fixtures/formats/README.md says how they were made.
"""

import hashlib
import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from acceptance.test_formats import EXPECTED, PEERS, ROOT, assert_same, doubled, path_of
from assay.core.errors import DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.formats import load, write
from assay.dictionaries.gates import Gated, GatedShift, GatedUntied, ScaledReLU
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Identity, ReLU, Rescaled
from assay.dictionaries.selection import BatchTopK, GroupMax, TopK
from assay.evaluation.file_statements import of_text

ASKED = {"topk_no_config", "jumprelu_no_config", "batchtopk_unset"}
CASES = [
    (peer, name.removesuffix("/f"))
    for peer in PEERS
    for name in sorted(EXPECTED[peer])
    if name.endswith("/f") and name.removesuffix("/f") not in ASKED
]


def inputs(peer, dictionary):
    x = EXPECTED[peer]["x"]
    return (x if dictionary.W_enc.shape[1] == x.shape[1] else EXPECTED[peer]["x_square"]).double()


@pytest.mark.parametrize(("peer", "case"), CASES, ids=lambda value: value)
def test_read_as_the_peer_reads_it(peer, case):
    path = path_of(peer, case)
    dictionary = load(path)
    x = inputs(peer, dictionary)
    f = doubled(dictionary).encode(x)
    assert 0 < (f != 0).double().mean() <= 1, "a fixture in which nothing is on tests nothing"
    assert_same(f, EXPECTED[peer][f"{case}/f"].double())
    assert_same(doubled(dictionary).reconstruct(x), EXPECTED[peer][f"{case}/x_hat"].double())
    # the dictionary as it is used, in float32: equal but for features at the edge of a threshold
    close = torch.isclose(
        dictionary.reconstruct(x.float()).double(),
        EXPECTED[peer][f"{case}/x_hat"].double(),
        rtol=1e-4,
        atol=1e-4,
    )
    assert close.double().mean() > 0.98
    assert dictionary.origin["format"] == peer.replace("_", "-")
    file = path if path.is_file() else path / dictionary.origin["file"]
    assert dictionary.origin["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_batch_topk_says_what_it_was_and_how_its_threshold_was_estimated():
    for peer, case in (
        ("saelens", "checkpoint_batchtopk"),
        ("dictionary_learning", "batchtopk"),
        ("dictionary_learning", "matryoshka"),
    ):
        found = load(path_of(peer, case))
        assert isinstance(found.nonlinearity, JumpReLU)
        assert isinstance(found.as_trained.nonlinearity, BatchTopK)
        assert found.as_trained.nonlinearity.k == 4
        assert "running mean" in found.origin["threshold"]
        assert (found.as_trained.encode(EXPECTED[peer]["x"]) > 0).sum() == 4 * 12


# What a file leaves open is asked for, by the name of what answers it.


@pytest.mark.parametrize(
    ("case", "says", "answer", "kind"),
    [
        ("topk_no_config", "--hint architecture=", {"architecture": "AutoEncoderTopK"}, TopK(4)),
        ("topk_no_config", "BatchTopK", {"architecture": "BatchTopKSAE"}, JumpReLU()),
        (
            "jumprelu_no_config",
            "both orientations",
            {"architecture": "JumpReluAutoEncoder"},
            JumpReLU(),
        ),
        ("batchtopk_unset", "--hint threshold=", {"threshold": 0.5}, JumpReLU()),
    ],
)
def test_what_a_file_leaves_open_is_asked_for(case, says, answer, kind):
    path = path_of("dictionary_learning", case)
    with pytest.raises(DataError, match=says) as refused:
        load(path)
    assert "\n" not in str(refused.value)
    assert load(path, **answer).nonlinearity == kind


@pytest.mark.parametrize("name", ["AutoEncoderTopK", "BatchTopKSAE"])
def test_a_file_of_dictionary_learning_without_any_threshold(tmp_path, name):
    """An older TopK has none and needs none; a BatchTopK asks for the number above which features
    count."""
    draw, d, width, k = torch.Generator().manual_seed(5), 8, 16, 3
    shapes = {"encoder.weight": (width, d), "encoder.bias": (width,), "b_dec": (d,)}
    w = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    w["decoder.weight"] = torch.randn(d, width, generator=draw)
    torch.save(w | {"k": torch.tensor(k)}, tmp_path / "ae.pt")
    (tmp_path / "config.json").write_text(json.dumps({"trainer": {"dict_class": name}}))
    x = torch.randn(20, d, generator=draw).double()
    a = w["encoder.weight"].double(), w["encoder.bias"].double(), w["b_dec"].double()
    pre = ((x - a[2]) @ a[0].T + a[1]).relu()
    if name == "AutoEncoderTopK":
        found, least = load(tmp_path), pre.sort(descending=True).values[:, k - 1 : k]
    else:
        with pytest.raises(DataError, match="--hint threshold="):
            load(tmp_path)
        found, least = load(tmp_path, threshold=0.5), torch.tensor(0.5).double()
    assert_same(doubled(found).encode(x), pre * (pre >= least))


@pytest.mark.parametrize(
    ("case", "lost"), [("checkpoint_batchtopk", "topk_threshold"), ("jumprelu", "threshold")]
)
def test_a_file_of_saelens_that_lost_its_threshold_is_refused(tmp_path, case, lost):
    from safetensors.torch import save_file

    shutil.copytree(path_of("saelens", case), tmp_path / "it")
    (file,) = (tmp_path / "it").glob("*.safetensors")
    tensors = load_file(file)
    del tensors[lost]
    save_file(tensors, file)
    with pytest.raises(DataError, match=f"lacks (the tensor )?{lost}"):
        load(tmp_path / "it")


def test_a_lost_scale_is_asked_for(tmp_path):
    folder = tmp_path / "sae"
    shutil.copytree(ROOT / "saelens/checkpoint_standard", folder)
    (folder / "activation_scaler.json").unlink()
    with pytest.raises(DataError, match="--hint scale="):
        load(folder)
    x = EXPECTED["saelens"]["x"].double()
    assert_same(
        doubled(load(folder, scale=0.37)).encode(x), EXPECTED["saelens"]["checkpoint_standard/f"]
    )
    with pytest.raises(DataError, match="has no place"):
        load(ROOT / "saelens/standard", scale=0.37)


def test_a_lost_mean_length_is_asked_for(tmp_path):
    """The inputs of Llama Scope are multiplied by √d over their mean length, which later files hold
    as a tensor."""
    from safetensors.torch import save_file

    folder = tmp_path / "L3R"
    shutil.copytree(path_of("llama_scope", "distilled").parent, folder)
    values = load_file(folder / "sae_weights.safetensors")
    mean = values.pop("dataset_average_activation_norm.blocks.3.hook_resid_post").item()
    save_file(values, folder / "sae_weights.safetensors")
    with pytest.raises(DataError, match="--hint scale="):
        load(folder)
    x = EXPECTED["llama_scope"]["x"].double()
    assert_same(
        doubled(load(folder, scale=8**0.5 / mean)).encode(x),
        EXPECTED["llama_scope"]["distilled/f"],
    )
    save_file(
        values | {"dataset_average_activation_norm.blocks.3.hook_resid_post": torch.ones(3)},
        folder / "sae_weights.safetensors",
    )
    with pytest.raises(DataError, match="--hint scale="):
        load(folder)


# Writing.


SITE = ("blocks.3.hook_resid_pre",)


def made(nonlinearity, d_out=5, runs=1, **more):
    g = torch.Generator().manual_seed(0)

    def randn(*shape):
        return torch.randn(*shape, generator=g)

    own = {
        name: (value + 0.3 * randn(runs, 7)).abs()
        for name, value in nonlinearity.init(runs, 7).items()
    }
    own |= {name: randn(runs, 5, 7) for name in getattr(nonlinearity, "encoders", ())}
    tensors = {
        "W_enc": randn(runs, 5, 7),
        "b_enc": 0.3 * randn(runs, 7),
        "W_dec": randn(runs, 7, d_out),
        "b_dec": randn(runs, d_out),
    }
    return Dictionary(**tensors, nonlinearity=nonlinearity, own=own, **({"sites": SITE} | more))


MEAN, SCALE = torch.tensor([[1.0, -2.0, 0.5, 3.0, 0.1]]), torch.tensor([0.4])
X = torch.randn(50, 5, generator=torch.Generator().manual_seed(5)).double() + MEAN[0]
FOLDED = {
    "mean and scale": made(ReLU(), mean=MEAN, scale=SCALE),
    "gated, mean and scale": made(Gated(), mean=MEAN, scale=SCALE),
    "gated, another centre": made(Gated(), mean=MEAN, scale=SCALE, b_pre=-MEAN),
    "topk, another centre": made(TopK(3), mean=MEAN, scale=SCALE, b_pre=0.5 * MEAN),
    "jumprelu, a scale per dimension": made(JumpReLU(), mean=MEAN, scale=MEAN.abs() + 0.2),
    "layer norm and mean": made(ReLU(), per_token="layer-norm", mean=MEAN, scale=SCALE),
    "centred with a skip": made(ReLU(), mean=MEAN, sites_out=SITE, W_skip=torch.ones(1, 5, 5)),
    "gate without r_mag": made(GatedShift(), mean=MEAN),
    "longer relu": made(ScaledReLU(), scale=SCALE),
    "transcoder": made(
        ReLU(),
        4,
        b_pre=torch.ones(1, 5),
        sites_out=("y",),
        mean=MEAN,
        scale=SCALE,
        mean_out=MEAN[:, :4],
        scale_out=SCALE + 1,
        W_skip=torch.ones(1, 5, 4),
    ),
}


def test_an_export_says_what_its_file_said_of_model_and_text(tmp_path):
    said = {
        "model_name": "gpt2",
        "context_size": 64,
        "prepend_bos": True,
        "dataset_path": "some/text",
    }
    dictionary = replace(made(ReLU()), origin={"format": "saelens", "config": {**said, "seed": 3}})
    write(dictionary, tmp_path / "out")
    write(dictionary, tmp_path / "named", model="pythia")
    assert said.items() <= load(tmp_path / "out").origin["config"].items()
    assert load(tmp_path / "named").origin["config"]["model_name"] == "pythia"


@pytest.mark.parametrize("name", FOLDED)
def test_a_round_trip_folds_exactly(name, tmp_path):
    dictionary = FOLDED[name]
    write(dictionary, tmp_path / "out")
    back = doubled(load(tmp_path / "out"))
    assert back.mean is None and back.scale is None
    assert_same(back.encode(X), doubled(dictionary).encode(X))
    assert_same(back.reconstruct(X), doubled(dictionary).reconstruct(X))


@pytest.mark.parametrize(("peer", "case"), CASES, ids=lambda value: value)
def test_peers_files_go_on_to_saelens_and_back(peer, case, tmp_path):
    dictionary = load(path_of(peer, case))
    if isinstance(dictionary.nonlinearity, Identity | GroupMax) or (
        dictionary.W_skip is not None and isinstance(dictionary.nonlinearity, TopK)
    ):
        with pytest.raises(DataError, match="SAELens has no architecture"):
            write(dictionary, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        return
    if isinstance(dictionary.nonlinearity, TopK) and dictionary.sites_out:
        with pytest.raises(DataError, match="transcoder"):
            write(dictionary, tmp_path / "out")
        return
    write(dictionary, tmp_path / "out")
    back, x = load(tmp_path / "out"), inputs(peer, dictionary)
    assert all(
        torch.equal(value, back.tensors()[key]) for key, value in dictionary.tensors().items()
    )
    assert torch.equal(back.encode(x.float()), dictionary.encode(x.float()))
    write(dictionary, tmp_path / "ours.safetensors", "assay")
    own = load(tmp_path / "ours.safetensors")
    assert own.origin == dictionary.origin and own.header() == dictionary.header()
    assert torch.equal(own.reconstruct(x.float()), dictionary.reconstruct(x.float()))


@pytest.mark.parametrize(
    ("says", "dictionary"),
    {
        "GroupMax": made(GroupMax(7)),
        "Rescaled": made(Rescaled(ReLU())),
        "GatedUntied": made(GatedUntied()),
        "Identity": made(Identity()),
        "transcoder": made(Gated(), 4, b_pre=torch.zeros(1, 5), sites_out=("y",)),
        "crosscoder": made(ReLU(), sites=("a", "b")),
        "σ": made(ReLU(), per_token="layer-norm-exact"),
        "inputs alone": made(
            ReLU(), 4, b_pre=torch.zeros(1, 5), sites_out=("y",), per_token="layer-norm"
        ),
    }.items(),
)
def test_what_a_format_cannot_carry_is_refused(dictionary, says, tmp_path):
    with pytest.raises(DataError, match=says) as refused:
        write(dictionary, tmp_path / "out")
    assert "\n" not in str(refused.value) and not list(tmp_path.iterdir())


def test_several_runs_are_several_folders(tmp_path):
    dictionary = made(ReLU(), runs=3)
    assert write(dictionary, tmp_path / "all") == [tmp_path / f"all/run-{i}" for i in range(3)]
    write(dictionary, tmp_path / "one", run=1)
    assert torch.equal(load(tmp_path / "one").W_enc, dictionary[1].W_enc)
    assert torch.equal(load(tmp_path / "all/run-1").W_enc, dictionary[1].W_enc)
    with pytest.raises(DataError, match="runs 0 to 2"):
        write(dictionary, tmp_path / "none", run=3)
    with pytest.raises(DataError, match="exists already"):
        write(dictionary, tmp_path / "one", run=1)
    with pytest.raises(DataError, match="saelens"):
        write(dictionary, tmp_path / "x", "saelenz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all", "one"]


def test_weights_in_one_memory_are_written(tmp_path):
    W, zero = torch.randn(1, 5, 5), torch.zeros(1, 5)
    tied = Dictionary(W, zero, W, zero, ReLU())
    for name, format in (("out", "saelens"), ("own.safetensors", "assay")):
        write(tied, tmp_path / name, format)
        assert torch.equal(load(tmp_path / name).W_dec, W)


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    """A full disk in the middle of the second run's weights."""
    import safetensors.torch

    calls, really = [], safetensors.torch.save_file

    def full(tensors, path, *more):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device", str(path))
        really(tensors, path, *more)

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        write(made(ReLU(), runs=3), tmp_path / "out")
    assert len(calls) == 2 and not list(tmp_path.iterdir())
    monkeypatch.undo()
    write(made(ReLU()), tmp_path / "out")
    write(made(ReLU()), tmp_path / "own.safetensors", "assay")
    modes = {
        p.stat().st_mode for p in (*(tmp_path / "out").iterdir(), tmp_path / "own.safetensors")
    }
    assert len(modes) == 1, "whoever may read the settings may read the weights"


def test_a_state_dict_has_the_windows_that_its_user_states_wherever_it_is_written(tmp_path):
    W, path = torch.randn(5, 9), tmp_path / "mine.pt"
    torch.save({"W_enc": W, "b_enc": torch.zeros(9), "W_dec": W.T, "b_dec": torch.zeros(5)}, path)
    for bos in (True, False):
        windows = {"context": 64, "bos": bos}
        found = load(path, architecture="relu", site="blocks.1.hook_mlp_out", **windows)
        for name, format in (("d.safetensors", "assay"), ("folder", "saelens")):
            write(found, tmp_path / f"{bos}-{name}", format)
            said = of_text(load(tmp_path / f"{bos}-{name}").origin)
            assert said == {"context_size": 64, "prepend_bos": bos}
    with pytest.raises(DataError, match="context must be a whole number from 1 to"):
        load(path, architecture="relu", context=0)


def test_a_turned_state_dict_is_refused_and_what_is_still_missing_keeps_what_was_said(tmp_path):
    W, path = torch.randn(5, 9), tmp_path / "mine.pt"
    right = {"W_enc": W, "b_enc": torch.zeros(9), "W_dec": W.T, "b_dec": torch.zeros(5)}
    torch.save({n: v.mT.contiguous() if v.ndim == 2 else v for n, v in right.items()}, path)
    with pytest.raises(DataError, match=r"W_enc is \[9, 5\], .* it looks transposed"):
        load(path, architecture="relu", site="blocks.1.hook_mlp_out")
    torch.save(right, path)
    with pytest.raises(DataError) as missing:
        load(path, architecture="topk", site="blocks.1.hook_mlp_out", bos=False)
    for hint in ("architecture=topk", "site=blocks.1.hook_mlp_out", "bos=no", "k=NUMBER"):
        assert f" --hint {hint} " in str(missing.value)
