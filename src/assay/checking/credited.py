"""Credited: the kinds of things that a claim credits, and which near controls replace each."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from assay import errors
from assay.ask.measure import neighbours
from assay.ask.near import (
    EDGE,
    ELSEWHERE,
    FEATURE,
    HEADS,
    LATENTS,
    LAYER,
    LENGTH,
    NEURONS,
    OPPOSITE,
    OTHER_TEXT,
    PARAPHRASE,
    RANDOM,
    SHUFFLED,
    SITE,
    TOKEN,
    UNRELATED,
    WORDS,
    WRONG_LABELS,
    Control,
)
from assay.checking.calls import ByRow
from assay.checking.prompts import Given
from assay.checking.result import ALONG_MEAN
from assay.checking.seen import Seen, chosen_on, in_examples, in_rows
from assay.controls import picks, vectors
from assay.core.arrays import Array, as_numpy, is_tensor
from assay.core.errors import ClaimError, DataError, nearest
from assay.core.nouns import plural
from assay.core.scopes import listed
from assay.core.wordings import spelling
from assay.train import rng

Learn = Callable[[Any, Any], Any]
MATCHED = {"norms": "norm", "rates": "how often they are active"}
"""By the option that gives sizes of a pool, in what others of it are then matched."""
NEAR = 1.25
"""Others are matched in a size if all are at most so many times as large, or as small."""
TOO_SMALL = 0.1
"""Others that are all at most so many times as large may be too weak to take the place of it."""
NAMED = 12
"""How many members of a draw its name lists."""
DRAWS, FEW_OTHERS = 4, 12
"""How many draws a random control has where the author does not say it, and how many others of a
pool are all tried then."""
STRETCHED = 2
"""How many times longer a direction has to be made for its control from which this is noted."""
NOTHING = 1e-3
"""By which share of its largest number a vector may differ from itself."""
PARALLEL, SURE = 0.9, 3.0
"""The cosine with the mean of activations from which a vector is nearly parallel to it; how many
standard errors that mean is from 0, at least."""
MANY = 100
"""More others than this are too many to advise that all be tried."""


@dataclass(frozen=True)
class Draw:
    """One thing in the place of what is credited; a control may have several, each of which must be
    beaten."""

    control: Control
    make: Callable[[], Any]
    """Gives the thing when its turn has come."""
    name: str = ""
    """Which thing it is, such as layer 25; "" for one that is known by its number alone."""


@dataclass(frozen=True, eq=False)
class Options:
    """What the author says of what is credited: each kind reads those that it knows."""

    of: Any = None
    norms: Any = None
    rates: Any = None
    others: Any = None
    around: Any = None
    paraphrases: Any = None
    chosen_on: Any = None
    draws: int | None = None

    def __post_init__(self) -> None:
        if self.draws is not None and self.draws < 1:
            raise DataError(f"draws= is 1 or more, got {self.draws}")

    def given(self) -> list[str]:
        """Name those that are said."""
        return [k for k, v in vars(self).items() if v is not None and k != "draws"]


@dataclass(eq=False)
class Credited:
    """What a claim credits, the draws of its controls, and what is noted of them."""

    kind: str
    thing: Callable[[], Any]
    draws: list[Draw] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    of_nothing: bool = False
    """Whether it is claimed to have no effect, and the draws are things that have one."""
    like: Any = None
    """A vector in the form in which the function is given all of them; None of another thing."""
    pool: Sequence[Any] = ()
    """What lists of heads, neurons or latents are made of; () of what is no list."""
    left_out: tuple[str, ...] = ()
    """The controls that its author does not want, by name."""
    by_row: Callable[[Any], ByRow] | None = None
    """Reads what has a part for each prompt; None of what has none."""
    seen: Seen | None = None
    """Which prompts it was learned from; None where that is unknown."""
    rows: tuple[Sequence[bool], np.ndarray] | None = None
    """Of a direction that was learned: the label of each row, and its projection on it; None where
    the prompts are known to hold the rows."""
    choice: int = 0
    """How many it was chosen from, where it is a part of a pool; 0 if it was chosen elsewhere."""
    chosen: str = ""
    """On which other prompts it was chosen, if its author says it."""
    all_tried: bool = False
    """Whether its draws are all others of that pool."""

    def add(self, control: Control, *things: Any, own: bool = False) -> None:
        """Add draws of a control; the name of one of the author's `own` comes first in theirs.
        Raises: DataError for what is credited itself."""
        is_made = self.by_row is None and self.kind != "training"  # which takes long to make
        for x in things:
            thing = self.thing() if is_made else None
            if self.like is not None:  # a list of numbers has an order, and is no set of parts
                thing = as_numpy(thing)
            if is_made and not control.drawn and is_same(thing, x):
                raise DataError(
                    f"the control {control.name!r} has the {self.kind} of the claim itself, which "
                    "rules nothing out; leave it out"
                )
            name = name_of(self.kind, x)
            if own:
                name = f"{control.name} ({name})" if name and len(things) > 1 else ""
            self.draws.append(Draw(control, partial(_in_form, x, self.like), name))

    def variants(self, name: str, given: Any) -> list[Any]:
        """The things of a control of the author's own, one or several. Raises: DataError for what
        is neither a list of members of the pool, or of a part for each prompt, nor several such
        lists."""
        if self.by_row is not None:
            first = self.thing().parts[0]
            lists = isinstance(given, list) and all(isinstance(x, list) for x in given)
            several = lists and not isinstance(first, list)
            return [self.by_row(x) for x in (given if several else [given])]
        if not self.pool:
            several = isinstance(given, list) and not isinstance(next(iter(given), ""), int | float)
            return given if several else [np.array(given) if isinstance(given, list) else given]
        several = isinstance(given, list) and all(isinstance(x, list) for x in given)
        things = [[_item(x) for x in thing] for thing in (given if several else [given])]
        shapes = {_shape(x) for x in self.pool}
        if not things or any(not x or {*map(_shape, x)} - shapes for x in things):
            example = list(self.pool[:1])
            raise DataError(
                f"the control {name!r} is a list of {self.kind}, such as {example}, or a list of "
                f"several such lists, got {given!r}"
            )
        return things

    def attempt(self, control: Control, make: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        """Add the draws of a control that is made of what is credited, and return them; where that
        is not possible, note why."""
        try:
            things = make()
        except errors.DataError as e:
            self.missing(control, str(e))
            return ()
        self.add(control, *things)
        return things

    def missing(self, control: Control, how: str) -> None:
        """Note that a control is left out, and what would make it."""
        self.notes.append(f"no control {control.name!r}: {how}")


def _in_form(x: Any, like: Any) -> Any:
    """Numbers as the tensor or list, or in the precision of the floating-point numbers, that the
    other is or has; without another one, as they are."""
    if like is None:
        return x
    if is_tensor(like):
        from assay.core.heavy import torch

        return (x if is_tensor(x) else torch.from_numpy(as_numpy(x))).to(like)
    x, precision = as_numpy(x), as_numpy(like).dtype
    if isinstance(like, list):
        return x.tolist()
    return x.astype(precision if np.issubdtype(precision, np.floating) else float)


def _shape(item: Any) -> tuple[type, int]:
    """What members of one pool have in common."""
    return type(item), len(item) if isinstance(item, tuple) else 0


def is_same(thing: Any, other: Any) -> bool:
    """Whether two things are one: texts but for their spelling, lists in any order, and vectors but
    for rounding."""
    if isinstance(thing, str) and isinstance(other, str):
        return spelling(thing) == spelling(other)
    if isinstance(thing, list) and isinstance(other, list):
        return {*map(repr, thing)} == {*map(repr, other)}
    if is_tensor(thing) or isinstance(thing, np.ndarray):
        a, b = (as_numpy(x).astype(float) for x in (thing, other))
        return a.shape == b.shape and bool(np.allclose(a, b, atol=NOTHING * np.abs(a).max()))
    return repr(thing) == repr(other)


def name_of(kind: str, thing: Any) -> str:
    """Name a thing: layer 25, head 5.3, neurons 3 + 8 + 9; "" for a vector, a text and
    others that have no short name."""
    if kind in ("vector", "source", "text", "training"):
        return ""
    items, dot = thing if isinstance(thing, list) else [thing], " → " if kind == "edges" else "."
    listed = [dot.join(map(str, x)) if isinstance(x, tuple) else str(x) for x in items]
    if len(listed) > NAMED + 1:
        listed = [*listed[:NAMED], f"{len(listed) - NAMED} more"]
    words = " + ".join(listed).replace(", ", " + ")  # names of controls are listed with commas
    noun = kind.removesuffix("s") if len(items) == 1 else kind
    return f"{noun} {words}"


@dataclass(frozen=True, eq=False)
class Direction:
    """A vector with what it was learned from, so that controls can be learned as well."""

    vector: Array
    acts: tuple[Array, Array]
    """The activations of the two labels, [row, d] each: the vector points to the first."""
    labels: tuple[bool, ...]
    """Of each row, in their order, whether it has the label that the vector points to."""
    learn: Learn | None = None
    elsewhere: tuple[tuple[Array, Array], ...] = ()
    """What the same rows have at other places of the model."""


def direction(
    acts: Array,
    labels: Sequence[Any] | Array,
    *,
    toward: Any = None,
    learn: Learn | None = None,
    elsewhere: Array | Sequence[Array] | None = None,
) -> Direction:
    """Learn a direction from activations and labels, for `assay.check(vector=…)`, which then learns
    its controls in the same way.

    Args:
        acts: activations, [row, d]: a NumPy array or a torch tensor.
        labels: one of two labels for each row.
        toward: the label that it points to; by default the larger one, such as True or 1.
        learn: (rows of the label that it points to, rows of the other) → a vector; by default the
            difference of their means.
        elsewhere: the activations of the same rows at another layer, or several such.
    Raises: DataError for rows without labels, or labels that are not two.
    Example:
        >>> import numpy as np
        >>> import assay
        >>> acts = np.array([[0.0, 1.0], [0.0, 3.0], [4.0, 1.0], [4.0, 3.0]])
        >>> assay.direction(acts, [False, False, True, True]).vector
        array([4., 0.])
    """
    names = labels_of(labels)
    kinds = sorted(set(names), key=repr) if len({*map(type, names)}) > 1 else sorted(set(names))
    if len(kinds) != 2:
        raise DataError(f"a direction is learned from two labels, got {len(kinds)}: {kinds[:5]}")
    if toward is not None and toward not in kinds:
        raise DataError(f"toward={toward!r} is not one of the labels {kinds[0]!r} and {kinds[1]!r}")
    first = kinds[1] if toward is None else toward
    mask = np.array([name == first for name in names])

    def pair(x: Array) -> tuple[Array, Array]:
        x = x if is_tensor(x) else np.asarray(as_numpy(x), dtype=float)
        if x.ndim != 2 or len(x) != len(names):
            raise DataError(
                f"activations have the shape {tuple(x.shape)}, and labels the length {len(names)}; "
                "give one row for each"
            )
        return x[np.flatnonzero(mask)], x[np.flatnonzero(~mask)]

    several = elsewhere if isinstance(elsewhere, list | tuple) else [elsewhere]
    acts_of, others = pair(acts), [pair(x) for x in several if x is not None]
    d = acts_of[0].shape[1]
    if wrong := [x.shape[1] for x, _ in others if x.shape[1] != d]:
        raise DataError(
            f"elsewhere= has rows of {wrong[0]} numbers, and acts has rows of {d}; give the "
            "activations of the same rows at a layer of the same width"
        )
    vector = (learn or vectors.difference)(*acts_of)
    if not isinstance(acts, list):
        vector = _in_form(vector, acts)
    if not vectors.norm(vector) > 0:
        raise DataError("the direction has length 0: the two labels have the same activations")
    return Direction(vector, acts_of, tuple(mask.tolist()), learn, tuple(others))


def labels_of(labels: Any) -> list[Any]:
    """Take labels as plain values: an array's, a tensor's or a column's."""
    return list(labels.tolist() if hasattr(labels, "tolist") else labels)


