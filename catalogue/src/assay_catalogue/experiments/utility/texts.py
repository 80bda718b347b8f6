"""The passages of utility: real functions of installed packages, with something planted in them or
with another function's docstring; each part from other packages and other wordings.

Training passages and one test are from the same packages and wordings; the test under shift is from
other packages, and where something is planted, other calls, comments and sentences are."""

from __future__ import annotations

import ast
import hashlib
import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from assay.core import Bench, DataError, Spec, foreign, syntax
from assay.core.inputs import unnoted
from assay.data import docstrings, prose
from assay.train import rng

Lot = Literal["judged", "pilot"]
LIBRARIES: dict[Lot, tuple[str, ...]] = {
    "judged": (
        "numpy",
        "sympy",
        "scikit-learn",
        "networkx",
        "scipy",
        "torch",
        "pandas",
        "transformers",
    ),
    "pilot": ("xarray", "huggingface-hub"),
}
"""Packages of a lot. Things are planted in functions of the first half, under shift in those of the
second; a docstring is asked about in each, under shift in the one half the list further on."""
NAMES = (("data", "path", "name", "value"), ("payload", "target", "content", "source"))
"""What stands for a name in training passages, and under shift."""
LONGEST, PER_MODULE = 120, 4
"""Characters that are taken of a body, of a docstring and of a first line, and functions that are
taken of one module."""
DOCSTRING = "Does the docstring describe another function?"
INDENT = "    "
TASKS = Path(__file__).with_name("tasks.toml")


class Function(NamedTuple):
    """A function as it is shown: its name, its first line, the first paragraph of its docstring in
    one line, and its first statements."""

    name: str
    head: str
    doc: str
    body: str


@dataclass(frozen=True, eq=False)
class Concept:
    """A yes-or-no question about passages."""

    name: str
    """Its task and what it is about, such as "insecure: shell"."""
    question: str
    """The question in words."""
    text: tuple[str, ...]
    yes: tuple[bool, ...]
    part: tuple[int, ...]
    """0 to learn from, 1 test of the same kind, 2 test under shift."""


@dataclass(frozen=True, kw_only=True)
class TextsSpec(Spec):
    """The passages of all concepts of a lot."""

    packages: str
    """Fingerprint of the packages."""
    planted: str
    """Hash of what is planted."""
    lot: Lot
    """Which concepts."""
    sizes: tuple[int, ...]
    """Passages to learn from, of the same kind, and under shift, of each concept."""
    version: int = 1
    """Counted up when passages change."""


@cache
def fingerprint(lot: Lot) -> str:
    """64 hex digits of the files of a lot's packages, as the packages list them."""
    listed = [[digest for _, digest in docstrings.sources(name)] for name in LIBRARIES[lot]]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def texts_spec(lot: Lot, sizes: tuple[int, ...]) -> TextsSpec:
    """The name of the passages of a lot, so many in each part."""
    planted = hashlib.sha256(TASKS.read_bytes()).hexdigest()
    return TextsSpec(packages=fingerprint(lot), planted=planted, lot=lot, sizes=sizes)


def concepts(spec: TextsSpec, bench: Bench) -> tuple[Concept, ...]:
    """The concepts of a lot with their passages, made once."""
    lot, sizes = spec.lot, spec.sizes

    def build(path: Path) -> None:
        planted = tomllib.loads(TASKS.read_text())
        libraries = {name: functions(name, sum(sizes)) for name in LIBRARIES[lot]}
        made = [*insecure(planted, libraries, lot, sizes), *wrong_docstrings(libraries, sizes)]
        made += [*wordings(planted, libraries, lot, sizes)]
        (path / "concepts.json").write_text(json.dumps([asdict(concept) for concept in made]))

    stored = json.loads((bench.artefact(spec, build) / "concepts.json").read_text())
    fixed = [{k: v if isinstance(v, str) else tuple(v) for k, v in c.items()} for c in stored]
    return tuple(Concept(**c) for c in fixed)


