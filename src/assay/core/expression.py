"""The language of conditions: arithmetic over names, parsed and walked, never evaluated. `Reader`
is what claims on tables, claims of studies and rules of explanations (circuits/rules.py) share;
each says what its names stand for. Below it the claims of `assay judge --claim '…'`:

    gated.fvu - relu.fvu < -0.02            one term, then its mean over units
    0.98 < gamma < 1.02                     a bare column belongs to the arm under judgement
    mean(gated.err)/mean(gated.var) < 0.2   mean(…) marks a term; the arithmetic around it is the
                                            statistic: a ratio of sums
    "no-aux".loss < relu["dead share"]      names that are no Python names are quoted
    main.slope[kind=rare] < -0.9            one level of a dimension;
    auroc[task=gender, probe=lr] > 0.5      of several
    max(main.right, over=layer[4:14])       of the levels from 4 to 13
    mean(main.slope, over=kind) < -0.9      the mean over the levels of a dimension, unit by unit;
                                            of several: over=(kind, probe); so are sum, max,
                                            min, median, and argmax and argmin, the level of the
                                            largest and of the smallest
    max(a.x - b.x, over=layer) > 1          of arithmetic as well
    count(main.x > .4, over=(layer, head))  at how many levels it is so; share: at which share
    first(main.place <= 10, over=layer) < 12 the first level at which it is so; so is last
    share(main.loss > 3) < 0.1              in which share of units it is so
    median(main.x) > 2                      the median over units; std is their standard deviation
    corr(main.x, main.y) > 0.3              over units; auroc(main.score, main.label) as well
    f1(main.x > 0, main.label) > 0.8        of a guess, over units; precision and recall as well
    corr(a.x, b.x, over=head) > 0.9         over levels, of the means over units; spearman as well
    max(mean(a.x), over=layer) > 1          the largest mean over units, where above it is the
                                            maximum of each unit; so are min, median, argmax,
                                            first(mean(a.x) > .9, over=layer), count and share
    a.x[layer=argmax(b.y)] > 1              at the level at which another mean is largest, or,
                                            with argmin, smallest
    first(a.x > 1 and b.y < 2, over=layer)  where both are so; likewise in count, share and last

Numbers, + - * /, log, log2, exp, sqrt, abs and these; nothing else. Nothing is averaged that the
text does not name: a dimension that is neither a unit nor named is refused with its levels."""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from keyword import iskeyword
from typing import Any, ClassVar, TypeGuard

import numpy as np

from assay.core import across, syntax
from assay.core.bands import AT, MIDDLE, OfMeans, OverLevels
from assay.core.columns import BEYOND, LOCATING, Column, Level, over_levels, refuse_other_levels
from assay.core.errors import AssayError, ClaimError, nearest
from assay.core.heavy import xr
from assay.core.stats import Compared, Statistic, mean

Walk = Callable[[Any], Any]
"""What computes a node of the text from the values of names."""

SIGNS_TYPED = {
    **{"−": "-", "–": "-", "≤": "<=", "≥": ">=", "×": "*", "·": "*", "÷": "/"},
    **{"=<": "<=", "=>": ">="},
}
"""Signs that are not read, as texts and our own pages have them, and those that are."""
_WITH_UNIT = re.compile(r"[<>]=? *(-?[\d.]+) *(%|[A-Za-z]+)$")
"""A threshold with a unit behind it."""
_ENDS = re.compile(r"^[-+\d.e]+ *[<>]=? *| *[<>]=? *[-+\d.e]+$")
"""The comparisons with a number at the ends of a condition."""
_LONE = re.compile(  # quoted, brackets, = alone, which a decimal with a last 0 may follow
    r"\"[^\"]*\"|'[^']*'|[\[\]()]|(?<![<>=!])=(?!=)(?:\s*(\d+\.\d*0)(?=\s*[\],]))?"
)


