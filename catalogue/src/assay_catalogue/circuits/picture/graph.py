"""An explanation as a graph: what it says is worked out, where that lives, who reads it, and what
each of these survives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay_catalogue.circuits.explanation import GIVEN, Rule
from assay_catalogue.circuits.find.cutting import without_edges
from assay_catalogue.circuits.find.question import Question
from assay_catalogue.circuits.picture.maps import NODES, TEXT, short
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.interchange import Interchanged
from assay_catalogue.circuits.verify.scrubbing import singly
from assay_catalogue.subjects.parts import Edge as Wire
from assay_catalogue.subjects.parts import Part, Reader


@dataclass(frozen=True)
class Node:
    """Something that an explanation names."""

    name: str
    kind: str
    """given: token or place; variable; matter: a place, and it is not said what for; answer: what
    the logits make of it."""
    rule: str
    """What it is said to be, as it is written."""
    places: tuple[str, ...]
    """Where it lives; none for a step of reasoning."""
    depth: int
    """How many steps it is away from what is given."""
    scrubbed: float | None = None
    """What is left when it alone is exchanged among inputs on which it is the same: 1 all."""
    exchanged: float | None = None
    """The share of that which came from other inputs: near 0 it tested nothing."""
    interchanged: Interchanged | None = None
    """What answers do when it is set to what it is on another input; None where that was not
    tried."""


@dataclass(frozen=True)
class Link:
    """One thing read by another."""

    source: str
    target: str
    slots: tuple[str, ...]
    """By which of a head's queries, keys and values; none where all of them read it, or where it is
    no head."""
    wires: tuple[tuple[str, float | None], ...]
    """The edges of the model that carry it, and what cutting each costs, as a share of all there
    is; None where that is not known."""

    @property
    def cost(self) -> float | None:
        """What cutting the most important of them costs; None where none is known."""
        known = [x for _, x in self.wires if x is not None]
        return max(known, key=abs) if known else None


@dataclass(frozen=True)
class Graph:
    """All that an explanation names, and who reads what."""

    nodes: tuple[Node, ...]
    """In the order in which one can be worked out after the other; the answer last."""
    links: tuple[Link, ...]
    more: int = 0
    """Variables that are not among them, since they are too many."""


def graph(
    program: Program,
    question: Question | None,
    interchange: Sequence[Interchanged],
    tokens: Int[np.ndarray, "n s"],
    seed: int,
) -> Graph:
    """Make the graph of an explanation, scored on these inputs; `question` says what its edges are
    worth, if it can be asked."""
    e, reads = program.explanation, program.reads
    depth = depths(reads)
    variables = sorted(e.variables, key=lambda v: depth[v.name])[:NODES]
    names = {v.name for v in variables} | {program.head}
    read = {name: rs for name, rs in reads.items() if name in names}
    used = {_name(r) for rs in read.values() for r in rs}
    swapped = {x.variable: x for x in interchange}
    nodes = [
        Node(name, "given", "", tuple(str(u.place) for u in program.units if u.variable == name), 0)
        for name in GIVEN
        if name in used
    ]
    for v in variables:
        scrubbed, other = singly(program, tokens, v.name, seed) if v.at else (math.nan, math.nan)
        nodes.append(
            Node(
                v.name,
                "variable",
                describe_rule(v.rule),
                tuple(map(str, v.at)),
                depth[v.name],
                _known(scrubbed),
                _known(other),
                swapped.get(v.name),
            )
        )
    nodes += [
        Node(str(place), "matter", "", (str(place),), 1)
        for place in e.matter[: NODES - len(variables)]
    ]
    if program.answers:
        rule = describe_rule(e.answer) if e.answer is not None else _listed(e.logits)
        nodes.append(
            Node(program.head, "answer", rule, (), 1 + max((n.depth for n in nodes), default=0))
        )
    node_names, raw_links = {n.name for n in nodes}, list(_links(program, read))
    cost = _costs(question, sorted({w for *_, wires in raw_links for w in wires}, key=str))
    links = (
        Link(
            short(a, TEXT),
            short(b, TEXT),
            slots,
            tuple((f"{p} → {r}", cost.get((p, r))) for p, r in wires),
        )
        for a, b, slots, wires in raw_links
        if a in node_names
    )
    return Graph(
        tuple(replace(n, name=short(n.name, TEXT)) for n in nodes),
        tuple(links),
        len(e.variables) - len(variables),
    )


def depths(reads: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Count the steps from what is given to each name, along what it is said to read; a circle of
    what is said counts once around."""
    depth_by_name = dict.fromkeys(GIVEN, 0)

    def deep(name: str, above: frozenset[str]) -> int:
        if name not in depth_by_name:
            below = [_name(r) for r in reads.get(name, ())]
            depth_by_name[name] = 1 + max(
                (deep(r, above | {name}) for r in below if r not in above and r != name), default=0
            )
        return depth_by_name[name]

    for name in reads:
        deep(name, frozenset())
    return depth_by_name


def describe_rule(rule: Rule) -> str:
    """Tell a rule as it is written; of a function, its name and what it reads."""
    if isinstance(rule, str):
        return short(rule, TEXT)
    return short(f"{getattr(rule, '__name__', 'a function')}(…), in Python", TEXT)


def _listed(rules: Rule | tuple[Rule, ...] | None) -> str:
    """The rules of logits, one after another."""
    if rules is None:
        return ""
    return (
        short("; ".join(map(describe_rule, rules)), TEXT)
        if isinstance(rules, tuple)
        else describe_rule(rules)
    )


def _links(
    program: Program, read: dict[str, tuple[str, ...]]
) -> Iterator[tuple[str, str, tuple[str, ...], list[Wire]]]:
    """Who reads what, by which slots, and the edges of the model that this means."""
    parts: dict[str, set[Part]] = {
        v.name: {p.part for p in v.at} for v in program.explanation.variables
    }
    for target, reads in read.items():
        for source in dict.fromkeys(map(_name, reads)):
            slots = tuple(r.partition(".")[2] for r in reads if _name(r) == source)
            slots = () if "" in slots else slots
            ends = parts.get(target)
            wires = [
                (u.place.part, r)
                for u, r in program.edges
                if u.variable in program.shown(source) and _ends(r, ends, slots)
            ]
            yield source, target, slots, sorted(set(wires), key=str)


def _ends(reader: Reader, parts: set[Part] | None, slots: tuple[str, ...]) -> bool:
    """Whether an edge ends at one of these parts and slots; at the logits, where parts are none."""
    return (
        reader.kind == "logits"
        if parts is None
        else reader.of in parts and (not slots or reader.slot in slots)
    )


def _costs(q: Question | None, wires: list[Wire]) -> dict[Wire, float]:
    """What the number loses by each cut, as a share of all there is."""
    if q is None or not wires:
        return {}
    try:
        span = q.span()[0]
    except DataError:
        return {}
    cuts = torch.stack([q.named([w]) for w in wires])
    lost = (q.full[:, None] - without_edges(q, cuts)).mean(2)[0] / span
    return dict(zip(wires, lost.tolist(), strict=True))


def _name(read: str) -> str:
    return read.partition(".")[0]


def _known(x: float) -> float | None:
    return x if math.isfinite(x) else None
