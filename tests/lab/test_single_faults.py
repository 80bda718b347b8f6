"""One thing goes wrong: too little memory, a clock that jumps back, a full or read-only disk, a run
that diverges. Nothing stored is lost."""

import contextlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest
import torch

from assay.cli.main import main
from assay.core import integrity
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.store import groups
from assay.lab.store.store import Store
from assay.lab.work import memory
from forks import typed
from stored_bytes import measures_of

WALK = Path(__file__).with_name("walk.py")
TIGHT = """
    if len(runs) > int(os.environ.get("WALK_MOST", "99")):
        {fails}
    if os.environ.get("WALK_STOP") and int(os.environ["WALK_STOP"]) in runs.seeds:
        raise KeyboardInterrupt
    place = bench.artefact"""
FAILS = {
    "Python": "bytearray(2**60)",
    "NumPy": "np.empty(2**58)",
    "torch": "torch.empty(2**58)",
    "a device": 'raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")',
}
"""How an experiment asks for more memory than any machine has; the last as torch says it of a
device."""


def tight(folder, fails=FAILS["Python"]):
    """The walk, that trains no more runs at once than WALK_MOST."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "walk.py"
    path.write_text(
        WALK.read_text().replace("\n    place = bench.artefact", TIGHT.format(fails=fails), 1)
    )
    return path


def run(path, root, preset="smoke"):
    return Lab(root, Inline()).run(catalogue.find(str(path)), preset)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    home = tmp_path_factory.mktemp("whole")
    shutil.copy(WALK, home / "walk.py")
    run(home / "walk.py", home / "s", "default")
    return measures_of(home / "s")


DEARER = [
    pytest.param(name, marks=[pytest.mark.thorough] if i else []) for i, name in enumerate(FAILS)
]


@pytest.mark.parametrize("fails", DEARER)
def test_a_group_that_lacks_memory_goes_on_in_halves_with_the_same_bytes(
    tmp_path, whole, monkeypatch, capsys, fails
):
    monkeypatch.setenv("WALK_MOST", "1")
    run(tight(tmp_path, FAILS[fails]), tmp_path / "s", "default")
    assert measures_of(tmp_path / "s") == whole
    assert "need more memory than there is" in capsys.readouterr().err
    assert not list((tmp_path / "s/groups").iterdir())


def test_one_run_that_lacks_memory_is_one_line_and_the_others_are_stored(
    tmp_path, monkeypatch, capsys
):
    path = tight(tmp_path, 'if 1003 in runs.seeds: raise MemoryError("a table of 3 TiB")')
    monkeypatch.setenv("WALK_MOST", "0")
    assert main(["run", str(path), "--root", str(tmp_path / "s"), "--executor", "inline"]) == 3
    said = [
        line
        for line in capsys.readouterr().err.splitlines()
        if "one run of arm main, seed 1003" in line
    ]
    assert said and "a table of 3 TiB" in said[-1] and "--set" in said[-1]
    assert {
        s.spec_json.split('"seed":')[1].split(",")[0] for s in Store(tmp_path / "s").list()
    } == {"1000", "1001", "1002", "1004", "1005"}


def test_halves_outlive_a_kill(tmp_path, whole, monkeypatch, capsys):
    path = tight(tmp_path)
    monkeypatch.setenv("WALK_MOST", "1")
    monkeypatch.setenv("WALK_STOP", "1003")
    with pytest.raises(KeyboardInterrupt):
        run(path, tmp_path / "s", "default")
    (begun,) = [g for g in groups.unfinished(Store(tmp_path / "s"), "walk") if g.halved]
    assert begun.seeds == "seeds 1002–1003"
    monkeypatch.delenv("WALK_STOP")
    monkeypatch.delenv("WALK_MOST")
    capsys.readouterr()
    run(path, tmp_path / "s", "default")
    assert "more memory" not in capsys.readouterr().err, "it is known already"
    assert measures_of(tmp_path / "s") == whole
    assert not list((tmp_path / "s/groups").iterdir())


@pytest.mark.parametrize("jump", [-400 * 86400.0])
def test_a_clock_that_jumps_back_changes_no_number_and_no_verb_stops(
    tmp_path, whole, monkeypatch, capsys, jump
):
    shutil.copy(WALK, tmp_path / "walk.py")
    real, calls = time.time, [0]

    def jumping():
        calls[0] += 1
        return real() + (jump if calls[0] > 5 else 0.0)

    monkeypatch.setattr(time, "time", jumping)
    where = ("--root", str(tmp_path / "s"))
    assert main(["run", str(tmp_path / "walk.py"), *where, "--executor", "inline"]) == 0
    assert calls[0] > 5 and measures_of(tmp_path / "s") == whole
    capsys.readouterr()
    for words in (
        ("show", str(tmp_path / "walk.py")),
        ("plan", str(tmp_path / "walk.py")),
        ("doctor", "--clean"),
    ):
        assert main([*words, *where, "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert "seconds" not in said or said["seconds"] >= 0
    assert measures_of(tmp_path / "s") == whole


@contextlib.contextmanager
def full(monkeypatch, after):
    """A disk on which so many bytes fit."""
    import errno

    real, left = os.open, [after]
    write = Path.write_bytes

    def full_write(self, data):
        left[0] -= len(data)
        if left[0] < 0:
            write(self, data[: max(0, len(data) + left[0])])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        return write(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full_write)
        yield
    assert os.open is real


@pytest.mark.parametrize("after", [0, 3_000, 14_000])
def test_a_disk_that_fills_up_is_one_line_and_the_same_command_goes_on(
    tmp_path, whole, monkeypatch, capsys, after
):
    shutil.copy(WALK, tmp_path / "walk.py")
    words = typed(f"run {tmp_path / 'walk.py'} --root {tmp_path / 's'} --executor inline")
    with full(monkeypatch, after):
        assert main(words) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert "is full" in said[-1]
    assert "run the same command again" in said[-1]
    assert "Traceback" not in "".join(said)
    assert not list(Store(tmp_path / "s").damaged())
    assert {
        name: data for name, data in measures_of(tmp_path / "s").items() if whole[name] != data
    } == {}
    assert main(words) == 0 and measures_of(tmp_path / "s") == whole


def test_a_read_only_store_is_read_and_its_refusal_is_one_line(
    tmp_path, whole, monkeypatch, capsys
):
    shutil.copy(WALK, tmp_path / "walk.py")
    where = ("--root", str(tmp_path / "s"))
    assert (
        main(
            ["run", str(tmp_path / "walk.py"), "--preset", "smoke", *where, "--executor", "inline"]
        )
        == 0
    )
    before = measures_of(tmp_path / "s")
    import errno

    def refused(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(tmp_path / "s"))

    for name in ("mkdir", "write_bytes", "rename", "replace", "touch", "unlink", "write_text"):
        monkeypatch.setattr(Path, name, refused)
    integrity._verified_states.clear()
    capsys.readouterr()
    for words in (
        ("show", str(tmp_path / "walk.py"), "--preset", "smoke"),
        ("plan", str(tmp_path / "walk.py")),
        ("list",),
        ("doctor",),
    ):
        assert main([*words, *where]) == 0, capsys.readouterr()
    capsys.readouterr()
    assert main(["run", str(tmp_path / "walk.py"), *where, "--executor", "inline"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert "cannot be written" in said[-1] and "--root" in said[-1]
    monkeypatch.undo()
    assert measures_of(tmp_path / "s") == before


def test_torchs_own_words_are_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**58)
    assert memory.lacked(caught.value)
