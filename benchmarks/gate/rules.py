"""Rules: how a claim is settled with a plain notebook, and with the gate."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.gate.tasks import load
from scipy import stats

import assay
from assay.controls.material import Patch, Text
from assay.controls.things import Heads, Place, Thing, Vector
from assay.errors import AssayError

ARMS = ("above zero", "above the threshold", "gate")
HARMS = ("heads", "layer", "position")


@dataclass(frozen=True)
class Settled:
    """What an arm reports of a claim."""

    true: bool
    words: str
    calls: int
    passes: float
    """Prompts that the hook was given, in multiples of all."""
    seconds: float


class _Counted:
    """A hook, and how often it is called on how many prompts."""

    def __init__(self, function: Any) -> None:
        self.function, self.calls, self.prompts = function, 0, 0

    def __call__(self, thing: Any, prompts: Any) -> np.ndarray:
        self.calls, self.prompts = self.calls + 1, self.prompts + len(prompts)
        return self.function(thing, prompts)


def settle(folder: Path, arm: str) -> Settled:
    """Settle a task's claim by the rule of an arm."""
    about, hook = json.loads((folder / "claim.json").read_text()), load(folder)
    started, rows = time.monotonic(), hook["rows"]("prompts.csv")
    measure = _Counted(hook.get("measure"))
    if about["credits"] == "probe":
        true, words = (_gate_probe if arm == "gate" else _plain_probe)(about, hook, rows, arm)
    elif arm == "gate":
        true, words = _gate(about, hook, measure, rows)
    else:
        true, words = _plain(about, hook, measure, rows, arm)
    calls, passes = max(measure.calls, 1), measure.prompts / len(rows)
    return Settled(true, words, calls, passes, time.monotonic() - started)


def thing(about: dict[str, Any], hook: dict[str, Any], rows: list[dict]) -> Any:
    """What the claim credits, as the hook takes it."""
    kind = about["credits"]
    if kind == "vector":
        return hook["vector"]
    if kind == "source":
        return [r[about["source"]] for r in rows]
    return [tuple(h) for h in about["heads"]] if kind == "heads" else about[kind]


def _plain(
    about: dict, hook: dict, measure: _Counted, rows: list[dict], arm: str
) -> tuple[bool, str]:
    """Student's t of the effect over prompts, against 0 or against the claim's threshold."""
    quantity, sign, edge = about["condition"].split()
    before, after = measure(None, rows), measure(thing(about, hook, rows), rows)
    numbers = after if quantity == "effect_after" and arm != ARMS[0] else after - before
    low, high = _interval(numbers)
    against = 0.0 if arm == ARMS[0] else float(edge)
    true = low > against if sign == ">" else high < against
    return true, f"{numbers.mean():.3g} [{low:.3g}, {high:.3g}]"


def _interval(x: np.ndarray) -> tuple[float, float]:
    half = stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / len(x) ** 0.5
    return float(x.mean() - half), float(x.mean() + half)


def _plain_probe(about: dict, hook: dict, rows: list[dict], arm: str) -> tuple[bool, str]:
    """A ridge probe's AUROC on ten held-out folds, against .5 or against the threshold."""
    x, y = hook["activations"](rows), np.array([int(r["label"]) for r in rows])
    x = (x - x.mean(0)) / (x.std(0) + 1e-9)
    areas = []
    for fold in range(10):
        held = np.arange(len(y)) // 2 % 10 == fold
        a, t = x[~held], 2.0 * y[~held] - 1
        w = np.linalg.solve(a.T @ a + 10 * np.eye(a.shape[1]), a.T @ t)
        yes, no = x[held & (y == 1)] @ w, x[held & (y == 0)] @ w
        areas.append(float((yes[:, None] > no).mean()))
    low, high = _interval(np.array(areas))
    against = 0.5 if arm == ARMS[0] else float(about["condition"].split()[-1])
    return low > against, f"{np.mean(areas):.3g} [{low:.3g}, {high:.3g}]"


def credited(about: dict[str, Any], hook: dict[str, Any], rows: list[dict]) -> Thing:
    """What the claim credits, with what its controls need."""
    value = thing(about, hook, rows)
    match about["credits"]:
        case "vector":
            return Vector.learned(hook["acts"], hook["labels"])
        case "heads":
            return Heads(value, tuple(about["of"]))
        case "layer":
            return Place(value, about["others"])
        case "position":
            return Place(value, about["others"], "token")
        case "source":
            return Patch(value)
    return Text(value, about["others"], about["paraphrases"])


def _gate(about: dict, hook: dict, measure: _Counted, rows: list[dict]) -> tuple[bool, str]:
    """`assay.check` with what is credited and all that the folder gives for its controls."""
    more: dict[str, Any] = {}
    if "strongest of" in about["sentence"]:
        more["draws"] = about["of"][0] * about["of"][1] - len(about["heads"])
    if about["credits"] in HARMS:
        more["damage"] = (hook["other_task"], hook["rows"]("other_prompts.csv"))
    claim, holds = about["sentence"], about["condition"]
    return _outcome(
        lambda: assay.check(claim, measure, rows, holds, credited(about, hook, rows), **more)
    )


def _gate_probe(about: dict, hook: dict, rows: list[dict], arm: str) -> tuple[bool, str]:
    x, y = hook["activations"](rows), np.array([int(r["label"]) for r in rows])
    return _outcome(
        lambda: assay.check_probe(
            x, y, groups=np.arange(len(y)) // 2, texts=[r["text"] for r in rows],
            holds=about["condition"],
        )
    )  # fmt: skip


def _outcome(ask: Any) -> tuple[bool, str]:
    try:
        v = ask().verdict
    except AssayError as error:
        return False, f"refused: {error.code}"
    return v.outcome == "holds", f"{v.outcome} {v.reason} {v.about}".strip()
