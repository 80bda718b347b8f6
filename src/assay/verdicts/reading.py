"""Conditions computed on arms: the numbers of each unit, and the formula of their means.

A quantity is computed of each unit that all its arms have, and averaged. The parts of a ratio of
means, and of arms that share no unit, are terms of the rule's formula; a statistic of all units is
one term.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any

import numpy as np
import xarray as xr

from assay.errors import ClaimError, nearest
from assay.verdicts.conditions import COMPARISONS, Condition, column, dims_of, kind_of, number, word
from assay.verdicts.rule import FUNCTIONS, SIGNS, Sample, compiled
from assay.verdicts.statistics import ENDS, STATISTICS, of_all, pseudo_values

SAME = 1e-12
"""Numbers that differ by at most this share of their size are equal, but for rounding."""
Ends = tuple[float, float] | None


@dataclass
class Reading:
    """A condition, and the arms on which it is read.

    Attributes:
        main: the arm of columns that name none.
        swap: the arms that take the place of others.
        there: which levels some arm has at which units; without it, all.
        labels: the texts of all units in order.
        terms: what the formula is of, for each unit, and between which numbers it lies.
        undefined: something has no number, although all that it is computed from has one.
    """

    condition: Condition
    arms: Mapping[str, xr.Dataset]
    units: tuple[str, ...]
    main: str
    swap: Mapping[str, str]
    there: xr.DataArray | None = None
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    terms: list[tuple[np.ndarray, Ends]] = field(default_factory=list)
    undefined: bool = False
    _called: dict[ast.Call, xr.DataArray] = field(default_factory=dict)
    _ones: set[ast.Call] = field(default_factory=set)

    def sample(self) -> Sample:
        """The numbers that decide. Raises: ClaimError."""
        quantity, over = self.condition.quantity, self.condition.over
        if len(self.units) not in (1, 2) or {*self.units} & {*over}:
            raise ClaimError("units", "name one or two kinds of units, none of them in over=")
        self._span_units({c.arm for c in self.condition.columns})
        with np.errstate(all="ignore"):
            formula = ast.unparse(self._formula(quantity))
            span = _span(formula, [ends for _, ends in self.terms])
        names = {x.id for x in ast.walk(quantity) if isinstance(x, ast.Name)}
        bounds, ends = (None, span) if names & {*ENDS} else (span, None)
        cells, units, formula = _cells([x for x, _ in self.terms], self.labels, formula)
        cells = cells * (np.nan if self.undefined else 1.0)
        return Sample(cells, units, formula, bounds, ends=ends)

    def _arm(self, arm: str) -> xr.Dataset:
        """The arm that a column means. Raises: ClaimError."""
        name = self.swap.get(arm or self.main, arm or self.main)
        if name not in self.arms:
            raise ClaimError("unknown-arm", f"no arm {name}; {nearest(name, self.arms)}")
        return self.arms[name]

    def _span_units(self, names: Iterable[str]) -> None:
        """Find the units that any of these arms has, or else the arms whose place they take.
        Raises: ClaimError: there are none, or one is there twice."""
        for unit in self.units:
            found = [_labels(self._arm(arm), unit) for arm in names]
            if not any(map(len, found)):
                found = [_labels(self.arms.get(arm or self.main), unit) for arm in names]
            if not any(map(len, found)):
                raise ClaimError("no-units", f"these arms have no {unit}s")
            if any(len({*x}) < len(x) for x in found):
                raise ClaimError("repeated-unit", f"a {unit} is there twice")
            self.labels[unit] = np.unique(np.concatenate(found))

    def _read(self, arm: str, name: str, levels: Sequence[tuple[str, str]]) -> xr.DataArray:
        """A column at the levels that it names. Raises: ClaimError."""
        data = self._arm(arm)
        if name not in data.data_vars:
            raise ClaimError("unknown-column", f"no number {name}; {nearest(name, map(str, data))}")
        replaced = self.arms.get(arm or self.main, data).get(name, data[name])
        for dim in {*self.condition.over} & {*replaced.dims} & {*data[name].dims}:
            if not data.get_index(dim).equals(replaced.get_index(dim)):
                raise ClaimError("other-levels", f"{name} has other {dim}s in what stands in")
        return self._of_units(_at_levels(data[name], levels))

    def _of_units(self, x: xr.DataArray) -> xr.DataArray:
        """An array over all units and over levels. Raises: ClaimError: it has other dimensions."""
        if x.dtype.kind not in "biuf":
            raise ClaimError("not-numbers", f"{x.name} is no number: {x.dtype}")
        x = self._without(x, {*self.units, *self.condition.over}).astype(float)
        units = {u: labels for u, labels in self.labels.items() if u in x.dims}
        x = x.assign_coords({u: _labels(x, u) for u in units}).reset_coords(drop=True)
        return x.reindex(units)

    def _without(self, x: xr.DataArray, dims: set[str]) -> xr.DataArray:
        """An array over these dimensions alone. Raises: ClaimError: it has levels in another."""
        for dim in (d for d in x.dims if d not in dims and x.sizes[d] > 1):
            raise ClaimError("open-level", f"say which {dim}: x[{dim}=…], or mean(x, over={dim})")
        return x.squeeze([d for d in x.dims if d not in dims], drop=True)

    def _is_one(self, node: ast.AST) -> bool:
        """Whether a node is one number of all units."""
        kind = kind_of(node, self.condition.functions) if isinstance(node, ast.Call) else ""
        if kind == "own":
            self.values(node)  # type: ignore[arg-type]
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
        self.terms.append((self._by_unit(node), self._ends(node)))
        return ast.Name(f"x{len(self.terms) - 1}")

    def _ends(self, node: ast.expr) -> Ends:
        """Between which numbers a term lies, where it is a share or the like: a column that is 0 or
        1 in all arms, and 1 in one of them."""
        match node:
            case ast.Compare():
                return 0.0, 1.0
            case ast.Call(func=ast.Name(id="mean" | "share" | "max" | "min"), args=[x]):
                return self._ends(x)
            case ast.Call(func=ast.Name(id=name)):
                return ENDS.get(name)
        at = column(node)
        arms = [x.data_vars for x in self.arms.values()]
        found = [x[at.name].to_numpy() for x in arms if at and at.name in x]
        alone = all(((x == 0) | (x == 1) | (x != x)).all() for x in found)
        return (0.0, 1.0) if alone and any((x == 1).any() for x in found) else None

    def values(self, node: ast.expr) -> Any:
        """The value of a node for each unit. Raises: ClaimError."""
        if (x := number(node)) is not None:
            return x
        if (at := column(node)) is not None:
            return self._read(*at)
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

    def _applied(self, function: Callable[..., Any], *nodes: ast.expr) -> xr.DataArray:
        values = [self.values(x) for x in nodes]
        try:
            with xr.set_options(arithmetic_join="exact"):
                out, known = function(*values), np.isfinite(reduce(operator.add, values))
        except xr.AlignmentError:
            text = ", ".join(map(ast.unparse, nodes))
            raise ClaimError("other-levels", f"`{text}` have other levels") from None
        self.undefined |= bool((known & ~np.isfinite(out)).any())
        return _exact(out, *values) if function in (operator.add, operator.sub) else out

    def _over(self, name: str, node: ast.expr, dims: tuple[str, ...]) -> Any:
        """Something of a unit's levels; nothing where one of them has no number."""
        x = xr.DataArray(self.values(node))
        if not {*dims} <= {*x.dims}:
            raise ClaimError("unknown-dimension", f"`{ast.unparse(node)}` lacks one of {dims}")
        some = xr.ones_like(x, bool) if self.there is None else self.there
        some = some.any([d for d in some.dims if d not in x.dims])
        some = some.reindex({d: x[d] for d in some.dims}, fill_value=False)
        gone = (some & x.isnull()).any(dims) | x.isnull().all(dims)
        method = {"share": "mean", "count": "sum"}.get(name, name)
        is_place = name in ("first", "argmax")
        return (_first(name, x, dims[0]) if is_place else getattr(x, method)(dims)).where(~gone)

    def _by_unit(self, node: ast.expr) -> np.ndarray:
        """A number of each unit, with an axis of length 1 where it is the same for all."""
        x = self._without(xr.DataArray(self.values(node)), {*self.units})
        return x.expand_dims([u for u in self.units if u not in x.dims]).transpose(*self.units).data

    def _call(self, node: ast.Call, name: str) -> xr.DataArray:
        """What a statistic or a function of one's own comes to."""
        if name in STATISTICS:
            return xr.DataArray(of_all(name, [*map(self._by_unit, node.args)]), dims=self.units)
        function = self.condition.functions[name]
        args: list[Any] = [self._arm(word(x)) if (n := number(x)) is None else n for x in node.args]
        result = function(*args)
        if isinstance(result, xr.DataArray) and {*result.dims} & {*self.units}:
            return self._of_units(result)
        self._ones.add(node)
        names = {u: [_labels(x, u) for x in args] for u in self.units}

        def without(axis: int, k: int) -> float:
            unit = self.units[axis]
            kept = [of != self.labels[unit][k] for of in names[unit]]
            pairs = zip(args, kept, strict=True)
            return float(function(*(x.isel({unit: at}) if len(at) else x for x, at in pairs)))

        known = [np.isin(self.labels[u], np.concatenate(names[u])) for u in self.units]
        return xr.DataArray(pseudo_values(float(result), without, known), dims=self.units)