class Reader:
    """A text that is read node by node. A language is a subclass: its signs and functions, and in
    `name` what else a node may mean."""

    SIGNS: ClassVar[Mapping[type, Callable]] = {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
    }
    FUNCTIONS: ClassVar[Mapping[str, tuple[int, Callable]]] = {}
    """How many values each takes, and what it gives."""
    ALLOWED: ClassVar[str]
    """What there is, in words."""
    EXAMPLE: ClassVar[str]
    """The error message for a text that is no expression."""
    LONGEST: ClassVar[int] = 4000
    """Characters a text may have."""
    DEEPEST: ClassVar[int] = 250
    """So deep it may nest: each level is a call when it is computed."""
    ERROR: ClassVar[type[AssayError]] = ClaimError

    def __init__(self, text: str, kind: str = "") -> None:
        self.text, self.kind = " ".join(text.split()), kind

    def tree(self) -> ast.expr:
        """The text as a tree."""
        if len(self.text) > self.LONGEST:
            raise self.no(
                f"it has {len(self.text):,} characters; at most {self.LONGEST:,} are read"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = syntax.expression(_parsable(self.text))
                if isinstance(tree, ast.Tuple):
                    raise SyntaxError("a comma outside of brackets")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
            words = [w for w in re.findall(r"(?<![\w\"'])[a-z]+(?=\.)", self.text) if iskeyword(w)]
            hint = f'a name such as "{words[0]}" is quoted: "{words[0]}".x' if words else ""
            typed = [sign for sign in SIGNS_TYPED if sign in self.text]
            if typed and not hint:
                hint = " and ".join(f"{SIGNS_TYPED[sign]} is written for {sign}" for sign in typed)
            if comma := re.search(r"-?\b\d+,\d+", self.text):
                point = comma[0].replace(",", ".")
                hint = f"{comma[0]!r} is not a number; write a decimal point: {point}"
            if unit := _WITH_UNIT.search(self.text):
                hint = f"a threshold is a number without a unit; leave out {unit[2]!r}"
                if unit[2] == "%":
                    hint = f"a percentage is written as a share; write {float(unit[1]) / 100:g}"
            raise self.no(hint or self.EXAMPLE) from e
        nodes: list[ast.AST] = [tree]
        for _ in range(self.DEEPEST):
            nodes = [inner for node in nodes for inner in ast.iter_child_nodes(node)]
        if nodes:
            raise self.deep()
        return tree

    def walk(self, node: ast.expr, inside: bool = False) -> Walk:
        """A function that computes this node; `inside` some part of the text where the language
        reads names in another way."""
        if (number := _number(node)) is not None:
            if not math.isfinite(number):
                raise self.no("a number is too large")
            return self.number(number)
        if (walk := self.name(node, inside)) is not None:
            return walk
        match node:
            case ast.BinOp() if type(node.op) in self.SIGNS:
                apply = self.SIGNS[type(node.op)]
                before, after = self.walk(node.left, inside), self.walk(node.right, inside)
                return lambda names: apply(before(names), after(names))
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                inner = self.walk(node.operand, inside)
                return (lambda names: -inner(names)) if isinstance(node.op, ast.USub) else inner
            case ast.Call():
                return self.call(node, inside)
        raise self.no(f"{_describe_node(node)} is not allowed; there are {self.ALLOWED}")

    def number(self, number: float) -> Walk:
        """What computes a number."""
        return lambda names: number

    def name(self, node: ast.expr, inside: bool) -> Walk | None:
        """What computes a node that only this language has; None for all others."""
        raise NotImplementedError

    def call(self, node: ast.Call, inside: bool, more: Sequence[str] = ()) -> Walk:
        """What computes a function of values; `more` are the language's other functions."""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in self.FUNCTIONS:
            suggestion = nearest(name, (*self.FUNCTIONS, *more))
            raise self.no(f"{_describe_node(node.func)}(…) is not allowed; {suggestion}")
        count, apply = self.FUNCTIONS[name]
        values = [self.walk(x, inside) for x in self.values(node, count, count)]
        return lambda names: apply(*(value(names) for value in values))

    def values(self, node: ast.Call, least: int, most: int) -> list[ast.expr]:
        """The values that a function is given, where they are so many."""
        starred = any(isinstance(x, ast.Starred) for x in node.args)
        if not least <= len(node.args) <= most or node.keywords or starred:
            count = f"{least if least == most else f'{least} or {most}'} values"
            many = f"{count}, got {len(node.args)}" if most > 1 else "one expression"
            raise self.no(f"{_describe_node(node.func)}(…) takes {many}")
        return node.args

    def no(self, why: str) -> AssayError:
        """The error that says in one line why the text cannot be read."""
        excerpt = self.text if len(self.text) <= 80 else self.text[:77] + "…"
        return self._refused(excerpt, why)

    def deep(self) -> AssayError:
        """The error for a text that nests deeper than can be walked."""
        return self._refused(f"{self.text[:60]}…", "it nests too deep")

    def _refused(self, excerpt: str, why: str) -> AssayError:
        kind = f"the {self.kind} " if self.kind else ""
        return self.ERROR(f"cannot read {kind}'{excerpt}': {why}")


@dataclass(frozen=True)
class Together:
    """Arithmetic of which something is taken over the levels of dimensions."""

    text: str
    over: tuple[str, ...]
    columns: tuple[Column, ...]
    """Those in it."""
    how: str
    walk: Walk
    inner: Walk
    """What computes the arithmetic itself."""
    of_means: bool = False
    """Whether it is taken of means over units, and not of each unit."""
    is_ratio: bool = False
    """Whether a measure is divided by another one, unit by unit."""


@dataclass(frozen=True)
class Parsed:
    """A comparison, taken apart: what is computed, the range it must lie in, and the names it
    uses."""

    text: str
    low: float
    high: float
    terms: Mapping[str, Walk]
    """What is computed per unit, by the name the statistic knows it by."""
    statistic: Statistic
    columns: tuple[Column, ...]
    """In the order of the text, each once."""
    plain: bool = False
    """Whether what is compared is a single column, without any arithmetic."""
    share: bool = False
    """Whether it is the share of units in which a comparison is so."""
    together: tuple[Together, ...] = ()
    """What is taken over levels of arithmetic."""
    walk: Walk = field(default=lambda names: math.nan, compare=False)
    """What computes it of one number for each column, be these numbers of one unit or means."""
    meant: tuple[str, ...] = field(default=(), compare=False)
    """What was read otherwise than it was typed, in words."""
    is_rate: bool = False
    """Whether it is a precision, a recall or an F1 by itself."""

    @property
    def kind(self) -> str:
        """claim, or estimate where nothing is compared."""
        return "claim" if math.isfinite(self.low) or math.isfinite(self.high) else "estimate"

    @property
    def quantity(self) -> str:
        """What is compared, as its author writes it."""
        return _ENDS.sub("", self.text)

    @cached_property
    def arms(self) -> tuple[str, ...]:
        """The arms named, in order, each once."""
        return tuple(dict.fromkeys(c.arm for c in self.columns if c.arm is not None))


def parse(text: str, *, compared: bool = True, sized: bool = True) -> Parsed:
    """The claim that a text like "gated.fvu - relu.fvu < -0.02" makes; not `compared`, the quantity
    of an estimate, "gated.fvu - relu.fvu", whose range is everything; not `sized`, a condition of
    each unit, in which two columns may be compared without a number.

    A strict sign is kept: with < the threshold itself does not hold.
    Raises: ClaimError when it is no comparison with a number, or of an estimate is one, or uses
    anything beyond the language.
    """
    if not isinstance(text, str):
        raise ClaimError(f"a condition is a text such as 'effect > 0.3', got {text!r}")
    reader = _Claim(text, "claim" if compared else "estimate", sized)
    try:
        return reader.parsed()
    except RecursionError as e:
        raise reader.deep() from e


def is_linear(
    walk: Callable[[Callable[[Column], float]], float], columns: Sequence[Column]
) -> bool:
    """Whether a quantity is a sum of multiples of its columns, by trying."""

    def value_at(*numbers: float) -> float:
        return float(walk(dict(zip(columns, numbers, strict=True)).__getitem__))

    start = np.linspace(1.0, 2.0, len(columns))
    with np.errstate(all="ignore"):
        base = value_at(*start)
        slopes = [value_at(*(start + step)) - base for step in np.eye(len(columns))]
        far = [value_at(*(start + by)) - base - by * sum(slopes) for by in (3.0, -9.0)]
        twice = [value_at(*(start + 2 * step)) - base for step in np.eye(len(columns))]
    return bool(np.allclose(far, 0, atol=1e-9) and np.allclose(twice, 2 * np.array(slopes)))


HOW = ("sum", "max", "min", "median", "argmax", "argmin", "first", "last", "count")
"""Functions over the levels of a dimension, besides the mean."""
PAIRED = ("corr", "spearman")
"""Functions of two measures, over units or over the levels of a dimension."""
OF_UNITS = (*PAIRED, "auroc", "std")
"""Functions that may be of all units, as one number."""
_FOUND = ("first", "last", "count", "share")
"""Functions of a comparison."""
_EXAMPLES = {
    "mean": "mean(main.slope, over=kind)",
    "sum": "sum(main.slope, over=kind)",
    "max": "max(main.slope, over=kind)",
    "min": "min(main.slope, over=kind)",
    "median": "median(main.slope, over=kind)",
    "argmax": "argmax(main.effect, over=layer)",
    "argmin": "argmin(main.loss, over=layer)",
    "count": "count(main.slope > 0.4, over=kind)",
    "first": "first(main.place <= 10, over=layer)",
    "last": "last(main.place > 10, over=layer)",
    "share": "share(main.loss > 3)",
}


def _how(node: ast.AST) -> str:
    """The name of a function that is called; "" of anything else."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


class _Claim(Reader):
    """A comparison of columns. `inside` the statistic, only mean(…) may name them."""

    FUNCTIONS: ClassVar[Mapping[str, tuple[int, Callable]]] = {
        "log": (1, np.log),
        "log2": (1, np.log2),
        "exp": (1, np.exp),
        "sqrt": (1, np.sqrt),
        "abs": (1, np.abs),
        "corr": (2, across.corr),
        "auroc": (2, across.auroc),
        "spearman": (2, across.spearman),
        "std": (1, across.std),
    }
    MORE: ClassVar[tuple[str, ...]] = ("mean", "share", *HOW, *across.RATES)
    ALLOWED: ClassVar[str] = f"numbers, arm.column, + - * /, {', '.join((*MORE, *FUNCTIONS))}"
    EXAMPLE: ClassVar[str] = (
        "it is not arithmetic; quote names with other signs, and the words not, and, or, in, is: "
        '"no-aux".fvu, relu["dead share"]; levels too, as in fvu[kind="top-k"]'
    )

    def __init__(self, text: str, kind: str, sized: bool) -> None:
        super().__init__(text, kind)
        self.sized = sized
        self.columns: list[Column] = []
        self.terms: dict[str, Walk] = {}
        self.together: list[Together] = []
        # statistics over the levels of means, and the terms whose means are used by themselves
        self.over_levels: list[OverLevels] = []
        self.plain: list[str] = []
        # what is added up, whose mean is that of its parts; and how the text was read, in words
        self.summands: set[int] = set()
        self.meant: list[str] = []
        # the dimensions over which something is taken of what is being read, and parts of these
        self.kept: tuple[str, ...] = ()
        self.divisors: list[Walk] = []
        self.ranges: tuple[tuple[str, float, float], ...] = ()

    def parsed(self) -> Parsed:
        """The whole claim, or the whole quantity."""
        if not self.text:
            example = {
                "claim": "a comparison such as 'gated.fvu - relu.fvu < -0.02'",
                "estimate": "a quantity such as 'gated.fvu - relu.fvu'",
            }[self.kind]
            raise ClaimError(f"the {self.kind} is empty; write {example}")
        low, high, body = _range(self, self.tree())
        self.summands = set(map(id, _summands(body)))
        _refuse_bent(self, body)
        # a function of one number of all units is not the mean of that function over units
        bends = any(_is_of_units(n) and id(n) not in self.summands for n in ast.walk(body))
        if bends or any(map(_marks, ast.walk(body))) or _has_shares(body):
            outer = self.walk(body, inside=True)
            statistic, walk = _of_terms(self, outer)
        else:
            walk = self.terms["value"] = self.walk(body)
            statistic = _of_units(body)
        if not self.columns:
            raise self.no("it names no column, such as gated.fvu")
        return Parsed(
            self.text,
            low,
            high,
            self.terms,
            statistic,
            tuple(dict.fromkeys(self.columns)),
            self._named(body) is not None,
            isinstance(body, ast.Call) and _how(body) == "share" and not body.keywords,
            tuple(self.together),
            walk,
            (*self.meant, *dict.fromkeys(_computed(body, statistic is not mean))),
            _how(_unmarked(body)) in across.RATES,
        )

    def name(self, node: ast.expr, inside: bool) -> Walk | None:
        if isinstance(node, ast.Subscript) and _choosers(node.slice):
            return _at(self, node, inside)
        if isinstance(node, _Both):
            walks = [self.walk(margin, inside) for margin in node.margins]
            return lambda names: reduce(np.minimum, (walk(names) for walk in walks))
        if inside and isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            return _divided(self, node)
        column = self._named(node)
        if column is None:
            return None
        if inside and id(node) in self.summands:
            self.meant.append(f"{_unparsed(node)} is taken as mean({_unparsed(node)})")
            return self._mean(node)
        if inside:
            raise self.no(
                f"{_describe_node(node)} is outside mean(…); if one column is inside "
                "mean(…), every column has to be"
            )
        return _of_column(self, column, node)

    def call(self, node: ast.Call, inside: bool, more: Sequence[str] = MORE) -> Walk:
        if node.keywords and _how(node) in ("mean", "share", *PAIRED, *HOW):
            return self._together(node, inside)
        if _how(node) == "share":
            if any(map(_is_of_units, ast.walk(node))):
                raise self.no(f"{_describe_node(node)} is of one number of all units, not of each")
            if inside and (id(node) in self.summands or self.kept):
                return self._mean(node)
            return _share(self, self.values(node, 1, 1)[0], inside, _EXAMPLES["share"])
        if inside and _how(node) == "median" and not node.keywords:
            return _median(self, node)
        if _how(node) == "std" and node.keywords:
            raise self.no(
                f"{_describe_node(node)}: std(x) is the spread over units; leave out over=…"
            )
        if _how(node) in HOW:
            raise self.no(_without_over(node))
        if _how(rate := _unmarked(node)) in across.RATES and isinstance(rate, ast.Call):
            return _rate(self, rate, inside)
        if inside and _how(node) in OF_UNITS:  # one number of all units, as a mean is
            return self._mean(node)
        if _how(node) in (*PAIRED, "auroc") and (over := self.kept):
            apply = self.FUNCTIONS[_how(node)][1]
            first, second = (self.walk(x, inside) for x in self.values(node, 2, 2))
            return lambda names: apply(first(names), second(names), over)
        if not _is_mean(node):
            return super().call(node, inside, more)
        (inner,) = self.values(node, 1, 1)
        if not inside:
            raise self.no("mean(…) cannot stand inside another mean(…)")
        return self._mean(inner)

    def _mean(self, inner: ast.expr) -> Walk:
        """The mean over units of what is written inside, as a term of the statistic."""
        first_column = len(self.columns)
        walk = self.walk(inner)
        if len(self.columns) == first_column:
            raise self.no(f"mean({_describe_node(inner)}) names no column")
        return self._term(_unparsed(inner), walk)  # whole: two long ones may start alike

    def _term(self, term: str, walk: Walk) -> Walk:
        """A term of the statistic, which is computed of each unit."""
        if over := self.kept:
            term = f"{term} over {', '.join(map(str, (*over, *self.ranges)))}"
            self.terms[term] = lambda names: _with_axes(walk(names), over)
        else:
            self.plain.append(term)
            self.terms[term] = walk
        return lambda names: names(Column(None, term))

    def _together(self, node: ast.Call, inside: bool) -> Walk:
        """Something that is taken of arithmetic over the levels of dimensions, unit by unit."""
        how, over, beyond = _how(node), _dims(self, node), None
        count = 2 if how in PAIRED else 1
        if self.kept or len(node.args) != count:
            one = (
                "within another over=… is of a single measure, as in min(main.x, over=kind): "
                "give a difference or the like a measure of its own"
                if self.kept
                else f"takes {count}"
            )
            raise self.no(f"{_describe_node(node)}: {how}(…, over=…) {one}")
        if how == "corr" and inside:
            raise self.no("corr(…, over=…) is of the means over units: write it without mean(…)")
        bodies = [*node.args]
        if how in _FOUND:
            bodies[0], beyond = _compared(self, bodies[0], _EXAMPLES[how])
        if how == "argmin":
            how, bodies = "argmax", [_negated(bodies[0])]
        _refuse_of_units(self, how, bodies)
        if how == "spearman":
            bodies = [*map(_mean_of, bodies)]
        if inside:
            return self._of_means(node, how, over, beyond, bodies)
        walks, columns = _at_all_levels(self, node, over, bodies, inside)
        text = _unparsed(node)
        ratio = any(map(_is_ratio, bodies))

        def number(names: Any) -> Any:
            values = [names(c) for c in columns]
            if not all(hasattr(x, "dims") for x in values):  # tried on numbers
                return _of_number(how, beyond, [walk(names) for walk in walks])
            axes = [{str(d): x[d].values.tolist() for d in x.dims} for x in values]
            refuse_other_levels(text, over, axes)
            if how == "corr":
                return across.corr_over(walks[0](names), walks[1](names), over)
            return over_levels(walks[0](names), how, over, beyond, text)

        whole = Together(text, over, columns, how, number, walks[0], is_ratio=ratio)
        self.together.append(whole)
        return number

    def _of_means(
        self,
        node: ast.expr,
        how: str,
        over: tuple[str, ...],
        beyond: tuple[str, float] | None,
        bodies: Sequence[ast.expr],
    ) -> Walk:
        """Something that is taken of means over units, which the statistic does."""
        walks, read = _at_all_levels(self, node, over, bodies, inside=True)
        text = _unparsed(node)
        levels = f"levels of {text}" if how in LOCATING else ""
        if levels:
            self.terms[levels] = lambda names: _level_numbers([names(c) for c in read], over, text)
        self.over_levels.append(OverLevels(text, how, over, tuple(walks), beyond, levels))

        def number(names: Any) -> Any:
            values = [walk(lambda c: self.terms[c.name](names)) for walk in walks]
            return _of_number(how, beyond, values)

        self.together.append(Together(text, over, read, how, number, walks[-1], of_means=True))
        return lambda names: names(Column(None, text))

    def _named(self, node: ast.expr) -> Column | None:
        """The column that a node names, with its levels and what it is averaged over; else None."""
        how = _how(node)
        if isinstance(node, ast.Call) and how in ("mean", *HOW) and node.keywords:
            body, beyond = node.args[0] if len(node.args) == 1 else node, None
            if how in ("first", "last"):
                body, beyond = _compared(self, body, _EXAMPLES[how])
            inner = (
                self._named(body) if body is not node and how not in ("count", "argmin") else None
            )
            if inner is None or inner.over or inner.how == "each":
                return None
            over = _dims(self, node)
            return _once(
                self,
                replace(inner, over=over, how=how, beyond=beyond, ranges=_ranges(self, node)),
                len(inner.levels) + len(over),
            )
        if isinstance(node, ast.Subscript) and (pairs := _pairs(node.slice)):
            inner = self._named(node.value)
            if inner is None or inner.levels or inner.over:
                raise self.no(
                    f"{_describe_node(node)} is not allowed; levels stand behind a column, as in "
                    "main.slope[kind=rare]"
                )
            levels = tuple(
                (dim, level) for dim, level in pairs if isinstance(dim, str) and level is not None
            )
            return _once(self, replace(inner, levels=levels), len(pairs))
        parts = _column(node)
        return None if parts is None else Column(*parts)


def _at_all_levels(
    reader: _Claim, node: ast.expr, over: tuple[str, ...], bodies: Sequence[ast.expr], inside: bool
) -> tuple[list[Walk], tuple[Column, ...]]:
    """What computes some expressions at all levels of dimensions, and the columns in them."""
    first_column, reader.kept, reader.ranges = len(reader.columns), over, _ranges(reader, node)
    walks = [reader.walk(body, inside) for body in bodies]
    reader.kept = reader.ranges = ()
    columns = tuple(c for c in reader.columns[first_column:] if c.how == "each")
    if not columns:
        raise reader.no(f"{_describe_node(node)} names no column whose levels it could be over")
    return walks, columns


def _divided(reader: _Claim, node: ast.BinOp) -> Walk:
    """Means over units that are divided by a number, or by others, which are noted."""
    before, after = reader.walk(node.left, True), reader.walk(node.right, True)
    if _has_column(node.right):
        reader.divisors.append(after)
    return lambda names: before(names) / after(names)


def _of_column(reader: _Claim, column: Column, node: ast.expr) -> Walk:
    """What computes a column, with all levels of the dimensions over which something is taken of
    it."""
    over = tuple(dim for dim in reader.kept if dim not in column.named)
    if not over:
        reader.columns.append(column)
        return lambda names: names(column)
    ranges = (*(part for part in reader.ranges if part[0] in over), *column.ranges)
    every = (*over, *column.over)
    read = replace(column, over=every, how="each", beyond=None, ranges=ranges)
    reader.columns.append(read)
    return _taken(read, column, _unparsed(node)) if column.over else lambda names: names(read)


def _taken(column_over_levels: Column, column: Column, text: str) -> Walk:
    """What is taken over some of the levels of a column that keeps all of them."""

    def taken(names: Any) -> Any:
        x = names(column_over_levels)
        if not hasattr(x, "dims"):  # tried on numbers
            return _of_number(column.how, column.beyond, [x])
        return over_levels(x, column.how, column.over, column.beyond, text)

    return taken


def _refuse_of_units(reader: Reader, how: str, bodies: Sequence[ast.expr]) -> None:
    """Refuse what is taken for each unit of a number that all units have together."""
    calls = [n for body in bodies for n in ast.walk(body) if isinstance(n, ast.Call)]
    # the mean of what units give of it is the number of all units
    averaged = {id(inner) for n in calls if _marks(n) for inner in n.args}
    for n in calls:
        if _how(n) in OF_UNITS and id(n) not in averaged:
            raise reader.no(
                f"{_describe_node(n)} is one number of all units, of which a unit has no {how}; "
                f"write mean({_describe_node(n)}), which is this number at each level"
            )


def _refuse_bent(reader: _Claim, body: ast.expr) -> None:
    """Refuse what is computed of a correlation over levels, which no unit has by itself."""
    alone = reader.summands | {id(_unmarked(n)) for n in _summands(body)}
    for n in ast.walk(body):
        if _how(n) == "corr" and isinstance(n, ast.Call) and n.keywords and id(n) not in alone:
            text = _unparsed(n)
            raise reader.no(
                f"{text} is one number of the means over units, and only + and -, and numbers to "
                f"multiply and to divide by, are around it: that it is far from 0 is {text} > 0.5, "
                f"or < -0.5, and that it is near is -0.2 < {text} < 0.2"
            )


def _of_terms(reader: _Claim, outer: Walk) -> tuple[Statistic, Walk]:
    """The statistic of the means that a text marks, and what computes it of numbers."""
    walks = {**reader.terms, **{t.text: t.walk for t in reader.together if t.of_means}}

    def walk(names: Any) -> Any:
        return outer(lambda c: walks[c.name](names))

    if not reader.over_levels:
        statistic, *divisors = map(_of_means, (outer, *reader.divisors))
        return (Compared(statistic, divisors=tuple(divisors)) if divisors else statistic), walk
    named = dict.fromkeys([*(part.text for part in reader.over_levels), *reader.plain])
    if not is_linear(outer, [Column(None, name) for name in named]):
        raise reader.no(
            "around what is taken over the levels of means there are + and -, and "
            "numbers to multiply and to divide by"
        )
    plain = tuple(dict.fromkeys(reader.plain))
    return OfMeans(lambda m: outer(lambda c: m(c.name)), plain, tuple(reader.over_levels)), walk


def _of_means(part: Walk) -> Statistic:
    return lambda m: part(lambda c: m[c.name])


def _of_units(body: ast.expr) -> Statistic:
    """The statistic of what units give: their mean, which may be a number that has two ends."""
    ends = across.ENDS.get(_how(body)) if _is_of_units(body) else None
    return across.OfAll(ends) if ends else mean


def _median(reader: _Claim, node: ast.Call) -> Walk:
    """The median over units of what is written inside."""
    (inner,) = reader.values(node, 1, 1)
    first_column, text = len(reader.columns), _unparsed(node)
    if reader.kept:
        raise reader.no(f"{text} is of all units, and nothing is taken of it over levels")
    reader.terms[text] = reader.walk(inner)
    if len(reader.columns) == first_column:
        raise reader.no(f"{_describe_node(node)} names no column")
    reader.over_levels.append(OverLevels(text, MIDDLE, (), (lambda names: names(term),)))
    term = Column(None, text)
    return lambda names: names(term)


def _rate(reader: _Claim, node: ast.Call, inside: bool) -> Walk:
    """A precision, a recall or an F1 of a comparison as a guess of a label."""
    if not inside:
        raise reader.no(f"{_describe_node(node)} is one number of all units, and no unit has one")
    text, rate = _unparsed(node), across.RATES[_how(node)]
    guess, label = reader.values(node, 2, 2)
    guessed = _share(reader, guess, False, f"{_how(node)}(main.act > 0, main.label)")
    labelled, kinds = reader.walk(label), ("guessed and labelled", "guessed", "labelled")

    def count(i: int) -> Walk:
        return lambda names: across.counted(guessed(names), labelled(names))[i]

    shares = [reader._term(f"{kind} in {text}", count(i)) for i, kind in enumerate(kinds)]

    def number(names: Any) -> Any:
        with np.errstate(all="ignore"):  # where nothing is guessed there is no precision
            return rate(*(share(names) for share in shares))

    return number


def _at(reader: _Claim, node: ast.Subscript, inside: bool) -> Walk:
    """A curve at the level at which another one is largest, both of means over units."""
    chosen, *more = _choosers(node.slice)
    dim, chooser = _level(chosen.left), chosen.comparators[0]
    assert isinstance(chooser, ast.Call)
    other = chooser.keywords and _dims(reader, chooser) != (dim,)
    if more or other or reader.kept or not inside or not isinstance(dim, str):
        raise reader.no(
            f"{_describe_node(node)} is of the means over units, at the level at which one of "
            "them is largest or smallest: write it by itself, as in "
            "main.right[layer=argmax(main.effect)] or "
            "share(main.right > 0.5)[layer=argmax(main.effect)]"
        )
    other_parts = [x for x in _parts(node.slice) if x is not chosen]
    curve = ast.Subscript(node.value, ast.Tuple(other_parts)) if other_parts else node.value
    chooser = ast.Call(chooser.func, args=chooser.args, keywords=[])
    rival = _mean_of(reader.values(chooser, 1, 1)[0])
    bodies = [_mean_of(curve), _negated(rival) if _how(chooser) == "argmin" else rival]
    return reader._of_means(node, AT, (dim,), None, bodies)


def _share(reader: Reader, node: ast.expr, inside: bool, example: str) -> Walk:
    """1 of each unit in which a comparison is so, else 0."""
    body, (sign, edge) = _compared(reader, node, example)
    walk = reader.walk(body, inside)

    def number(names: Any) -> Any:
        x = walk(names)
        so = BEYOND[sign](x, edge)
        return so.where(x.notnull()) if hasattr(x, "notnull") else np.where(so, 1.0, 0.0)

    return number


def _comparison(text: str) -> str:
    """An example of a comparison, of arms where a text names arms, which a check has none of."""
    if re.search(r"[\w\"']\.[A-Za-z_]", text):
        return "'gated.fvu - relu.fvu < -0.02' or '0.98 < main.gamma < 1.02'"
    name = re.search(r"[A-Za-z_]\w*", text)
    return f"'{name[0] if name else 'effect'} > 0.3'"


def _range(reader: Reader, tree: ast.expr) -> tuple[float, float, ast.expr]:
    """The range that a comparison asks for, and what it compares; everything of an estimate."""
    example = f"write a comparison with a number, such as {_comparison(reader.text)}"
    if reader.kind == "estimate":
        if isinstance(tree, ast.Compare):
            raise reader.no("an estimate has no threshold; leave it out, or make it a claim")
        return -math.inf, math.inf, tree
    if isinstance(tree, ast.BoolOp):
        raise reader.no(
            "a claim is one comparison; make two claims of it, or say in which share of the units "
            "both are so, as in share(main.right > 0 and main.known > 0.5) > 0.8"
        )
    if not isinstance(tree, ast.Compare):
        raise reader.no(
            "it compares nothing; write a comparison with a number, such as "
            f"'{reader.text[:60]} > 0.3'"
        )
    parts, ops = [tree.left, *tree.comparators], [type(op) for op in tree.ops]
    if ops == [ast.NotEq] and {*LOCATING} & set(map(_how, ast.walk(tree))):
        raise reader.no(
            "levels that differ are apart by 1 or more: say which one is expected to be later, as "
            f"in {_spelled(reader.text, parts[0])} - {_spelled(reader.text, parts[1])} >= 1"
        )
    if {ast.Eq, ast.NotEq} & {*ops}:
        raise reader.no(f"only <, <=, > and >= compare, as measured numbers vary; {example}")
    if not set(ops) <= {*WRITTEN}:
        raise reader.no(f"a claim needs <, <=, > or >=, such as {_comparison(reader.text)}")
    if set(ops) <= {ast.Gt, ast.GtE}:  # read from the other end, so that numbers ascend
        parts, ops = parts[::-1], [ast.Lt if op is ast.Gt else ast.LtE for op in ops[::-1]]
    if not set(ops) <= {ast.Lt, ast.LtE}:
        raise reader.no("both signs must point the same way, as in 0.98 < main.gamma < 1.02")
    numbers = [_number(p) for p in parts]
    text = _difference(reader.text, tree) if numbers == [None, None] else ""
    if text and isinstance(reader, _Claim):
        reader.meant.append(f"{reader.text} is judged as {text}")
        sides = [_unmarked(part) for part in parts]
        if reader.sized and all(isinstance(x, ast.expr) and reader._named(x) for x in sides):
            less = "-" if isinstance(tree.ops[0], ast.Lt | ast.LtE) else ""
            raise reader.no(
                "it has no threshold; write the smallest difference that matters, as in "
                f"{text.removesuffix('0')}{less}0.1"
            )
        reader.text = text
        return _range(reader, reader.tree())
    match numbers:
        case [None, float(high)]:
            return -math.inf, _edge(reader, high, ops[0], -math.inf), parts[0]
        case [float(low), None]:
            return _edge(reader, low, ops[0], math.inf), math.inf, parts[1]
        case [float(low), None, float(high)]:
            ends = _edge(reader, low, ops[0], math.inf), _edge(reader, high, ops[1], -math.inf)
            if not ends[0] <= ends[1]:
                raise reader.no(
                    f"no number is between {low:g} and {high:g}; put the smaller number first"
                )
            return *ends, parts[1]
    raise reader.no(f"one side must be a number; {example}")


FLIPPED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
"""Each sign as it is from the other side."""
WRITTEN: Mapping[type[ast.cmpop], str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
"""The signs that compare, as they are written."""


def _edge(reader: Reader, number: float, op: type[ast.cmpop], inward: float) -> float:
    if not math.isfinite(number):
        raise reader.no("the threshold must be a finite number")
    return number if op is ast.LtE else math.nextafter(number, inward)


def _difference(text: str, tree: ast.Compare) -> str:
    """How two quantities are compared: their difference with a number; "" of anything else."""
    sides = [tree.left, *tree.comparators]
    # A lone word may be a number that was never written down, as in `< wide`.
    if len(sides) > 2 or not all(map(_has_column, sides)) or isinstance(sides[-1], ast.Name):
        return ""
    left, right = sides
    margin = "0"
    if _is_sum(right) and isinstance(right.op, ast.Add) and _number(right.right) is not None:
        margin, right = _spelled(text, right.right), right.left
    subtracted = f"({_spelled(text, right)})" if _is_sum(right) else _spelled(text, right)
    return f"{_spelled(text, left)} - {subtracted} {WRITTEN[type(tree.ops[0])]} {margin}"


def _spelled(text: str, node: ast.expr) -> str:
    """A part of the text as it was typed."""
    typed = ast.get_source_segment(_parsable(text), node) or _unparsed(node)
    return typed.replace("==", "=")


def _dims(reader: Reader, node: ast.Call) -> tuple[str, ...]:
    """The dimensions that a function is over."""
    axes = node.keywords[0].value
    over = [_level(n.value if _is_range(n) else n) for n in _parts(axes)]
    names = tuple(x for x in over if isinstance(x, str))
    if [k.arg for k in node.keywords] != ["over"] or not names or len({*names}) < len(over):
        raise reader.no(
            f"cannot tell what {_describe_node(node)} is over; each dimension is named once, "
            f"as in {_EXAMPLES.get(_how(node), _EXAMPLES['mean'])}"
        )
    if names[1:] and (_how(node) == "argmin" or _how(node) in LOCATING):
        raise reader.no(
            f"{_describe_node(node)}: a pair of levels is no number, so {_how(node)} is over one "
            "dimension; the largest value of the grid is max(…, over=(…)), and an estimate over "
            "both dimensions shows where it is"
        )
    return names


class _Both(ast.expr):
    """The smallest of the margins by which several comparisons are so: at least 0 where all are."""

    _fields = ("margins",)

    def __init__(self, margins: list[ast.expr]) -> None:
        super().__init__()
        self.margins = margins


def _margin(body: ast.expr, beyond: tuple[str, float]) -> ast.expr:
    """By how much a comparison is so: 0 or more, also of a strict one."""
    sign, edge = beyond
    if sign in ("<", ">"):
        edge = math.nextafter(edge, math.inf if sign == ">" else -math.inf)
    sides = (body, ast.Constant(edge))
    left, right = sides if sign in (">", ">=") else sides[::-1]
    return ast.BinOp(left, ast.Sub(), right)


def _negated(node: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.USub(), node)


def _is_range(node: ast.expr) -> TypeGuard[ast.Subscript]:
    """Whether a node names some levels of a dimension, as layer[4:14] does."""
    return isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice)


def _ranges(reader: Reader, node: ast.expr) -> tuple[tuple[str, float, float], ...]:
    """From which level on, and before which one, a function over levels is taken of each dimension
    that says so."""
    axes = [k.value for n in ast.walk(node) if isinstance(n, ast.Call) for k in n.keywords]
    ranges = []
    for part in (x for axis in axes for x in _parts(axis) if _is_range(x)):
        assert isinstance(part.slice, ast.Slice)
        ends = [(part.slice.lower, -math.inf), (part.slice.upper, math.inf)]
        low, high = (end if x is None else _number(x) for x, end in ends)
        if part.slice.step is not None or low is None or high is None:
            raise reader.no(f"levels from 4 to 13 are layer[4:14], got {_describe_node(part)}")
        ranges.append((str(_level(part.value)), low, high))
    return tuple(ranges)


def _compared(reader: Reader, node: ast.expr, example: str) -> tuple[ast.expr, tuple[str, float]]:
    """What is compared with a number within a function, the sign and the number; of two measures
    their difference with 0; of several comparisons the smallest margin."""
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        return _Both([_margin(*_compared(reader, x, example)) for x in node.values]), (">=", 0.0)
    if (
        isinstance(node, ast.Compare)
        and len(node.ops) == 2
        and {*map(type, node.ops)} <= {*FLIPPED}
    ):
        low, between, high = node.left, *node.comparators
        first = ast.Compare(between, [FLIPPED[type(node.ops[0])]()], [low])
        second = ast.Compare(between, node.ops[1:], [high])
        return _compared(reader, ast.BoolOp(ast.And(), [first, second]), example)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in WRITTEN:
        edge = _number(node.comparators[0])
        if edge is None and _has_column(node.left) and _has_column(node.comparators[0]):
            less = ast.BinOp(node.left, ast.Sub(), node.comparators[0])
            return less, (WRITTEN[type(node.ops[0])], 0.0)
        if edge is not None and math.isfinite(edge):
            return node.left, (WRITTEN[type(node.ops[0])], edge)
    raise reader.no(f"{_describe_node(node)} has to be a comparison with a number; write {example}")


def _once(reader: Reader, column: Column, count: int) -> Column:
    """The column, where each dimension that was asked for is a name, and no two are the same."""
    if len(set(column.named)) < count or not column.named:
        example = (
            'each dimension is named once, as in slope[kind=rare, probe="L1-probe"] or '
            "mean(slope, over=(kind, probe))"
        )
        raise reader.no(f"cannot tell which levels of {column.plain} are meant; {example}")
    return column


def _of_number(how: str, beyond: tuple[str, float] | None, values: Sequence[Any]) -> Any:
    """What is taken over the levels of something that has this number at each of them; NaN where
    that hangs on which levels there are."""
    if how in (*LOCATING, AT, *PAIRED):
        return np.float64(np.nan)
    return np.where(BEYOND[beyond[0]](values[0], beyond[1]), 1.0, 0.0) if beyond else values[0]


def _with_axes(x: Any, over: Sequence[str]) -> Any:
    """Numbers with the dimensions of a function over levels last, of one level where they have
    none; a plain number as it is."""
    if not hasattr(x, "dims"):
        return x
    x = x.expand_dims([d for d in over if d not in x.dims])
    return x.transpose(..., *over)


def _level_numbers(values: Sequence[Any], over: Sequence[str], text: str) -> Any:
    """The numbers that levels are called, for each unit. Raises: ClaimError where they are none."""
    x = next((x for x in values if over[0] in getattr(x, "dims", ())), None)
    if x is None:
        return np.float64(1.0)  # tried on numbers
    levels = x[over[0]].values if over[0] in x.coords else np.arange(x.sizes[over[0]])
    if over[1:] or levels.dtype.kind not in "iuf":
        raise ClaimError(f"{text} is over one dimension whose levels are numbers")
    return _with_axes(xr.zeros_like(x, dtype=float) + xr.DataArray(levels, dims=over[0]), over)


def _marks(node: ast.AST) -> bool:
    """Whether a node says that its text is of means over units."""
    if isinstance(node, ast.Subscript):
        return bool(_choosers(node.slice))
    called = isinstance(node, ast.Call) and bool(node.keywords)
    marks = ("mean", "median", *across.RATES)
    return _how(node) == "spearman" if called else _how(node) in marks


def _has_shares(node: ast.expr) -> bool:
    """Whether something is taken over levels of shares of units, which are means over units."""
    over = (n for n in ast.walk(node) if isinstance(n, ast.Call) and n.keywords)
    inside = (n for call in over for body in call.args for n in ast.walk(body))
    return any(_how(n) == "share" and not getattr(n, "keywords", ()) for n in inside)


def _mean_of(node: ast.expr) -> ast.expr:
    """The mean over units of an expression that does not say what it is the mean of."""
    if any(map(_marks, ast.walk(node))):
        return node
    return ast.Call(ast.Name("mean"), args=[node], keywords=[])


def _unmarked(node: ast.AST) -> ast.AST:
    """What is inside of mean(…) without over; anything else as it is."""
    if _is_mean(node) and not node.keywords and len(node.args) == 1:
        return node.args[0]
    return node


def _is_ratio(node: ast.expr) -> bool:
    """Whether a measure is divided by something that names one."""
    ratios = (n for n in ast.walk(node) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div))
    return any(_has_column(n.right) for n in ratios)


def _computed(node: ast.AST, of_means: bool) -> Iterator[str]:
    """Of what ratios and logarithms of measures are computed, in words: of means, or of units."""
    ratio = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _has_column(node.right)
    bent = _how(node) in ("log", "log2", "exp", "sqrt")
    if isinstance(node, ast.expr) and (ratio or (bent and _has_column(node))):
        natural = ", the natural logarithm," if _how(node) == "log" else ""
        of = "of the means over units" if of_means else "for each unit, and then averaged"
        yield f"{_unparsed(node)}{natural} is computed {of}"
    for child in ast.iter_child_nodes(node):
        yield from _computed(child, of_means and _unmarked(node) is node)


def _number(node: ast.expr) -> float | None:
    """The value of a plain number with signs, or of a logarithm or the like of one, else None; too
    large an integer counts as infinite."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        inner = _number(node.operand)
        return None if inner is None else -inner if isinstance(node.op, ast.USub) else inner
    if _how(node) in ("log", "log2", "exp", "sqrt") and isinstance(node, ast.Call):
        inner = _number(node.args[0]) if len(node.args) == 1 else None
        with np.errstate(all="ignore"):
            return None if inner is None else float(getattr(np, _how(node))(inner))
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, (int, float))
        and not isinstance(node.value, bool)
    ):
        try:
            return float(node.value)
        except OverflowError:
            return math.inf
    return None


