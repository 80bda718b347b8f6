"""Health: doctor names every kind of stored file that was harmed, --clean mends it, and nothing
else is touched."""

import json
import shutil
from pathlib import Path

import pytest

from assay.cli.main import main
from assay.core import integrity
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.store import journal
from assay.lab.store.health import harms
from assay.lab.store.store import Store

WALK = Path(__file__).with_name("walk.py")
HARMED = {
    "runs/*/*-main-*/measures.safetensors": "run",
    "runs/*/*-main-*/params.safetensors": "parameters",
    "groups/*/keys.json": "group",
    "groups/*/fit-00.safetensors": "checkpoint",
    "artefacts/*/*/acts.npy": "artefact",
    "artefacts/*/*/hashes.json": "artefact",
    "results/*/smoke.json": "result",
    "results/*/looks.jsonl": "looks",
    "results/*/frozen.jsonl": "looks",
}


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A store with finished runs, a stopped group, an artefact, a result and looks."""
    shutil.copy(WALK, tmp_path / "walk.py")
    stopped = tmp_path / "stopped.py"
    stop = "(_ for _ in ()).throw(KeyboardInterrupt) if at == 2 else None"
    stopped.write_text(
        WALK.read_text()
        .replace("os._exit(7)", stop)
        .replace('trouble: str = ""', 'trouble: str = "exit"')
    )
    lab = Lab(tmp_path / "s", Inline())
    lab.run(catalogue.find(str(tmp_path / "walk.py")), "smoke")
    monkeypatch.setenv("ASSAY_CHECKPOINT_SECONDS", "0")
    with pytest.raises(KeyboardInterrupt):
        lab.run(catalogue.find(str(stopped)), "smoke")
    return tmp_path


def contents(root):
    return {
        p.relative_to(root): p.read_bytes()
        for p in root.rglob("*")
        if p.is_file() and not {"tmp", "locks"} & set(p.parts)
    }


@pytest.mark.parametrize("pattern", HARMED)
def test_one_bit_is_found_named_and_mended(world, pattern, capsys):
    store = Store(world / "s")
    victim = sorted(store.root.glob(pattern))[0]
    whole = contents(store.root)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    integrity._verified_states.clear()
    (harm,) = harms(store)
    assert harm.what == HARMED[pattern]
    assert harm.path == victim or harm.path in victim.parents
    assert main(["doctor", "--root", str(store.root)]) == 1
    assert str(harm.path) in capsys.readouterr().out
    assert main(["doctor", "--clean", "--root", str(store.root)]) == 0, (
        "well, but for what is unfinished"
    )
    assert str(harm.path) in capsys.readouterr().out
    assert not list(harms(Store(store.root)))
    kept = {
        path: text
        for path, text in whole.items()
        if not (store.root / path).is_relative_to(harm.path)
    }
    left = contents(store.root)
    assert {
        path: text
        for path, text in left.items()
        if not (store.root / path).is_relative_to(harm.path)
    } == kept


def test_a_changed_line_of_looks_is_told_and_only_it_is_left_out(world, capsys):
    path = world / "s/results/walk/looks.jsonl"
    lines = path.read_text().splitlines()
    look = json.loads(lines[0]) | {"outcome": "holds" if "holds" not in lines[0] else "fails"}
    path.write_text("\n".join([json.dumps(look), *lines[1:], '{"torn": ']) + "\n")
    assert journal.Journal(path).damaged == [1, len(lines) + 1]
    for words in (("show",), ("plan",), ("run", "--executor", "inline")):
        assert (
            main(
                [
                    words[0],
                    str(world / "walk.py"),
                    *words[1:],
                    "--preset",
                    "smoke",
                    "--root",
                    str(world / "s"),
                ]
            )
            == 0
        )
        said = "".join(capsys.readouterr())
        assert "looks.jsonl" in said.replace("\n", ""), words
        assert "not as written" in " ".join(said.split()), words
    assert main(["doctor", "--clean", "--root", str(world / "s")]) == 0
    assert all(line in path.read_text().splitlines() for line in lines[1:])
    assert not journal.Journal(path).damaged
    (kept,) = (world / "s/tmp").glob("damaged-walk-looks.jsonl-*")
    assert json.dumps(look) in kept.read_text()


@pytest.mark.parametrize("odd", [b"\0\0\0", b'{"format": "x"}', b"[]"])
def test_a_header_that_cannot_be_read_is_written_again(world, capsys, odd):
    before = contents(world / "s")
    (world / "s/store.json").write_bytes(odd)
    assert main(["list", "--root", str(world / "s")]) == 0
    assert (
        main(["show", str(world / "walk.py"), "--preset", "smoke", "--root", str(world / "s")]) == 2
    )
    assert "assay doctor --clean" in capsys.readouterr().err
    assert main(["doctor", "--clean", "--root", str(world / "s")]) == 0
    assert contents(world / "s") == before


def test_a_folder_that_is_no_store_gets_no_header(tmp_path):
    (tmp_path / "store.json").write_text("of somebody else")
    assert main(["doctor", "--clean", "--root", str(tmp_path)]) == 2
    assert (tmp_path / "store.json").read_text() == "of somebody else"


def test_the_name_of_a_lines_hash_is_no_way_around_it(world):
    """With one bit of "sha256" changed a line looks as if it came from before there were hashes."""
    for path in (world / "s/results/walk").glob("*.jsonl"):
        path.write_text(path.read_text().replace('"sha256"', '"sha25v"', 1))
        assert journal.Journal(path).damaged == [1]


def test_a_header_that_became_a_folder_is_named_and_mended(world, capsys):
    (world / "s/store.json").unlink()
    (world / "s/store.json").mkdir()
    assert main(["doctor", "--root", str(world / "s")]) == 1
    assert "store.json" in capsys.readouterr().out
    assert main(["doctor", "--clean", "--root", str(world / "s")]) == 0
    assert len(list(Store(world / "s").list())) == 6


def test_whoever_comes_second_to_a_damaged_artefact_goes_on(world):
    store = Store(world / "s")
    (path,) = (store.root / "artefacts").glob("*/*")
    store.set_aside(path, "as one worker found")
    store.set_aside(path, "as another worker found")
    assert not path.exists() and len(list((store.root / "tmp").glob("damaged-*"))) == 1
