"""Models from a hub: one of our own on the loopback address, since nothing else is asked here."""

import errno
import io
import json
import math
import re
import shutil
from collections import namedtuple
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import hf_hub_download
from safetensors.numpy import load_file, save_file

import tiny_models
from assay.cli.main import main
from assay.core import compute, inputs
from assay.core.errors import ModelError
from assay.data.harvest import HarvestSpec
from assay.data.harvest import inputs as harvest_inputs
from assay.data.names import model_in_words
from assay.subjects import folder as models
from assay.subjects import hub as hubs
from assay.subjects import load, sizes
from loopback_hub import sha256

NAME = "some-lab/tiny-llama"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("hub") / "tiny", "llama")


@pytest.fixture
def folder(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "served")


def fetch(name=NAME, **rest):
    return hubs.fetch(hubs.parse(name), **rest)


def here(tmp_path):
    """What lies in the repository's folder of the cache, but for the lock."""
    place = tmp_path / "cache/hub/some-lab--tiny-llama"
    files = {p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()}
    return files - {"fetch.lock"}


def refused(match, name=NAME):
    with pytest.raises(ModelError, match=match) as caught:
        fetch(name)
    assert "\n" not in str(caught.value)


def test_the_hub_of_these_tests_is_one_to_huggingface_hub(hub, folder, tmp_path):
    """Their own client reads it, so what it serves is their protocol and not only what we expect
    of it."""
    commit = hub.serve(NAME, folder, "main", "step3000")
    info = huggingface_hub.HfApi(hub.address).model_info(
        NAME, revision="step3000", files_metadata=True
    )
    weights = next(s for s in info.siblings if s.rfilename == "model.safetensors")
    assert info.sha == commit
    assert weights.lfs.sha256 == sha256(folder / "model.safetensors")
    for name in ("config.json", "model.safetensors"):
        path = hf_hub_download(NAME, name, endpoint=hub.address, cache_dir=tmp_path / "theirs")
        assert sha256(Path(path)) == sha256(folder / name)


def test_a_model_is_fetched_by_name_and_is_the_one_that_the_hub_has(hub, folder, tmp_path, capsys):
    with pytest.raises(
        ModelError,
        match=f"^no model '{NAME}@step3000' here: no folder, and not fetched; "
        f"assay fetch {NAME}@step3000 downloads it$",
    ):
        models.find(f"{NAME}@step3000")
    assert not hub.requests  # nothing but fetching asks
    (folder / "pytorch_model.bin").write_bytes(b"pickled")
    (folder / "consolidated.safetensors").write_bytes(b"in another layout")
    commit = hub.serve(NAME, folder, "step3000")
    assert main(["fetch", f"{NAME}@step3000"]) == 0
    out, err = capsys.readouterr()
    place = tmp_path / "cache/hub/some-lab--tiny-llama" / commit
    assert out.strip() == str(place)
    names = {"config.json", "generation_config.json", "tokenizer.json", "model.safetensors"}
    total = sum((folder / name).stat().st_size for name in names)
    line = next(line for line in err.splitlines() if "free in" in line)
    assert f"{total / 1e3:.1f} kB in 4 files, commit {commit[:12]}; " in line
    assert re.search(r"; [\d.]+ [MG]B are free in .*some-lab--tiny-llama", line)
    assert {p.name for p in place.iterdir()} == names | {"assay.json"}
    note = json.loads((place / "assay.json").read_text())
    assert note["name"] == NAME
    assert note["revision"] == "step3000"
    assert note["commit"] == commit
    assert note["sha256"] == {name: sha256(folder / name) for name in names}

    asked = len(hub.requests)
    fetched, local = models.find(f"{NAME}@step3000"), models.find(str(folder))
    assert fetched.path == place
    assert fetched.provenance == f"{NAME}, commit {commit[:12]}"
    (folder / "consolidated.safetensors").unlink()
    assert models.fingerprint(f"{NAME}@step3000") == models.find(str(folder)).fingerprint
    tokens = torch.arange(10)[None]
    logits = load(f"{NAME}@step3000").run(tokens).logits
    assert torch.equal(logits, load(str(local.path)).run(tokens).logits)
    spec = HarvestSpec(subject=f"{NAME}@step3000", site="blocks.1.hook_resid_pre")
    assert harvest_inputs(spec)["model"] == fetched.fingerprint
    assert len(hub.requests) == asked
    with pytest.raises(ModelError, match="no model 'some-lab/tiny-llama' here"):
        models.find(NAME)  # main was not fetched


def test_a_folder_that_exists_is_meant_before_a_name(hub, folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / NAME)
    monkeypatch.chdir(tmp_path)
    assert models.find(NAME).path == Path(NAME)


def test_names_are_taken_apart_and_paths_are_none():
    assert hubs.parse("a/b") == hubs.HubName("a/b", "main")
    assert hubs.parse("a-b/C.d_1@refs/pr/3") == hubs.HubName("a-b/C.d_1", "refs/pr/3")
    paths = ["smollm2", "/a/b", "./a", "../a", "~/a", "a/b/c", "a/../b", "a/..", "", "a/", "/b"]
    for text in [*paths, "a/b@", "a--b/c", "a/b@../x", "a/b c", "a/b@x y", "é/b", "a/b\n"]:
        assert hubs.parse(text) is None, text


