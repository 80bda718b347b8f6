"""Conditions computed on arms: the numbers of each unit, and the formula of their means.

A quantity is computed of each unit that all its arms have, and averaged. The parts of a ratio of
means, and of arms that share no unit, are terms of the rule's formula; a statistic of all units is
one term.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any

import numpy as np
import xarray as xr

from assay.errors import ClaimError
from assay.verdicts.arrays import Grid, labels_of
from assay.verdicts.conditions import COMPARISONS, Condition, column, dims_of, kind_of, number
from assay.verdicts.rule import FUNCTIONS, SIGNS, Sample, compiled
from assay.verdicts.statistics import ENDS, STATISTICS, of_all, pseudo_values

SAME = 1e-12
"""Numbers that differ by at most this share of their size are equal, but for rounding."""
Ends = tuple[float, float] | None


@dataclass
class Reading:
    """A condition, and the arms on which it is read.

    Attributes:
        terms: what the formula is of, for each unit, and between which numbers it lies.
        undefined: something has no number, although all that it is computed from has one.
    """

    condition: Condition
    grid: Grid
    terms: list[tuple[np.ndarray, Ends]] = field(default_factory=list)
    undefined: bool = False
    _called: dict[ast.Call, np.ndarray] = field(default_factory=dict)
    _ones: set[ast.Call] = field(default_factory=set)

    def sample(self) -> Sample:
        """The numbers that decide. Raises: ClaimError."""
        quantity, grid = self.condition.quantity, self.grid
        if len(grid.units) not in (1, 2) or {*grid.units} & {*grid.over}:
            raise ClaimError("units", "name one or two kinds of units, none of them in over=")
        grid.span_units(c.arm for c in self.condition.columns)
        with np.errstate(all="ignore"):
            formula = ast.unparse(self._formula(quantity))
            span = _span(formula, [ends for _, ends in self.terms])
        names = {x.id for x in ast.walk(quantity) if isinstance(x, ast.Name)}
        bounds, ends = (None, span) if names & {*ENDS} else (span, None)
        cells, units, formula = _cells([x for x, _ in self.terms], grid, formula)
        cells = cells * (np.nan if self.undefined else 1.0)
        return Sample(cells, units, formula, bounds, ends=ends)

    # ---- the formula

    def _is_one(self, node: ast.AST) -> bool:
        """Whether a node is one number of all units."""
        if not isinstance(node, ast.Call):
            return False
        kind = kind_of(node, self.condition.functions)
        if kind == "own":
            self.values(node)
        return kind == "units" or node in self._ones

    def _formula(self, node: ast.expr, bare: bool = True) -> ast.expr:
        """A quantity with a term in place of each mean; `bare` where numbers of units may be
        averaged without saying so, as a sum may."""
        if number(node) is not None:
            return node
        one = any(map(self._is_one, ast.walk(node)))
        match node:
            case ast.Call(func=ast.Name(id="mean" | "share"), args=[x], keywords=[]):
                return self._term(x)
            case ast.UnaryOp(op=op, operand=a):
                return ast.UnaryOp(op, self._formula(a, bare))
            case ast.BinOp(left=a, op=op, right=b) if one or _is_linear(node):
                bare = bare and _is_linear(node)
                return ast.BinOp(self._formula(a, bare), op, self._formula(b, bare))
            case ast.Call(func=func, args=args) if one and not self._is_one(node):
                return ast.Call(func, [self._formula(x, bare=False) for x in args], [])
        if not bare and not self._is_one(node):
            text = ast.unparse(node)
            raise ClaimError("bare", f"`{text}` is a number of each unit; write mean({text})")
        return self._term(node)

    def _term(self, node: ast.expr) -> ast.Name:
        for part in (x for x in ast.walk(node) if x is not node and self._is_one(x)):
            raise ClaimError("nested", f"`{ast.unparse(part)}` is of all units; it stands alone")
        self.terms.append((self.grid.of_units(self.values(node)), self._ends(node)))
        return ast.Name(f"x{len(self.terms) - 1}")

    def _ends(self, node: ast.expr) -> Ends:
        """Between which numbers a term lies, where it is a share or the like."""
        match node:
            case ast.Compare():
                return 0.0, 1.0
            case ast.Call(func=ast.Name(id="mean" | "share" | "max" | "min"), args=[x]):
                return self._ends(x)
            case ast.Call(func=ast.Name(id=name)):
                return ENDS.get(name)
        at = column(node)
        return (0.0, 1.0) if at and self.grid.is_share(at.name) else None

    # ---- of each unit

    def values(self, node: ast.expr) -> Any:
        """The value of a node for each unit. Raises: ClaimError."""
        if (x := number(node)) is not None:
            return x
        if (at := column(node)) is not None:
            return self.grid.read(at)
        match node:
            case ast.BinOp(left=a, op=op, right=b):
                return self._applied(SIGNS[type(op)], a, b)
            case ast.UnaryOp(op=op, operand=a):
                return self._applied(SIGNS[type(op)], a)
            case ast.Compare(left=a, ops=ops, comparators=others):
                signs = [partial(_compared, COMPARISONS[type(op)]) for op in ops]
                pairs = zip(signs, [a, *others], others, strict=False)
                return reduce(operator.mul, [self._applied(f, x, y) for f, x, y in pairs])
            case ast.Call(func=ast.Name(id=name), args=args):
                kind = kind_of(node, self.condition.functions)
                if kind == "each":
                    return self._applied(FUNCTIONS[name], *args)
                if kind == "over":
                    return self._over(name, args[0], dims_of(node))
                if node not in self._called:
                    self._called[node] = self._call(node, name)
                return self._called[node]
        raise ClaimError("not-allowed", f"`{ast.unparse(node)}` is not part of a condition")

    def _applied(self, function: Callable[..., Any], *nodes: ast.expr) -> Any:
        values = [self.values(x) for x in nodes]
        out, known = function(*values), np.isfinite(reduce(operator.add, values))
        self.undefined |= bool((known & ~np.isfinite(out)).any())
        return _exact(out, *values) if function in (operator.add, operator.sub) else out

    def _over(self, name: str, node: ast.expr, dims: tuple[str, ...]) -> np.ndarray:
        """Something of a unit's levels; nothing where one of them has no number."""
        labels = self.grid.labels
        outer = {d: labels.pop(d) for d in dims if d in labels}
        x, levels = np.asarray(self.values(node)), [labels.pop(d, ()) for d in dims]
        labels |= outer
        axes = tuple(len(self.grid.units) + self.grid.over.index(d) for d in dims)
        if [x.shape[axis] for axis in axes] != [*map(len, levels)]:
            raise ClaimError("unknown-dimension", f"`{ast.unparse(node)}` lacks one of {dims}")
        if name not in ("first", "argmax"):
            function = {"share": "mean", "count": "sum"}.get(name, name)
            return getattr(np, function)(x, axes, keepdims=True)
        return _first(name, x, np.asarray(levels[0]), axes[0])

    def _call(self, node: ast.Call, name: str) -> np.ndarray:
        """What a statistic or a function of one's own comes to."""
        grid = self.grid
        if name in STATISTICS:
            return grid.with_levels(
                of_all(name, [grid.of_units(self.values(x)) for x in node.args])
            )
        function = self.condition.functions[name]
        args: list[Any] = [grid.arm(at.arm) if (at := column(x)) else number(x) for x in node.args]
        result = function(*args)
        if isinstance(result, xr.DataArray) and {*result.dims} & {*grid.units}:
            return grid.array(result)
        self._ones.add(node)
        names = {u: [labels_of(x, u) for x in args] for u in grid.units}

        def without(axis: int, k: int) -> float:
            unit = grid.units[axis]
            kept = [of != grid.labels[unit][k] for of in names[unit]]
            pairs = zip(args, kept, strict=True)
            return float(function(*(x.isel({unit: at}) if len(at) else x for x, at in pairs)))

        known = [np.isin(grid.labels[u], np.concatenate(names[u])) for u in grid.units]
        return grid.with_levels(pseudo_values(float(result), without, known))