def _vector(value: Any, options: Options, prompts: Given) -> Credited:
    """A vector: a random one, one learned from shuffled labels, the same learned elsewhere, and its
    opposite."""
    learned = value if isinstance(value, Direction) else None
    given = learned.vector if learned else value
    thing = given if is_tensor(given) else np.asarray(as_numpy(given), dtype=float)
    if thing.ndim != 1 or not 0 < float(vectors.norm(thing)) < math.inf:
        raise DataError(
            f"vector= has the shape {tuple(thing.shape)}, length 0, or a number that is not "
            "finite; give one vector"
        )
    credited = Credited("vector", partial(_in_form, thing, given), like=given)
    around = options.around
    if learned:
        credited.seen = in_rows(learned.acts, prompts)
        if not credited.seen.prompts.all():
            credited.rows = learned.labels, _along(learned)
    if around is None and learned:
        x, y = learned.acts
        rows = [*(x - x.mean(0)), *(y - y.mean(0))]
        around = _stacked(rows, x)
    elif around is None:
        around = thing[None][:0]
        credited.notes.append(
            "random directions are drawn from all dimensions, of which models use few; "
            "around=activations draws from those that are used"
        )
    elif around.ndim != 2 or around.shape[1] != len(thing):
        raise DataError(f"around= has the shape {tuple(around.shape)}; give [row, {len(thing)}]")
    credited.notes += _along_mean(thing, learned.acts if learned else [around])
    for seed in range(options.draws or DRAWS):
        credited.add(RANDOM, vectors.random_like(thing, around, seed))
    if learned is None:
        credited.missing(SHUFFLED, "give vector=assay.direction(acts, labels)")
    else:
        credited.attempt(
            SHUFFLED, lambda: [_shuffled(learned, k) for k in range(options.draws or DRAWS)]
        )

        def elsewhere(pair: tuple[Array, Array]) -> list[Array]:
            other = vectors.aside((learned.learn or vectors.difference)(*pair), thing)
            lengths = float(vectors.norm(other)), float(vectors.norm(thing))
            if (times := lengths[1] / lengths[0]) >= STRETCHED:
                credited.notes.append(
                    "control layer: the part of the other layer's direction that is orthogonal to "
                    f"yours has length {lengths[0]:.3g}; it is scaled {times:.2g} times, to the "
                    f"length of yours, {lengths[1]:.3g}, and may be mostly noise"
                )
            return [vectors.as_long_as(other, thing)]

        for pair in learned.elsewhere:
            credited.attempt(LAYER, partial(elsewhere, pair))
    if learned is None or not learned.elsewhere:
        credited.missing(LAYER, "give assay.direction(…, elsewhere=activations of other layers)")
    credited.add(OPPOSITE, -thing)
    return credited