def _labels(x: Any, unit: str) -> np.ndarray:
    """The labels of a kind of unit in an arm or array, as texts; none where it has no units."""
    has = isinstance(x, xr.DataArray | xr.Dataset) and unit in x.dims
    return x.get_index(unit).to_numpy().astype(str) if has else np.empty(0, str)


def _at_levels(x: xr.DataArray, levels: Sequence[tuple[str, str]]) -> xr.DataArray:
    """An array at the levels that a condition names: by their texts, or else by their numbers."""
    for dim, level in levels:
        if dim not in x.dims:
            hint = nearest(dim, map(str, x.dims))
            raise ClaimError("unknown-dimension", f"{x.name} has no {dim}; {hint}")
        known = x.get_index(dim).to_numpy()
        if not (at := is_level(known, level)).any():
            hint = nearest(level, map(str, known))
            raise ClaimError("unknown-level", f"no {dim} {level}; {hint}")
        x = x.isel({dim: int(at.argmax())}, drop=True)
    return x


def is_level(known: np.ndarray, level: str) -> np.ndarray:
    """Which of these are a level that is written so: by their texts, or else by their numbers."""
    at = np.asarray(known.astype(str) == level)
    if not at.any() and known.dtype.kind in "iuf":
        with suppress(ValueError):
            at = np.isclose(known, float(level), rtol=1e-7, atol=0)
    return at


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


