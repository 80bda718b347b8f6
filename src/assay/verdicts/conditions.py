"""The grammar of conditions: one comparison of arithmetic over columns, as data.

    gated.fvu - relu.fvu < -0.02                columns of arms: of each unit, then averaged
    0.98 < gamma < 1.02                         a column of the arm that is judged
    mean(a.error) / mean(a.variance) < 0.2      a ratio of means, not a mean of ratios
    mean(a.acc, over=(layer, head)) > 0.5       each unit's mean over levels
    a.acc[layer=9] - b.acc[layer=9] > 0.02      at one level
    first(a.rank <= 10, over=layer) < 12        the first level at which something is so
    corr(attribution, effect) > 0.6             a number of all units
    lead(main, rescaled) >= 0.01                a function of one's own; bare names are arms

Python's own parser reads it, a closed set of nodes passes, and nothing of it is ever run.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np

from assay.errors import ClaimError, nearest
from assay.verdicts import rule

LONGEST, DEEPEST = 2_000, 100
"""Characters of a condition, and operations within operations."""
COMPARISONS: dict[type, Callable[..., Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
OVER = ("mean", "sum", "max", "min", "median", "argmax", "first", "share", "count")
"""What `over=` takes of each unit's levels."""
OF_UNITS = {"mean": 1, "share": 1, "std": 1, "corr": 2, "spearman": 2}
OF_UNITS |= {"auroc": 2, "precision": 2, "recall": 2, "f1": 2}
"""Statistics of all units, and of how many columns. That a median exceeds 5 is the exact claim that
share(x > 5) exceeds 0.5; no jackknife covers a median."""
RESERVED = {*rule.FUNCTIONS, *OVER, *OF_UNITS}