def _along(learned: Direction) -> np.ndarray:
    """The projection of each row on the direction that was learned from them."""
    mask, vector = np.array(learned.labels), as_numpy(learned.vector).astype(float)
    along = np.zeros(len(mask))
    for of, rows in zip((mask, ~mask), learned.acts, strict=True):
        along[of] = as_numpy(rows).astype(float) @ vector
    return along


def _along_mean(thing: Array, acts: Sequence[Array]) -> list[str]:
    """A note if a vector is nearly parallel to the mean of activations, and if there are those of
    two labels, to either mean in the same sense."""
    vector, cosines = as_numpy(thing).astype(float), list[float]()
    for x in (as_numpy(a).astype(float) for a in acts if len(a) > 1):
        mean = x.mean(0)
        length, error = np.linalg.norm(mean), np.sqrt(x.var(0).sum() / len(x))
        sure = length > SURE * error
        cosines.append(float(mean @ vector / length / np.linalg.norm(vector)) if sure else 0.0)
    if not cosines or (min(cosines) <= PARALLEL and max(cosines) >= -PARALLEL):
        return []
    return [
        f"the vector {ALONG_MEAN} (cosine {cosines[0]:.2f}), so it mostly changes their size, and "
        "no random vector does, as these are orthogonal to it: check the part of it that is "
        "orthogonal to the mean"
    ]