def _exact(out: xr.DataArray, a: Any, b: Any) -> xr.DataArray:
    """A sum or difference, exactly 0 where only rounding is left."""
    return xr.where(abs(out) <= SAME * np.maximum(abs(a), abs(b)), 0.0, out)


def _compared(compare: Callable[..., Any], a: Any, b: Any) -> xr.DataArray:
    """1 where a comparison is true and 0 where it is false, of numbers without their rounding."""
    gap = _exact(a - b, a, b)
    return xr.where(np.isnan(gap), np.nan, compare(gap, 0.0))


def _first(name: str, x: xr.DataArray, dim: str) -> xr.DataArray:
    """The first level at which something is so, or is largest; else that after the last."""
    levels = x[dim]
    if levels.dtype.kind not in "iuf":
        raise ClaimError("no-order", f"{name} is a level, and these levels are names")
    most = x.max(dim)
    there = x > 0 if name == "first" else x >= most - SAME * abs(most)
    step = np.diff(np.sort(levels)).min() if len(levels) > 1 else 1.0
    return xr.where(there, levels, levels.max() + step).min(dim).where(np.isfinite(most))


def _cells(
    terms: Sequence[np.ndarray], labels: Mapping[str, np.ndarray], formula: str
) -> tuple[np.ndarray, dict[str, np.ndarray], str]:
    """The terms by cell, their units, and the formula. Of cells that lack a term none counts,
    where any has all; a sum of multiples is computed in each."""
    places = np.meshgrid(*labels.values(), indexing="ij")
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
    return cells, {u: x.ravel()[kept] for u, x in zip(labels, places, strict=True)}, formula


def sample(
    condition: Condition,
    arms: Mapping[str, xr.Dataset],
    units: Sequence[str],
    main: str,
    swap: Mapping[str, str] | None = None,
    there: xr.DataArray | None = None,
) -> Sample:
    """The numbers that decide a condition, with other arms in the places that `swap` names."""
    return Reading(condition, arms, tuple(units), main, swap or {}, there).sample()
