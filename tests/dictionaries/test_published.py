"""Dictionaries by name, from a hub on the loopback address that serves files which the libraries'
own packages wrote."""

import importlib
import json
import math
import shutil
from pathlib import Path

import pytest
import torch
import yaml

import tiny_models
from assay.cli.main import main
from assay.core import inputs
from assay.core.errors import DataError, ModelError
from assay.dictionaries import published
from assay.dictionaries.formats import load
from assay.evaluation import sources
from assay.lab.store.store import Store
from assay.subjects import hub as hubs
from loopback_hub import sha256

TESTS = Path(__file__).parents[1]
FORMATS = TESTS / "fixtures/formats"
REPOSITORY = "some-lab/saes"
PATH = "blocks.1/standard"
NAME = f"{REPOSITORY}:{PATH}"


@pytest.fixture
def served(tmp_path):
    """A repository with two dictionaries and what is none."""
    folder = tmp_path / "served"
    for name in ("standard", "topk"):
        shutil.copytree(TESTS / f"evaluation/saelens/{name}", folder / f"blocks.1/{name}")
    (folder / "README.md").write_text("Some dictionaries.")
    (folder / "blocks.1/standard/sparsity.safetensors").write_bytes(b"not needed")
    return folder


@pytest.fixture
def table(tmp_path, monkeypatch):
    """SAELens' table as its own package has it, named by the variable."""
    file = tmp_path / "pretrained_saes.yaml"
    monkeypatch.setenv("ASSAY_SAELENS", str(file))

    def write(content, text=None):
        file.write_text(yaml.safe_dump(content) if text is None else text)
        return file

    write.row = {"id": "blocks.1.hook_resid_post", "path": PATH, "l0": 6.0}
    write.release = {"conversion_func": None, "model": "tiny", "repo_id": REPOSITORY}
    write({"tiny-res": write.release | {"saes": [write.row]}})
    return write


def fetch(name=NAME, **rest):
    return published.fetch(published.parse(name), **rest)


def refused(match, name=NAME, kind=ModelError):
    with pytest.raises(kind, match=match) as caught:
        fetch(name)
    assert "\n" not in str(caught.value)