def _stacked(rows: list[Any], like: Array) -> Array:
    if is_tensor(like):
        from assay.core.heavy import torch

        return torch.stack(rows)
    return np.stack(rows)


def _shuffled(learned: Direction, seed: int) -> Array:
    """A direction learned from labels of which half are swapped; of the own way of learning with
    the true one's length."""
    first, second = learned.acts
    if min(len(first), len(second)) < 2:
        raise DataError("the control `shuffled` swaps half of each label: give each label two rows")
    if learned.learn is None:
        return vectors.shuffled_difference(first, second, seed)
    (a, b), (c, d) = vectors.swaps((len(first), len(second)), seed)
    mixed = [_stacked([*first[b], *second[c]], first), _stacked([*first[a], *second[d]], first)]
    return vectors.sign_of(seed) * vectors.as_long_as(learned.learn(*mixed), learned.vector)


def _set(kind: str, control: Control, *, blocks: bool) -> Callable[..., Credited]:
    control = replace(control, name=f"other {kind}")

    def make(value: Any, options: Options, prompts: Given) -> Credited:
        named = [_item(x) for x in (value if not isinstance(value, int | str) else [value])]
        credited = _matched(kind, control, named, options, blocks=blocks)
        credited.thing = lambda: list(named)
        return credited

    return make


