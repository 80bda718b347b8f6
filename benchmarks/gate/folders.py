"""Folders: tasks given out to whoever settles them, with the truth kept elsewhere, and grades of
what came back."""

from __future__ import annotations

import csv
import json
import secrets
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.gate.tasks import MAKERS, make
from scipy import stats

from assay.errors import AssayError, DataError
from assay.verdicts.files import contents, from_json

HERE = Path(__file__).parent
SEAL, ANSWERS, INSTRUCTIONS = "gate.json", "answers.csv", "INSTRUCTIONS.md"
TRUE, NULL = 11, 4
"""Of the tasks' numbers: the first ones are true, the next are about nothing."""
WRITTEN = (".py", ".ipynb", ".md", ".csv", ".txt", ".log", ".json")
VERDICTS = ("true", "false", "unsure")


def chosen(seed: int, count: int) -> list[int]:
    """Draw the numbers of tasks: two fifths true, a tenth about nothing, the rest with another
    explanation, in an order of their own."""
    draw = np.random.default_rng([11, seed])
    true, null = round(0.4 * count), round(0.1 * count)
    parts = ((0, TRUE, true), (TRUE, TRUE + NULL, null), (TRUE + NULL, len(MAKERS), None))
    numbers: list[int] = []
    for first, end, n in parts:
        n = count - len(numbers) if n is None else n
        if n > end - first:
            raise DataError("too-many", f"{count} tasks are more than there are; give at most 25")
        numbers += draw.choice(np.arange(first, end), n, replace=False).tolist()
    return [int(x) for x in draw.permutation(numbers)]


def hand_out(folder: Path, arm: str, seed: int, count: int, keys: Path) -> Path:
    """Write tasks into a new folder, and what opens them into another. Raises: AssayError where the
    folder exists."""
    if folder.exists():
        raise AssayError("exists", "name a new folder", str(folder))
    truths = {}
    for i, number in enumerate(chosen(seed, count), 1):
        task = make(seed, number)
        task.write(folder / f"task-{i:02}")
        truths[f"task-{i:02}"] = {"true": task.true, "group": task.group, "kind": task.kind}
    key = {"arm": arm, "seed": seed, "salt": secrets.token_hex(16), "truths": truths}
    text = json.dumps(key, indent=1)
    commitment = sha256(text.encode()).hexdigest()
    (folder / SEAL).write_text(json.dumps({"commitment": commitment}) + "\n")
    words = (HERE / "instructions" / "both.md").read_text()
    (folder / INSTRUCTIONS).write_text(words + (HERE / "instructions" / f"{arm}.md").read_text())
    if arm == "gate":
        shutil.copy(HERE.parents[1] / "skills" / "assay" / "SKILL.md", folder / "SKILL.md")
    keys.mkdir(parents=True, exist_ok=True)
    path = keys / f"{commitment[:16]}.json"
    path.write_text(text)
    return path


@dataclass(frozen=True)
class Grade:
    """What came of one folder."""

    arm: str
    false_claims: int
    """Claims reported as true that are not."""
    false: int
    true_claims: int
    true: int
    unsure: int
    groups: dict[str, int]
    """Of what was falsely reported as true, how many by group."""
    minutes: float
    """As whoever settled them wrote down."""


def grade(folder: Path, keys: Path, transcripts: Path | None = None) -> Grade:
    """Grade a folder's answers, and copy what was written in it. Raises: DataError where the key or
    the answers are not as they should be."""
    commitment = str(_object(folder / SEAL).get("commitment", ""))
    path = keys / f"{commitment[:16]}.json"
    key = _object(path)
    if sha256(path.read_bytes()).hexdigest() != commitment:
        raise DataError("wrong-key", f"{path} is not the key", str(folder))
    truths = key["truths"]
    answers: dict[str, str] = {}
    minutes = 0.0
    with (folder / ANSWERS).open(newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            verdict = (row.get("verdict") or "").strip().lower()
            if row.get("task") not in truths or verdict not in VERDICTS:
                message = f"needs a task to task-{len(truths):02}, and true, false or unsure"
                raise DataError("no-answer", message, f"{folder / ANSWERS} line {number}")
            answers[row["task"]] = verdict
            minutes += float(row.get("minutes") or 0)
    if missing := sorted({*truths} - {*answers}):
        raise DataError("no-verdict", f"none on {', '.join(missing)}", str(folder / ANSWERS))
    if transcripts is not None:
        _keep(folder, transcripts / folder.name)
    claimed = [t for t, verdict in answers.items() if verdict == "true"]
    wrong = [truths[t]["group"] for t in claimed if not truths[t]["true"]]
    true = sum(bool(x["true"]) for x in truths.values())
    return Grade(
        key["arm"],
        len(wrong),
        len(truths) - true,
        len(claimed) - len(wrong),
        true,
        sum(v == "unsure" for v in answers.values()),
        {g: wrong.count(g) for g in sorted({*wrong})},
        minutes,
    )


def _object(path: Path) -> dict[str, Any]:
    """What a file of JSON holds. Raises: DataError where that is no object."""
    found = from_json(contents(path), str(path))
    if not isinstance(found, dict):
        raise DataError("not-an-object", "it holds no object of JSON", str(path))
    return found


def _keep(folder: Path, out: Path) -> None:
    """Copy what was written by whoever settled the tasks: texts that were not handed out."""
    handed = {"hook.py", "claim.json", "prompts.csv", "other_prompts.csv", SEAL, INSTRUCTIONS}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        own = path.suffix in WRITTEN and path.name not in {*handed, "SKILL.md"}
        if own and "model" not in inside.parts and path.is_file() and path.stat().st_size < 200_000:
            (out / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, out / inside)


def wilson(k: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share.

    Source: Wilson, Probable Inference, 1927"""
    found = stats.binomtest(k, n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)