def _column(node: ast.expr) -> tuple[str | None, str] | None:
    """(arm, column) of `column`, arm.column, "arm".column, arm["column"] and "arm"["column"]; else
    None."""
    if isinstance(node, ast.Name):
        return None, node.id
    if isinstance(node, ast.Attribute):
        arm = _arm(node.value)
        return None if arm is None else (arm, node.attr)
    if (
        isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
    ):
        arm = _arm(node.value)
        return None if arm is None else (arm, node.slice.value)
    return None


def _without_over(node: ast.Call) -> str:
    """Why a function over levels cannot be taken of units, and how it is said."""
    if _how(node) == "median":
        return f"{_describe_node(node)} is of all units, so nothing is taken of it unit by unit"
    return f"{_how(node)}(…) is not allowed without over=…, as in {_EXAMPLES[_how(node)]}"


def _summands(node: ast.expr) -> Iterator[ast.expr]:
    """What is added up, numbers to multiply and to divide by left out."""
    if isinstance(node, ast.UnaryOp):
        yield from _summands(node.operand)
    elif _is_sum(node):
        yield from (*_summands(node.left), *_summands(node.right))
    elif isinstance(node, ast.BinOp) and _number(node.right) is not None:
        yield from _summands(node.left)
    elif isinstance(node, ast.BinOp) and _number(node.left) is not None:
        yield from _summands(node.right) if isinstance(node.op, ast.Mult) else ()
    else:
        yield node