def _is_linear(node: ast.BinOp) -> bool:
    """Whether it adds up multiples of its parts."""
    multiple = number(node.right) is not None
    if isinstance(node.op, ast.Mult):
        return multiple or number(node.left) is not None
    return isinstance(node.op, ast.Add | ast.Sub) or (isinstance(node.op, ast.Div) and multiple)


def _adds(formula: str) -> bool:
    """Whether a formula adds up multiples of its terms."""
    nodes = [x for x in ast.walk(ast.parse(formula)) if isinstance(x, ast.BinOp | ast.Call)]
    return all(isinstance(x, ast.BinOp) and _is_linear(x) for x in nodes)


def _span(formula: str, ends: Sequence[Ends]) -> Ends:
    """Between which numbers a sum of multiples lies."""
    known = np.array([x for x in ends if x is not None])
    if len(known) < len(ends) or not _adds(formula):
        return None
    corners = known[:, 0] + np.vstack([0 * known[:, 0], np.diag(np.ptp(known, axis=1))])
    base, *each = compiled(formula)[0](corners)
    off = np.array(each) - base
    return float(base + off[off < 0].sum()), float(base + off[off > 0].sum())


def _exact(out: Any, a: Any, b: Any) -> np.ndarray:
    """A sum or difference, exactly 0 where only rounding is left."""
    return np.where(abs(out) <= SAME * np.maximum(abs(a), abs(b)), 0.0, out)


