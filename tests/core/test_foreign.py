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


@pytest.mark.parametrize("kind", ["folder", "pipe", "zeros", "loop", "dangling", "socket", "absent"])
@pytest.mark.parametrize("read", [foreign.regular, foreign.json_object])
def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path, monkeypatch, kind, read):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"it\.json (is|cannot be read)") as e:
        read(made(tmp_path, kind))
    assert "\n" not in str(e.value)


def test_a_link_to_a_file_is_that_file(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}')
    (tmp_path / "b.json").symlink_to("a.json")
    assert foreign.json_object(tmp_path / "b.json") == {"a": 1}


@pytest.mark.parametrize(
    "text", [b"", b"[1]", b"3", b"{", b"\xff\xfe{}", b"[" * 200_000, b'{"a":' * 50_000, b"nul", b'{"a": 1}x', b"\x00", b"9" * 10_000]
)
def test_what_is_no_object_is_one_line(tmp_path, text):
    (tmp_path / "it.json").write_bytes(text)
    with pytest.raises(DataError, match=r"is not readable JSON|must hold one JSON object") as e:
        foreign.json_object(tmp_path / "it.json")
    assert "\n" not in str(e.value)


def test_no_more_is_read_than_settings_have(tmp_path):
    path = tmp_path / "it.json"
    path.write_text(json.dumps({"a": "x" * 5_000}))
    with pytest.raises(DataError, match="settings are a few lines"):
        foreign.json_object(path, longest=5_000)
    assert foreign.json_object(path, longest=6_000)["a"] == "x" * 5_000


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_one_line(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(text)
    try:
        assert isinstance(foreign.json_object(path), dict)
    except DataError as e:
        assert "\n" not in str(e)