def _single(kind: str, control: Control) -> Callable[..., Credited]:
    def make(value: Any, options: Options, prompts: Given) -> Credited:
        item = _item(value)
        credited = _matched(kind, control, [item], options, blocks=False)
        firsts = [replace(d, make=lambda d=d: d.make()[0]) for d in credited.draws]  # type: ignore[misc]
        credited.thing, credited.draws, credited.pool = (lambda: item), firsts, ()
        return credited

    return make


def _item(value: Any) -> Any:
    """A head, a latent or an edge as something that can be looked up."""
    if isinstance(value, list | tuple):
        return tuple(_item(x) for x in value)
    return value.item() if isinstance(value, np.generic) else value


def _matched(
    kind: str, control: Control, named: list[Any], options: Options, *, blocks: bool
) -> Credited:
    """As many others of the pool, alike in what sizes are given."""
    if options.of is None:
        raise DataError(f"{kind}= needs of=, the pool that others are taken from")
    pool = _pool(options.of)
    if beyond := [x for x in named if isinstance(options.of, int | tuple) and x not in pool]:
        raise DataError(f"{kind}= names {beyond[0]}, which is not in of={options.of}")
    if not named:
        raise DataError(f"{kind}= is empty; name one or more")
    shapes, is_tuple = {_shape(x) for x in pool}, isinstance(named[0], tuple)
    odd = [(x, pool[0]) for x in named if pool and _shape(x) not in shapes]
    if odd := odd or [(named[0], x) for x in pool if isinstance(x, tuple) != is_tuple]:
        own, other = odd[0]
        raise DataError(
            f"of= lists {other!r}, which is not of the form of {kind}={own!r}; give a list "
            "of such entries, a count, or (layers, heads), in a shell LAYERSxHEADS"
        )
    matching = {"norms": options.norms, "rates": options.rates}
    sizes = {name: _sizes(name, x, pool) for name, x in matching.items() if x is not None}
    credited = Credited(kind, lambda: named, pool=pool, choice=len({*pool} | {*named}))
    blocks = blocks and all(map(_has_block, [*pool, *named]))
    if (others := len({*pool} - {*named})) < len(named):
        why = f"of= leaves {others} to choose from, and {len(named)} are needed"
        credited.missing(control, why)
        return credited
    number = options.draws or (others if others <= FEW_OTHERS else DRAWS)
    draws = picks.matched(named, pool, [*sizes.values()], number, blocks=blocks)
    inside = blocks and {x[0] for draw in draws for x in draw} <= {x[0] for x in named}
    alike, times = [], []
    for name, size in sizes.items():
        true = sum(size[x] for x in named) or 1e-300
        shares = [sum(size[x] for x in draw) / true for draw in draws]
        ends = [f"{end(shares):.2g}" for end in (min, max)]
        near = all(1 / NEAR <= float(x) <= NEAR for x in ends)
        alike.append(f"{'matched' if near else 'closest'} in {MATCHED[name]}")
        are = f"{' to '.join(ends)} times as large"
        if max(shares) <= TOO_SMALL:
            times.append(
                f"the controls may be too weak: {name} of the others are {are}; give of= a pool "
                "with others that are as large"
            )
        elif not near:
            times.append(f"{name} of the others: {are}")
    credited.add(replace(control, why=_others(kind, inside, alike)), *draws)
    if len(named) == 1:
        credited.all_tried = len(draws) == others
        credited.notes.append(_tried(len(draws), others))
    if not sizes and len(draws) < others:
        rates = kind in ("neurons", "latents", "feature")  # the others are always active
        credited.notes.append(
            f"others are taken at random; give norms={' and rates=' * rates} of the pool to match "
            f"them in size{', and in how often they are active' * rates}"
        )
    credited.notes += times
    return credited


def _has_block(item: Any) -> bool:
    """Whether it is (block, number)."""
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], int)


def _tried(draws: int, others: int) -> str:
    """Say how many of the others of a pool were tried, since one that was not may have the effect
    as well."""
    if draws == others:
        return f"all {others} others in of= were tried"
    more = f"draws={others} tries all" if others <= MANY else "draws= tries more"
    return f"{draws} of the {others:,} others in of= were tried; {more}"