def test_a_branch_is_the_commit_that_was_fetched_last_and_an_input_of_a_run(hub, folder, tmp_path):
    first = hub.serve(NAME, folder)
    fetch()
    with inputs.Watch() as watch:
        watch._began = math.inf  # what was just fetched counts as older
        models.fingerprint(NAME)
    place = tmp_path / "cache/hub/some-lab--tiny-llama"
    ref = str(place / "refs/main")
    assert {ref, str(place / first / "model.safetensors")} <= watch.files.keys()
    assert watch.files[str(place / first / "model.safetensors")] == sha256(
        folder / "model.safetensors"
    )
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-5}))
    before, second = models.fingerprint(NAME), hub.serve(NAME, folder)
    # the hub's branch moved, what is here did not
    assert models.fingerprint(NAME) == before
    fetch()
    assert models.find(NAME).path.name == second != first
    assert models.fingerprint(NAME) != before
    assert inputs.hash_current(Path(ref)) != watch.files[ref]
    # a commit stays what it is
    assert models.find(f"{NAME}@{first}").path.name == first


def test_a_broken_connection_goes_on_where_it_broke(hub, folder, tmp_path):
    size = (folder / "model.safetensors").stat().st_size
    commit, hub.cut = hub.serve(NAME, folder), 10_000
    refused(rf"the connection to {hub.address} broke .*; assay fetch {NAME} goes on from there")
    partial = tmp_path / f"cache/hub/some-lab--tiny-llama/{commit}.partial/model.safetensors"
    assert partial.stat().st_size == 10_000
    with pytest.raises(ModelError, match="no model"):
        models.find(NAME)
    hub.cut, hub.requests, said, steps = None, [], [], []
    fetch(progress=said.append, bar=lambda completed, total: steps.append((completed, total)))
    ranges = {path.split("/")[-1]: asked for path, asked in hub.requests}
    assert ranges["model.safetensors"] == "bytes=10000-"
    assert "config.json" not in ranges  # it was whole
    total = steps[-1][1]
    assert "kB of them here" in said[0]
    assert steps[0][0] == total - size + 10_000 and steps[-1][0] == total
    assert not partial.parent.exists()
    assert models.find(NAME).fingerprint == models.find(str(folder)).fingerprint


def test_no_hub_at_all_is_one_line(hub, folder, monkeypatch):
    hub.server.server_close()
    refused(rf"the connection to {hub.address} broke .*assay fetch {NAME} goes on")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    refused("HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set")


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_another_hash_is_refused_and_deleted(hub, folder, tmp_path, file):
    hub.serve(NAME, folder)
    hub.wrong.add(file)
    refused(f"{file} of {NAME} has another hash than its hub says")
    assert not [path for path in here(tmp_path) if path.endswith((file, "assay.json", "main"))]
    hub.wrong.clear()
    assert fetch().is_dir()


