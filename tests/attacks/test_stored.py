"""Every kind of stored file, harmed in every way: the numbers are the same, or one line names what is wrong, and no other verb stops.

A short form runs always; `pytest -m slow tests/attacks` tries 2,000.
"""

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from damage import harm

from assay.cli.main import main
from assay.lab import intact

WALK = Path(__file__).parents[1] / "lab" / "walk.py"
OTHER = "superposition"
"""A name that `list` knows, under which a copy of the results lies."""


def said(*words):
    """Exit code, standard output and standard error of a command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(words))
    return code, out.getvalue(), err.getvalue()


def numbers(text):
    """What a result says of its statements: the part of `--json` that is judged."""
    data = json.loads(text)
    return [{k: v.get(k) for k in ("text", "outcome", "estimate", "low", "high", "n")} for v in data["verdicts"]] + data["findings"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with an experiment, and a store with everything that a store may hold; and what it says."""
    home = tmp_path_factory.mktemp("whole")
    shutil.copy(WALK, home / "walk.py")
    where = ("--preset", "smoke", "--root", str(home / "s"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        code, out, err = said("run", "walk.py", *where, "--executor", "inline", "--json")
        assert code == 0, err
        assert said("report", "walk.py", *where, "--out", str(home / "pages"))[0] == 0
        patch.setenv("ASSAY_CHECKPOINT_SECONDS", "0")
        stopped = home / "stopped.py"
        stop = "(_ for _ in ()).throw(KeyboardInterrupt) if at == 2 else None"
        stopped.write_text(WALK.read_text().replace("os._exit(7)", stop).replace('trouble: str = ""', 'trouble: str = "exit"'))
        assert said("run", "stopped.py", *where, "--executor", "inline")[0] == 130
    assert list((home / "s").glob("groups/*/fit-*.safetensors"))
    return home, numbers(out)


KINDS = ("runs/**/*", "results/**/*", "groups/**/*", "artefacts/**/*", "owners/*", "store.json")


def attacked(world, tmp_path, seed):
    """What one harm led to: the kind of file, the harm, and what is wrong with how it was met; empty where nothing is."""
    whole, expected = world
    rng = np.random.default_rng([11, seed])
    here = tmp_path / str(seed)
    shutil.copytree(whole, here)
    kind = KINDS[int(rng.integers(len(KINDS)))]
    files = sorted(p for p in (here / "s").glob(kind) if p.is_file())
    victim = files[int(rng.integers(len(files)))]
    how = harm(victim, rng)
    intact._seen.clear()
    wrong = []
    where = ("--preset", "smoke", "--root", str(here / "s"))
    tried = [("show", "walk.py", *where, "--json"), ("list", "--root", str(here / "s"), "--json"), ("doctor", "--root", str(here / "s")),
             ("report", "walk.py", *where, "--out", str(here / "pages")), ("plan", "walk.py", *where, "--json"),
             ("run", "walk.py", *where, "--executor", "inline", "--json"), ("show", "walk.py", *where, "--json"),
             ("run", "stopped.py", *where, "--executor", "inline")]  # fmt: skip
    for words in tried:
        with contextlib.chdir(here):
            code, out, err = said(*words)
        if code not in (0, 1, 2, 3, 130) or "Traceback" in err or (code == 1 and words[0] != "doctor"):
            wrong.append((words[0], code, err[-200:]))
        if code == 0 and words[0] in ("run", "show") and words[1] == "walk.py" and numbers(out) != expected:
            wrong.append((words[0], "other numbers", out[:200]))
        if code == 2 and err.strip().count("\n"):
            wrong.append((words[0], "more than a line", err[-300:]))
    shutil.rmtree(here)
    return str(victim.relative_to(here / "s")), how, wrong


def told(found):
    """What went wrong, a line each."""
    return "\n".join(f"{victim} {how}: {wrong}" for victim, how, wrong in found if wrong)


def test_harm_to_what_is_stored(world, tmp_path):
    assert not (wrong := told([attacked(world, tmp_path, seed) for seed in range(20)])), wrong


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("block", range(20))
def test_two_thousand_harms_to_what_is_stored(world, tmp_path, block):
    assert not (wrong := told([attacked(world, tmp_path, seed) for seed in range(100 * block + 1000, 100 * block + 1100)])), wrong