def _others(kind: str, inside: bool, alike: Sequence[str]) -> str:
    """Say what others of a pool would explain, whether all are in the blocks of what is credited,
    and in what they are alike."""
    noun = f"equally many other {kind}" if kind.endswith("s") else f"another {kind}"
    has = "have" if kind.endswith("s") else "has"
    where = " of these blocks" if inside else ""
    matched = f", {' and '.join(alike)}," if alike else ""
    return f"{noun}{where}{matched} {has} the effect"


def _pool(of: Any) -> list[Any]:
    """Everything that there is: a list, a count, or (blocks, heads of each)."""
    if isinstance(of, int):
        return list(range(of))
    if isinstance(of, tuple) and len(of) == 2 and all(isinstance(n, int) for n in of):
        return [(layer, head) for layer in range(of[0]) for head in range(of[1])]
    return [_item(x) for x in of]


def _sizes(name: str, given: Any, pool: list[Any]) -> dict[Any, float]:
    """A size for each of a pool: a mapping, or numbers in the order of the pool. Raises:
    DataError."""
    if isinstance(given, Mapping):
        sizes = {_item(k): float(v) for k, v in given.items()}
    else:
        numbers = as_numpy(given).reshape(-1)
        if len(numbers) != len(pool):
            raise DataError(f"{name}= has length {len(numbers)} for a pool of {len(pool)}")
        sizes = dict(zip(pool, map(float, numbers), strict=True))
    if wrong := [item for item, size in sizes.items() if not 0 <= size < math.inf]:
        raise DataError(f"{name}= has {sizes[wrong[0]]:g} for {wrong[0]}; sizes are 0 or more")
    return sizes


def _place(kind: str, control: Control) -> Callable[..., Credited]:
    def make(value: Any, options: Options, prompts: Given) -> Credited:
        credited, others = Credited(kind, lambda: value), options.others
        if others is None:
            raise DataError(
                f"{kind}= needs others=, a list of other {kind}s at which the same is done"
                + (", or how many layers the model has" if kind == "layer" else "")
            )
        if kind == "layer" and isinstance(others, int):
            count = others
            others = []
            run = credited.attempt(control, lambda: neighbours.far(value, count))
            which = " and ".join(map(str, run))
            if 0 < len(run) < count - 1:
                credited.notes.append(
                    f"others={count} says how many layers there are: the change is also made at "
                    f"{len(run)} of the {count - 1} other layers: {which}, a third of the model "
                    "away; others=[...] names as many as you want"
                )
        elif isinstance(others, str) or not len(others):
            raise DataError(f"others= of {kind}= is a list with one or more, got {others!r}")
        credited.add(control, *(x for x in others if not np.array_equal(x, value)))
        return credited

    return make


def leave_out_neighbours(what: Credited, others: Any) -> None:
    """Say that layers next to the claimed one are not tried, of a model that has `others` layers,
    or whose layers reach at least as far as those that are tried. Where the author chose which are
    tried, the claim holds only without them."""
    things = [what.thing(), *(d.make() for d in what.draws)] if what.kind == "layer" else []
    numbers = [x for x in things if isinstance(x, int | np.integer)]
    if len(numbers) < 2 or numbers[0] != things[0] or what.of_nothing:
        return
    layer, *tried = numbers
    last = others - 1 if isinstance(others, int) else max(layer, *tried)
    near = [n for n in (layer - 1, layer + 1) if 0 <= n <= last and n not in tried]
    if near:
        chosen = () if isinstance(others, int) else near
        what.left_out += tuple(f"layer {n}" for n in chosen)
        which, them = f"{plural('layer', len(near))} {listed(map(str, near))}", "them"
        what.notes.append(
            f"{which}, next to layer {layer}, {'were' if near[1:] else 'was'} not tried; as a "
            "neighbour often has much the same effect, a claim about this layer, and not about "
            f"this depth, needs {them if near[1:] else 'it'} in others=[...]"
        )