def _is_sum(node: ast.expr) -> TypeGuard[ast.BinOp]:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)


def _has_column(node: ast.expr) -> bool:
    return any(isinstance(n, ast.expr) and _column(n) is not None for n in ast.walk(node))


def _arm(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_of_units(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and _how(node) in OF_UNITS and not node.keywords


def _is_mean(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "mean"


def _pairs(node: ast.expr) -> list[tuple[Level | None, Level | None]]:
    """The dimensions and levels of [kind=rare, probe=lr]; none where there is no = at all, or where
    a level is chosen."""
    parts = _parts(node)
    if _choosers(node) or not any(isinstance(part, ast.Compare) for part in parts):
        return []
    return [
        (_level(part.left), _level(part.comparators[0]))
        if isinstance(part, ast.Compare) and [type(op) for op in part.ops] == [ast.Eq]
        else (None, None)
        for part in parts
    ]


def _parts(node: ast.expr) -> list[ast.expr]:
    """The expressions between brackets."""
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _choosers(node: ast.expr) -> list[ast.Compare]:
    """The levels that are chosen, as in [layer=argmax(a.x)]."""
    pairs = (x for x in _parts(node) if isinstance(x, ast.Compare) and len(x.ops) == 1)
    hows = ("argmax", "argmin")
    return [x for x in pairs if isinstance(x.ops[0], ast.Eq) and _how(x.comparators[0]) in hows]


def _level(node: ast.expr) -> Level | None:
    """A name, a text, a number with signs, or True or False; else None."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):  # a name such as step-100
        parts = _level(node.left), _level(node.right)
        return f"{parts[0]}-{parts[1]}" if isinstance(parts[0], str) else None
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str):
        return node.value
    return _number(node)


def _parsable(text: str) -> str:
    """The text with each = between square brackets doubled, so that Python reads [kind=rare]; not
    within round ones between them. A level such as 5.10, which may be a name, is quoted, as it is
    no other than 5.1 by its value."""
    opened = [""]

    def doubled(match: re.Match[str]) -> str:
        if match[0] in ("[", "("):
            opened.append(match[0])
        elif match[0] in ("]", ")"):
            opened.pop() if opened[1:] else None
        if match[0][0] != "=" or opened[-1] != "[":
            return match[0]
        return f'=="{match[1]}"' if match[1] else "=="

    return _LONE.sub(doubled, text)


def _unparsed(node: ast.expr) -> str:
    return ast.unparse(node).replace(" == ", "=")


def _describe_node(node: ast.expr) -> str:
    text = _unparsed(node)
    return text if len(text) <= 60 else text[:57] + "…"
