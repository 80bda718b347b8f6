"""Program: an explanation held against the problem it is of: refused where it names what is not
there, else a causal graph that runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import ModelError, SpecError, nearest
from assay_catalogue.circuits.explanation import GIVEN, Explanation, Place, Rule, Variable
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.rules import KNOWN, BoundRule, Values, bound
from assay_catalogue.subjects.parts import Part, Reader, earlier, parts
from assay_catalogue.worlds.algorithms.task import UNASKED, has_answer

ENDS = ("answer", "logits")
"""What stands at the end of the graph, and so is no variable's name."""
_INPUTS = {"token": Part("embed"), "place": Part("pos")}


@dataclass(frozen=True, order=True)
class Unit:
    """A variable at one of its places; no variable: what matters, and it is not said what for."""

    place: Place
    variable: str = ""


class Program:
    """An explanation that fits its problem. Raises: SpecError or ModelError, one line that names
    the place."""

    def __init__(self, explanation: Explanation, problem: Problem) -> None:
        self.explanation, self.problem = explanation, problem
        self.variables = {v.name: v for v in explanation.variables}
        self._names_are_free()
        self._rules = {
            v.name: self._rule(v.rule, f"variable {v.name}") for v in explanation.variables
        }
        self._head = self._logit_rules()
        self._fails = None if explanation.fails is None else self._rule(explanation.fails, "fails")
        self.order = self._ordered()
        self.units = self._located()
        self.edges: frozenset[tuple[Unit, Reader]] = frozenset(self._wired())
        self._weights_fit()

    def moved(self, places: Mapping[str, tuple[Place, ...]]) -> Program:
        """Give the same explanation with its variables at other places. Raises: SpecError or
        ModelError, as for one that is new."""
        e = (
            self.explanation
        )  # rules go as they were read: reading them again takes longer than all else
        variables = tuple(
            dataclasses.replace(v, at=places[v.name], rule=self._rules[v.name]) for v in e.variables
        )
        answer = None if e.answer is None else self._head[0]
        logits = self._head if isinstance(e.logits, tuple) else e.logits
        return Program(
            dataclasses.replace(
                e, variables=variables, answer=answer, logits=logits, fails=self._fails
            ),
            self.problem,
        )

    @property
    def size(self) -> int:
        """Names and numbers that it takes to write it down: of its rules, places, edges and
        weights. Raises: SpecError if not known."""
        e = self.explanation
        if e.size is not None:
            return e.size
        rules = [*self._rules.values(), *self._head, *filter(None, (self._fails,))]
        place_size = sum(
            1 + len(u.place.neurons) + len(u.place.positions) + sum(map(len, u.place.along))
            for u in self.units
        )
        return (
            sum(r.size() for r in rules)
            + place_size
            + len(self.edges)
            + sum(x.numel() for x in e.weights.values())
        )

    def values(
        self,
        tokens: Int[np.ndarray, "n s"],
        overrides: Values | None = None,
        rules: Collection[BoundRule] | None = None,
    ) -> dict[str, Float[np.ndarray, "n s"]]:
        """Run the causal graph: every variable at each position; those that are given are set, and
        what follows from them follows.

        Where `rules` are given, only the variables that these are computed from.

        Raises: SpecError where a function raises, does not end, or gives something else than a
        number for each position."""
        place = np.broadcast_to(np.arange(tokens.shape[1], dtype=np.float64), tokens.shape)
        results = {"token": tokens.astype(np.float64), "place": place}
        for name in self.order if rules is None else self._under(rules):
            results[name] = (
                overrides[name]
                if overrides and name in overrides
                else self._rules[name](results, tokens.shape)
            )
        return results

    def logits(
        self, tokens: Int[np.ndarray, "n s"], overrides: Values | None = None
    ) -> Float[np.ndarray, "n s v"]:
        """Give the explanation's logits. Raises: SpecError where it has none, or names a class that
        the model does not have."""
        if not self._head:
            raise SpecError(f"{self.explanation.source}: it needs answer or logits")
        values, shape, classes = (
            self.values(tokens, overrides, self._head),
            tokens.shape,
            self.problem.classes,
        )
        if isinstance(self.explanation.logits, tuple):
            return np.stack([rule(values, shape) for rule in self._head], -1)
        if self.explanation.answer is None:
            return self._head[0](values, (*shape, classes))
        answers = self._head[0](values, shape)
        if overrides is None:
            self._known(answers, tokens)
        return self.explanation.margin * (answers[..., None] == np.arange(classes))

    def fails(self, tokens: Int[np.ndarray, "n s"]) -> Float[np.ndarray, "n s"]:
        """Tell where the model is predicted to answer wrongly: not 0."""
        if self._fails is not None:
            return (
                self._fails(self.values(tokens, rules=[self._fails]), tokens.shape) != 0
            ) * has_answer(self.problem.task.answer(tokens))
        return self.problem.missed(self.logits(tokens), tokens) * 1.0

    def _under(self, rules: Collection[BoundRule]) -> list[str]:
        """The variables that rules are computed from, in their order."""
        needed = {n for rule in rules for n in rule.names}
        for name in reversed(self.order):
            needed |= {*self._rules[name].names} if name in needed else set()
        return [name for name in self.order if name in needed]

    @property
    def answers(self) -> bool:
        """Whether it says anything about the logits."""
        return bool(self._head)

    @property
    def reads(self) -> dict[str, tuple[str, ...]]:
        """What each variable, and at last the answer or the logits, is said to read: a name, or a
        name and a slot such as before.k."""
        e = self.explanation
        reads_by_name = {
            v.name: self._rules[v.name].names if v.reads is None else v.reads for v in e.variables
        }
        if self._head:
            reads_by_name[self.head] = e.reads or tuple(
                dict.fromkeys(n for r in self._head for n in r.names)
            )
        return reads_by_name

    @property
    def head(self) -> str:
        """What stands at the end of the graph: answer or logits."""
        return "answer" if self.explanation.answer is not None else "logits"

    def _known(self, answers: np.ndarray, tokens: np.ndarray) -> None:
        task = self.problem.task
        none = (
            () if task.chances is None else (UNASKED,)
        )  # where answers are drawn, none may be named
        wrong = ~np.isin(answers, [*range(len(task.answers)), *none]) & has_answer(
            task.answer(tokens)
        )
        if wrong.any():
            n, s = np.argwhere(wrong)[0]
            raise SpecError(
                f"{self.explanation.source}: answer names class {answers[n, s]:g} at position {s} "
                f"of '{task.said(tokens[n])}'; the model's {len(task.answers)} classes are "
                "counted from 0"
            )

    def _names_are_free(self) -> None:
        names: set[str] = set(GIVEN)
        for v in self.explanation.variables:
            if v.name in ENDS:
                raise SpecError(
                    f"{self.explanation.source}: variable {v.name!r} has the name of what the "
                    "model says; give it another"
                )
            if not v.name.isidentifier() or v.name in names or v.name in KNOWN:
                complaint = (
                    "is taken"
                    if v.name.isidentifier()
                    else "is not a name; use letters, digits and _"
                )
                raise SpecError(f"{self.explanation.source}: variable {v.name!r} {complaint}")
            names.add(v.name)

    def _logit_rules(self) -> tuple[BoundRule, ...]:
        e = self.explanation
        if e.answer is not None and e.logits is not None:
            raise SpecError(f"{e.source}: it has both answer and logits; give only one of them")
        if e.answer is not None:
            return (self._rule(e.answer, "answer"),)
        if not isinstance(e.logits, tuple):
            return () if e.logits is None else (self._rule(e.logits, "logits"),)
        if len(e.logits) != self.problem.classes:
            raise SpecError(
                f"{e.source}: logits has {len(e.logits)} rule{'s'[: len(e.logits) != 1]}; the "
                f"model has {self.problem.classes} classes"
            )
        return tuple(self._rule(r, f"logits[{i}]") for i, r in enumerate(e.logits))

    def _rule(self, rule: Rule, where: str) -> BoundRule:
        return bound(
            rule,
            f"{self.explanation.source}: {where}",
            (*GIVEN, *self.variables),
            self.problem.task.tokens,
        )

    def _ordered(self) -> tuple[str, ...]:
        """Variables, each after those that it is computed from. Raises: SpecError where there is no
        such order."""
        graph = {
            name: [n for n in rule.names if n not in GIVEN] for name, rule in self._rules.items()
        }
        try:
            return tuple(TopologicalSorter(graph).static_order())
        except CycleError as e:
            raise SpecError(
                f"{self.explanation.source}: variables depend on each other in a circle: "
                f"{' → '.join(e.args[1])}"
            ) from None

    def _located(self) -> tuple[Unit, ...]:
        """All units in the order of a forward pass. Tokens and places are in `embed` and `pos`
        where nothing else is said to be there."""
        e, params, length = self.explanation, self.problem.params, self.problem.task.length
        units = [Unit(place, v.name) for v in e.variables for place in v.at] + [
            Unit(place) for place in e.matter
        ]
        occupied = {u.place.part for u in units if u.variable}
        used = {n for r in (*self._rules.values(), *self._head) for n in r.names}
        used |= {
            n.partition(".")[0]
            for reads in (e.reads, *(v.reads for v in e.variables))
            for n in reads or ()
        }
        all_parts = parts(params)
        units += [
            Unit(Place(part), name)
            for name, part in _INPUTS.items()
            if name in used and part in all_parts and part not in occupied
        ]
        for i, unit in enumerate(units):
            where = f"variable {unit.variable}" if unit.variable else "matter"
            try:
                unit.place.check(params, length)
            except ModelError as error:
                raise ModelError(f"{e.source}: {where}: {error}") from None
            if other := next((u for u in units[:i] if u.place.overlaps(unit.place)), None):
                raise SpecError(
                    f"{e.source}: {where}: {unit.place} was already named, as {other.place} of "
                    f"{other.variable or 'matter'}"
                )
        return tuple(sorted(units, key=lambda u: all_parts.index(u.place.part)))

    def _wired(self) -> Iterator[tuple[Unit, Reader]]:
        """Which unit is read by which reader. Raises: SpecError for what cannot be."""
        for unit in self.units:
            variable = self.variables.get(unit.variable)
            if variable is not None and unit.place.part.kind not in ("embed", "pos"):
                yield from self._read(variable, unit.place.part)
        if self._head:
            yield from self._read(Variable(self.head, "", reads=self.reads[self.head]), None)

    def _read(self, variable: Variable, part: Part | None) -> Iterator[tuple[Unit, Reader]]:
        what, params = f"{self.explanation.source}: variable {variable.name}", self.problem.params
        if part is None:
            what = f"{self.explanation.source}: {variable.name}"
        names = self._rules[variable.name].names if variable.name in self._rules else ()
        reads = names if variable.reads is None else variable.reads
        listed = [r.partition(".")[0] for r in reads]
        if unknown := [n for n in listed if n not in self.variables and n not in GIVEN]:
            raise SpecError(
                f"{what} reads {unknown[0]}, which is not a variable; "
                f"{nearest(unknown[0], (*GIVEN, *self.variables))}"
            )
        if missing := [n for n in names if n not in listed]:
            raise SpecError(f"{what}: reads lacks {missing[0]}, which its rule uses")
        for read in reads:
            name, _, slot = read.partition(".")
            readers = _readers(part, slot)
            if not readers:
                ways = (
                    "a head has q, k and v"
                    if part and part.kind == "head"
                    else f"{part or 'the logits'} read{'s' if part else ''} one way only"
                )
                raise SpecError(f"{what} reads {read!r}; {ways}")
            sources = [u for u in self.units if u.variable in self.shown(name)]
            wires = [(u, r) for u in sources for r in readers if u.place.part in earlier(params, r)]
            late = [u for u in sources if u not in {w[0] for w in wires}]
            if late:
                raise SpecError(
                    f"{what} at {part or 'logits'} reads {late[0].variable} at "
                    f"{late[0].place}, which the model writes no earlier"
                )
            yield from wires

    def shown(self, name: str) -> frozenset[str]:
        """A variable that lives somewhere, or those that do and that it is computed from."""
        if name not in self._sources_by_name:
            lives = name in self._living or name in GIVEN
            self._sources_by_name[name] = frozenset({name} if lives else ()).union(
                *(self.shown(n) for n in (() if lives else self._rules[name].names))
            )
        return self._sources_by_name[name]

    @cached_property
    def _living(self) -> frozenset[str]:
        return frozenset(u.variable for u in self.units)

    @cached_property
    def _sources_by_name(self) -> dict[str, frozenset[str]]:
        return {}

    def _weights_fit(self) -> None:
        e, params = self.explanation, self.problem.params
        for name, x in e.weights.items():
            if name not in params:
                raise ModelError(
                    f"{e.source}: weights: the model has no {name}; {nearest(name, params)}"
                )
            if x.shape != params[name].shape:
                raise ModelError(
                    f"{e.source}: weights: {name} is {list(x.shape)}; the model's is "
                    f"{list(params[name].shape)}"
                )


def _readers(part: Part | None, slot: str) -> list[Reader]:
    if part is None:
        return [] if slot else [Reader("logits")]
    if part.kind == "mlp":
        return [] if slot else [Reader("mlp", part.layer)]
    return [Reader("head", part.layer, part.head, s) for s in ("q", "k", "v") if slot in ("", s)]  # type: ignore[arg-type]
