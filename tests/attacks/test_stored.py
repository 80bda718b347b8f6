"""Every kind of stored file, harmed in every way: the numbers are the same, or one line names what
is wrong, and no other verb stops.

A short form runs always; `pytest -m slow tests/attacks` tries 2,000.
"""

import contextlib
import json
import os
import shutil
import types
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny_models
from acceptance.test_hostile import said
from assay.core import integrity
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.lab.store import health
from assay.lab.store.store import Store
from damage import harm, limited
from forks import typed

WALK = Path(__file__).parents[1] / "lab" / "walk.py"


def numbers(text):
    """What a result says of its statements: the part of `--json` that is judged."""
    data = json.loads(text)
    return [
        {k: v.get(k) for k in ("text", "outcome", "estimate", "low", "high", "n")}
        for v in data["verdicts"]
    ] + data["findings"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with an experiment, and a store with everything that a store may hold; and what it
    says."""
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
        stopped.write_text(
            WALK.read_text()
            .replace("os._exit(7)", stop)
            .replace('trouble: str = ""', 'trouble: str = "exit"')
        )
        assert said("run", "stopped.py", *where, "--executor", "inline")[0] == 130
    assert list((home / "s").glob("groups/*/fit-*.safetensors"))
    return home, numbers(out)


EVALUATED = typed("evaluate d.safetensors --model model --text texts --tokens 600 --root e --json")


def measured(text):
    """What an evaluation says of its dictionaries, but whether it was stored already."""
    return [
        {k: v for k, v in entry.items() if k != "cached"}
        for entry in json.loads(text)["dictionaries"]
    ]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A folder with a dictionary, a model, texts, and a store with everything that evaluating
    stores; and what it says."""
    home = tmp_path_factory.mktemp("evaluated")
    tiny_models.make(home / "model", "llama", bos_token_id=3)
    tiny_models.write_texts(home / "texts", 12, lambda i: 12)
    draw = torch.Generator().manual_seed(0)
    W = torch.nn.functional.normalize(torch.randn(1, 40, 24, generator=draw), dim=-1)
    site = ("blocks.1.hook_resid_post",)
    Dictionary(
        0.6 * W.mT, torch.full((1, 40), -0.2), W, torch.zeros(1, 24), ReLU(), sites=site
    ).save(home / "d.safetensors")
    with contextlib.chdir(home):
        code, out, err = said(*EVALUATED)
    assert code == 0, err
    return home, measured(out)


KINDS = ("runs/**/*", "results/**/*", "groups/**/*", "artefacts/**/*", "owners/*", "store.json")


UNHASHED = {"owners", "store.json", "clock.json", "failed.json"}
"""Which file a name belongs to, the store's format, the time that was spent, an error's text: none
is a number that is judged."""


def content(path):
    """What a file says: its bytes; of results and looks the values, since 0.10 is 0.1."""
    if path.exists() and (not path.is_file() or path.stat().st_size > 2**30):
        return None
    try:
        text = path.read_bytes()
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in text.splitlines()]
        return json.loads(text) if path.parent.parent.name == "results" else text
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError):
        return None


def unending(path, rng):
    """Something that never ends, or that no memory holds, in the place of a file; what it is."""
    kind = ("pipe", "zeros", "sparse")[int(rng.integers(3))]
    path.unlink()
    if kind == "sparse":
        with path.open("wb") as file:
            file.truncate(2**40)
    else:
        os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    return kind