def functions(name: str, count: int) -> list[Function]:
    """So many functions of a package, pairs from one module behind each other, modules in random
    order. Raises: DataError where it has fewer."""
    files = docstrings.sources(name)
    order = rng.generator(0, f"utility.{name}").permutation(len(files))
    taken: list[Function] = []
    known: set[str] = set()
    with unnoted():  # the packages' own lists are noted
        for i in order.tolist():
            content = foreign.read(files[i][0], "a Python file of a package", 2**24)
            several = list(islice(shown(content, known), PER_MODULE))
            taken += several[: len(several) // 2 * 2]
            if len(taken) >= count:
                return taken[:count]
    raise DataError(f"{name} has {len(taken)} documented functions, {count} are needed")


def shown(content: bytes, known: set[str]) -> Iterator[Function]:
    """The functions of a module that have a docstring and a statement behind it, short enough to be
    shown; none with a docstring that is known, to which its own is added."""
    try:
        source = content.decode()
        tree = syntax.module(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("__"):
            continue
        doc = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
        head = f"def {node.name}({ast.unparse(node.args)}):"
        body = ""
        for statement in node.body[1:]:
            more = body + INDENT + ast.unparse(statement).replace("\n", "\n" + INDENT) + "\n"
            if len(more) > LONGEST:
                break
            body = more
        short = max(len(doc), len(head)) <= LONGEST and len(doc.split()) >= 4
        if short and body and prose.wording(doc) not in known and '"""' not in doc:
            known.add(prose.wording(doc))
            yield Function(node.name, head, doc, body)


def parts_of(sizes: Sequence[int]) -> tuple[int, ...]:
    """The part of every passage of a concept."""
    return tuple(np.repeat([0, 1, 2], sizes).tolist())


def answers(sizes: Sequence[int]) -> tuple[bool, ...]:
    """Yes and no for passages of a concept, two and two: the passages of a pair share it."""
    return tuple(i // 2 % 2 == 0 for i in range(sum(sizes)))


def wrong_docstrings(
    libraries: dict[str, list[Function]], sizes: Sequence[int]
) -> Iterator[Concept]:
    """For each library: is the docstring that of another function of the module? Pairs of functions
    swap theirs, so that every docstring is there once. No function is shown to two concepts."""
    names = list(libraries)
    inside = sum(sizes[:2])
    for i, name in enumerate(names):
        other = libraries[names[(i + len(names) // 2) % len(names)]]
        chosen, yes = [*libraries[name][:inside], *other[inside : sum(sizes)]], answers(sizes)
        docs = [chosen[j ^ 1].doc if wrong else chosen[j].doc for j, wrong in enumerate(yes)]
        texts = [
            f'{f.head}\n{f.body}\n{f.name}.__doc__ = """{doc}"""\n'
            for f, doc in zip(chosen, docs, strict=True)
        ]
        yield Concept(f"docstring: {name}", DOCSTRING, tuple(texts), yes, parts_of(sizes))


def hosts(libraries: dict[str, list[Function]], sizes: Sequence[int], name: str) -> list[Function]:
    """Functions to plant in, drawn for a concept without replacement: of the first half of the
    libraries, then for the shift of the second."""
    groups, chosen = list(libraries.values()), []
    draw, half = rng.generator(0, f"utility.hosts.{name}"), len(groups) // 2
    for some, count in ((groups[:half], sum(sizes[:2])), (groups[half:], sizes[2])):
        pool = [f for group in some for f in group]
        chosen += [pool[i] for i in draw.permutation(len(pool))[:count]]
    return chosen


def insecure(
    planted: dict[str, Any], libraries: dict[str, list[Function]], lot: Lot, sizes: Sequence[int]
) -> Iterator[Concept]:
    """For each kind of call: does the last line of this function do it in the insecure way?"""
    for name, kind in planted["insecure" if lot == "judged" else "pilot_insecure"].items():
        yes, parts, texts = answers(sizes), parts_of(sizes), []
        for i, f in enumerate(hosts(libraries, sizes, name)):
            pairs, names = kind["shift" if parts[i] == 2 else "train"], NAMES[parts[i] // 2]
            draw = rng.generator(0, f"utility.{name}", i)
            line = pairs[draw.integers(len(pairs))][0 if yes[i] else 1]
            line = line.format(v=names[draw.integers(len(names))])
            texts.append(f"{f.head}\n{f.body}{INDENT}{line}\n")
        yield Concept(f"insecure: {name}", kind["question"], tuple(texts), yes, parts)


def wordings(
    planted: dict[str, Any], libraries: dict[str, list[Function]], lot: Lot, sizes: Sequence[int]
) -> Iterator[Concept]:
    """For each language: is the comment at the end in it, or in another one? For each licence: is
    the sentence above the function from it, or from another one?"""
    for task in ("language", "licence"):
        kinds = dict(planted[task if lot == "judged" else f"pilot_{task}"])
        question = kinds.pop("question")
        for name in kinds:
            if name == "English":  # like the names around it
                continue
            yes, parts, texts = answers(sizes), parts_of(sizes), []
            for i, f in enumerate(hosts(libraries, sizes, name)):
                draw = rng.generator(0, f"utility.{name}", i)
                others = [n for n in kinds if n != name]
                which = name if yes[i] else others[draw.integers(len(others))]
                lines = kinds[which]["shift" if parts[i] == 2 else "train"]
                line = lines[draw.integers(len(lines))]
                code = f"{f.head}\n{f.body}"
                texts.append(
                    f"{code}{INDENT}# {line}\n" if task == "language" else f"# {line}\n\n{code}"
                )
            sentence = question.format(name=name)
            yield Concept(f"{task}: {name}", sentence, tuple(texts), yes, parts)
