"""Remembered hashes: those of hashlib, read again only after a change, and never trusted where a
change could go unseen."""

import hashlib
import os
import time

import pytest

from assay.core import cache


@pytest.fixture
def large(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SMALL", 10)
    monkeypatch.setattr(cache, "SETTLED", -1.0)
    path = tmp_path / "weights"
    path.write_bytes(b"some weights")
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_is_read_once_and_again_after_a_change(large, tmp_path, monkeypatch):
    memory = tmp_path / "cache/hashes.json"
    assert cache.sha256(large, memory) == digest(large)
    with monkeypatch.context() as only:
        only.setattr(cache, "digest_of", lambda path: pytest.fail("read again"))
        assert cache.sha256(large, memory) == digest(large)
    times = large.stat()
    large.write_bytes(b"same weights")  # as long, and with the time of change put back
    os.utime(large, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert cache.sha256(large, memory) == digest(large)


def test_a_file_that_has_just_changed_is_not_remembered(large, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SETTLED", 2.0)
    cache.sha256(large, tmp_path / "hashes.json")
    assert not (tmp_path / "hashes.json").exists()
    monkeypatch.setattr(cache.time, "time", lambda clock=time.time: clock() + 10)
    cache.sha256(large, tmp_path / "hashes.json")
    assert (tmp_path / "hashes.json").exists()


def test_a_damaged_memory_and_a_place_that_cannot_be_written_do_no_harm(large, tmp_path):
    for text in ("{", "[]", '{"a": [1]}'):
        (tmp_path / "hashes.json").write_text(text)
        assert cache.sha256(large, tmp_path / "hashes.json") == digest(large)
    (tmp_path / "file").write_text("")
    assert cache.sha256(large, tmp_path / "file/hashes.json") == digest(large)
