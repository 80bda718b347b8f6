"""Planted: a circuit of a seed's own sizes in disguise, the explanation that is true by
construction, and a plausible rival."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assay.core.errors import SpecError, nearest
from assay.train import rng
from assay_catalogue.circuits import known
from assay_catalogue.circuits.challenge.disguise import NOISE, Disguised, disguise
from assay_catalogue.circuits.explanation import Explanation
from assay_catalogue.circuits.files import parsed
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.worlds.algorithms.built.brackets import brackets
from assay_catalogue.worlds.algorithms.built.circuit import SHARP, Circuit
from assay_catalogue.worlds.algorithms.built.induction import induction
from assay_catalogue.worlds.algorithms.built.modular_sum import modular_sum
from assay_catalogue.worlds.algorithms.built.redundant import redundant
from assay_catalogue.worlds.algorithms.built.sorting import sorting
from assay_catalogue.worlds.algorithms.built.two_hops import two_hops

Constants = Mapping[str, str]
"""What stands in the file of an explanation → what it is at other sizes."""


@dataclass(frozen=True, eq=False)
class Planted:
    """A challenge, with its answer."""

    kind: str
    seed: int
    circuit: Circuit
    """As it was before the disguise."""
    disguised: Disguised
    plain: str
    """The explanation that was true of it then, as a TOML file."""
    answer: str
    """The explanation that is true of it now."""
    rival: str
    """One that sounds as good and is not right, or not all."""

    @property
    def problem(self) -> Problem:
        """The task with its true answers, and the model."""
        return self.disguised.problem

    def explained(self, *, rival: bool = False) -> Explanation:
        """The one explanation or the other, as a value."""
        return parsed(
            (self.rival if rival else self.answer).encode(),
            Path("the rival" if rival else "the planted explanation"),
        )


def plant(seed: int, kind: str | None = None, noise: float = NOISE) -> Planted:
    """Plant a circuit: the same for a seed each time; without a kind the seed draws one. Raises:
    SpecError for an unknown kind."""
    kinds = names()
    if kind is not None and kind not in kinds:
        raise SpecError(f"no kind of challenge is called {kind!r}; {nearest(kind, kinds)}")
    name = kind or str(rng.generator(seed, "challenge.kind").choice(kinds))
    circuit, constants = _KINDS[name](rng.generator(seed, f"challenge.{name}.sizes"))
    disguised = disguise(circuit, rng.generator(seed, f"challenge.{name}.disguise"), noise)
    plain, rival = (_sized(known.text(name, rival=r), constants) for r in (False, True))
    texts = (
        _written(_translate(text, circuit, disguised, name in _COPIES)) for text in (plain, rival)
    )
    answer, rival = texts
    return Planted(name, seed, circuit, disguised, plain, answer, rival)


def names() -> tuple[str, ...]:
    """The kinds that can be planted."""
    return tuple(sorted(_KINDS))


def _brackets(generator: np.random.Generator) -> tuple[Circuit, Constants]:
    length = int(generator.choice([6, 8, 10]))
    return brackets(length), {"8640": f"{2 * SHARP * (length + 2) ** 2:g}"}


def _induction(generator: np.random.Generator) -> tuple[Circuit, Constants]:
    half = int(generator.integers(5, 9))
    values = half + int(generator.integers(4, 9))
    return induction(half, values), {"15": str(values - 1)}


def _modular_sum(generator: np.random.Generator) -> tuple[Circuit, Constants]:
    p = int(generator.integers(5, 12))
    return modular_sum(p), {"7": str(p), "6": str(p - 1), "six": "the largest number"}


def _redundant(generator: np.random.Generator) -> tuple[Circuit, Constants]:
    back = int(generator.integers(1, 4))
    circuit = redundant(int(generator.integers(6, 11)), int(generator.integers(7, 12)), back=back)
    return circuit, {
        "one place": f"{back} places",
        "first place": f"first {back} places",
        "1": str(back),
    } if back > 1 else {}


def _sorting(generator: np.random.Generator) -> tuple[Circuit, Constants]:
    items = int(generator.integers(4, 7))
    return sorting(items, int(generator.integers(12, 22))), {"5": str(items)}


def _two_hops(generator: np.random.Generator) -> tuple[Circuit, Constants]:
    return two_hops(int(generator.integers(1, 3))), {}


_KINDS: Mapping[str, Callable[[np.random.Generator], tuple[Circuit, Constants]]] = {
    make.__name__.removeprefix("_"): make
    for make in (_brackets, _induction, _modular_sum, _redundant, _sorting, _two_hops)
}
_COPIES = ("induction", "redundant")
"""What is said of tokens by their names alone, whatever they are called."""


def _sized(text: str, constants: Constants) -> str:
    """The file of an explanation at other sizes."""
    numbers = "|".join(map(re.escape, constants))
    return (
        re.sub(rf"(?<![\w.])({numbers})(?![\w.])", lambda match: constants[match[0]], text)
        if constants
        else text
    )


def _translate(text: str, circuit: Circuit, to: Disguised, copies: bool) -> dict[str, Any]:
    """An explanation of the circuit as it has to be told of the disguised one: other places, other
    names.

    What reckons with tokens by their numbers, and does not only copy them, first looks up what each
    was before."""
    table = tomllib.loads(text)
    table["of"] = "challenge"
    variables = {}
    for name, variable in table.get("variables", {}).items():
        place = variable.get("at")
        places = (
            {}
            if place is None
            else {
                "at": to.place(place)
                if isinstance(place, str)
                else [to.place(entry) for entry in place]
            }
        )
        variables[name] = variable | places | {"is": _rule(variable["is"], copies, circuit)}
        if "reads" in variable and not copies:
            variables[name]["reads"] = [
                re.sub(r"^token\b", "meant", entry) for entry in variable["reads"]
            ]
    if not copies:
        meant = {"is": _looked_up("token", {int(new): old for old, new in enumerate(to.tokens)})}
        variables = {"meant": meant} | variables
        if "answer" in table:
            answer = _rule(table["answer"]["is"], copies, circuit)
            table["answer"]["is"] = _looked_up(
                answer, {old: int(new) for old, new in enumerate(to.answers)}
            )
        if "logits" in table:
            rules = [_rule(entry, copies, circuit) for entry in table["logits"]["are"]]
            table["logits"]["are"] = [rules[i] for i in np.argsort(to.answers)]
            if "reads" in table["logits"]:
                table["logits"]["reads"] = [
                    re.sub(r"^token\b", "meant", entry) for entry in table["logits"]["reads"]
                ]
    return table | {"variables": variables}


def _rule(rule: str, copies: bool, circuit: Circuit) -> str:
    """A rule in which tokens are what they were before."""
    if copies:
        return rule
    quoted = re.sub(r"'([^']*)'", lambda match: str(circuit.task.tokens.index(match[1])), rule)
    return re.sub(r"\btoken\b", "meant", quoted)


def _looked_up(name: str, to: Mapping[int, int]) -> str:
    """A value for each number, in the language of explanations."""
    *first, last = sorted(to)
    return "".join(f"{to[i]} if {name} == {i} else " for i in first) + str(to[last])


def _written(table: Mapping[str, Any]) -> str:
    """A table as TOML: plain fields first, then the tables in it. JSON's texts, lists and numbers
    are TOML's too."""
    plain = [
        f"{name} = {json.dumps(x, ensure_ascii=False)}"
        for name, x in table.items()
        if not isinstance(x, dict)
    ]
    for name, x in table.items():
        inner = (
            {f"{name}.{key}": fields for key, fields in x.items()}
            if name == "variables"
            else {name: x}
            if isinstance(x, dict)
            else {}
        )
        for head, fields in inner.items():
            plain += [
                "",
                f"[{head}]",
                *(
                    f"{field} = {json.dumps(value, ensure_ascii=False)}"
                    for field, value in fields.items()
                ),
            ]
    return "\n".join(plain) + "\n"