def _source(value: Any, options: Options, prompts: Given) -> Credited:
    """What is patched in: that of other rows, or of prompts that the author names."""

    def by_row(x: Any) -> ByRow:
        parts = prompts.column(x) if isinstance(x, str) else list(x)
        if len(parts) != len(prompts):
            count = f"a source has length {len(parts)} for {len(prompts)} prompts"
            raise DataError(f"{count}; give one each")
        return ByRow(tuple(parts))

    own = by_row(value).parts
    credited = Credited("source", lambda: ByRow(own), by_row=by_row)
    names = [repr(x) for x in own]
    if options.others is None and (kinds := len({*names})) < FEW:
        credited.notes.append(
            f"there are {kinds} different sources, so an unrelated one may be what the prompt has "
            "itself, which shows nothing; give others="
        )
    other_texts = " ".join(map(str, options.others or ()))
    for name, values in prompts.columns.items() if all(isinstance(x, str) for x in own) else ():
        words = [str(v).strip() for v in values]
        given = np.mean([bool(w) and w in x for x, w in zip(own, words, strict=True)])
        in_others = np.mean([bool(w) and w in other_texts for w in words])
        if name != value and len({*values}) > 1 and given >= SAID > in_others:
            credited.notes.append(
                f"the text that is patched in contains the prompt's own {name}: a patch of "
                "this token alone may do the same; give others= that contain it as well"
            )

    def unrelated(seed: int) -> ByRow:
        if options.others is None:
            return ByRow(tuple(own[k] for k in neighbours.partners(names, seed, "check.unrelated")))
        pool = [x for x in options.others if repr(x) not in set(names)] or options.others
        chosen = [picks.pick(seed, "check.unrelated", i, len(pool)) for i in range(len(own))]
        return ByRow(tuple(pool[k] for k in chosen))

    credited.attempt(UNRELATED, lambda: [unrelated(seed) for seed in range(options.draws or DRAWS)])
    return credited


def _text(value: Any, options: Options, prompts: Given) -> Credited:
    """A prompt or a system text: its words in another order, other texts as long, other
    wordings."""
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"text= is a text, got {type(value).__name__}")
    credited = Credited("text", lambda: value)
    credited.attempt(
        replace(WORDS, drawn=True),
        lambda: [picks.reordered(value, k) for k in range(options.draws or DRAWS)],
    )
    if options.others is None:
        how = "others= (--other-text in a shell), which are cut or repeated to the length of yours"
        credited.missing(LENGTH, f"give other texts with {how}")
    else:
        texts = [options.others] if isinstance(options.others, str) else options.others
        credited.add(LENGTH, *(picks.with_as_many_words(x, value) for x in texts))
    if options.paraphrases is not None:
        credited.add(PARAPHRASE, *options.paraphrases)
    else:
        credited.missing(
            PARAPHRASE, "if the claim is about this wording, give paraphrases=[other wordings]"
        )
    return credited


@dataclass(frozen=True, eq=False)
class Training:
    """A training that can be repeated on other examples or labels."""

    train: Callable[[Any, Any], Any]
    examples: Sequence[Any]
    labels: Sequence[Any]
    other: tuple[Sequence[Any], Sequence[Any]] | None = None


def training(
    train: Callable[[Any, Any], Any],
    examples: Sequence[Any],
    labels: Sequence[Any],
    *,
    other: tuple[Sequence[Any], Sequence[Any]] | None = None,
) -> Training:
    """Describe a training for `assay.check(training=…)`, which repeats it on shuffled labels and on
    as many other examples.

    Args:
        train: (examples, labels) → what the checked function is handed, such as an adapter.
        examples: what it learns from.
        labels: as many.
        other: examples and labels of something else, for the control `other-text`.
    Raises: DataError where examples and labels are not as many, or `other` is no such pair.
    Example:
        >>> import assay
        >>> def train(examples, labels):  # whatever the checked function is handed
        ...     return dict(zip(examples, labels))
        >>> assay.training(train, ["a", "b"], [0, 1]).examples
        ['a', 'b']
    """
    if other is not None and not _is_pair(other):
        raise DataError(
            "other= is a pair of other examples and their labels, as in other=(examples, labels); "
            f"got a {type(other).__name__} of length {len(other)}"
        )
    for x, y in ((examples, labels), *([] if other is None else [other])):
        if len(x) != len(y) or not len(x):
            raise DataError(f"a training has examples: {len(x)}, labels: {len(y)}; give as many")
    return Training(train, examples, labels, other)


def _is_pair(value: Any) -> bool:
    return len(value) == 2 and all(hasattr(x, "__len__") and not isinstance(x, str) for x in value)


