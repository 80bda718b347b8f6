"""Studies, registrations, runs of agents and their messages, and bundles, each harmed or never
meant.

An answer or one line; the numbers of what is stored stay; no traceback, nothing outside the store,
nothing that hangs. A short form runs always; `pytest -m slow tests/attacks/test_messages.py` tries
3,000."""

import contextlib
import io
import json
import runpy
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from damage import harm, told
from test_hostile import SETTINGS, said, settings_changed, wrong

from assay.agents.asking import Asked, Bounds, opened, submit
from assay.agents.server import Tools
from assay.core import integrity
from assay.core.errors import AssayError
from assay.core.plain import as_json
from assay.core.schema import to_json
from assay.lab.store.atomic import seal

STUDY = """question = "Do five dimensions hold most of twenty sparse features?"
seeds = "1000000:1000006"

[[experiment]]
name = "superposition"
fields = { density = 0.01, steps = 2000 }

[[claim]]
text = "More than half of the features are represented"
holds = "mean(main.represented, over=feature) > 0.5"
control = ["linear"]
bounds = [0, 1]
threshold = "plan: written before anything was looked at"
"""
HOST = "http://127.0.0.1:8378"
ODD = (
    "",
    "0",
    "-1",
    "1e400",
    "nan",
    "[]",
    "{}",
    '"x"',
    "'''",
    "[[",
    "true",
    "1979-05-27",
    '"\\u0000"',
    '"' + "x" * 3_000 + '"',
    "[" * 400,
    "0x7fffffffffffffffffff",
    '"../../etc/passwd"',
    '"main.nothing > 0.5"',
    '"main.represented > "',
    '"((((main"',
    "[0, 1",
    "{ density = nan }",
    '["linear", "linear"]',
    '"0:1000000000"',
)
"""What stands where a study has a value."""


