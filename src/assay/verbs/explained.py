"""Explained: what an explanation is of: a circuit that is written by construction, a model that a
run of the catalogue trained, or a folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.circuits import known
from assay.circuits.explanation import Explanation
from assay.circuits.problem import Problem
from assay.circuits.solving.solver import Monthly
from assay.core.errors import Command, DataError, ModelError, nearest
from assay.lab import catalogue
from assay.lab.store.store import Job, Store

FAMILY = "monthly-"
_MAIN = re.compile(r"[0-9a-f]+-main-s(\d+)")
"""How a store calls the folder of a run of the method."""


@dataclass(frozen=True)
class Subject:
    """A model, and explanations of it that are shipped."""

    problem: Problem
    rival: Callable[[], Explanation]
    """One that sounds as good and is not right; of a folder, one of another model."""
    own: Callable[[], Explanation] | None = None
    """Ours, where there is one."""


def subject(model_name: str, root: Path, base_folder: Path = Path()) -> Subject:
    """Find what an explanation is of: `induction`, `monthly-palindromes`,
    `monthly-palindromes/22062`, or a folder beside its file.

    Raises: ModelError where there is no such model, with what trains it; DataError for a folder
    that cannot be opened."""
    if model_name in known.names():
        return Subject(
            known.problem(model_name),
            lambda: known.rival(model_name),
            lambda: known.explained(model_name),
        )
    name, _, seed = model_name.partition("/")
    if name in trained():
        return _trained(name, seed, root)
    if (base_folder / model_name).is_dir():
        return _folder(base_folder / model_name)
    raise ModelError(
        f"no circuit or trained model is called {model_name!r}, and no folder; "
        f"{nearest(model_name, [*known.names(), *trained()])}"
    )


def of_file(file: Path, explanation: Explanation, root: Path) -> Subject:
    """Find what the explanation in this file is of. Raises: as `subject`, in a line that names the
    file."""
    try:
        return subject(explanation.of, root, file.parent)
    except (DataError, ModelError) as e:
        raise type(e)(f"{file}: of: {e}") from None


def trained() -> tuple[str, ...]:
    """The entries of the catalogue whose models are explained."""
    return tuple(entry.name for entry in catalogue.entries() if entry.name.startswith(FAMILY))


def stored(root: Path) -> dict[str, str]:
    """Name the trained models that a store holds, such as `monthly-palindromes/22062`, each with
    the key of its run; in order."""
    store, run_keys = Store(root), {}
    for path in sorted((root / "runs").glob(f"{FAMILY}*")):
        seeds = {int(m[1]) for p in path.iterdir() if (m := _MAIN.fullmatch(p.name))}
        if not seeds or path.name not in trained():
            continue
        for seed in sorted(seeds):
            run = store.get(_job(path.name, seed).key, path.name)
            if run is not None and run.has_params:
                run_keys[f"{path.name}/{seed}"] = run.key
    return run_keys


def _job(name: str, seed: int | None) -> Job:
    """The run of a seed; of the first that is judged where none is named."""
    experiment = catalogue.find(name)
    spec = experiment.default[0]
    return Job(name, experiment.version, "main", spec if seed is None else spec.replace(seed=seed))


def _trained(name: str, seed: str, root: Path) -> Subject:
    """The stored model of a seed; of the first that is judged where none is named."""
    if seed and not seed.isdecimal():
        raise ModelError(
            f"{name}/{seed}: what stands behind the stroke is a seed, such as {name}/22062"
        )
    experiment = catalogue.find(name)
    monthly: Monthly = catalogue.load_module(experiment.origin).monthly
    job = _job(name, int(seed) if seed else None)
    spec: Any = job.spec
    judged = spec in experiment.default
    stored = Store(root).get(job.key, name)
    if stored is None or not stored.has_params:
        raise ModelError(
            f"no model of {name}{f' with seed {seed}' if seed else ''} is stored in {root}; "
            "train it with: ",
            Command(name, sets=() if judged else (f"seed={seed}",)),
        )
    problem = monthly.problem(spec, stored.trained().tensors)
    return Subject(problem, lambda: monthly.rival(problem), lambda: monthly.explanation(problem))


def _folder(folder: Path) -> Subject:
    """A model in the form of a challenge's folder, without its seal."""
    from assay.circuits.challenge.folder import SEAL, opened

    if (folder / SEAL).exists():
        raise DataError(
            f"{folder} is a challenge; hold an answer to it with: assay challenge score "
            f"{folder} ANSWER.toml"
        )
    return Subject(opened(folder), lambda: known.explained("induction"))