def _training(value: Any, options: Options, prompts: Given) -> Credited:
    """A training or an adapter: as much training on shuffled labels, and on something else."""
    if not isinstance(value, Training):
        credited = Credited("training", lambda: value)
        credited.missing(
            WRONG_LABELS, 'give training=assay.training(…), or controls={"shuffled": an adapter}'
        )
        return credited
    t = value
    credited = Credited("training", lambda: t.train(t.examples, t.labels))
    credited.seen = in_examples(t.examples, prompts)
    labels = list(t.labels)

    def shuffled(seed: int) -> Any:
        order = rng.permutation(np.array([seed]), "check.labels", 0, len(labels))[0]
        return t.train(t.examples, [labels[i] for i in order])

    count = min(options.draws or DRAWS, 2)
    credited.draws += [
        Draw(WRONG_LABELS, lambda seed=seed: shuffled(seed))  # type: ignore[misc]
        for seed in range(count)
    ]
    if t.other is None:
        credited.missing(OTHER_TEXT, "give assay.training(…, other=(examples, labels))")
    else:
        x, y = ([part[i % len(part)] for i in range(len(labels))] for part in t.other)
        credited.draws.append(Draw(OTHER_TEXT, lambda: t.train(x, y)))
    return credited


FEW = 3
"""Fewer different sources may leave no unrelated one."""
SAID = 0.9
"""The share of sources that say what a column of the prompts says from which that is noted."""
Kind = Callable[[Any, Options, Given], Credited]
POOLED = ("of", "norms", "rates", "chosen_on")
KINDS: dict[str, tuple[Kind, tuple[str, ...]]] = {
    "vector": (_vector, ("around",)),
    "heads": (_set("heads", HEADS, blocks=True), POOLED),
    "neurons": (_set("neurons", NEURONS, blocks=True), POOLED),
    "latents": (_set("latents", LATENTS, blocks=False), POOLED),
    "edges": (_set("edges", replace(EDGE, drawn=True), blocks=False), POOLED),
    "layer": (_place("layer", replace(ELSEWHERE, name="other layer")), ("others",)),
    "site": (_place("site", replace(SITE, name="other site")), ("others",)),
    "position": (_place("position", TOKEN), ("others",)),
    "source": (_source, ("others",)),
    "text": (_text, ("others", "paraphrases")),
    "training": (_training, ()),
    "feature": (_single("feature", FEATURE), POOLED),
}
"""By keyword: what makes the controls, and the options that it reads."""
PARTS = ("heads", "neurons", "latents", "edges", "feature")
"""Kinds that are parts of a pool."""
BREAKS = (*PARTS, "layer", "site", "position", "training")
"""Kinds of changes that may do as much to any other task of a model."""


def refuse_unknown(unknown: Sequence[str]) -> None:
    """Refuse arguments that check does not have, and say of which function they are. Raises:
    ClaimError."""
    for name in unknown:
        owners = (f for f in (direction, training) if name in inspect.signature(f).parameters)
        if owner := next(owners, None):
            where = "vector=" if owner is direction else "training="
            raise ClaimError(
                f"check has no argument {name}=; it belongs to {owner.__name__}: "
                f"{where}assay.{owner.__name__}(…, {name}=…)"
            )
        options = ("prompts", "holds", *KINDS, *vars(Options()))
        raise ClaimError(f"check has no argument {name}=; {nearest(name, options)}")


def credited(things: Mapping[str, Any], options: Options, prompts: Given) -> Credited:
    """Make the controls of the one thing that a claim credits. Raises: DataError where nothing or
    several are named, and for an option that its kind does not read."""
    named = [k for k, v in things.items() if v is not None]
    if len(named) != 1:
        got = " and ".join(f"{k}=" for k in named) or "none of them"
        raise DataError(
            f"name what the claim is about: one of {', '.join(f'{k}=' for k in KINDS)} (in a "
            f"shell, one of --vector, --heads and so on); got {got}"
        )
    make, valid = KINDS[named[0]]
    if extra := [o for o in options.given() if o not in valid]:
        reads = f"it reads {', '.join(f'{k}=' for k in valid)}" if valid else "it reads none"
        raise DataError(f"{named[0]}= has no option {extra[0]}=; {reads}")
    what = make(things[named[0]], options, prompts)
    if options.chosen_on is not None:
        what.choice, what.chosen = 0, chosen_on(named[0], options.chosen_on, prompts)
    return what
