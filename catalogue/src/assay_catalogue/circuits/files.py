"""Explanations in files: TOML, which is data and runs nothing, or Python, which is code and runs
when it is read.

of = "redundant"                        NAME.toml; in NAME.py the same as a value: explanation =
Explanation(of="redundant", …) name = "two heads copy the token one place back"
[variables.before]
at = ["a0.0", "a0.1"]
is = "last(token, there(place) == place - 1)"
reads = ["token.v", "place.q", "place.k"]
[answer]
is = "before"
margin = 30
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from assay.core import foreign
from assay.core.errors import DataError, ModelError, SpecError, nearest
from assay.lab.catalogue import unkept
from assay_catalogue.circuits.explanation import Explanation, Place, Rule, Variable
from assay_catalogue.circuits.rules import call, leaves

LARGEST = 2**20
"""Bytes of a file."""


def load(path: Path) -> Explanation:
    """Read an explanation: TOML as data; a Python file is run, so read it first where it is not
    yours.

    Raises: DataError or SpecError, one line that names the place.
    """
    if path.suffix not in (".toml", ".py"):
        raise DataError(
            f"{path} is not an explanation; explanations are .toml files, which are data, "
            "or .py files, which are code and are executed"
        )
    text = foreign.read(path, "an explanation", LARGEST)
    if path.suffix == ".py":
        return _run(path, text)
    return parsed(text, path)


def parsed(text: bytes, path: Path) -> Explanation:
    """Read an explanation from the text of a TOML file; `path` is what it is called, and where a
    file that it names lies beside it.

    Raises: DataError or SpecError, one line that names the place.
    """
    try:
        table = tomllib.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as e:
        raise DataError(f"{path} is not TOML: {e}") from None
    return _explanation(table, path)


def written(explanation: Explanation) -> str:
    """Write an explanation as the text of a TOML file, which reads back as the same.

    Raises: SpecError where a rule of it is a function, or where it has weights of its own, which
    TOML does not hold."""
    e = explanation
    lines = [
        f"of = {_text(e.of)}",
        f"name = {_text(e.name)}",
        *([f"leaves_out = {_text(e.leaves_out)}"] if e.leaves_out else []),
    ]
    if e.weights:
        raise SpecError(
            f"{e.name}: it has weights of its own; an explanation with weights is a file with "
            "a safetensors file next to it"
        )
    lines += [f"matter = {_texts(map(str, e.matter))}"] if e.matter else []
    lines += [f"fails = {_rule(e.fails, e, 'fails')}"] if e.fails is not None else []
    for v in e.variables:
        places = _texts(str(dataclasses.replace(p, along=())) for p in v.at)
        lines += ["", f"[variables.{v.name}]", *([f"at = {places}"] if v.at else [])]
        lines += [
            f"is = {_rule(v.rule, e, v.name)}",
            *([] if v.reads is None else [f"reads = {_texts(v.reads)}"]),
        ]
        direction_sets = {p.along for p in v.at}
        if len(direction_sets) > 1:
            raise SpecError(
                f"{e.name}: {v.name} has different directions at each of its places; TOML "
                "has one set of directions for all"
            )
        lines += [
            f"along = {[list(direction) for direction in directions]}"
            for directions in direction_sets
            if directions
        ]
    reads = [] if e.reads is None else [f"reads = {_texts(e.reads)}"]
    if e.answer is not None:
        lines += [
            "",
            "[answer]",
            f"is = {_rule(e.answer, e, 'answer')}",
            f"margin = {e.margin!r}",
            *reads,
        ]
    if e.logits is not None:
        rules = e.logits if isinstance(e.logits, tuple) else (e.logits,)
        lines += [
            "",
            "[logits]",
            "are = [",
            *(f"  {_rule(rule, e, 'logits')}," for rule in rules),
            "]",
            *reads,
        ]
    return "\n".join(lines) + "\n"


def _rule(rule: Rule | None, e: Explanation, what: str) -> str:
    if not isinstance(rule, str):
        raise SpecError(
            f"{e.name}: {what} is a function, which a TOML file cannot contain; such an "
            "explanation has to be a Python file"
        )
    return _text(rule)


def _text(text: str) -> str:
    """A text as TOML has it, which is as JSON has it."""
    return json.dumps(text, ensure_ascii=False)


def _texts(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, texts))}]"


def _run(path: Path, text: bytes) -> Explanation:
    spec = importlib.util.spec_from_file_location(f"explanation_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    with unkept():
        call(str(path), spec.loader.exec_module, module)
    explanation = getattr(module, "explanation", None)
    if not isinstance(explanation, Explanation):
        raise SpecError(
            f"{path} defines no explanation; its last line must be explanation = Explanation(…)"
        )
    size = leaves(text.decode("utf-8")) if explanation.size is None else explanation.size
    weights = (
        sum(x.numel() for x in explanation.weights.values()) if explanation.size is None else 0
    )
    return dataclasses.replace(explanation, source=str(path), size=size + weights)


Text = Annotated[str, msgspec.Meta(pattern=r"\S")]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    of: Text
    name: str = ""
    leaves_out: str = ""
    variables: dict[str, Any] = {}
    matter: list[str] = []
    answer: Any = None
    logits: Any = None
    fails: Text | None = None
    weights: str | None = None


class _Variable(msgspec.Struct, forbid_unknown_fields=True, rename={"rule": "is"}):
    rule: Text
    at: str | list[str] = []
    reads: list[str] | None = None
    along: list[list[float]] = []


class _Answer(msgspec.Struct, forbid_unknown_fields=True, rename={"rule": "is"}):
    rule: Text
    margin: Annotated[float, msgspec.Meta(gt=0, lt=1e9)] = Explanation.margin
    reads: list[str] | None = None


class _Logits(msgspec.Struct, forbid_unknown_fields=True):
    are: list[str] = []
    reads: list[str] | None = None


_EXPECTED = {
    "variables": "tables, as [variables.NAME]",
    "along": "lists of numbers, a list for each direction",
    "margin": "a positive number",
    **dict.fromkeys(("matter", "at", "reads", "are"), "a list of texts"),
}
"""What a field has to be, where that is not a text."""
_Kind = TypeVar("_Kind", bound=msgspec.Struct)


def _explanation(table: Mapping[str, Any], path: Path) -> Explanation:
    file = _converted(table, _File, "the file", path)
    head: dict[str, Any] = {}
    if file.answer is not None:
        answer = _converted(file.answer, _Answer, "answer", path)
        head = {"answer": answer.rule, "margin": answer.margin, "reads": _maybe(answer.reads)}
    if file.logits is not None:
        logits = _converted(file.logits, _Logits, "logits", path)
        head |= {"logits": tuple(logits.are), "reads": _maybe(logits.reads)}
    variables = []
    for name, entry in file.variables.items():
        where = f"variable {name}"
        v = _converted(entry, _Variable, where, path)
        places = _places([v.at] if isinstance(v.at, str) else v.at, v.along, where, path)
        variables.append(Variable(name, v.rule, places, _maybe(v.reads)))
    return Explanation(
        of=file.of,
        name=file.name or path.stem,
        leaves_out=file.leaves_out,
        variables=tuple(variables),
        matter=_places(file.matter, [], "matter", path),
        fails=file.fails,
        weights=_weights(file.weights, path),
        source=str(path),
        **head,
    )


def _converted(table: Any, kind: type[_Kind], where: str, path: Path) -> _Kind:
    """A table as what it has to be, or one line that names the place."""
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as e:
        names, why = kind.__struct_encode_fields__, str(e)
        if unknown := re.search(r"unknown field `(.+)`", why):
            fault = f" has an unknown field {unknown[1]!r}; {nearest(unknown[1], names)}"
        elif missing := re.search(r"required field `(.+)`", why):
            fault = f": {missing[1]} must be a text, and is missing"
        elif field := re.search(r"at `\$\.(\w+)", why):
            expected = _EXPECTED.get(field[1], "a text")
            fault = f": {field[1]} must be {expected}, got {table[field[1]]!r}"
        else:
            fault = f" must be a table with {', '.join(names)}"
        raise SpecError(f"{path}: {where}{fault}") from None


def _maybe(texts: list[str] | None) -> tuple[str, ...] | None:
    return None if texts is None else tuple(texts)


def _places(
    texts: list[str], directions: list[list[float]], where: str, path: Path
) -> tuple[Place, ...]:
    try:
        return tuple(Place.parse(text, directions) for text in texts)
    except ModelError as e:
        raise SpecError(f"{path}: {where}: {e}") from None


def _weights(name: str | None, path: Path) -> dict[str, Any]:
    """The tensors of a safetensors file next to it."""
    if name is None:
        return {}
    if Path(name).name != name:
        raise SpecError(f"{path}: weights must name a safetensors file next to it, got {name!r}")
    from safetensors import SafetensorError
    from safetensors.torch import load as tensors

    try:
        data = foreign.read(path.parent / name, "a safetensors file of weights", 64 * LARGEST)
        return tensors(data)
    except SafetensorError as e:
        raise SpecError(f"{path}: weights: {name} is not a safetensors file: {e}") from None
