"""What a stored evaluation is found by changes with everything that its numbers or its site depend
on, and with nothing else."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import assay
from assay.core.errors import DataError
from assay.dictionaries.formats import load
from assay.evaluation import sources
from assay.evaluation.result import Evaluation
from assay.lab.engines import Inline
from assay.lab.store.store import Store

FORMATS = Path(__file__).parents[1] / "fixtures/formats"

D, F = 8, 16


@pytest.fixture
def find(tmp_path):
    """What `evaluate` takes a name for."""
    return lambda name: sources.find([name], Store(tmp_path / "store"))[0]


def test_settings_beside_a_weight_file_are_part_of_what_it_is(tmp_path, find):
    W = torch.randn(F, D, generator=torch.Generator().manual_seed(1))
    weights = {
        "encoder.weight": W,
        "encoder.bias": torch.zeros(F),
        "decoder.weight": W.T.contiguous(),
        "b_dec": torch.zeros(D),
    }
    for where in ("run", "run/checkpoints"):
        file = tmp_path / where / "ae.pt"
        file.parent.mkdir()
        torch.save({**weights, "k": torch.tensor(4), "threshold": torch.tensor(2.0)}, file)
        found = []
        for name in ("AutoEncoderTopK", "BatchTopKSAE", "BatchTopKSAE"):
            trainer = {"dict_class": name, "activation_dim": D, "dict_size": F, "k": 4}
            (tmp_path / "run/config.json").write_text(json.dumps({"trainer": trainer}))
            source = find(file)
            found.append((type(source.dictionary.nonlinearity).__name__, source.sha256))
        assert [kind for kind, _ in found] == ["TopK", "JumpReLU", "JumpReLU"], where
        assert found[0][1] != found[1][1] == found[2][1], where


def test_a_folder_of_train_dictionary_is_a_dictionary_as_its_file_is(tmp_path, find):
    folder = tmp_path / "my-sae"
    folder.mkdir()
    assay.dictionaries.pca(torch.randn(20, D), 4)[0].save(folder / "dictionary.safetensors")
    for name in ("training.json", "measured.json"):
        (folder / name).write_text("{}")
    assert assay.load(folder).width == load(folder, format="assay").width == 4
    for path in (folder, folder / "dictionary.safetensors"):
        assert find(path).name == "my-sae"


def test_a_place_that_only_the_path_names_is_part_of_it_and_the_rest_of_the_path_is_not(
    tmp_path, find
):
    W = np.random.default_rng(0).normal(size=(D, F)).astype(np.float32)
    first = tmp_path / "gemma-scope-2b-pt-res/layer_3/width_16/average_l0_4"
    first.mkdir(parents=True)
    zero = {
        "b_enc": np.zeros(F, np.float32),
        "b_dec": np.zeros(D, np.float32),
        "threshold": np.ones(F, np.float32),
    }
    np.savez(first / "params.npz", W_enc=W, W_dec=W.T, **zero)
    sha256 = find(first).sha256
    for place, site, same in (
        ("gemma-scope-2b-pt-res/layer_5", 5, False),
        ("elsewhere/gemma-scope-2b-pt-res/layer_3", 3, True),
    ):
        shutil.copytree(first, tmp_path / place / "width_16/average_l0_4")
        source = find(tmp_path / place / "width_16/average_l0_4")
        assert source.dictionary.sites == (f"blocks.{site}.hook_resid_post",)
        assert (source.sha256 == sha256) == same


READ = {
    "llama_scope/residual/Llama3_1-8B-Base-L3R-8x": (
        "",
        "checkpoints/final.safetensors",
        "hyperparams.json",
    ),
    "llama_scope/residual/Llama3_1-8B-Base-L3R-8x/checkpoints": (
        "final.safetensors",
        "final.safetensors",
        "../hyperparams.json",
    ),
}
"""A dictionary's folder: what of it is named, and files that are read with that."""


