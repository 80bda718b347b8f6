"""Conditions computed on arrays: the numbers of each unit, and the formula of their means.

A quantity is computed of each unit that all its arms have, and averaged. The parts of a ratio of
means, and of arms that share no unit, are terms of the rule's formula; a statistic of all units is
one term. Every array has an axis for each kind of unit, then one for each dimension that the
condition takes something over, of length 1 where it has none.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any

import numpy as np
import xarray as xr

from assay.errors import ClaimError, nearest
from assay.verdicts.conditions import COMPARISONS, Condition, column, dims_of, kind_of, number
from assay.verdicts.rule import FUNCTIONS, SIGNS, Sample, compiled
from assay.verdicts.statistics import ENDS, STATISTICS, of_all, pseudo_values

SAME = 1e-12
"""Numbers that differ by at most this share of their size are equal, but for rounding."""


@dataclass
class Reading:
    """A condition, and the arms on which it is read.

    Attributes:
        main: the arm of columns that name none.
        swap: the arms that take the place of others.
        labels: the units of each kind that any of the arms has, and the levels of dimensions.
        terms: what the formula is of, for each unit, and between which numbers it lies.
        undefined: something has no number, although all that it is computed from has one.
    """

    condition: Condition
    arms: Mapping[str, xr.Dataset]
    units: tuple[str, ...]
    main: str
    swap: Mapping[str, str]
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    terms: list[tuple[np.ndarray, tuple[float, float] | None]] = field(default_factory=list)
    undefined: bool = False
    _called: dict[ast.Call, np.ndarray] = field(default_factory=dict)
    _ones: set[ast.Call] = field(default_factory=set)

    def sample(self) -> Sample:
        """The numbers that decide. Raises: ClaimError."""
        if clash := {*self.units} & {*self.condition.over}:
            raise ClaimError("over-units", f"{min(clash)} is a kind of unit; it has no over=")
        self.labels = {unit: self._labels(unit) for unit in self.units}
        with np.errstate(all="ignore"):
            formula = ast.unparse(self._formula(self.condition.quantity))
            span = _span(formula, [ends for _, ends in self.terms])
        names = {x.id for x in ast.walk(self.condition.quantity) if isinstance(x, ast.Name)}
        bounds, ends = (None, span) if names & {*ENDS} else (span, None)
        return Sample(*self._cells(formula), bounds, ends=ends)

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
        self.terms.append((self._of_units(node), self._ends(node)))
        return ast.Name(f"x{len(self.terms) - 1}")

    def _ends(self, node: ast.expr) -> tuple[float, float] | None:
        """Between which numbers a term lies, where it is a share or the like."""
        match node:
            case ast.Compare():
                return 0.0, 1.0
            case ast.Call(func=ast.Name(id="mean" | "share" | "max" | "min"), args=[x]):
                return self._ends(x)
            case ast.Call(func=ast.Name(id=name)):
                return ENDS.get(name)
        name = (column(node) or ("", ""))[1]
        found = [x[name].to_numpy() for x in self.arms.values() if name in x.data_vars]
        alone = all(((x == 0) | (x == 1) | (x != x)).all() for x in found)
        return (0.0, 1.0) if alone and any((x == 1).any() for x in found) else None

    def _cells(self, formula: str) -> tuple[np.ndarray, dict[str, np.ndarray], str]:
        """The terms by cell, their units, and the formula. Of cells that lack a term none counts,
        where any has all; a sum of multiples is computed in each."""
        grid = np.meshgrid(*(self.labels[u] for u in self.units), indexing="ij")
        cells = np.stack([np.broadcast_to(x, grid[0].shape).ravel() for x, _ in self.terms], 1)
        known = np.isfinite(cells)
        kept = known.all(1) if known.all(1).any() else known.any(1) | ~known.any()
        cells, size = cells[kept], abs(cells[kept]).max(1)
        if known.all(1).any() and _adds(formula):
            cells, formula = compiled(formula)[0](cells)[:, None], "x0"
            cells[abs(cells[:, 0]) <= SAME * size] = 0.0
            if np.ptp(cells) <= SAME * size.max():
                cells[:] = cells[0]
        for k, x in enumerate(cells.T):
            for y in cells.T[:k]:
                x[...] = np.where(abs(x - y) <= SAME * abs(x), y, x)
        labels = {u: x.ravel()[kept] for u, x in zip(self.units, grid, strict=True)}
        return cells * (np.nan if self.undefined else 1.0), labels, formula

    # ---- of each unit

    def values(self, node: ast.expr) -> Any:
        """The value of a node for each unit. Raises: ClaimError."""
        if (x := number(node)) is not None:
            return x
        if column(node) is not None:
            return self._read(node)
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

    def _of_units(self, node: ast.expr) -> np.ndarray:
        """The value of a node that is a number of each unit."""
        x = np.asarray(self.values(node))
        for dim, n in zip(self.condition.over, x.shape[len(self.units) :], strict=False):
            if n > 1:
                raise _open(dim)
        return x.reshape(x.shape[: len(self.units)] or [1] * len(self.units))

    def _applied(self, function: Callable[..., Any], *nodes: ast.expr) -> Any:
        values = [self.values(x) for x in nodes]
        out = function(*values)
        self.undefined |= bool(
            (np.isfinite(reduce(operator.add, values)) & ~np.isfinite(out)).any()
        )
        if function in (operator.add, operator.sub):  # exactly 0 where only rounding is left
            return np.where(abs(out) <= SAME * np.maximum(*map(abs, values)), 0.0, out)
        return out

    def _over(self, name: str, node: ast.expr, dims: tuple[str, ...]) -> np.ndarray:
        """Something of a unit's levels; nothing where one of them has no number."""
        outer = {d: self.labels.pop(d) for d in dims if d in self.labels}
        x, levels = np.asarray(self.values(node)), [self.labels.pop(d, ()) for d in dims]
        self.labels |= outer
        axes = tuple(len(self.units) + self.condition.over.index(d) for d in dims)
        for dim in (
            d for d, axis, at in zip(dims, axes, levels, strict=True) if x.shape[axis] != len(at)
        ):
            raise ClaimError("unknown-dimension", f"`{ast.unparse(node)}` has no {dim}")
        if name not in ("first", "argmax"):
            function = {"share": "mean", "count": "sum"}.get(name, name)
            return getattr(np, function)(x, axes, keepdims=True)
        at, most = np.asarray(levels[0]), x.max(axes, keepdims=True)
        if at.dtype.kind not in "iuf":
            raise ClaimError("no-order", f"{name} needs numbers, and {dims[0]} has names")
        there = x > 0 if name == "first" else x >= most - SAME * abs(most)
        step = np.diff(np.sort(at)).min() if len(at) > 1 else 1.0
        at = np.expand_dims(at, [a for a in range(x.ndim) if a != axes[0]])
        first = np.where(there, at, at.max() + step).min(axes, keepdims=True)
        return np.where(np.isfinite(most), first, np.nan)

    def _call(self, node: ast.Call, name: str) -> np.ndarray:
        """What a statistic or a function of one's own comes to."""
        if name in STATISTICS:
            return self._wide(of_all(name, [self._of_units(x) for x in node.args]))
        function = self.condition.functions[name]
        args: list[Any] = [self._arm(at.arm) if (at := column(x)) else number(x) for x in node.args]
        result = function(*args)
        if isinstance(result, xr.DataArray) and {*result.dims} & {*self.units}:
            return self._array(result)
        self._ones.add(node)
        names = {u: [_names(x, u) for x in args] for u in self.units}

        def without(axis: int, k: int) -> float:
            unit = self.units[axis]
            kept = [of != self.labels[unit][k] for of in names[unit]]
            pairs = zip(args, kept, strict=True)
            return float(function(*(x.isel({unit: at}) if len(at) else x for x, at in pairs)))

        known = [np.isin(self.labels[u], np.concatenate(names[u])) for u in self.units]
        return self._wide(pseudo_values(float(result), without, known))

    # ---- arms

    def _arm(self, arm: str, swapped: bool = True) -> xr.Dataset:
        name = arm or self.main
        name = self.swap.get(name, name) if swapped else name
        if name not in self.arms:
            raise ClaimError("unknown-arm", f"no arm {name}; {nearest(name, self.arms)}")
        return self.arms[name]

    def _labels(self, unit: str) -> np.ndarray:
        """The units of a kind; those of the arms that are replaced where no other has any."""
        for swapped in (True, False):
            found = [_names(self._arm(c.arm, swapped), unit) for c in self.condition.columns]
            if any(len({*x}) < len(x) for x in found):
                raise ClaimError("repeated-unit", f"a {unit} is there twice")
            if any(map(len, found)):
                return np.unique(np.concatenate(found))
        raise ClaimError("no-units", f"the arms of `{self.condition.text}` have no {unit}s")

    def _read(self, node: ast.expr) -> np.ndarray:
        """A column of an arm, at the levels that it names."""
        arm, name, levels = column(node) or ("", "", ())
        data = self._arm(arm)
        if name not in data.data_vars:
            hint = nearest(name, map(str, data.data_vars))
            raise ClaimError("unknown-column", f"no number {name} in {arm or self.main}; {hint}")
        replaced = self.arms.get(arm or self.main, data).get(name, data[name])
        for dim in (d for d in self.condition.over if d in replaced.dims):
            self.labels.setdefault(dim, replaced.get_index(dim).to_numpy())
        return self._array(_at_levels(data[name], levels))

    def _array(self, x: xr.DataArray) -> np.ndarray:
        """An array with the axes of all others."""
        if x.dtype.kind not in "biuf":
            raise ClaimError("not-numbers", f"{x.name} is no number: {x.dtype}")
        axes = (*self.units, *self.condition.over)
        x = x.squeeze([d for d in x.dims if d not in axes and x.sizes[d] == 1], drop=True)
        for dim in (d for d in x.dims if d not in axes):
            raise _open(dim)
        places = [self._places(x, dim) for dim in axes]
        out = np.full([len(self.labels[d]) if d in x.dims else 1 for d in axes], np.nan)
        values = x.transpose(*(d for d in axes if d in x.dims)).to_numpy()
        out[np.ix_(*places)] = values.reshape([len(at) for at in places])
        return out

    def _places(self, x: xr.DataArray, dim: str) -> np.ndarray:
        """Where the labels of an array are among all labels of a dimension."""
        if dim not in x.dims:
            return np.zeros(1, int)
        names = _names(x, dim) if dim in self.units else x.get_index(dim).to_numpy()
        known = self.labels.setdefault(dim, names)
        if dim in self.units and np.isin(names, known).all():
            return np.searchsorted(known, names)
        if names.tolist() != known.tolist():
            raise ClaimError("other-levels", f"{x.name or 'a function'} has other {dim}s")
        return np.arange(len(names))

    def _wide(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(x.shape + (1,) * len(self.condition.over))


def _open(dim: Any) -> ClaimError:
    return ClaimError("open-level", f"say which {dim}: x[{dim}=…], or mean(x, over={dim})")


def _names(x: Any, unit: str) -> np.ndarray:
    """The labels of a kind of unit in an array or arm, as texts."""
    has = isinstance(x, xr.DataArray | xr.Dataset) and unit in x.dims
    return x.get_index(unit).to_numpy().astype(str) if has else np.empty(0, str)


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


def _span(formula: str, ends: Sequence[tuple[float, float] | None]) -> tuple[float, float] | None:
    """Between which numbers a sum of multiples lies."""
    known = np.array([x for x in ends if x is not None])
    if len(known) < len(ends) or not _adds(formula):
        return None
    corners = known[:, 0] + np.vstack([0 * known[:, 0], np.diag(np.ptp(known, axis=1))])
    base, *each = compiled(formula)[0](corners)
    off = np.array(each) - base
    return float(base + off[off < 0].sum()), float(base + off[off > 0].sum())


def _compared(compare: Callable[..., Any], a: Any, b: Any) -> np.ndarray:
    """1 where a comparison is true and 0 where it is false, of numbers without their rounding."""
    gap = np.asarray(a - b)
    gap = np.where(abs(gap) <= SAME * np.maximum(abs(a), abs(b)), 0.0, gap)
    return np.where(np.isnan(gap), np.nan, compare(gap, 0.0))


def _at_levels(x: xr.DataArray, levels: Sequence[tuple[str, str]]) -> xr.DataArray:
    """An array at the levels that a condition names: by their texts, or else by their numbers."""
    for dim, level in levels:
        if dim not in x.dims:
            hint = nearest(dim, map(str, x.dims))
            raise ClaimError("unknown-dimension", f"{x.name} has no {dim}; {hint}")
        known = x.get_index(dim).to_numpy()
        at = np.flatnonzero(known.astype(str) == level)
        if not at.size and known.dtype.kind in "iuf":
            with suppress(ValueError):
                at = np.flatnonzero(np.isclose(known, float(level), rtol=1e-7, atol=0))
        if not at.size:
            raise ClaimError(
                "unknown-level", f"no {dim} {level}; {nearest(level, map(str, known))}"
            )
        x = x.isel({dim: int(at[0])}, drop=True)
    return x
