"""Foreign files: whatever lies at a path, it is read within bounds, or refused in one line."""

import json
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core import foreign
from assay.core.errors import DataError


def made(folder, kind):
    """A path at which this kind of thing lies."""
    path = folder / "it.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "zeros":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    return path


@pytest.mark.parametrize(
    "kind", ["folder", "pipe", "zeros", "loop", "dangling", "socket", "absent"]
)
@pytest.mark.parametrize("read", [foreign.regular, foreign.json_object])
def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path, monkeypatch, kind, read):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DataError, match=r"(it\.json is|cannot read .*it\.json: |no file .*it\.json; )"
    ) as e:
        read(made(tmp_path, kind))
    assert "\n" not in str(e.value)


def test_a_link_to_a_file_is_that_file(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}')
    (tmp_path / "b.json").symlink_to("a.json")
    assert foreign.json_object(tmp_path / "b.json") == {"a": 1}


@pytest.mark.parametrize(
    "text", [b"", b"[1]", b"\xff\xfe{}", b"[" * 200_000, b'{"a":' * 50_000, b"9" * 10_000]
)
def test_what_is_no_object_is_one_line(tmp_path, text):
    (tmp_path / "it.json").write_bytes(text)
    with pytest.raises(DataError, match=r"is not readable JSON|must hold one JSON object") as e:
        foreign.json_object(tmp_path / "it.json")
    assert "\n" not in str(e.value)


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_one_line(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(text)
    try:
        assert isinstance(foreign.json_object(path), dict)
    except DataError as e:
        assert "\n" not in str(e)


def test_a_limit_is_raised_for_whoever_asks(tmp_path, monkeypatch):
    path = tmp_path / "it.json"
    path.write_text(json.dumps({"a": "x" * 5_000}))
    with pytest.raises(DataError, match=r"at most 3,000 are read: ASSAY_LIMITS=2 raises that"):
        foreign.json_object(path, longest=3_000)
    monkeypatch.setenv("ASSAY_LIMITS", "2")
    assert foreign.json_object(path, longest=3_000)["a"] == "x" * 5_000
    with pytest.raises(DataError, match=r"at most 2,000 are read: ASSAY_LIMITS=6 raises that"):
        foreign.json_object(path, longest=1_000)


@pytest.mark.parametrize("times", ["0", "-1", "1.5", "x", "٣", "9" * 30])
def test_a_limit_that_is_no_number_is_one_line(monkeypatch, times):
    monkeypatch.setenv("ASSAY_LIMITS", times)
    with pytest.raises(DataError, match="ASSAY_LIMITS must be a whole number of at least 1"):
        foreign.limit(3)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e400"])
def test_every_number_is_finite(tmp_path, number):
    (tmp_path / "it.json").write_text(f'{{"a": [{number}]}}')
    with pytest.raises(DataError, match=r"is not readable JSON"):
        foreign.json_object(tmp_path / "it.json")


@pytest.mark.parametrize("deep", [63, 64])
def test_no_deeper_than_settings_are(tmp_path, deep):
    (tmp_path / "it.json").write_text('{"a":' + "[" * deep + "]" * deep + "}")
    if deep < 64:
        assert foreign.json_object(tmp_path / "it.json")
    else:
        with pytest.raises(
            DataError,
            match="has 65 objects and lists inside each other; at most 64 are read: ASSAY_LIMITS=2",
        ):
            foreign.json_object(tmp_path / "it.json")


def test_a_long_header_of_tensors_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "it.safetensors"
    with path.open("wb") as file:  # a file with a hole: no disk is used
        file.write((20 * 2**20).to_bytes(8, "little"))
        file.truncate(2**30)
    with pytest.raises(
        DataError,
        match="has 20,971,520 bytes of header; at most 16,777,216 are read: ASSAY_LIMITS=2",
    ):
        foreign.tensors(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_LIMITS", "2")
        assert foreign.tensors(path) == path
    with path.open("wb") as file:
        file.truncate(2**36)
    with pytest.raises(
        DataError, match="has 68,719,476,736 bytes; at most 34,359,738,368 are read: ASSAY_LIMITS=2"
    ):
        foreign.tensors(path)
