"""Conditions computed on arrays: the numbers of each unit, and the formula of their means.

A quantity is computed of each unit that all its arms have, and averaged. The parts of a ratio of
means, and of arms that share no unit, are terms of the rule's formula; a statistic of all units is
one term.
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
        labels: of each kind, the units that any of the arms has.
        terms: what the formula is of, for each unit, and between which numbers it lies.
        undefined: something has no number, although all that it is computed from has one.
    """

    condition: Condition
    arms: Mapping[str, xr.Dataset]
    units: tuple[str, ...]
    main: str
    swap: Mapping[str, str]
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    terms: list[tuple[xr.DataArray, tuple[float, float] | None]] = field(default_factory=list)
    undefined: bool = False
    _called: dict[ast.Call, xr.DataArray] = field(default_factory=dict)
    _ones: set[ast.Call] = field(default_factory=set)

    def sample(self) -> Sample:
        """The numbers that decide. Raises: ClaimError."""
        self.labels = {unit: self._labels(unit) for unit in self.units}
        with np.errstate(all="ignore"), xr.set_options(arithmetic_join="exact"):
            try:
                formula = ast.unparse(self._formula(self.condition.quantity))
            except xr.AlignmentError:
                text = f"the arms of `{self.condition.text}` have other levels"
                raise ClaimError("other-levels", text) from None
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
        x = _of_units(xr.DataArray(self.values(node)), self.units)
        self.terms.append((x, self._ends(node)))
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
        shape = xr.DataArray(0.0, [*self.labels.items()])
        terms = [(x + shape).transpose(*self.units).to_numpy().ravel() for x, _ in self.terms]
        known = np.isfinite(cells := np.stack(terms, axis=1))
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
        grid = np.meshgrid(*self.labels.values(), indexing="ij")
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
                    return _over(name, self.values(args[0]), dims_of(node))
                if node not in self._called:
                    self._called[node] = self._call(node, name)
                return self._called[node]
        raise ClaimError("not-allowed", f"`{ast.unparse(node)}` is not part of a condition")

    def _applied(self, function: Callable[..., Any], *nodes: ast.expr) -> Any:
        values = [self.values(x) for x in nodes]
        out = function(*values)
        known = reduce(operator.and_, map(np.isfinite, values))
        self.undefined |= bool((known & ~np.isfinite(out)).any())
        if function in (operator.add, operator.sub):  # exactly 0 where only rounding is left
            return xr.where(abs(out) <= SAME * np.maximum(*map(abs, values)), 0.0, out)
        return out

    def _call(self, node: ast.Call, name: str) -> xr.DataArray:
        """What a statistic or a function of one's own comes to."""
        if name in STATISTICS:
            values = [_of_units(self.values(x), self.units) for x in node.args]
            return self._labelled(of_all(name, values, self.units))
        function, args = self.condition.functions[name], list[Any]()
        for x in node.args:
            arm, whole, levels = column(x) or ("", "?", ())
            args.append(self.values(x) if whole else _at_levels(self._arm(arm), levels))
        result = function(*args)
        if not isinstance(result, xr.DataArray) or not {*result.dims} & {*self.units}:
            self._ones.add(node)
            number_of = lambda *args: float(function(*args))  # noqa: E731
            result = pseudo_values(float(result), number_of, args, self.units)
        return self._labelled(result)

    def _arm(self, arm: str, swapped: bool = True) -> xr.Dataset:
        name = arm or self.main
        name = self.swap.get(name, name) if swapped else name
        if name not in self.arms:
            raise ClaimError("unknown-arm", f"no arm {name}; {nearest(name, self.arms)}")
        return self.arms[name]

    def _labels(self, unit: str) -> np.ndarray:
        """The units of a kind; those of the arms that are replaced where no other has any."""
        for swapped in (True, False):
            arms = [self._arm(c.arm, swapped) for c in self.condition.columns]
            found = [x[unit].to_numpy().astype(str) for x in arms if unit in x.dims]
            if any(len({*x}) < len(x) for x in found):
                raise ClaimError("repeated-unit", f"a {unit} is there twice")
            if any(map(len, found)):
                return np.unique(np.concatenate(found))
        raise ClaimError("no-units", f"the arms of `{self.condition.text}` have no {unit}s")

    def _labelled(self, x: xr.DataArray) -> xr.DataArray:
        """An array over all units, by the texts of their labels."""
        for unit in (u for u in self.units if u in x.dims):
            x = x.assign_coords({unit: x[unit].to_numpy().astype(str)})
            x = x.reindex({unit: self.labels[unit]})
        return x.astype(float).reset_coords(drop=True)

    def _read(self, node: ast.expr) -> xr.DataArray:
        """A column of an arm, at the levels that it names."""
        arm, name, levels = column(node) or ("", "", ())
        data = self._arm(arm)
        if name not in data.data_vars:
            hint = nearest(name, map(str, data.data_vars))
            raise ClaimError("unknown-column", f"no number {name} in {arm or self.main}; {hint}")
        x = _at_levels(data[name], levels)
        if x.dtype.kind not in "biuf":
            raise ClaimError("not-numbers", f"{name} is no number: {x.dtype}")
        replaced = self.arms.get(arm or self.main, data).get(name, x)
        over = [d for d in self.condition.over if d in x.dims and d in replaced.dims]
        xr.align(x, replaced, join="exact", exclude={*x.dims, *replaced.dims} - {*over})
        return self._labelled(x)


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


def _of_units(x: xr.DataArray, units: Sequence[str]) -> xr.DataArray:
    """An array of units alone. Raises: ClaimError."""
    for dim in (d for d in x.dims if d not in units):
        raise ClaimError("open-level", f"say which {dim}: x[{dim}=…], or mean(x, over={dim})")
    return x


def _compared(compare: Callable[..., Any], a: Any, b: Any) -> xr.DataArray:
    """1 where a comparison is true and 0 where it is false, of numbers without their rounding."""
    gap = xr.DataArray(a - b)
    gap = gap.where((abs(gap) > SAME * np.maximum(abs(a), abs(b))) | gap.isnull(), 0.0)
    return compare(gap, 0).astype(float).where(gap.notnull())


def _at_levels(x: Any, levels: Sequence[tuple[str, str]]) -> Any:
    """An array at the levels that a condition names: by their texts, or else by their numbers."""
    for dim, level in levels:
        if dim not in x.dims:
            hint = nearest(dim, map(str, x.dims))
            raise ClaimError("unknown-dimension", f"nothing varies over {dim}; {hint}")
        known = x[dim].to_numpy()
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


def _over(name: str, x: Any, dims: tuple[str, ...]) -> xr.DataArray:
    """Something of a unit's levels; nothing where one of them has no number."""
    for dim in (d for d in dims if not isinstance(x, xr.DataArray) or d not in x.dims):
        raise ClaimError("unknown-dimension", f"nothing varies over {dim}")
    if name not in ("first", "argmax"):
        return getattr(x, {"share": "mean", "count": "sum"}.get(name, name))(dims, skipna=False)
    levels, most = x[dims[0]], x.max(dims)
    if levels.dtype.kind not in "iuf":
        raise ClaimError("no-order", f"{name} needs numbers, and {dims[0]} has names")
    there = x > 0 if name == "first" else x >= most - SAME * abs(most)
    step = float(np.diff(np.sort(levels)).min()) if len(levels) > 1 else 1.0
    first = levels.where(there).min(dims).fillna(float(levels.max()) + step)
    return first.where(x.notnull().all(dims))
