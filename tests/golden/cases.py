"""The cases of make.py: what is typed or executed, and how what it says becomes plain values."""

import contextlib
import functools
import io
import json
import linecache
import os
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from assay.core.schema import to_json

ROOT = Path(__file__).parents[2]
SATISFIED = {"holds": True, "fails": False, "undecided": None}
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SAID = re.compile(r"^ +(?:control (\S+) )?(\w+): (\S+) \[(\S+), (\S+)\] ?(.*), (\d+) (\w+?)s?$")
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")
ENDS, MEASURES = {"estimate": "", "low": "_low", "high": "_high"}, ("auroc", "accuracy")
TABLE, ARRAYS, MODEL, TRAINED = 1e-9, 1e-6, 1e-3, 5e-2


@dataclass(frozen=True)
class Case:
    """What says something, what it says as plain values, and how closely other machines agree."""

    of: str
    say: Callable[[Path], dict[str, Any]]
    rtol: float


def numbers(v: dict[str, Any]) -> dict[str, Any]:
    return {name: v[name] for name in ENDS}


def short(x: Any) -> Any:
    """Give nested values with nothing of a number but itself and its interval."""
    if not isinstance(x, dict):
        return x
    return numbers(x) if "estimate" in x else {k: short(v) for k, v in x.items()}


def control(v: dict[str, Any]) -> dict[str, Any]:
    """Give what a control says, from its JSON, and by how much the claim is ahead of it."""
    ahead = {"contrast": numbers(v["contrast"])} if v.get("contrast") else {}
    return {**numbers(v), "satisfied": SATISFIED[v["outcome"]], **ahead}


def claimed(v: dict[str, Any]) -> dict[str, Any]:
    """Give what a verdict says, from its JSON."""
    controls = {name: control(c) for name, c in v["controls"].items()}
    unit = v["unit"] if v["unit"] not in ("", "1") else v.get("measured_in", "")
    said = {"claim": v["text"], "outcome": v["outcome"], **numbers(v), "unit": unit, "n": v["n"]}
    return {**said, "parts": v.get("sides", {}), "controls": controls}


def estimated(v: dict[str, Any]) -> dict[str, Any]:
    """Give what an estimate says, from its JSON; of a curve the band for all levels together."""
    unit = v["unit"] if v["unit"] not in ("", "1") else v.get("measured_in", "")
    said = {"estimate_of": v["text"], "unit": unit, "n": v["n"], "parts": v.get("sides", {})}
    if (curve := v.get("curve")) is None:
        return {**said, **numbers(v)}
    points = zip(curve["estimate"], curve["band_low"], curve["band_high"], strict=True)
    levels = dict(zip(map(str, curve["levels"]), points, strict=True))
    named = {k: dict(zip(ENDS, point, strict=True)) for k, point in levels.items()}
    return {**said, "over": curve["over"], "levels": named}


def stated(claim: dict[str, Any]) -> dict[str, Any]:
    """Give what a claim of `check`, `check_probe` or `judge` says, from its JSON."""
    v = claim["verdict"]
    controls = {
        name: {**numbers(c), "outcome": c["outcome"], "lead": [*c["lead"]]}
        for name, c in v["controls"].items()
    }
    notes = sorted(note["code"] for note in claim["notes"])
    said = {"claim": claim["text"], "outcome": v["outcome"], **numbers(v), "n": v["n"]}
    return {**said, "controls": controls, "notes": notes}


def answered(answer: dict[str, Any]) -> dict[str, Any]:
    return {"claims": [stated(claim) for claim in answer["claims"]]}


def of_result(result: Any) -> list[dict[str, Any]]:
    """Give what the claims of a result say."""
    return [stated(to_json(claim)) for claim in result.claims]


def environment(work: Path) -> dict[str, str]:
    """Give the variables under which no results of the user are read, and none written."""
    ours = {"ASSAY_ROOT": str(work / "store"), "XDG_STATE_HOME": str(work / "state")}
    return {**os.environ, **ours, "OMP_NUM_THREADS": "1"}