def here(tmp_path):
    """What lies in the cache, but for locks."""
    files = [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    return {p.name for p in files} - {"fetch.lock"}


def equal(first, second):
    ours, theirs = first.tensors(), second.tensors()
    return (first.sites, first.sites_out, first.nonlinearity, first.per_token) == (
        second.sites,
        second.sites_out,
        second.nonlinearity,
        second.per_token,
    ) and all(torch.equal(ours[n], theirs[n]) for n in ours.keys() | theirs.keys())


def test_a_name_says_repository_and_path_or_release_and_id():
    name = published.parse("google/gemma-scope-2b-pt-res@abc:layer_20/width_16k/average_l0_71")
    assert (name.repository, name.revision) == ("google/gemma-scope-2b-pt-res", "abc")
    assert name.part == "layer_20/width_16k/average_l0_71"
    for text in (
        "saelens:gpt2-small-res-jb:blocks.8.hook_resid_pre",
        "saelens:gemma-scope-2b-pt-res:layer_0/width_16k/average_l0_105",
        "a/b:sae_group_gpt2_blocks.0.hook_mlp_out_24576:v1",
        f"a/b@refs/pr/3:{PATH}",
    ):
        assert str(published.parse(text)) == text
        assert hubs.parse(text) is None  # no name of a dictionary is a model's
    others = ["smollm2", "a/b", "a/b@main", "gated-sae/showcase", "d.safetensors", "/a/b:c", "C:/x"]
    broken = ["a/b:", "a/b:/c", "a/b:../c", "a/b:c/../d", "a/b:c//d", "a/b:.", "a/b:c d", "a:b"]
    broken += ["saelens:", "saelens:a", "saelens:a:", "saelens:a:../b", "a/b:" + "c" * 201]
    for text in [*others, *broken]:
        assert published.parse(text) is None, text


def test_a_dictionary_is_fetched_by_its_path_and_is_the_one_that_the_hub_has(
    hub, served, tmp_path, capsys
):
    for ask in (published.find, lambda name: load(str(name))):
        with pytest.raises(
            DataError,
            match=f"^no dictionary '{NAME}' here: no file, and not fetched; "
            f"assay fetch {NAME} downloads it$",
        ):
            ask(published.parse(NAME))
    assert not hub.requests  # nothing but fetching asks
    commit = hub.serve(REPOSITORY, served)
    assert main(["fetch", NAME]) == 0
    out, err = capsys.readouterr()
    file = Path(out.strip())
    sizes = [(served / PATH / n).stat().st_size for n in ("cfg.json", "sae_weights.safetensors")]
    assert f"{sum(sizes) / 1e3:.1f} kB in 2 files, commit {commit[:12]}; " in err
    assert "are free in" in err
    assert here(tmp_path) == {"cfg.json", "sae_weights.safetensors", "assay.json", "main"}
    note = json.loads((file.parents[2] / "assay.json").read_text())
    assert note["name"] == REPOSITORY
    assert note["revision"] == "main"
    assert note["commit"] == commit
    assert note["sha256"] == {
        f"{PATH}/{n}": sha256(served / PATH / n) for n in ("cfg.json", "sae_weights.safetensors")
    }

    asked = len(hub.requests)
    names = (NAME, f"{NAME}/sae_weights.safetensors", served / PATH)
    found = [sources.find([name], Store(tmp_path / "store"))[0] for name in names]
    assert equal(found[0].dictionary, found[2].dictionary)
    assert equal(found[1].dictionary, found[2].dictionary)
    assert found[0].dictionary.sites == ("blocks.1.hook_resid_post",)
    assert found[0].name == PATH
    with inputs.Watch() as watch:
        watch._began = math.inf  # what was just fetched counts as older
        load(NAME)
    assert watch.files[str(file)] == sha256(served / PATH / "sae_weights.safetensors")
    assert str(file.parents[3] / "refs/main") in watch.files
    assert len(hub.requests) == asked


PUBLISHED = {
    "google/gemma-scope-2b-pt-res": ("gemma_scope/residual", "layer_3/width_16k/average_l0_71"),
    "google/gemma-scope-2b-pt-transcoders": (
        "gemma_scope/transcoder",
        "layer_3/width_16k/average_l0_6/params.npz",
    ),
    "google/gemma-scope-2-270m-pt": ("gemma_scope/second", "resid_post/layer_3_width_16k_l0_small"),
    "fnlp/Llama3_1-8B-Base-LXR-8x": ("llama_scope/residual", "Llama3_1-8B-Base-L3R-8x"),
    "fnlp/Llama-Scope-R1-Distill": (
        "llama_scope/distilled",
        "800M-Slimpajama-0-OpenR1-Math-220k/L3R",
    ),
    "EleutherAI/sae": ("sparsify/topk", "layers.3"),
}


def test_every_published_layout_is_what_its_files_are(hub):
    for repository, (fixture, path) in PUBLISHED.items():
        folder = FORMATS / fixture
        if not (folder / path).exists():  # below the repository's own name
            folder /= repository.partition("/")[2]
        hub.serve(repository, folder)
        fetch(f"{repository}:{path}")
        assert equal(load(f"{repository}:{path}"), load(folder / path)), repository


def test_a_release_and_an_id_of_saelens_are_what_its_table_says(hub, served, tmp_path, table):
    hub.serve(REPOSITORY, served)
    name = "saelens:tiny-res:blocks.1.hook_resid_post"
    with pytest.raises(DataError, match=f"no dictionary '{name}' here.*assay fetch {name} down"):
        load(name)
    fetch(name)
    assert equal(load(name), load(served / PATH))
    (tmp_path / "pretrained_saes.yaml").unlink()  # only fetching reads it
    assert equal(load(name), load(served / PATH))
    saes = [table.row | {"norm_scaling_factor": 0.25, "neuronpedia": None}]
    release = table.release | {"saes": saes}
    config = json.loads((served / PATH / "cfg.json").read_text())
    scaled = config | {"normalize_activations": "expected_average_only_in"}
    (served / PATH / "cfg.json").write_text(json.dumps(scaled))
    hub.serve(REPOSITORY, served)
    table({"SAE_LOOKUP": {"tiny-res": release}})  # as in versions before 4
    fetch(name)
    assert equal(load(name), load(served / PATH, scale=0.25))
    fetch()  # the same repository by its own name knows nothing of the table
    with pytest.raises(DataError, match="the factor is not in the file"):
        load(NAME)
    changed = {"normalize_activations": "constant_norm_rescale", "dataset_path": "a/b"}
    table({"tiny-res": release | {"config_overrides": changed}})
    fetch(name)  # the table alone changed
    assert load(name).per_token == "length"
    assert load(name).origin["config"]["dataset_path"] == "a/b"


def test_the_table_of_the_installed_package_is_read_without_importing_it(
    hub, served, tmp_path, table, monkeypatch
):
    package = tmp_path / "site/sae_lens"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    file = tmp_path / "pretrained_saes.yaml"
    shutil.move(file, package / "pretrained_saes.yaml")
    monkeypatch.delenv("ASSAY_SAELENS")
    name = "saelens:tiny-res:blocks.1.hook_resid_post"
    refused("stand in SAELens' table: pip install sae-lens, or let ASSAY_SAELENS", name, DataError)
    monkeypatch.syspath_prepend(package.parent)
    importlib.invalidate_caches()
    hub.serve(REPOSITORY, served)
    assert fetch(name).is_file()


TABLES = {
    "no such release": (
        None,
        "saelens:tiny-rez:x",
        r"has no release 'tiny-rez'; did you mean tiny-res",
    ),
    "no such id": (
        None,
        "saelens:tiny-res:blocks.2.hook_resid_post",
        r"tiny-res has no 'blocks.2.hook_resid_post'; did you mean blocks.1.hook_resid_post\?",
    ),
    "no mapping": ("- 1\n- 2", "saelens:tiny-res:x", "must be a mapping of settings, got list"),
    "no YAML": ("a: [", "saelens:tiny-res:x", "is not a readable YAML file"),
    "text": ("tiny-res: 3", "saelens:tiny-res:x", "is not a table of SAELens: tiny-res must be"),
    "no saes": ("tiny-res: {repo_id: a/b}", "saelens:tiny-res:x", "is not a table of SAELens"),
    "no id": (
        "tiny-res: {repo_id: a/b, saes: [{path: x}]}",
        "saelens:tiny-res:x",
        "is not a table of SAELens",
    ),
    "a path that leaves it": (
        "tiny-res: {repo_id: a/b, saes: [{id: x, path: ../../x}]}",
        "saelens:tiny-res:x",
        r"'a/b' with '\.\./\.\./x' is not a place on a hub",
    ),
    "a repository that is none": (
        "tiny-res: {repo_id: 7, saes: [{id: x, path: x}]}",
        "saelens:tiny-res:x",
        "is not a table of SAELens",
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_table_that_lacks_a_name_or_is_none(hub, table, case):
    text, name, message = TABLES[case]
    if text:
        table(None, text)
    refused(message, name, DataError)
    assert not hub.requests


def test_no_table_at_all_is_one_line(hub, table, tmp_path):
    (tmp_path / "pretrained_saes.yaml").unlink()
    refused("no file .*pretrained_saes.yaml", "saelens:a:b", DataError)


def _pickled(folder):
    shutil.rmtree(folder / PATH)
    (folder / PATH).mkdir()
    (folder / PATH / "ae.pt").write_bytes(b"pickled")


def _twice(folder):
    shutil.copy(folder / PATH / "sae_weights.safetensors", folder / PATH / "sae.safetensors")


CHOICES = {
    "pickled alone": (_pickled, NAME, f"has only {PATH}/ae.pt, and no pickled weights are"),
    "a pickle by name": (_pickled, f"{NAME}/ae.pt", f"has only {PATH}/ae.pt, and no pickled"),
    "two": (_twice, NAME, r"sae_weights.* and .*sae\.safetensors; name the file itself"),
    "above": (None, f"{REPOSITORY}:blocks.1", f"no dictionary itself, but {PATH}, .*topk do"),
    "misspelt": (None, f"{REPOSITORY}:blocks.1/standart", f"; did you mean {PATH}"),
    "settings": (None, f"{NAME}/cfg.json", f"has no dictionary '{PATH}/cfg.json'; did you mean"),
}


@pytest.mark.parametrize("case", CHOICES)
def test_what_is_no_one_dictionary_is_not_downloaded(hub, served, tmp_path, case):
    change, name, message = CHOICES[case]
    if change:
        change(served)
    hub.serve(REPOSITORY, served)
    refused(message, name, DataError)
    assert not here(tmp_path)
    assert len(hub.requests) == 1  # the listing


def test_doctor_names_and_deletes_what_broke_off_but_not_what_is_being_fetched(
    hub, served, tmp_path, capsys
):
    commit, hub.cut = hub.serve(REPOSITORY, served), 5_000
    refused("broke")
    ((name, folder),) = hubs.unfinished()
    assert main(["doctor", "--root", str(tmp_path / "store")]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if commit in line)
    assert f"{REPOSITORY}@{commit}:{PATH}/sae_weights.safetensors in" in line
    assert "5." in line.partition(" of ")[0] and "kB" in line
    with hubs.FileLock(folder.parent / "fetch.lock"):
        assert not hubs.remove_unfinished() and folder.is_dir()
    assert main(["doctor", "--clean", "--root", str(tmp_path / "store")]) == 0
    assert not folder.exists() and not list(hubs.unfinished())
    hub.cut = None
    published.fetch(name)
    assert equal(load(str(name)), load(served / PATH))


def test_download_brings_model_and_dictionary_and_only_where_it_is_said(
    hub, served, tmp_path, capsys
):
    """Of `features`, which needs the least; the other two ask for the same first."""
    hub.serve("some-lab/tiny", tiny_models.make(tmp_path / "model", "llama", bos_token_id=3))
    hub.serve(REPOSITORY, served)
    words = ["features", "def add(a, b): return a + b", "--dictionary", NAME]
    words += ["--model", "some-lab/tiny", "--features", "1", "--root", str(tmp_path / "store")]
    assert main(words) == 2
    assert f"assay fetch {NAME}" in capsys.readouterr().err
    assert not hub.requests
    assert main([*words, "--download", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["dictionary"] == PATH and err.count("are free in") == 2
    asked = len(hub.requests)
    assert main([*words, "--download"]) == 0  # all is here: nothing is asked for
    assert len(hub.requests) == asked
    other = f"{REPOSITORY}:blocks.1/topk"
    for verb in (
        ["evaluate", NAME, other, "--text", "stdlib"],
        ["export", NAME, "--format", "index", "--also", other],
    ):
        capsys.readouterr()
        assert main([*verb, "--model", "no-one/nothing", "--download"]) == 2
        assert "has no repository 'no-one/nothing'" in capsys.readouterr().err
