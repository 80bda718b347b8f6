"""Things: what a claim credits. Each makes what stands in for it, by the table of controls."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

import numpy as np

from assay.controls import picks, vectors
from assay.controls.table import NEEDS, TABLE, Control, control
from assay.errors import DataError
from assay.verdicts.rule import DRAWS

FEW, SMALL = 4, 12
"""So many others of a pool are tried; all of a pool that has at most so many."""
Maker = Callable[[int], Any] | Iterable[Any]
"""What stands in: a function of the number of the draw, or everything there is. A function is
called once for a rival."""


class _Brief(reprlib.Repr):
    """Shows an array by its type and shape, and a function by its name."""

    def repr_ndarray(self, x: Any, level: int) -> str:
        return f"{str(x.dtype).removeprefix('torch.')}{[*x.shape]}"

    repr_Tensor = repr_Parameter = repr_ndarray

    def repr_function(self, x: Any, level: int) -> str:
        return str(x.__name__)


_BRIEF = _Brief()
_BRIEF.maxother, _BRIEF.maxstring, _BRIEF.maxlist = 40, 40, 3


class OneLine:
    """Shows a dataclass on one line, without what is left at its default."""

    def __repr__(self) -> str:
        parts = list[str]()
        for f in fields(self):  # type: ignore[arg-type]
            x = getattr(self, f.name)
            if f.repr and x is not f.default and not (isinstance(x, Mapping) and not x):
                parts.append((f"{f.name}=" if parts else "") + _BRIEF.repr(x))
        return " ".join(f"{type(self).__name__}({', '.join(parts)})".split())


@dataclass(frozen=True, eq=False, repr=False)
class Draw(OneLine):
    """What stands in for a thing once; its name is one such as "layer 25", if it has one."""

    control: Control
    value: Any
    name: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Thing(OneLine):
    """What a claim credits: a function is called with its `value`, or with a draw in its place.

    A class of your own has a row of the table as its `kind`, and `near`; or its own `draws`.

    Attributes:
        makers: by control of that row what stands in, where only you can make it.
    """

    value: Any
    makers: Mapping[str, Maker] = field(default_factory=dict, kw_only=True)
    kind: ClassVar[str] = "thing"
    tries: ClassVar[int] = DRAWS
    """Draws of noise, by default."""
    by_prompt: ClassVar[bool] = False
    """A value has a part for each prompt."""

    @property
    def aspect(self) -> str:
        """Its row of the table."""
        return self.kind

    @property
    def name(self) -> str:
        """What it is called in a table, such as "head 2.1"."""
        return self.named(self.value) or self.aspect

    def named(self, value: Any) -> str:
        """The short name of a value, if it has one."""
        return ""

    def near(self, count: int) -> Mapping[str, Maker]:
        """What stands in, by control; `count` others of a pool, or the usual number for 0."""
        return {}

    def draws(
        self, rows: Sequence[Any], count: int = 0, named: Sequence[str] = ()
    ) -> Iterator[Draw]:
        """Everything that stands in, each made when its turn comes. With another count the first
        draws of a control are the same.

        Args:
            rows: the prompts.
            count: how many of what is drawn; by default 20 of noise, and few rivals.
            named: controls that are only made where they are named.
        """
        for name, make in {**self.bound(rows).near(count), **self.makers}.items():
            of = control(self.aspect, name)
            if of.default or name in {*named, *self.makers}:
                times = (count or self.tries) if of.noise else 1
                made = map(make, range(times)) if callable(make) else make
                yield from (Draw(of, value, self.named(value)) for value in made)

    def missing(self) -> dict[str, str]:
        """By name the usual controls that cannot be made, and the argument that would."""
        made, row = {*self.near(0), *self.makers}, TABLE.get(self.aspect, ())
        lacking = [c.name for c in row if c.default and c.name not in made]
        return {x: NEEDS.get(f"{self.aspect}/{x}", f"makers={{{x!r}: …}}") for x in lacking}

    def bound(self, rows: Sequence[Any]) -> Thing:
        """The thing for these prompts."""
        return self

    def of_rows(self, value: Any, rows: Sequence[int]) -> Any:
        """What of a value belongs to some of the prompts."""
        return [value[i] for i in rows] if self.by_prompt else value


@dataclass(frozen=True, eq=False, repr=False)
class Vector(Thing):
    """A vector, [d].

    Attributes:
        around: activations, [n, d], which show the dimensions that are used.
    Raises: DataError (no-vector).
    """

    around: Any = None
    kind = "vector"

    def __post_init__(self) -> None:
        if not vectors.is_tensor(self.value):
            object.__setattr__(self, "value", np.asarray(self.value) * 1.0)
        if self.value.ndim != 1 or not 0 < vectors.norm(self.value) < np.inf:
            raise DataError("no-vector", f"{_BRIEF.repr(self.value)} is not one finite vector")

    @classmethod
    def learned(
        cls,
        acts: Any,
        labels: Sequence[Any],
        *,
        learn: Callable[[Any, Any], Any] = vectors.difference,
        elsewhere: Sequence[Any] = (),
    ) -> Vector:
        """Learn a vector from activations, [n, d], and one of two labels for each row.

        Args:
            learn: (rows of the larger label, rows of the other) → vector.
            elsewhere: activations of the same rows at other layers.
        Raises: DataError (two-labels, wrong-length).
        """
        kinds, label = np.unique(np.asarray(labels), return_inverse=True)
        if len(kinds) != 2:
            raise DataError("two-labels", f"two labels are needed, got {_BRIEF.repr([*kinds])}")

        def pair(x: Any) -> tuple[Any, Any]:
            x = x if vectors.is_tensor(x) else np.asarray(x) * 1.0
            if len(x) != len(label):
                raise DataError("wrong-length", f"{len(x)} rows have {len(label)} labels")
            return x[np.flatnonzero(label)], x[np.flatnonzero(label == 0)]

        x, y = pair(acts)
        true = learn(x, y)

        def shuffled(k: int) -> Any:
            if learn is vectors.difference:  # as long as chance makes it, as the true one is
                return vectors.shuffled_difference(x, y, 2 * k)
            (a, b), (c, d) = vectors.swaps((len(x), len(y)), 2 * k)
            other = learn(vectors.stacked(x[b], y[c]), vectors.stacked(x[a], y[d]))
            return vectors.as_long_as(other, true)

        asides = [vectors.aside(learn(*pair(acts)), true) for acts in elsewhere]
        makers = {
            "shuffled": shuffled if min(len(x), len(y)) > 1 else None,
            "layer": [vectors.as_long_as(v, true) for v in asides],
        }
        around = vectors.stacked(x - x.mean(0), y - y.mean(0))
        return cls(true, around, makers={name: m for name, m in makers.items() if m})

    def near(self, count: int) -> Mapping[str, Maker]:
        """Random ones, and the opposite."""
        value = self.value
        around = value[None][:0] if self.around is None else self.around
        random = lambda k: vectors.random_like(value, around, 2 * k)  # noqa: E731
        return {"random": random, "opposite": [-value]}


@dataclass(frozen=True, eq=False, repr=False)
class Subspace(Thing):
    """A subspace: orthonormal rows, [k, d].

    Attributes:
        around: activations, [n, d], which show the dimensions that are used.
    """

    around: Any
    kind = "subspace"

    def near(self, count: int) -> Mapping[str, Maker]:
        """Random ones."""
        return {"random": lambda k: vectors.random_subspace(self.value, self.around, k)}


def item(x: Any) -> Any:
    """A part as something that can be looked up."""
    if isinstance(x, list | tuple):
        return tuple(map(item, x))
    return x.item() if isinstance(x, np.generic) else x


@dataclass(frozen=True, eq=False, repr=False)
class Parts(Thing):
    """A list of parts of a pool; as many others stand in, alike in the sizes that are given.

    Attributes:
        of: the pool: a list, a count, or (layers, heads of each).
        like: by name, such as norm or rate, the sizes of the whole pool in its order.
        chosen_on: the prompts on which the parts were chosen, if they were.
    Raises: DataError (no-parts, unknown-part, no-others, no-size).
    """

    of: Any
    like: Mapping[str, Any] = field(default_factory=dict)
    chosen_on: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", [item(x) for x in self.value])
        others = {*self.pool} - {*self.value}
        if not self.value:
            raise DataError("no-parts", f"name one of the {self.kind} at least")
        if beyond := [x for x in self.value if x not in self.pool]:
            raise DataError("unknown-part", f"of= has no {self.named(beyond[:1])}")
        if len(others) < len(self.value):
            raise DataError("no-others", f"of= has {len(others)} others for {len(self.value)}")
        for name in self.like:
            self._sizes(name)

    @property
    def pool(self) -> list[Any]:
        """Every part there is."""
        if isinstance(self.of, int):
            return list(range(self.of))
        if isinstance(self.of, tuple) and all(isinstance(n, int) for n in self.of):
            return [(layer, n) for layer in range(self.of[0]) for n in range(self.of[1])]
        return [item(x) for x in self.of]

    def named(self, value: Any) -> str:
        """Such as "heads 2.1 + 2.3"."""
        each = [".".join(map(str, x)) if isinstance(x, tuple) else str(x) for x in value]
        more = [f"{len(each) - SMALL} more"] if len(each) > SMALL else []
        noun = self.kind.removesuffix("s") if len(each) == 1 else self.kind
        return f"{noun} {' + '.join(each[:SMALL] + more)}"

    def near(self, count: int) -> Mapping[str, Maker]:
        """Others that are alike, and random ones."""
        pool, sizes = self.pool, [self._sizes(name) for name in self.like]
        others, kind = len({*pool} - {*self.value}), self.kind
        placed = (isinstance(x, tuple) and isinstance(x[0], int) for x in pool)
        blocks = kind == "heads" and all(placed)
        count = count or (others if others <= SMALL else FEW)
        matched = picks.matched(self.value, pool, sizes, count, blocks=blocks)
        near: dict[str, Maker] = {kind: matched}
        if any(c.name == f"random-{kind}" for c in TABLE[kind]):
            near[f"random-{kind}"] = lambda k: picks.random_others(self.value, pool, k)
        return near

    def _sizes(self, name: str) -> dict[Any, float]:
        sizes = vectors.as_numpy(self.like[name]).ravel().tolist()
        if len(sizes) != len(self.pool) or not all(0 <= x < np.inf for x in sizes):
            raise DataError("no-size", f"{name} needs {len(self.pool)} numbers from 0 on")
        return dict(zip(self.pool, sizes, strict=True))


class Heads(Parts):
    """Attention heads, (layer, head) each; of others those of the same layer come first."""

    kind = "heads"


class Neurons(Parts):
    """Neurons, by number or (layer, number)."""

    kind = "neurons"


class Latents(Parts):
    """Latents of a dictionary, by number."""

    kind = "latents"


class Edges(Parts):
    """Edges of a graph, (from, to) each."""

    kind = "edges"


@dataclass(frozen=True, eq=False, repr=False)
class Place(Thing):
    """Where something is done: a layer, a site or a token; the same is done at each other one.
    Raises: DataError (no-others)."""

    others: Sequence[Any]
    what: Literal["layer", "site", "token"] = "layer"

    def __post_init__(self) -> None:
        if all(x == self.value for x in self.others):
            raise DataError("no-others", f"others= names no other {self.what}")

    @property
    def aspect(self) -> str:
        """What kind of place it is."""
        return self.what

    def named(self, value: Any) -> str:
        """Such as "layer 5"."""
        return f"{self.what} {value}"

    def near(self, count: int) -> Mapping[str, Maker]:
        """The others."""
        return {self.what: [x for x in self.others if x != self.value]}