class Column(NamedTuple):
    """A column as a condition names it.

    Attributes:
        arm: empty for the arm that is judged.
        name: empty for the whole arm, as a function of one's own takes it.
        levels: dimensions and their levels as they are written: 1.10 is not 1.1.
    """

    arm: str
    name: str
    levels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Condition:
    """A comparison, taken apart.

    Attributes:
        low: the least number that satisfies it.
        high: the greatest.
        quantity: what lies between them, a syntax tree.
        over: the dimensions over whose levels it takes something.
    """

    text: str
    low: float
    high: float
    quantity: ast.expr = field(compare=False, repr=False)
    columns: tuple[Column, ...]
    over: tuple[str, ...]
    functions: Mapping[str, Callable[..., Any]] = field(compare=False, repr=False)

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that it names, in order."""
        return tuple(dict.fromkeys(c.arm for c in self.columns if c.arm))


def parse(text: str, functions: Mapping[str, Callable[..., Any]] | None = None) -> Condition:
    """Take a condition apart; one that compares nothing is a quantity without a range.

    Args:
        functions: functions of one's own by name, of arms (`xr.Dataset`) and numbers, to a number
            for each unit (`xr.DataArray`) or one of all units.

    Raises:
        ClaimError: it is no condition.
    """
    own = functions or {}
    if taken := sorted({*own} & RESERVED):
        raise ClaimError("name-taken", f"{taken[0]} is a function of conditions; rename yours")
    tree = _tree(text)
    sides = [tree.left, *tree.comparators] if isinstance(tree, ast.Compare) else [tree]
    columns = tuple(dict.fromkeys(c for side in sides for c in _check(side, own)))
    if not columns:
        raise ClaimError("no-column", f"`{text}` names no column")
    quantity, low, high = _range(tree)
    dims = [d for x in ast.walk(quantity) if isinstance(x, ast.Call) for d in dims_of(x)]
    return Condition(text, low, high, quantity, columns, tuple(dict.fromkeys(dims)), own)


QUOTES = ("'", '"')
_QUOTED = r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\''
_BRACKETS = re.compile(rf"{_QUOTED}|\[((?:{_QUOTED}|[^\[\]\"'])*)\]")
_LEVEL = re.compile(rf"((?:^|,)(?:{_QUOTED}|[^=,\"'])+)=\s*({_QUOTED}|[^,\"'=]+?)\s*(?=,|$)")


def _tree(text: str) -> ast.expr:
    """Python's syntax tree, with [kind=dead-weight] as [kind=="dead-weight"]."""

    def quoted(m: re.Match[str]) -> str:
        return f"{m[1]}=={m[2] if m[2][0] in QUOTES else repr(m[2])}"

    if len(text) > LONGEST:
        raise ClaimError("too-long", f"a condition has at most {LONGEST:,} characters")
    levels = _BRACKETS.sub(lambda m: f"[{_LEVEL.sub(quoted, m[1])}]" if m[1] else m[0], text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(" ".join(levels.split("\n")).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        wanted = "a condition is such as `a.x - b.x > 0.1`; quote unusual names"
        raise ClaimError("unreadable", f"cannot read `{text}`: {wanted}") from None
    nodes: list[ast.AST] = [tree]
    for _ in range(DEEPEST):
        nodes = [part for node in nodes for part in ast.iter_child_nodes(node)]
    if nodes:
        raise ClaimError("too-deep", f"a condition nests at most {DEEPEST} operations")
    return tree


def _refused(node: ast.AST) -> ClaimError:
    return ClaimError("not-allowed", f"`{ast.unparse(node)}` is not part of a condition")


def _check(node: ast.expr, own: Collection[str], inside: str = "") -> list[Column]:
    """The columns of a part of a condition. Raises: ClaimError: it is none."""
    parts, kind = list[ast.expr](), ""
    match node:
        case ast.BinOp(left=a, op=op, right=b) if type(op) in rule.SIGNS:
            parts = [a, b]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=a):
            parts = [a]
        case ast.Compare(left=a, ops=ops, comparators=b) if {*map(type, ops)} <= {*COMPARISONS}:
            parts, inside = [a, *b], inside or "a comparison"
        case ast.Call(func=ast.Name(id=name), args=parts):
            kind = kind_of(node, own)
            if kind == "units" and inside:
                raise ClaimError("nested", f"{name} of all units cannot stand inside {inside}")
            if kind == "own":
                return [Column(word(x), "") for x in parts if number(x) is None]
            inside = name if kind in ("over", "units") else inside
        case _ if number(node) is None:
            if at := column(node):
                return [at]
            raise _refused(node)
    columns = [c for part in parts for c in _check(part, own, inside)]
    if not columns and (kind in ("over", "units") or not math.isfinite(number(node) or 0.0)):
        raise ClaimError("no-number", f"`{ast.unparse(node)}` is no number that can be compared")
    return columns


def kind_of(call: ast.Call, own: Collection[str]) -> Literal["own", "over", "each", "units"]:
    """What a function is of: something of one's own, a unit's levels, numbers, or all units.
    Raises: ClaimError."""
    name, n, dims = word(call.func), len(call.args), dims_of(call)
    if name in own and not dims:
        return "own"
    if dims and name in OVER and n == 1 and (len(dims) == 1 or name not in ("argmax", "first")):
        return "over"
    if not dims and name in rule.FUNCTIONS and rule.FUNCTIONS[name].nin == n:
        return "each"
    if not dims and OF_UNITS.get(name) == n:
        return "units"
    hint = "has other arguments" if name in RESERVED else nearest(name, {*RESERVED, *own})
    raise ClaimError("function", f"cannot compute `{ast.unparse(call)}`: {name} {hint}")


def dims_of(call: ast.Call) -> tuple[str, ...]:
    """The dimensions that `over=` names. Raises: ClaimError."""
    dims = list[str]()
    for keyword in call.keywords:
        value = keyword.value
        dims += [word(x) for x in (value.elts if isinstance(value, ast.Tuple) else [value])]
        if keyword.arg != "over" or not dims or len({*dims}) < len(dims):
            raise _refused(call)
    return tuple(dims)


@lru_cache(maxsize=4096)
def number(node: ast.expr) -> float | None:
    """What a node without columns comes to."""
    try:
        with np.errstate(all="ignore"):
            return float(rule.evaluate(node, np.empty((1, 0)))[0])
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def word(node: ast.expr) -> str:
    """The name that a node is. Raises: ClaimError."""
    match node:
        case ast.Name(id=word) | ast.Constant(value=str() as word) if word:
            return word
    raise _refused(node)


def column(node: ast.expr) -> Column | None:
    """The column that a node names: column, arm.column, arm["column"], with [dimension=level].
    Raises: ClaimError."""
    match node:
        case ast.Name(id=name) | ast.Constant(value=str() as name) if name:
            return Column("", name)
        case ast.Attribute(value=ast.Name(id=arm) | ast.Constant(value=str() as arm), attr=name):
            return Column(arm, name)
        case ast.Subscript(value=of, slice=ast.Constant(value=str() as name)):
            return Column(word(of), name)
        case ast.Subscript(value=of, slice=inner) if base := column(of):
            levels = dict[str, str](base.levels)
            for part in inner.elts if isinstance(inner, ast.Tuple) else [inner]:
                match part:
                    case ast.Compare(dim, [ast.Eq()], [ast.Constant(value=str() as level)]) if (
                        word(dim) not in levels
                    ):
                        levels[word(dim)] = level
                    case _:
                        raise _refused(node)
            return base._replace(levels=tuple(levels.items()))
    return None


def _range(tree: ast.expr) -> tuple[ast.expr, float, float]:
    """What should lie between which numbers, these included."""
    low, high = -math.inf, math.inf
    if not isinstance(tree, ast.Compare):
        return tree, low, high
    parts, signs = [tree.left, *tree.comparators], [type(op) for op in tree.ops]
    if {*signs} <= {ast.Gt, ast.GtE}:
        parts, signs = parts[::-1], signs[::-1]
    elif not {*signs} <= {ast.Lt, ast.LtE}:
        raise ClaimError("comparison", "compare by <, <=, > or >=, both in one direction")
    match parts, [number(x) for x in parts]:
        case [_, x, _], [float(low), None, float(high)]:
            pass
        case [x, _], [None, float(high)]:
            pass
        case [_, x], [float(low), None]:
            pass
        case [less, more], [None, None]:
            if all(number(x) is None for x in ast.walk(tree) if isinstance(x, ast.expr)):
                raise ClaimError("no-threshold", "say by how much, as in a.x - b.x > 0.1")
            (more, above), (less, below) = _apart(more), _apart(less)
            x, low = ast.BinOp(more, ast.Sub(), less), below - above
        case _:
            raise ClaimError("comparison", "compare one quantity with one number, or with two")
    if math.isfinite(low) and signs[0] in (ast.Lt, ast.Gt):
        low = math.nextafter(low, math.inf)
    if math.isfinite(high) and signs[-1] in (ast.Lt, ast.Gt):
        high = math.nextafter(high, -math.inf)
    if low > high:
        raise ClaimError("empty-range", f"no number is between {low:g} and {high:g}")
    return x, low, high


def _apart(node: ast.expr) -> tuple[ast.expr, float]:
    """A quantity, and a number that is added to it."""
    match node:
        case ast.BinOp(left=a, op=ast.Add() | ast.Sub() as op, right=b):
            if (x := number(b)) is not None:
                return a, x if isinstance(op, ast.Add) else -x
            if (x := number(a)) is not None and isinstance(op, ast.Add):
                return b, x
    return node, 0.0