def _compared(compare: Callable[..., Any], a: Any, b: Any) -> np.ndarray:
    """1 where a comparison is true and 0 where it is false, of numbers without their rounding."""
    gap = _exact(a - b, a, b)
    return np.where(np.isnan(gap), np.nan, compare(gap, 0.0))


def _first(name: str, x: np.ndarray, levels: np.ndarray, axis: int) -> np.ndarray:
    """The first level at which something is so, or is largest; else that after the last."""
    if levels.dtype.kind not in "iuf":
        raise ClaimError("no-order", f"{name} is a level, and these levels are names")
    most = x.max(axis, keepdims=True)
    there = x > 0 if name == "first" else x >= most - SAME * abs(most)
    step = np.diff(np.sort(levels)).min() if len(levels) > 1 else 1.0
    levels = np.expand_dims(levels, [a for a in range(x.ndim) if a != axis])
    first = np.where(there, levels, levels.max() + step).min(axis, keepdims=True)
    return np.where(np.isfinite(most), first, np.nan)


def _cells(
    terms: Sequence[np.ndarray], grid: Grid, formula: str
) -> tuple[np.ndarray, dict[str, np.ndarray], str]:
    """The terms by cell, their units, and the formula. Of cells that lack a term none counts,
    where any has all; a sum of multiples is computed in each."""
    places = np.meshgrid(*(grid.labels[u] for u in grid.units), indexing="ij")
    cells = np.stack([np.broadcast_to(x, places[0].shape).ravel() for x in terms], axis=1)
    known = np.isfinite(cells)
    whole = known.all(1)
    kept = whole if whole.any() else known.any(1) | ~known.any()
    cells, size = cells[kept], abs(cells[kept]).max(1)
    if whole.any() and _adds(formula):
        cells, formula = compiled(formula)[0](cells)[:, None], "x0"
        cells[abs(cells[:, 0]) <= SAME * size] = 0.0
        if np.ptp(cells) <= SAME * size.max():
            cells[:] = cells[0]
    for k, x in enumerate(cells.T):
        for y in cells.T[:k]:
            x[...] = np.where(abs(x - y) <= SAME * abs(x), y, x)
    return cells, {u: x.ravel()[kept] for u, x in zip(grid.units, places, strict=True)}, formula


def sample(
    condition: Condition,
    arms: Mapping[str, xr.Dataset],
    units: Sequence[str],
    main: str,
    swap: Mapping[str, str] | None = None,
) -> Sample:
    """The numbers that decide a condition, with other arms in the places that `swap` names."""
    grid = Grid(arms, main, swap or {}, tuple(units), condition.over)
    return Reading(condition, grid).sample()