def test_every_file_that_is_read_is_part_of_what_a_dictionary_is(tmp_path):
    """Otherwise a stored result would be shown for other weights."""
    store = Store(tmp_path / "store")
    for i, (folder, (named, *files)) in enumerate(READ.items()):
        root = Path("llama_scope/residual") if "llama" in folder else Path(folder)
        shutil.copytree(FORMATS / root, tmp_path / str(i))
        dictionary = tmp_path / str(i) / Path(folder).relative_to(root)
        for file in files:
            before = sources.find([dictionary / named], store)[0].sha256
            (dictionary / file).write_bytes((dictionary / file).read_bytes() + b" ")
            assert sources.find([dictionary / named], store)[0].sha256 != before, (folder, file)


def test_a_mistyped_path_gets_the_nearest_name_beside_it(tmp_path, find):
    for name in ("sae-topk", "texts", ".sae-topp"):
        (tmp_path / name).mkdir()
    for opened in (load, find):
        with pytest.raises(DataError, match=r"did you mean .*/sae-topk\?$"):
            opened(tmp_path / "sae-topp")
    with pytest.raises(DataError, match="name a file or folder that holds a dictionary"):
        load(tmp_path / "gemma")
    with pytest.raises(
        DataError,
        match=r"no dictionary is stored in /.*; name another store with --root FOLDER or ASSAY_R",
    ):
        find(tmp_path / "gemma")


def test_a_showcase_that_was_not_made_says_which_command_makes_it(tmp_path):
    with pytest.raises(DataError, match=r"run gated-sae trains it.* smollm2 --showcase"):
        sources.find([sources.SHOWCASE], Store(tmp_path))


def test_a_note_is_of_one_dictionary_or_of_each():
    entries = [
        {"name": "a", "notes": ["its file is old", "it is wide"]},
        {"name": "b", "notes": ["its file is old"]},
    ]
    assert Evaluation({"dictionaries": entries}).notes == [
        "each of a, b: its file is old",
        "a: it is wide",
    ]


@pytest.mark.parametrize(
    "place", sorted(str(p.relative_to(FORMATS)) for p in FORMATS.glob("*/*") if p.is_dir())
)
def test_one_door_opens_what_each_library_wrote(place):
    try:
        expected = load(FORMATS / place)
    # it has two readings, say: told by both in the same words
    except DataError as error:
        with pytest.raises(DataError, match=re.escape(str(error))):
            assay.load(FORMATS / place)
        return
    opened = assay.load(str(FORMATS / place))
    assert opened.header() == expected.header()
    for name, tensor in expected.tensors().items():
        assert torch.equal(opened.tensors()[name], tensor)


def test_the_same_door_opens_a_stored_run_by_its_name_and_by_its_folder(tmp_path):
    acts = torch.eye(3).repeat(4, 1)
    trained = assay.train_dictionary(assay.dictionaries.TopK(1), acts, width=6, steps=3)
    arms = {"main": assay.Arm(lambda runs, bench: trained.to_trained(), keep=True)}
    one = assay.grid(assay.Spec(), seed=[1000])
    experiment = assay.Experiment(
        arms,
        lambda runs, trained, bench: assay.measures(runs, x=("run", [1.0], "1")),
        (),
        one,
        one,
        one,
        name="keeps",
    )
    assay.Lab(tmp_path, Inline()).run(experiment)
    (folder,) = (tmp_path / "runs/keeps").glob("*")
    for name in ("keeps/main", f"keeps/{folder.name}", folder):
        opened = assay.load(name, root=tmp_path)
        assert torch.equal(opened.W_dec, trained.W_dec)
        assert opened.origin["file"] == f"keeps/{folder.name}"
    with pytest.raises(DataError, match=r"is a stored run, .* omit k="):
        assay.load("keeps/main", root=tmp_path, k=3)
    with pytest.raises(DataError, match=r"no file, folder or stored run 'keep/main'; .*keeps/main"):
        assay.load("keep/main", root=tmp_path)


def test_the_door_says_what_it_does_not_know(tmp_path):
    (tmp_path / "sae-topk").mkdir()
    with pytest.raises(DataError, match=r"did you mean .*/sae-topk\?$"):
        assay.load(tmp_path / "sae-topp", root=tmp_path / "store")
    with pytest.raises(DataError, match=r"nothing is known of treshold=; did you mean threshold\?"):
        assay.load(tmp_path / "sae-topk", treshold=2.0)
    with pytest.raises(DataError, match=r"no format 'saelense'; did you mean saelens\?"):
        assay.load(tmp_path / "sae-topk", format="saelense")
