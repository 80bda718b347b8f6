"""Contents: the inputs of a study by content, and how those that were run differ from those that
were frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from assay.core.errors import AssayError
from assay.core.experiment import Experiment
from assay.lab.plan.plan import Plan
from assay.lab.plan.preset import Preset
from assay.lab.store.journal import digest

JSON = Mapping[str, Any]


def of_arm(experiment: Experiment, preset: Preset, name: str) -> dict[str, Any]:
    """Return the hashes of all that the runs of an arm read, and on how many units it is measured.
    Raises: AssayError where something is not here."""
    if experiment.arms[name].train is None:
        return {}
    read = (
        _merged(experiment.inputs(spec) for spec in experiment.specs_of(name, preset.specs))
        if experiment.inputs
        else {}
    )
    rows = experiment.materials.rows(name) if experiment.materials else None
    return {"inputs": read, **({"units": {rows.unit: len({*rows.levels})}} if rows else {})}


def of_all(experiment: Experiment) -> dict[str, Any]:
    """Return what every row of the prompts says, by hash and in order, and the models by their
    files; nothing of an experiment that asks no model. Raises: AssayError."""
    if (materials := experiment.materials) is None:
        return {}
    prompts = {
        name: {"hash": whole, "rows": [digest(row) for row in rows]}
        for name, (whole, rows) in materials.prompts().items()
    }
    models = dict(materials.models())
    return {name: x for name, x in (("prompts", prompts), ("models", models)) if x}


def of_models(experiment: Experiment) -> dict[str, str]:
    """Return the models by their files as they are now; nothing where one is not here."""
    try:
        return dict(experiment.materials.models()) if experiment.materials else {}
    except AssayError:
        return {}


def of_runs(plan: Plan) -> dict[str, dict[str, str]]:
    """Return the hashes of all that runs read, or are to read, by arm."""
    return {arm: _merged(row.inputs for row in rows) for arm, rows in plan.by_arm().items()}


def changed_prompts(experiment: Experiment, plan: Plan) -> list[str]:
    """Name the prompts that are others now than those that the runs of a plan read: what a study
    says of its rows is then not about these runs."""
    texts = experiment.materials.prompts() if experiment.materials else {}
    read = {pair for row in plan.rows for pair in row.inputs.items()}
    return sorted({name for name, content in read if name in texts and texts[name][0] != content})


def lacking(frozen: JSON, plan: Plan, experiment: Experiment) -> list[str]:
    """Name the inputs of runs that were not frozen: those of which an older version held no hash,
    and files that a user's own code read without declaring them as `inputs`."""
    names = [
        name
        for arm, read in of_runs(plan).items()
        for name in read
        if name not in frozen["arms"].get(arm, {}).get("inputs", {})
    ]
    if "text" in frozen and experiment.inputs is None:
        names += [place for run in plan.stored for place in (*run.read, *run.unchecked)]
    return list(dict.fromkeys(names))


def differences(frozen: JSON, now: JSON, experiment: Experiment) -> list[str]:
    """Say how inputs differ from those that were frozen, each once; of what was not frozen nothing
    is said.

    Args:
        frozen: with `arms` of `inputs`, `prompts` and `models`, as in what was frozen.
        now: likewise; what it lacks is not compared.
        experiment: which says what its prompts are.
    """
    phrases = []
    for arm, then in frozen["arms"].items():
        earlier, current = then.get("inputs"), now.get("arms", {}).get(arm, {}).get("inputs")
        if earlier is not None and current is not None:
            names = sorted(earlier.keys() | current.keys())
            phrases += [
                _prompts(frozen, name, current.get(name), experiment)
                if name in frozen.get("prompts", {})
                else f"{name}: {_short(earlier.get(name))} frozen, {_short(current.get(name))} run"
                for name in names
                if earlier.get(name) != current.get(name)
            ]
    for name, then in frozen.get("models", {}).items():
        if any(phrase.startswith("model") for phrase in phrases):
            break  # said already
        if name in now.get("models", {}) and now["models"][name] != then:
            phrases.append(
                f"files of model {name}: {_short(then)} frozen, {_short(now['models'][name])} run"
            )
    return list(dict.fromkeys(phrases))


def _prompts(frozen: JSON, name: str, current: str | None, experiment: Experiment) -> str:
    """Say how prompts differ from those that were frozen: how many there are, and from which row
    on."""
    frozen_rows: Sequence[str] = frozen["prompts"][name]["rows"]
    prompts = experiment.materials.prompts() if experiment.materials else {}
    whole, texts = prompts.get(name, ("", ()))
    if whole != current:
        return f"{name}: {_short(frozen['prompts'][name]['hash'])} frozen, {_short(current)} run"
    rows = [digest(row) for row in texts]
    first = next(_unequal(frozen_rows, rows), None)
    where = f"first difference row {first}" if first else "divided into units otherwise"
    called = "prompts" if name == "prompts prompts" else name
    return f"{called}: {len(frozen_rows)} frozen, {len(rows)} run; {where}"


def _unequal(earlier: Sequence[str], now: Sequence[str]) -> Iterator[int]:
    for n in range(1, max(len(earlier), len(now)) + 1):
        if earlier[n - 1 : n] != now[n - 1 : n]:
            yield n


def _merged(read: Any) -> dict[str, str]:
    """The hashes that runs read, by name; several of one name, as where runs differ in a model, are
    joined."""
    merged: dict[str, set[str]] = {}
    for inputs in read:
        for name, content in inputs.items():
            merged.setdefault(name, set()).add(content)
    return {name: " ".join(sorted(several)) for name, several in sorted(merged.items())}


def _short(content: str | None) -> str:
    return "nothing" if not content else content[:12]
