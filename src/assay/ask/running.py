"""Running: run and judge a study or an experiment from Python, also with models in memory; and a
study as values, which `toml` writes as a file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from assay.ask import text
from assay.ask.measure import models as asked_models
from assay.ask.text import read
from assay.core.display import follower, lines
from assay.core.errors import ExperimentError, nearest
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.judge.result import Result
from assay.lab.lab import Lab
from assay.lab.plan.plan import Plan
from assay.lab.plan.preset import override
from assay.lab.work.events import Said
from assay.subjects import live, pretrained

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml(study: msgspec.Struct) -> str:
    """Write a study: its own fields first, then a table for each of its parts, without defaults.
    Raises: ExperimentError for a value that TOML cannot express."""
    top, tables = dict[str, Any](), dict[str, Sequence[Mapping[str, Any]]]()
    for name, value in stated(study):
        parts = [value] if isinstance(value, msgspec.Struct) else value
        if isinstance(parts, list | tuple) and all(isinstance(p, msgspec.Struct) for p in parts):
            tables[name] = [dict(stated(part)) for part in parts]
        else:
            top[name] = value
    return written(top, tables)


def written(top: Mapping[str, Any], tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Write the fields of a study, then its tables, by their names. Raises: ExperimentError for a
    value that TOML cannot express."""
    parts = [_lines(top)]
    for name, entries in tables.items():
        parts += [f"[[{name}]]\n{_lines(entry)}" for entry in entries]
    return "\n".join(part for part in parts if part)


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{_key(name)} = {_value(value)}\n" for name, value in table.items())


def stated(table: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    """Give the fields of a table that differ from their defaults, by their names in a file."""
    for field in msgspec.structs.fields(table):
        value = getattr(table, field.name)
        usual = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            usual = field.default_factory()
        empty = usual in ((), {}) and isinstance(value, Sequence | Mapping) and not len(value)
        if not (value is None or empty or (value == usual and type(value) is type(usual))):
            yield field.encode_name, value


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, msgspec.Struct):
        value = dict(stated(value))
    if isinstance(value, Mapping):
        pairs = (f"{_key(k)} = {_value(v)}" for k, v in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list | tuple | range):
        return f"[{', '.join(map(_value, value))}]"
    raise ExperimentError(f"a study has no place for {type(value).__name__} {value!r}")


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    if any("\ud800" <= c <= "\udfff" or c == "\0" for c in value):
        raise ExperimentError("a text has no null characters and no halves of characters")
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def run(
    study: str | Path,
    *,
    models: Mapping[str, Any] | None = None,
    preset: str = "default",
    set: Sequence[str] = (),
    root: str | Path | None = None,
    device: str = "cpu",
) -> Result:
    """Run a study or an experiment in this process, and judge its claims; what is stored already is
    not measured again. Progress is shown under a notebook's cell, or on standard error.

    Args:
        study: the path of its file, or the name of an experiment of the catalogue.
        models: replacements for names in its [[model]] tables: results of `assay.model` for models
            in memory.
        preset: default, smoke or another of its own.
        set: fields that differ from the preset, such as "steps=50".
        root: the store; None: the one that ASSAY_ROOT names, else ./assay-store, as every command
            has it.
        device: of models that are not in memory yet.
    Raises: ExperimentError, with line and column, and whatever running raises.
    Example:
        >>> import assay
        >>> result = assay.run("examples/country.toml")  # doctest: +SKIP
        >>> live = assay.model(model, tokenizer=tokenizer)  # doctest: +SKIP
        >>> result = assay.run("praise.toml", models={"./base": live})  # doctest: +SKIP
    """
    if pretrained.is_any_changed():  # by code that has it from `assay.model`
        asked_models.opened.cache_clear()
    lab = Lab(root, Inline(), device)
    experiment = catalogue.find(str(study))
    with live.standing(_in_memory(Path(study), models) if models else {}):
        tell = follower() or lines(experiment.name)
        tell(Said(f"{experiment.name}: the store is {lab.store.root}"))
        return lab.run(experiment, override(experiment, preset, tuple(set)), tell)


def _in_memory(path: Path, models: Mapping[str, Any]) -> dict[str, Any]:
    """Find the model in memory for each name of a study. Raises: ExperimentError for an unknown
    name, and for a model that is not in memory."""
    standing = {}
    names = {n for m in read(path).study.model for n in asked_models.states(m) if n}
    for name, model in models.items():
        if name not in names:
            raise ExperimentError(
                f"no [[model]] of {path.name} is {name!r}; {nearest(name, names)}"
            )
        live_model = getattr(getattr(model, "folder", None), "live", None)
        if live_model is None:
            raise ExperimentError(
                f"{name!r}: give assay.model(model, tokenizer=…) of a model in memory, got "
                f"{type(model).__name__}"
            )
        standing[asked_models.located(path.parent, name)] = live_model
    return standing


class Study(text.Study, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A study in Python: the tables of its file as values, a list of each, or a single one.

    Example:
        >>> from assay.ask import Claim, Model, Prompts, Read, Study
        >>> study = Study(
        ...     question="Does SmolLM2 know capitals?",
        ...     model=Model(name="smollm2"),
        ...     prompts=Prompts(text="The capital of {country} is", file="capitals.csv"),
        ...     read=Read(name="known", accuracy=(" {capital}", " {foil}")),
        ...     claim=Claim(text="It knows more than 70%", holds="main.known > 0.7"),
        ... )
        >>> print(study.to_toml().splitlines()[0])
        question = "Does SmolLM2 know capitals?"
    """

    def to_toml(self) -> str:
        """Write the text of its file."""
        return toml(self)

    def save(self, path: str | Path) -> Path:
        """Write its file; its prompts are relative to that. Raises: ExperimentError, with line and
        column, for an invalid study; then nothing is written."""
        path = Path(path)
        text.parsed(path, self.to_toml())
        path.write_text(self.to_toml(), encoding="utf-8")
        return path

    def plan(self, path: str | Path = "study.toml", root: str | Path | None = None) -> Plan:
        """Say what running it would do; its file is written to `path`. Raises: ExperimentError."""
        lab = Lab(root, Inline())
        return lab.plan(catalogue.find(str(self.save(path))))

    def run(self, path: str | Path = "study.toml", **options: Any) -> Result:
        """Write its file to `path` and run it, with the `options` of `assay.run`. Raises:
        ExperimentError, and whatever running raises."""
        return run(self.save(path), **options)