def measures(root):
    return {
        p.parent.name: p.read_bytes() for p in sorted(root.glob("runs/*/*/measures.safetensors"))
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A frozen study, a store with a job that is done, a bundle, and a store in which a worker was
    at work."""
    home = tmp_path_factory.mktemp("messages")
    (home / "frozen").mkdir()
    with contextlib.chdir(home / "frozen"):
        Path("asks.toml").write_text(STUDY)
        assert said("preregister", "asks.toml", "--root", "s")[0] == 0
    root, asked = home / "agents/store", Asked(study=STUDY, preset="smoke")
    with opened(root, asked, Bounds()) as ready:
        done = submit(root, ready, Bounds(), 0, None)
    named = {"experiment": ready.experiment.name, "preset": "smoke"}
    result = {**named, "verdicts": [], "provenance": {"runs": 3, "keys": "0" * 64}}
    (done.path / "result.json").write_bytes(seal(result))
    done.write(replace(done.state, status="done", ended=1.0, exit_code=0))
    code, _, err = said(
        "export",
        "sgd-noise",
        "--format",
        "bundle",
        "--out",
        str(home / "b.zip"),
        "--root",
        str(home / "none"),
    )
    assert code == 0, err
    shutil.unpack_archive(home / "b.zip", home / "bundle")
    return home, done.key


def line_changed(path, rng):
    """One value of a TOML file by one that it never has; else another harm."""
    lines = path.read_text().splitlines()
    at = [i for i, text in enumerate(lines) if " = " in text]
    if rng.random() < 0.3:
        return harm(path, rng)
    i = at[int(rng.integers(len(at)))]
    odd = ODD[int(rng.integers(len(ODD)))]
    lines[i] = f"{lines[i].split(' = ')[0]} = {odd}"
    path.write_text("\n".join(lines))
    return f"{lines[i]}"[:60]


def studied(here, rng, world):
    """A study that nobody meant."""
    path = here / "asks.toml"
    path.write_text(STUDY)
    how = line_changed(path, rng)
    with contextlib.chdir(here):
        code, _, err = said("plan", "asks.toml", "--preset", "smoke", "--root", "s")
    return how, wrong(code, err) or ("written" if (here / "s").exists() else "")


def frozen(here, rng, world):
    """A registration that was changed after it was frozen."""
    shutil.copytree(world[0] / "frozen", here / "f")
    files = sorted(
        p
        for p in (here / "f").rglob("*.json")
        if "registered" in str(p) or "frozen" in p.name or "registered" in p.name
    )
    victim = files[int(rng.integers(len(files)))]
    before = victim.read_bytes()
    how = settings_changed(victim, rng) if rng.random() < 0.5 else harm(victim, rng)
    changed = not victim.is_file() or not same(before, victim.read_bytes())
    found = ""
    with contextlib.chdir(here / "f"):
        for words in (
            ("plan", "asks.toml"),
            ("show", "asks.toml"),
            ("preregister", "asks.toml"),
            ("doctor",),
        ):
            code, out, err = said(*words, "--root", "s")
            found = found or wrong(code, err, codes=(0, 1, 2, 3))
            if changed and words[0] == "show" and code == 0 and "confirmatory" in out:
                found = found or "a changed registration counts"
    return f"{victim.name}: {how}", found


def same(a, b):
    """Whether two files say the same values."""
    try:
        return json.loads(a) == json.loads(b)
    except (ValueError, RecursionError):
        return False


def job(here, rng, world):
    """A file of a run that was harmed; an agent gets an answer or one line."""
    home, key = world
    shutil.copytree(home / "agents/store", here / "store")
    files = sorted(p for p in (here / "store/jobs").rglob("*") if p.is_file())
    victim = files[int(rng.integers(len(files)))]
    how = (
        settings_changed(victim, rng)
        if victim.suffix == ".json" and rng.random() < 0.5
        else harm(victim, rng)
    )
    integrity._verified_states.clear()
    tools, wrong_ones = Tools(here / "store"), []
    for name, given in (
        ("status", {"key": key}),
        ("result", {"key": key}),
        ("run", {"study": STUDY, "preset": "smoke"}),
        ("cancel", {"key": key}),
    ):
        try:
            answer = getattr(tools, name)(**given)
        except AssayError as error:
            wrong_ones += ["more than a line"] * ("\n" in error.request().strip())
        else:
            as_json(to_json(answer))
            if (result := answer if name == "result" else answer.get("result")) is not None:
                wrong_ones += ["other numbers"] * (result["verdicts"] != [])
    return f"{victim.name}: {how}", "; ".join(wrong_ones)


def refusal(answer):
    """What no answer may look like; empty where all is well."""
    if answer.status_code >= 500 and answer.status_code != 503:
        return f"{answer.status_code}: {answer.text[:200]}"
    if "Traceback" in answer.text or 'File "' in answer.text:
        return f"a traceback: {answer.text[:200]}"
    if (
        answer.status_code >= 400
        and answer.content
        and answer.headers.get("content-type", "").startswith("application/problem+json")
    ):
        detail = answer.json()["detail"]
        return "more than a line" if "\n" in detail else ""
    return ""


def value(rng, deep=0):
    """A value of JSON that nobody expects."""
    kind = int(rng.integers(6 if deep < 3 else 4))
    if kind < 3:
        return SETTINGS[int(rng.integers(len(SETTINGS)))]
    if kind == 3:
        return ODD[int(rng.integers(len(ODD)))]
    if kind == 4:
        return [value(rng, deep + 1) for _ in range(int(rng.integers(4)))]
    return {str(value(rng, 3))[:50]: value(rng, deep + 1) for _ in range(int(rng.integers(4)))}


TOOLS = (
    "experiments",
    "write_study",
    "plan",
    "run",
    "status",
    "verdicts",
    "measures",
    "judge",
    "explain",
    "nothing",
)
FIELDS = (
    "key",
    "name",
    "study",
    "experiment",
    "claims",
    "seeds",
    "fields",
    "question",
    "find",
    "preset",
    "table",
    "claim",
    "unit",
    "control",
    "x",
)


def messaged(here, rng, world):
    """A message of an agent that no client sends."""
    from starlette.testclient import TestClient

    from assay.agents.server import make_server
    from assay.agents.serving import PATH, application

    chance = rng.random()
    given = {f: value(rng) for f in FIELDS if rng.random() < 0.25}
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": TOOLS[int(rng.integers(len(TOOLS)))], "arguments": given},
    }
    if chance < 0.25:
        message[("jsonrpc", "id", "method", "params")[int(rng.integers(4))]] = value(rng)
    body = json.dumps(message).encode(errors="surrogatepass")
    if chance > 0.8:
        aside = here / "m.json"
        aside.write_bytes(body)
        harm(aside, rng)
        body = aside.read_bytes() if aside.is_file() else b""
        shutil.rmtree(aside) if aside.is_dir() else aside.unlink(missing_ok=True)
    with TestClient(application(make_server(Tools(here / "store"))), base_url=HOST) as client:
        answer = client.post(
            PATH,
            content=body,
            headers={
                "accept": "application/json, text/event-stream",
                "content-type": "application/json",
            },
        )
    outside = [p.name for p in here.iterdir() if p.name != "store"]
    return body[:160].decode(errors="replace"), refusal(answer) or (
        f"written outside: {outside}" if outside else ""
    )


def bundled(here, rng, world):
    """A bundle in which a file was changed: told by name, and never a traceback."""
    shutil.copytree(world[0] / "bundle", here / "b")
    root = next(p.parent for p in (here / "b").rglob("judge.py"))
    files = sorted(
        p for p in root.rglob("*") if p.is_file() and p.name not in ("judge.py", "SHA256SUMS")
    )
    victim = files[int(rng.integers(len(files)))]
    before = victim.read_bytes()
    how = (
        settings_changed(victim, rng)
        if victim.suffix == ".json" and rng.random() < 0.5
        else harm(victim, rng)
    )
    changed = not victim.is_file() or victim.read_bytes() != before
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        patch.setattr(sys, "argv", ["judge.py", "--claim", "1"])
        runpy.run_path(str(root / "judge.py"), run_name="__main__")
    code, text = ended.value.code, out.getvalue()
    if changed and (code == 0 or f"CHANGED  {victim.relative_to(root).as_posix()}" not in text):
        return f"{victim.name}: {how}", f"the change is not told: {code} {text[-200:]}"
    return f"{victim.name}: {how}", "a traceback" if "Traceback" in text + err.getvalue() else ""


KINDS = (messaged, messaged, studied, job, bundled, job, messaged, studied, frozen)


@pytest.mark.parametrize(
    "seeds", [range(8), pytest.param(range(8, 20), marks=pytest.mark.thorough)], ids=str
)
def test_messages_that_nobody_meant(world, tmp_path, seeds):
    assert not (wrong := told(KINDS, tmp_path, seeds, 31, world)), wrong


def test_messages_that_once_were_too_much(world, tmp_path):
    # of the slow ones, each another mistake
    seeds = (1145, 1265, 1515, 1665, 1765, 1935, 2067, 2495, 3025, 3257)
    assert not (wrong := told(KINDS, tmp_path, seeds, 31, world)), wrong


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("block", range(30))
def test_three_thousand_messages_that_nobody_meant(world, tmp_path, block):
    seeds = range(100 * block + 1000, 100 * block + 1100)
    assert not (wrong := told(KINDS, tmp_path, seeds, 31, world)), wrong