def test_what_was_damaged_here_is_fetched_again(hub, folder):
    hub.serve(NAME, folder)
    place = fetch()
    weights = bytearray((place / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (place / "model.safetensors").write_bytes(weights)
    (place / "model.safetensors").touch()
    hub.requests.clear()
    assert fetch() == place
    assert sha256(place / "model.safetensors") == sha256(folder / "model.safetensors")
    assert "config.json" not in {path.split("/")[-1] for path, _ in hub.requests}
    hub.requests.clear()
    fetch()
    assert len(hub.requests) == 1  # the listing


def test_shards_are_fetched_with_their_index(hub, folder):
    weights = load_file(folder / "model.safetensors")
    parts = {f"model-0000{i + 1}-of-00002.safetensors": list(weights)[i::2] for i in range(2)}
    for part, names in parts.items():
        save_file({name: weights[name] for name in names}, folder / part, {"format": "pt"})
    plain = load(str(folder)).run(torch.arange(5)[None]).logits
    (folder / "model.safetensors").unlink()
    index = {
        "metadata": {},
        "weight_map": {n: part for part, names in parts.items() for n in names},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    hub.serve(NAME, folder)
    assert {p.name for p in fetch().glob("model*")} == {*parts, "model.safetensors.index.json"}
    assert torch.equal(load(NAME).run(torch.arange(5)[None]).logits, plain)


def _only_pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _no_tokenizer(folder):
    (folder / "tokenizer.json").unlink()


def _no_decoder(folder):
    (folder / "config.json").write_text('{"model_type": "vit", "hidden_size": 8}')


def _with_adapter(folder):
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')


REFUSED = {
    "an adapter as well": (_with_adapter, r"adapter_config\.json"),
    "pickled weights only": (
        _only_pickled,
        r"has no model\.safetensors, only pytorch_model\.bin, and Assay reads no pickled weights",
    ),
    "no tokenizer": (_no_tokenizer, r"has no tokenizer\.json"),
    "no decoder": (_no_decoder, f"{NAME} holds a model of type vit"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_not_be_opened_is_not_downloaded(hub, folder, tmp_path, case):
    change, message = REFUSED[case]
    change(folder)
    hub.serve(NAME, folder)
    refused(message)
    assert not here(tmp_path)
    assert not [path for path, _ in hub.requests if path.endswith(("safetensors", "bin"))]


def test_a_token_goes_to_the_hub_and_to_no_other_host(hub, folder, monkeypatch):
    hub.serve(NAME, folder)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "a-token")
    fetch()
    for path, token in hub.tokens.items():
        assert token == ("" if path.startswith("/lfs/") else "Bearer a-token"), path
    assert any(path.startswith("/lfs/") for path in hub.tokens)


def test_a_gated_an_absent_repository_and_an_absent_revision(hub, folder, tmp_path, capsys):
    hub.serve(NAME, folder)
    hub.gated.add(NAME)
    refused(f"{NAME} is gated: accept its terms at {hub.address}/{NAME}, then hf auth login")
    refused(f"{NAME} has no revision 'nowhere'; {hub.address}/{NAME} lists them", f"{NAME}@nowhere")
    refused(f"{hub.address} has no repository 'no-one/nothing'", "no-one/nothing")
    assert not here(tmp_path)
    assert main(["fetch", NAME]) == 2
    assert "is gated" in capsys.readouterr().err


def test_no_room_is_said_before_any_weight_is_asked_for(hub, folder, tmp_path, monkeypatch):
    hub.serve(NAME, folder)
    free = namedtuple("Usage", "free")(1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    refused(rf"fetching {NAME} needs [\d.]+ kB in .*, 1\.0 kB are free; make room or set ASSAY")
    assert not here(tmp_path)
    assert len(hub.requests) == 1


def test_a_disk_that_fills_up_keeps_nothing_half_written(hub, folder, tmp_path, monkeypatch):
    """What else writes to it may fill it while the model arrives."""
    hub.serve(NAME, folder)
    opened = io.open

    class Full(io.BufferedRandom):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    def fill(path, mode="r", *rest, **more):
        if "w" in mode and str(path).endswith("model.safetensors"):
            return Full(opened(path, "wb+", buffering=0))
        return opened(path, mode, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fill)
        refused("cannot write .*: No space left on device; fix that, or set ASSAY_CACHE")
    assert not [path for path in here(tmp_path) if "model.safetensors" in path]
    assert fetch().is_dir()


def test_a_hub_that_is_none_is_one_line(hub, folder, monkeypatch):
    hub.serve(NAME, folder)
    for answer in (b"<html>", b"[]", b'{"sha": 3}', b'{"sha": "x", "siblings": []}'):
        monkeypatch.setattr(hubs, "_get", lambda *_, answer=answer: _answering(answer))
        refused("does not answer as a hub does; is HF_ENDPOINT right")


class _answering:
    status_code = 200

    def __init__(self, body):
        self.body = body

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def iter_bytes(self):
        yield self.body


def test_a_model_larger_than_the_free_memory_is_refused_with_both_numbers(tiny, monkeypatch):
    numbers = sum(w.size for w in load_file(tiny / "model.safetensors").values())
    monkeypatch.setattr(compute, "free_memory", lambda: 4.0 * numbers)
    assert load(str(tiny)).layers == 3
    monkeypatch.setattr(compute, "free_memory", lambda: 4.0 * numbers - 1)
    with pytest.raises(
        ModelError, match=rf"GB \({numbers:,} weights of 4 bytes\), 0\.0 GB are free"
    ):
        load(str(tiny))
    assert load(str(tiny), dtype="bfloat16").layers == 3
    monkeypatch.setattr(compute, "free_memory", lambda: math.inf)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4 * numbers - 1, 10**12))
    with pytest.raises(ModelError, match=r"tiny on cuda:1 takes .* 0\.0 GB are free"):
        load(str(tiny), device="cuda:1")


def test_masks_and_a_second_name_of_the_embedding_count_for_nothing():
    shapes = {"wte.weight": [10, 8], "lm_head.weight": [10, 8], "h.0.attn.bias": [1, 1, 64, 64]}
    config = {"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2}
    sizes.check_memory(config, shapes, 4, 4 * 80, "it")
    with pytest.raises(ModelError, match="80 weights of 4 bytes"):
        sizes.check_memory(config, shapes, 4, 4 * 80 - 1, "it")
    with pytest.raises(ModelError, match="160 weights"):
        sizes.check_memory(config | {"tie_word_embeddings": False}, shapes, 4, 500, "it")


def test_a_sentence_calls_it_by_its_name():
    assert model_in_words(f"{NAME}@step3000") == f"the model {NAME}@step3000"
    assert model_in_words(f"untrained {NAME}") == f"the model {NAME} with weights drawn anew"
    assert model_in_words("/some/folder") == "the model in /some/folder"
