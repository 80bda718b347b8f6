"""Corpus: which files count, how they are split, and windows that lead back to their text."""

import hashlib
import sys
import sysconfig

import numpy as np
import pytest

from assay.core.errors import DataError
from assay.data import corpus


def words(text):
    """A tokenizer for tests: one number per character."""
    return [ord(c) for c in text]


def write(folder, files):
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def many(folder, n=60, length=95):
    return write(
        folder,
        {
            f"d{i % 7}/f{i}.txt": "".join(chr(97 + (i * 7 + j) % 26) for j in range(length))
            + str(i)
            for i in range(n)
        },
    )


def test_the_split_is_the_hash_of_the_relative_path(tmp_path):
    found = corpus.load(str(many(tmp_path)))
    for number, document in enumerate(found.documents):
        bucket = int(hashlib.sha256(document.path.encode()).hexdigest(), 16) % 10
        assert document.part == {0: "test", 1: "validation"}.get(bucket, "train")
        assert number in found.part(document.part)
    assert sorted(found.part("train") + found.part("validation") + found.part("test")) == list(
        range(60)
    )
    assert all(found.part(p) for p in ("train", "validation", "test"))


def test_the_split_is_the_same_wherever_the_folder_lies(tmp_path):
    one = corpus.load(str(many(tmp_path / "a")))
    two = corpus.load(str(many(tmp_path / "b" / "c")))
    assert one.documents == two.documents
    assert one.fingerprint == two.fingerprint


def test_its_first_documents_are_a_corpus_of_their_own(tmp_path):
    found = corpus.load(str(many(tmp_path)))
    few = found.first(5)
    assert few.documents == found.documents[:5] and few.text(4) == found.text(4)
    assert few.fingerprint != found.fingerprint == found.first(0).fingerprint


def test_the_fingerprint_is_a_hash_of_paths_and_contents(tmp_path):
    files = {"b.txt": "two", "a/x.md": "one"}
    found = corpus.load(str(write(tmp_path / "a", files)))
    sha = {k: hashlib.sha256(v.encode()).hexdigest() for k, v in files.items()}
    lines = f"a/x.md\0{sha['a/x.md']}\nb.txt\0{sha['b.txt']}\n"
    assert found.fingerprint == hashlib.sha256(lines.encode()).hexdigest()
    assert (
        found.fingerprint
        != corpus.load(str(write(tmp_path / "b", files | {"b.txt": "too"}))).fingerprint
    )
    assert (
        found.fingerprint
        != corpus.load(str(write(tmp_path / "c", {"c.txt": "two", "a/x.md": "one"}))).fingerprint
    )


def test_files_of_the_same_content_count_once_under_the_first_path(tmp_path):
    found = corpus.load(
        str(write(tmp_path, {"z.txt": "same", "a/m.txt": "same", "b.txt": "other", "n.py": "same"}))
    )
    assert [d.path for d in found.documents] == ["a/m.txt", "b.txt"]


def test_hidden_empty_and_binary_files_do_not_count(tmp_path):
    files = {
        "a.txt": "text",
        ".git/b.txt": "hidden",
        "c.txt": "  \n",
        "d.bin": b"\xff\xfe\x00",
        "e.dat": b"a\0b",
        "f": "no ending",
    }
    found = corpus.load(str(write(tmp_path, files)))
    assert [d.path for d in found.documents] == ["a.txt", "f"]


@pytest.mark.parametrize(
    "files, message",
    [
        ({}, "holds no text: expected UTF-8 files"),
        ({"a.txt": ""}, "holds no text: expected UTF-8 files"),
        ({"a.bin": b"\xff"}, "holds no text: expected UTF-8 files"),
        ({"sub/a.txt": b"ok \xff"}, r"a\.txt is not UTF-8 text \(byte 3\)"),
    ],
)
def test_a_folder_without_text_is_one_clear_line(tmp_path, files, message):
    with pytest.raises(DataError, match=message) as caught:
        corpus.load(str(write(tmp_path, files)))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_an_absent_folder_is_one_clear_line(tmp_path):
    with pytest.raises(
        DataError, match=r"no corpus .*nowhere.*; give stdlib, docs or a folder of text files"
    ):
        corpus.load(str(tmp_path / "nowhere"))


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path):
    found = corpus.load(str(write(tmp_path, {"a.txt": "one"})))
    (tmp_path / "a.txt").write_text("two")
    with pytest.raises(DataError, match=r"a\.txt changed while it was in use"):
        found.text(0)
    (tmp_path / "a.txt").unlink()
    with pytest.raises(DataError, match=r"no file .*a\.txt"):
        found.text(0)


def test_every_window_is_the_text_that_its_document_and_offset_name(tmp_path):
    found = corpus.load(str(many(tmp_path)))
    made = found.windows(words, "train", context=16, count=100, seed=3)
    assert made.tokens.shape == (100, 16)
    for ids, document, offset in zip(made.tokens, made.document, made.offset, strict=True):
        assert document in found.part("train")
        assert "".join(map(chr, ids)) == found.text(document)[offset : offset + 16]
    assert len(set(zip(made.document.tolist(), made.offset.tolist(), strict=True))) == 100


