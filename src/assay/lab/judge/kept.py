"""Kept: what is printed around the verdicts of a result, and when a stored result may be shown as
it was written, without making its experiment again.

A result that `run` writes notes the code that judged it, the files that the experiment is written
in, the content of its runs, and the journals of its store. As long as all of these are as they
were, judging again would say the same, so that `assay show` reads one file. Where any of them
differs, or an earlier version wrote the result, the experiment is made and judged as it is now."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from assay.core.errors import AssayError
from assay.core.results import Judged, ResultData
from assay.core.schema import Written
from assay.core.scopes import scopes_of
from assay.lab import catalogue
from assay.lab.store.atomic import unseal
from assay.lab.store.origin import STUDIES, called, in_file, parent_folder

if TYPE_CHECKING:
    from assay.core.experiment import Experiment
    from assay.lab.judge.result import Result
    from assay.lab.plan.plan import Plan
    from assay.lab.plan.preset import Preset
    from assay.lab.store.store import Store

KEPT = "kept"
"""The field of a result's file that holds all of this."""
GROWING = ("ledger.jsonl", "questions.jsonl")
"""Journals to which every experiment of a store appends."""


class Around(Written, frozen=True, kw_only=True):
    """What is printed around the verdicts of a result."""

    typed: str
    """What is typed for the experiment in its own folder."""
    options: str
    """What is typed after it for the preset."""
    sets: tuple[str, ...] = ()
    speaks: tuple[str, ...] = ()
    """What the verdicts are about, a line each."""
    is_study: bool = False
    is_own: bool = False
    """Whether it is a user's own experiment, without a page that says what was planned."""
    has_default: bool = True
    deciding: Mapping[str, tuple[int, ...]] = {}
    """Commands that decide undecided claims, each with the numbers of its claims."""


class Made(Written, frozen=True, kw_only=True):
    """What a stored result was made from."""

    OPTIONAL = ("is_read",)

    code: str
    """64 hex digits of the code that judged."""
    files: Mapping[str, str]
    """The files that a study is written in, by their path from its folder, with their hashes."""
    journals: Mapping[str, str]
    """The journals of the experiment, by name, with their hashes."""
    growing: Mapping[str, tuple[int, str]]
    """Of journals of the whole store how long they were, and the hash of that much."""
    asked: Mapping[str, Any]
    """What the claims ask, as `questions.written` has it."""
    is_read: bool = False
    """Whether its runs read files from outside, which only planning compares."""


class Kept(NamedTuple):
    """A stored result that may be shown as it was written."""

    data: ResultData
    around: Around


def around(experiment: Experiment, preset: Preset, data: ResultData) -> Around:
    """Tell what is said around the verdicts of an experiment."""
    decide = _deciding(data.verdicts, experiment, preset)
    return Around(
        typed=experiment.typed,
        options=preset.options,
        sets=preset.sets,
        speaks=tuple(speaks_for(data)),
        is_study=experiment.origin.endswith(STUDIES),
        is_own=in_file(experiment.origin),
        has_default=bool(experiment.default),
        deciding={command: tuple(numbers) for command, numbers in decide.items()},
    )


def _deciding(
    verdicts: Sequence[Judged], experiment: Experiment, preset: Preset
) -> dict[str, list[int]]:
    """Find what to type after `assay` to decide what is undecided: each command with the numbers of
    its claims.

    More seeds where that decides it, as the price says; twice the steps where training is not
    converged."""
    from assay.lab.judge.result import twice_the_steps

    numbers_by_command: dict[str, list[int]] = {}
    for number, verdict in enumerate(verdicts, 1):
        command = verdict.remedy[1]
        if not command and verdict.reason == "gate converged" and (sets := twice_the_steps(preset)):
            command = f"run {experiment.typed}{preset.but(sets).options}"
        if command:
            numbers_by_command.setdefault(command, []).append(number)
    return numbers_by_command


def speaks_for(data: ResultData) -> Iterator[str]:
    """Say for what the verdicts and estimates speak: models, prompts and sites; what all of them
    share is said once."""
    parts = scopes_of([v.scope for v in data.verdicts], [e.scope for e in data.findings])
    if parts:
        words = "; ".join(f"{which}: {words}" if which else words for which, words in parts)
        yield f"scope: {words}"


