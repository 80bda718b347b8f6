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
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from assay.circuits.bounded import call
from assay.circuits.explanation import Explanation, Rule, Variable
from assay.circuits.places import Place
from assay.circuits.rules import leaves
from assay.core import foreign
from assay.core.errors import DataError, ModelError, SpecError, nearest
from assay.core.unkept import unkept

LARGEST = 2**20
"""Bytes of a file."""
TOP = ("of", "name", "leaves_out", "variables", "matter", "answer", "logits", "fails", "weights")
OF_VARIABLE = ("at", "is", "reads", "along")
OF_ANSWER = ("is", "margin", "reads")
OF_LOGITS = ("are", "reads")


def load(path: Path) -> Explanation:
    """Read an explanation: TOML as data; a Python file is run, so read it first where it is not
    yours.

    Raises: DataError or SpecError, one line that names the place.
    """
    if path.suffix not in (".toml", ".py"):
        raise DataError(
            f"{path} is no explanation; these are .toml files, which are data, or .py files, "
            "which are code and are run"
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
        raise DataError(f"{path} is no TOML: {e}") from None
    return _Table(path).explanation(table)


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
            "a safetensors file beside it"
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
                f"{e.name}: {v.name} lives along other directions at each of its places; TOML "
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
            f"{e.name}: {what} is a function, which no TOML file holds; such an explanation "
            "is a Python file"
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
            f"{path} defines no explanation; its last line is to be explanation = Explanation(…)"
        )
    size = leaves(text.decode("utf-8")) if explanation.size is None else explanation.size
    weights = (
        sum(x.numel() for x in explanation.weights.values()) if explanation.size is None else 0
    )
    return dataclasses.replace(explanation, source=str(path), size=size + weights)


class _Table:
    """A table of TOML, refused line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def explanation(self, table: Mapping[str, Any]) -> Explanation:
        self.known(table, TOP, "the file")
        answer, logits = table.get("answer"), table.get("logits")
        head: dict[str, Any] = {}
        if answer is not None:
            self.known(answer, OF_ANSWER, "answer")
            head = {
                "answer": self.text(answer, "is", "answer"),
                "reads": self.texts(answer, "reads", "answer"),
            }
            margin = answer.get("margin", Explanation.margin)
            if (
                isinstance(margin, bool)
                or not isinstance(margin, int | float)
                or not 0 < margin < 1e9
            ):
                raise self.no(f"answer: margin must be a positive number, got {margin!r}")
            head["margin"] = float(margin)
        if logits is not None:
            self.known(logits, OF_LOGITS, "logits")
            head |= {
                "logits": self.texts(logits, "are", "logits") or (),
                "reads": self.texts(logits, "reads", "logits"),
            }
        variables = table.get("variables", {})
        if not isinstance(variables, dict):
            raise self.no("variables must be tables, as [variables.NAME]")
        return Explanation(
            of=self.text(table, "of", "the file"),
            name=table.get("name", self.path.stem),
            leaves_out=table.get("leaves_out", ""),
            variables=tuple(self.variable(name, variable) for name, variable in variables.items()),
            matter=self.places(self.texts(table, "matter", "the file") or (), (), "matter"),
            fails=self.rule(table, "fails"),
            weights=self.weights(table.get("weights")),
            source=str(self.path),
            **head,
        )

    def variable(self, name: str, table: Any) -> Variable:
        where = f"variable {name}"
        self.known(table, OF_VARIABLE, where)
        place_names = table.get("at", ())
        places = self.places(
            (place_names,)
            if isinstance(place_names, str)
            else self.texts(table, "at", where) or (),
            table.get("along", ()),
            where,
        )
        return Variable(
            name, self.text(table, "is", where), places, self.texts(table, "reads", where)
        )

    def places(self, written: tuple[str, ...], directions: Any, where: str) -> tuple[Place, ...]:
        rows = directions if isinstance(directions, list) else None
        if directions and (
            rows is None
            or not all(
                isinstance(r, list) and all(isinstance(x, int | float) for x in r) for r in rows
            )
        ):
            raise self.no(f"{where}: along must be lists of numbers, a list for each direction")
        try:
            return tuple(Place.parse(text, directions) for text in written)
        except ModelError as e:
            raise self.no(f"{where}: {e}") from None

    def weights(self, name: Any) -> dict[str, Any]:
        """The tensors of a safetensors file beside it."""
        if name is None:
            return {}
        if not isinstance(name, str) or Path(name).name != name:
            raise self.no(f"weights must name a safetensors file beside it, got {name!r}")
        from safetensors import SafetensorError
        from safetensors.torch import load as tensors

        try:
            return tensors(
                foreign.read(self.path.parent / name, "a safetensors file of weights", 64 * LARGEST)
            )
        except SafetensorError as e:
            raise self.no(f"weights: {name} is no safetensors file: {e}") from None

    def rule(self, table: Mapping[str, Any], name: str) -> Rule | None:
        return self.text(table, name, "the file") if name in table else None

    def known(self, table: Any, names: tuple[str, ...], where: str) -> None:
        if not isinstance(table, dict):
            raise self.no(f"{where} must be a table with {', '.join(names)}")
        for name in table:
            if name not in names:
                raise self.no(f"{where} has an unknown field {name!r}; {nearest(name, names)}")

    def text(self, table: Mapping[str, Any], name: str, where: str) -> str:
        value = table.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self.no(
                f"{where}: {name} must be a text"
                + (f", got {value!r}" if name in table else ", and is missing")
            )
        return value

    def texts(self, table: Mapping[str, Any], name: str, where: str) -> tuple[str, ...] | None:
        values = table.get(name)
        if values is None:
            return None
        if not isinstance(values, list) or not all(isinstance(x, str) for x in values):
            raise self.no(f"{where}: {name} must be a list of texts, got {values!r}")
        return tuple(values)

    def no(self, why: str) -> SpecError:
        return SpecError(f"{self.path}: {why}")