def shell(words: list[str], cwd: Path, work: Path) -> str:
    """Run a program, and give what it prints."""
    done = subprocess.run(
        words, cwd=cwd, env=environment(work), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{shlex.join(words)}: {done.stderr[-2000:]}"
    return done.stdout


def assay(typed: str, cwd: Path, work: Path) -> dict[str, Any]:
    """Run a command of Assay with --json, and give what it answers."""
    words = [sys.executable, "-m", *shlex.split(typed), "--json"]
    answer: dict[str, Any] = json.loads(shell(words, cwd, work))
    return answer


def study(path: str) -> Case:
    def say(work: Path) -> dict[str, Any]:
        answer = assay(f"assay run {path} --executor inline", ROOT, work)
        assert not answer["failed"], answer["failed"]
        claims = [claimed(v) for v in answer["verdicts"]]
        return {"claims": claims, "estimates": [estimated(v) for v in answer["findings"]]}

    return Case(f"assay run {path}", say, MODEL)


def code(page: str, kind: str, k: int) -> str:
    return [c for found, c in BLOCK.findall((ROOT / page).read_text()) if found == kind][k - 1]


def executed(page: str, k: int, work: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Run a Python block of a page: what its calls give, and the lines that it prints."""
    import assay

    found: list[Any] = []

    def kept(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            found.append(function(*given, **named))
            return found[-1]

        return call

    text, name, printed = code(page, "python", k), f"{page} {k}", io.StringIO()
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    alone = {**environment(work), "ASSAY_CACHE": str(work / "cache")}
    with contextlib.ExitStack() as held:
        held.enter_context(contextlib.chdir(work))
        held.enter_context(contextlib.redirect_stdout(printed))
        held.enter_context(mock.patch.dict(os.environ, alone))
        for door in ("check", "check_probe", "judge"):
            held.enter_context(mock.patch.object(assay, door, kept(getattr(assay, door))))
        exec(compile(text, name, "exec"), {"__name__": "__main__"})
    claims = [claim for result in found for claim in of_result(result)]
    return claims, printed.getvalue().splitlines()


def block(page: str, k: int) -> Case:
    """A Python block of a page that checks or judges something."""
    of = f"{page}, Python block {k}"
    return Case(of, lambda work: {"claims": executed(page, k, work)[0]}, ARRAYS)


def prints(page: str, k: int) -> Case:
    """A Python block of a page that prints lines of words and numbers."""

    def say(work: Path) -> dict[str, Any]:
        lines = executed(page, k, work)[1]
        found = {NUMBER.split(x)[0].strip(): [*map(float, NUMBER.findall(x))] for x in lines}
        return {"printed": found}

    return Case(f"{page}, Python block {k}", say, TRAINED)


def typed_check(work: Path) -> dict[str, Any]:
    *before, check = code("docs/how-to/choose-controls.md", "bash", 1).strip().splitlines()
    shell(["bash", "-euc", "\n".join(before)], work, work)
    return answered(assay(check, work, work))


def with_transformers(work: Path) -> dict[str, Any]:
    from assay.report import result_file

    file = work / "country.assay"
    _, script, *given = HOOK.split()
    shell([sys.executable, str(ROOT / script), *given], work, work)
    return {"claims": of_result(result_file.load(file))}


def train(work: Path) -> dict[str, Any]:
    answer = assay(TRAIN, work, work)
    return {name: answer[name] for name in ("width", "vectors", "rows", "fvu", "l0", "dead")}


def evaluate(work: Path) -> dict[str, Any]:
    train(work)
    (entry,) = assay(EVALUATE, work, work)["dictionaries"]
    measures = {k: {**numbers(m), "n": m["n"]} for k, m in entry["measures"].items()}
    return {"measures": measures, "compared": short(entry["compared"])}


def bundle(work: Path) -> dict[str, Any]:
    """The verdicts that the judge.py of a bundle prints."""
    assay("assay export superposition --format bundle --out superposition.zip", work, work)
    zipfile.ZipFile(work / "superposition.zip").extractall(work)
    lines = shell([sys.executable, "judge.py"], work / "superposition", work).splitlines()
    claims: list[dict[str, Any]] = []
    for m in filter(None, map(SAID.match, lines)):
        control, outcome, x, low, high, unit, n, factor = m.groups()
        said: dict[str, Any] = {"estimate": float(x), "low": float(low), "high": float(high)}
        if control:
            claims[-1]["controls"][control] = {**said, "satisfied": SATISFIED[outcome]}
        else:
            said |= {"outcome": outcome, "unit": unit, "n": {factor: int(n)}, "controls": {}}
            claims.append(said)
    return {"claims": claims, "judged again": [*map(int, NUMBER.findall(lines[-1]))]}


def verify(work: Path) -> dict[str, Any]:
    answer = assay("assay verify superposition", work, work)
    said = {name: answer[name] for name in ("records", "statements", "contests")}
    return {**said, "differences": len(answer["differences"])}


HOOK = "python examples/check/with_transformers.py smollm2 5 country.assay"
JUDGE = (
    "assay judge examples/results.csv --claim 'gated.fvu - relu.fvu < -0.02' "
    "--unit seed --unit document --control relu-again --about gated"
)
TRAIN = (
    "assay train-dictionary smollm2 blocks.25.hook_resid_post --text docs --out small-sae "
    "--width 512 --k 16 --steps 300 --batch 1024 --tokens 12000"
)
EVALUATE = (
    "assay evaluate small-sae --model smollm2 --text docs "
    "--tokens 6000 --ablation-tokens 1500 --out report"
)
FILES = sorted((ROOT / "examples").glob("*.toml"))
TEXTS = sorted((ROOT / "studies/asking").glob("*.toml"))
REPLICATED = ("middle-places", "copy-suppression-damage")
CASES = {
    "judge": Case(JUDGE, lambda work: answered(assay(JUDGE, ROOT, work)), TABLE),
    **{f"check-{k}": block("docs/how-to/choose-controls.md", k) for k in (1, 2, 3)},
    "check-typed": Case("docs/how-to/choose-controls.md, shell block 1", typed_check, TABLE),
    **{f"check-probe-{k}": block("docs/how-to/check-a-probe.md", k) for k in (1, 2, 3)},
    "check-with-transformers": Case(HOOK, with_transformers, MODEL),
    "rule": block("docs/explanation/verdicts.md", 1),
    "bundle": Case("python judge.py, in the bundle of superposition", bundle, TABLE),
    "verify": Case("assay verify superposition", verify, TABLE),
    "train-one": prints("docs/train-one.md", 1),
    "architectures": prints("docs/architectures.md", 1),
    **{f"example-{p.stem}": study(f"examples/{p.name}") for p in FILES},
    **{f"asking-{p.stem}": study(f"studies/asking/{p.name}") for p in TEXTS},
    **{name: study(f"replications/{name}-smollm2.toml") for name in REPLICATED},
    "train-dictionary": Case(TRAIN, train, TRAINED),
    "evaluate": Case(EVALUATE, evaluate, TRAINED),
}