def described(
    store: Store, experiment: Experiment, plan: Plan, result: Result, asked: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Describe what a result is kept with, which is written into its file; None where nothing short
    of judging it again would tell that it is still true."""
    if result.failed or result.registration is not None:
        return None
    files = dict[str, str]()
    if in_file(experiment.origin):
        if experiment.materials is None or experiment.borrows:
            return None  # a program, which may read anything
        folder = Path(experiment.origin).parent
        paths = (Path(experiment.origin), *experiment.materials.files())
        files = {os.path.relpath(path, folder): _digest(path) for path in paths}
    code = catalogue.unchanged(experiment.origin, borrows=False)
    if not code or "" in files.values():
        return None
    folder = store.root / "results" / experiment.name
    made = Made(
        code=code,
        files=files,
        journals=_journals(folder),
        growing={n: _beginning(store.root / n) for n in GROWING},
        asked=asked,
        is_read=any(run.read or run.unchecked for run in plan.stored),
    )
    about = around(experiment, plan.preset, result.data)
    return {"made": made.to_json(), "around": about.to_json(), "notes": [*plan.notes]}


def read(
    root: Path, name: str, origin: str, preset: str, *, is_planned: bool = False
) -> Kept | None:
    """Read the stored result of an experiment that lives at `origin`; None where it is not stored,
    or where judging might say anything else now. Reads nothing of the experiment but its files'
    hashes; with `is_planned` a plan has found that its runs would read now what they read."""
    try:
        values = unseal(root / "results" / name / f"{preset}.json")
        around, evidence = values[KEPT], values["evidence"]
        made, about = Made.from_json(around["made"]), Around.from_json(around["around"])
        data = ResultData.from_json(values)
    except (AssayError, KeyError, TypeError):
        return None
    if made.is_read and not is_planned:
        return None
    if _is_frozen(root, name, origin, preset) or made.code != catalogue.unchanged(
        origin, borrows=False
    ):
        return None
    folder = Path(origin).parent
    if any(_digest(folder / path) != digest for path, digest in made.files.items()):
        return None
    since = _asked_since(root, name, made)
    if since is None or _journals(root / "results" / name) != dict(made.journals):
        return None
    if not _are_as_judged(root / "runs" / name, evidence):
        return None
    later: tuple[str, ...] = ()
    with suppress(AssayError):
        if (catalogue.record_path(name, origin).parent / "contests").is_dir():
            from assay.lab.records import contests

            later = contests.lines(contests.of_preset(name, preset, origin))
        notes = tuple(dict.fromkeys([*later, *around["notes"], *data.notes]))
        changed = tuple(dict.fromkeys([*data.changed, *since]))
        return Kept(msgspec.structs.replace(data, notes=notes, changed=changed), about)
    return None


def _is_frozen(root: Path, name: str, origin: str, preset: str) -> bool:
    """Whether something was frozen, which is compared with the present study every time."""
    which = "" if preset == "default" else f".{preset}"
    path = Path(origin)
    adjacent = parent_folder(path) / f"{called(path)}{which}.prereg.json"
    return (root / "registered" / name / f"{preset}.json").exists() or (
        in_file(origin) and adjacent.exists()
    )


def _asked_since(root: Path, name: str, made: Made) -> list[str] | None:
    """Say as what the same was asked by other studies since; None where a journal of the store is
    not what it was."""
    for journal, (length, digest) in made.growing.items():
        if _beginning(root / journal, length) != (length, digest):
            return None
    length = made.growing["questions.jsonl"][0]
    try:
        is_longer = (root / "questions.jsonl").stat().st_size > length
    except OSError:
        is_longer = False
    if not is_longer or not made.asked["asked"]:
        return []
    from assay.lab.judge import questions

    noted = questions.Questions(root / "questions.jsonl")
    return None if noted.wrong() else noted.others(questions.read(made.asked), name)


def _are_as_judged(folder: Path, evidence: Mapping[str, str]) -> bool:
    """Whether each run that was judged is there, with the content that was judged."""
    hashes = dict[str, set[str]]()
    with suppress(OSError):
        for entry in os.scandir(folder):
            hashes.setdefault(entry.name[:8], set()).add(entry.path)
    return all(
        any(_is_as_judged(path, identity) for path in hashes.get(key[:8], ()))
        for key, identity in evidence.items()
    )


def _is_as_judged(run: str, identity: str) -> bool:
    """Whether a run's folder is that of this content, and holds each of its files in full."""
    try:
        status = Path(run, "status.json").read_bytes()
        if hashlib.sha256(status).hexdigest()[:16] != identity:
            return False
        files: dict[str, list[Any]] = json.loads(status)["files"]
        return all(os.stat(f"{run}/{name}").st_size == n for name, (n, _) in files.items())  # noqa: PTH116
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _journals(folder: Path) -> dict[str, str]:
    return {path.name: _digest(path) for path in sorted(folder.glob("*.jsonl"))}


def _beginning(path: Path, length: int | None = None) -> tuple[int, str]:
    """How long a file is, or so much of its beginning, and the hash of that."""
    try:
        text = path.read_bytes()[:length]
    except OSError:
        text = b""
    return len(text), hashlib.sha256(text).hexdigest()


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