def attacked(world, tmp_path, seed, harm=harm):
    """What one harm led to: the kind of file, the harm, and what is wrong with how it was met;
    empty where nothing is."""
    whole, expected = world
    rng = np.random.default_rng([11, seed])
    here = tmp_path / str(seed)
    shutil.copytree(whole, here)
    kind = KINDS[int(rng.integers(len(KINDS)))]
    files = sorted(p for p in (here / "s").glob(kind) if p.is_file())
    victim = files[int(rng.integers(len(files)))]
    before = content(victim)
    how = harm(victim, rng)
    integrity._verified_states.clear()
    wrong = []
    after = content(victim)
    if victim.suffix == ".jsonl":
        # whole lines, or all of them
        lost = after is not None and all(line in before for line in after)
    else:
        # as if not written yet
        lost = after == [] and (
            victim.name.startswith("fit-") or victim.parent.parent.name == "results"
        )
    if after != before and not lost and not set(victim.relative_to(here / "s").parts) & UNHASHED:
        code, out, _ = said("doctor", "--root", str(here / "s"), "--json")
        if code != 1 or not any(
            c["about"].startswith("damaged") for c in json.loads(out)["checks"]
        ):
            wrong.append(("doctor", "finds nothing", out[-300:]))
    if rng.random() < 0.25:
        said("doctor", "--clean", "--root", str(here / "s"))
        integrity._verified_states.clear()
        if "damaged" in (out := said("doctor", "--root", str(here / "s"))[1]):
            wrong.append(("doctor --clean", "mends not all", out[-600:]))
    where = ("--preset", "smoke", "--root", str(here / "s"))
    # it reads every record there is
    seldom = [("list", "--root", str(here / "s"), "--json")] if rng.random() < 0.25 else []
    tried = [
        *seldom,
        ("show", "walk.py", *where, "--json"),
        ("doctor", "--root", str(here / "s")),
        ("report", "walk.py", *where, "--out", str(here / "pages")),
        ("plan", "walk.py", *where, "--json"),
        ("run", "walk.py", *where, "--executor", "inline", "--json"),
        ("show", "walk.py", *where, "--json"),
        ("run", "stopped.py", *where, "--executor", "inline"),
    ]
    for words in tried:
        with contextlib.chdir(here):
            code, out, err = said(*words)
        if (
            code not in (0, 1, 2, 3, 130)
            or "Traceback" in err
            or (code == 1 and words[0] != "doctor")
        ):
            wrong.append((words[0], code, err[-200:]))
        if (
            code == 0
            and words[0] in ("run", "show")
            and words[1] == "walk.py"
            and numbers(out) != expected
        ):
            wrong.append((words[0], "other numbers", out[:200]))
        if code == 2 and err.strip().count("\n"):
            wrong.append((words[0], "more than a line", err[-300:]))
    shutil.rmtree(here)
    return str(victim.relative_to(here / "s")), how, wrong


def attacked_evaluation(evaluated, tmp_path, seed):
    """Do one harm to what an evaluation stored, and say how it was met."""
    whole, expected = evaluated
    rng = np.random.default_rng([21, seed])
    here = tmp_path / f"e{seed}"
    shutil.copytree(whole, here)
    files = sorted(p for p in (here / "e").rglob("*") if p.is_file() and "locks" not in p.parts)
    kinds = sorted({p.relative_to(here / "e").parts[:2] for p in files})
    kind = kinds[int(rng.integers(len(kinds)))]
    files = [p for p in files if p.relative_to(here / "e").parts[:2] == kind]
    victim = files[int(rng.integers(len(files)))]
    how = harm(victim, rng)
    # the sums are read only where the measures have to be worked out
    if rng.random() < 0.5:
        shutil.rmtree(here / "e" / "artefacts" / "evaluation", ignore_errors=True)
    integrity._verified_states.clear()
    wrong = []
    for words in (("doctor", "--root", "e"), EVALUATED, EVALUATED):
        with contextlib.chdir(here):
            code, out, err = said(*words)
        if code not in ((0, 1) if words[0] == "doctor" else (0, 2)) or "Traceback" in err:
            wrong.append((words[0], code, err[-300:]))
        if code == 0 and words[0] == "evaluate" and measured(out) != expected:
            wrong.append((words[0], "other numbers", out[:300]))
        if code == 2 and words[0] == "evaluate" and err.strip().count("\n"):
            wrong.append((words[0], "more than a line", err[-300:]))
    shutil.rmtree(here)
    return str(victim.relative_to(here / "e")), how, wrong


def told(found):
    """What went wrong, a line each."""
    return "\n".join(f"{victim} {how}: {wrong}" for victim, how, wrong in found if wrong)


