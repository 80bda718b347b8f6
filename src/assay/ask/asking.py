"""ask: a study, run from Python, also of models that are in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.ask.measure import models as asked_models
from assay.ask.text import read
from assay.core.errors import ExperimentError, nearest
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.judge.result import Result
from assay.lab.lab import Lab
from assay.lab.plan.plan import ROOT
from assay.subjects import live


def ask(
    study: str | Path,
    *,
    models: Mapping[str, Any] | None = None,
    preset: str = "default",
    root: str | Path | None = None,
    device: str = "cpu",
) -> Result:
    """Run a study in this process, and judge its claims.

    Args:
        study: the path of its file.
        models: what stands for a name in its [[model]] tables: what `assay.model` gave for a model
            in memory.
        preset: default, smoke or full.
        root: the store; None: as every command has it.
        device: of models that are not in memory yet.
    Raises: ExperimentError, with line and column, and whatever running raises.
    Example:
        >>> import assay
        >>> live = assay.model(model, tokenizer=tokenizer)  # doctest: +SKIP
        >>> result = assay.ask("praise.toml", models={"./base": live})  # doctest: +SKIP
    """
    path = Path(study)
    standing = {}
    names = {n for m in read(path).study.model for n in asked_models.states(m) if n}
    for name, model in (models or {}).items():
        if name not in names:
            raise ExperimentError(
                f"no [[model]] of {path.name} is {name!r}; {nearest(name, names)}"
            )
        held = getattr(getattr(model, "folder", None), "live", None)
        if held is None:
            raise ExperimentError(
                f"{name!r}: give assay.model(model, tokenizer=…) of a model in memory, got "
                f"{type(model).__name__}"
            )
        standing[asked_models.located(path.parent, name)] = held
    with live.standing(standing):
        lab = Lab(str(root or ROOT.get()), Inline(), device)
        return lab.run(catalogue.find(str(path)), preset)