def test_windows_follow_each_other_in_a_document_and_leave_out_its_tail(tmp_path):
    found = corpus.load(str(many(tmp_path)))
    everything = sum(len(found.text(i)) // 16 for i in found.part("train"))
    made = found.windows(words, "train", context=16, count=everything)
    for i in found.part("train"):
        n = len(found.text(i)) // 16
        assert sorted(made.offset[made.document == i]) == [16 * k for k in range(n)]


def test_a_count_of_zero_takes_all(tmp_path):
    found = corpus.load(str(many(tmp_path)))
    made = found.windows(words, "test", context=16, count=0, per_file=4)
    assert len(made.tokens) == sum(min(4, len(found.text(i)) // 16) for i in found.part("test"))
    with pytest.raises(DataError, match=r"has 0 windows of 5000 tokens; requested: all"):
        found.windows(words, "test", context=5000, count=0)


def test_the_seed_decides_the_order_and_nothing_else_does(tmp_path):
    found = corpus.load(str(many(tmp_path)))
    a, b, c = (
        found.windows(words, "train", context=16, count=100, per_file=3, seed=s) for s in (1, 1, 2)
    )
    assert np.array_equal(a.tokens, b.tokens)
    assert not np.array_equal(a.tokens, c.tokens)
    assert len(set(a.document[:20].tolist())) > 10  # shuffled across documents


def test_a_cap_balances_the_files(tmp_path):
    folder = many(tmp_path)
    (folder / "large.txt").write_text("".join(chr(97 + i % 25) for i in range(100_000)))
    found = corpus.load(str(folder))
    part = found.documents[[d.path for d in found.documents].index("large.txt")].part
    n = sum(min(2, len(found.text(i)) // 16) for i in found.part(part))
    made = found.windows(words, part, context=16, count=n, per_file=2)
    assert set(np.bincount(made.document)) <= {0, 2}


def test_more_windows_than_there_are_is_one_clear_line(tmp_path):
    found = corpus.load(
        str(write(tmp_path, {"f0.txt": "x" * 100, "f1.txt": "y" * 100, "f3.txt": "z" * 100}))
    )
    (part,) = {d.part for d in found.documents} & {"train"}
    n = sum(100 // 16 for d in found.documents if d.part == part)
    with pytest.raises(
        DataError, match=f"the train part of .* has {n} windows of 16 tokens; requested: 500"
    ):
        found.windows(words, "train", context=16, count=500)
    with pytest.raises(DataError, match=r"with at most 1 per file; requested: 500"):
        found.windows(words, "train", context=16, count=500, per_file=1)


def test_the_standard_library_without_tests_tables_and_other_peoples_packages():
    found = corpus.load("stdlib")
    paths = [d.path for d in found.documents]
    assert {"textwrap.py", "json/decoder.py", "asyncio/events.py"} <= set(paths)
    assert all(p.endswith(".py") for p in paths)
    out = {
        "site-packages",
        "test",
        "tests",
        "encodings",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "__pycache__",
    }
    assert not [p for p in paths if out & set(p.split("/"))]
    assert not {"html/entities.py", "stringprep.py"} & set(paths)
    assert "import" in found.text(paths.index("textwrap.py"))
    assert 0.03 < len(found.part("test")) / len(paths) < 0.25


RELEASED = {
    "textwrap.py": "import re\n",
    "json/__init__.py": "from .decoder import *\n",
    "json/decoder.py": "class Decoder: ...\n",
}


def library(monkeypatch, folder, added):
    """The corpus "stdlib" as a machine reads it whose library lies in this folder, with what its
    installation added."""
    write(folder, RELEASED | added)
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"stdlib": str(folder)})
    corpus._loaded.cache_clear()
    return corpus.load("stdlib")


def test_what_an_installation_adds_to_the_standard_library_is_no_text_of_it(tmp_path, monkeypatch):
    def added(machine, triplet):
        return {
            f"_sysconfigdata__linux_{triplet}.py": (
                f"build_time_vars = {{'prefix': '/builder/{machine}'}}\n"
            ),
            f"config-3.11-{triplet}/python-config.py": f"print('/builder/{machine}')\n",
            f"__pycache__/textwrap.{machine}.py": "x = 1\n",
            f"json/__pycache__/decoder.{machine}.py": "x = 1\n",
            "site-packages/package/module.py": f"where = '/builder/{machine}'\n",
            "dist-packages/package/module.py": f"where = '/builder/{machine}'\n",
            "sitecustomize.py": f"import {machine}\n",
            "usercustomize.py": f"import {machine}\n",
            "lib2to3/Grammar3.11.7.final.0.pickle": machine.encode(),
            f"{machine}.pth": "/somewhere\n",
        }

    try:
        bare = library(monkeypatch, tmp_path / "bare", {})
        one = library(monkeypatch, tmp_path / "one", added("ada", "x86_64-linux-gnu"))
        two = library(monkeypatch, tmp_path / "two", added("grace", "aarch64-linux-gnu"))
        other = library(
            monkeypatch, tmp_path / "other", {"textwrap.py": "import re  # another release\n"}
        )
    finally:
        corpus._loaded.cache_clear()
    assert [d.path for d in bare.documents] == sorted(RELEASED)
    assert bare.fingerprint == one.fingerprint == two.fingerprint
    assert other.fingerprint != bare.fingerprint


def test_no_text_of_the_standard_library_names_the_place_where_python_lies():
    found = corpus.load("stdlib")
    places = {
        p for p in (sys.prefix, sys.base_prefix, sys.exec_prefix) if len(p) > len("/usr/local")
    }
    assert not [d.path for i, d in enumerate(found.documents) for p in places if p in found.text(i)]


def test_a_relative_folder_is_the_one_of_the_place_where_it_is_named(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name / "texts").mkdir(parents=True)
        (tmp_path / name / "texts" / "a.txt").write_text(f"text of {name}")
    found = []
    for name in ("one", "two"):
        monkeypatch.chdir(tmp_path / name)
        found.append(corpus.load("texts"))
    monkeypatch.chdir(tmp_path)
    assert [c.text(0) for c in found] == ["text of one", "text of two"]
    assert found[0].name == "texts"