def attacks(world, evaluated, tmp_path, seeds):
    """One in five is about an evaluation."""
    return told(
        [
            attacked_evaluation(evaluated, tmp_path, s)
            if s % 5 == 4
            else attacked(world, tmp_path, s)
            for s in seeds
        ]
    )


PLACES = (
    "store.json",
    "ledger.jsonl",
    "owners/*.json",
    "results/*/*.json",
    "results/*/looks.jsonl",
    "results/*/frozen.jsonl",
    "groups/*/keys.json",
    "groups/*/clock.json",
    "groups/*/fit-*",
    "artefacts/*/*/hashes.json",
    "artefacts/*/*/*.npy",
    "runs/*/*/status.json",
    "runs/*/*/spec.json",
    "runs/*/*/measures.safetensors",
)


@pytest.mark.parametrize("kind", range(3))
def test_what_never_ends_in_a_store_is_damage_like_any_other(world, tmp_path, kind):
    here = tmp_path / "h"
    shutil.copytree(world[0], here)
    rng = types.SimpleNamespace(integers=lambda n: kind)
    for place in PLACES:
        victim = sorted((here / "s").glob(place))[-1]
        before = victim.read_bytes()
        unending(victim, rng)
        integrity._verified_states.clear()
        with limited(20):
            code, out, err = said("doctor", "--root", str(here / "s"))
        assert (
            (code, "Traceback" in err) in ((1, False), (2, False))
            or victim.parent.name in UNHASHED
            or victim.name in UNHASHED
        ), (place, out, err)
        victim.unlink()
        victim.write_bytes(before)


def test_a_status_that_was_changed_by_hand_is_no_run(world, tmp_path):
    shutil.copytree(world[0] / "s", tmp_path / "s")
    path = min((tmp_path / "s").glob("runs/walk/*/status.json"))
    text = path.read_text()
    assert Store(tmp_path / "s").at(path.parent).status == "done"
    for changed in (
        text.replace('"done"', '"diverged"'),
        text.replace('"done"', '"dnne"'),
        text.replace('"measured":1', '"measured":2'),
    ):
        assert changed != text
        path.write_text(changed)
        assert (
            Store(tmp_path / "s").at(path.parent).reason
            == "status.json was changed after it was written"
        )
    said_of = json.loads(text)
    del said_of["sha256"]  # as older versions stored it
    path.write_text(json.dumps(said_of))
    assert Store(tmp_path / "s").at(path.parent).status == "done"


@pytest.mark.parametrize(
    "seeds", [range(3), pytest.param(range(3, 10), marks=pytest.mark.thorough)], ids=str
)
def test_harm_to_what_is_stored(world, evaluated, tmp_path, seeds):
    assert not (wrong := attacks(world, evaluated, tmp_path, seeds)), wrong


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_hundred_things_that_never_end(world, tmp_path):
    found = []
    for seed in range(100):
        with limited(120):
            found.append(attacked(world, tmp_path, seed, unending))
    assert not (wrong := told(found)), wrong


@pytest.mark.parametrize("other", ["runs/walk/*/status.json", "results/walk/*.json"])
def test_another_sealed_file_in_a_results_place_is_named(world, tmp_path, other):
    """Whole by itself, and of something else: seed 1120 of the two thousand."""
    store = shutil.copytree(world[0] / "s", tmp_path / "s")
    result = store / "results/walk/smoke.json"
    if other.startswith("results"):
        shutil.copyfile(result, result.with_name("default.json"))
        result = result.with_name("default.json")
    else:
        shutil.copyfile(sorted(store.glob(other))[0], result)
    (harm,) = [h for h in health.harms(Store(store)) if h.what == "result"]
    assert harm.path == result and "holds something else of this store" in harm.why


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("block", range(20))
def test_two_thousand_harms_to_what_is_stored(world, evaluated, tmp_path, block):
    assert not (
        wrong := attacks(world, evaluated, tmp_path, range(100 * block + 1000, 100 * block + 1100))
    ), wrong
