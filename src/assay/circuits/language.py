"""The small language in which explanations say what a part computes: arithmetic over tokens, and
means over selected places.

    last(token, there(place) == place - 1)                       the token one place back
    least(token, there(place) < 5 and there(token) > token)      the smallest larger value among the
    first five count(there(token) == token) == 1                            whether the token occurs
    once so far

A name stands for a value at each position; `there(x)` is x at the position that is looked at, which
is never a later one. Functions that look take their first argument there, and a condition: mean,
total, least, most, last, first (with what to give where nothing is selected, else -1), count, some.
Beside these: numbers, + - * / // %, comparisons, and, or, not, x if c else y, abs, min, max, and
'END' for a token by its name. The text is parsed and walked, never evaluated: whoever reads a file
of it runs no code.

Source: the selection and aggregation of Weiss, Goldberg and Yahav 2021, Thinking Like Transformers
(RASP)."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from assay.core import syntax
from assay.core.errors import SpecError, nearest

LONGEST = 2_000
"""Characters an expression may have; also bounds how deep it can nest."""
NOTHING = -1.0
"""What looking gives where no place is selected, unless told otherwise."""
Values = Mapping[str, Float[np.ndarray, "n s"]]
_Walk = Callable[[Mapping[str, np.ndarray]], np.ndarray]
_BINARY: Mapping[type, Callable] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
}
_COMPARED: Mapping[type, Callable] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
_LOOKS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": lambda x, m: (x * m).sum(2, keepdims=True) / np.maximum(m.sum(2, keepdims=True), 1),
    "total": lambda x, m: (x * m).sum(2, keepdims=True),
    "least": lambda x, m: np.where(m, x, np.inf).min(2, keepdims=True),
    "most": lambda x, m: np.where(m, x, -np.inf).max(2, keepdims=True),
    "last": lambda x, m: np.take_along_axis(
        x, m.shape[2] - 1 - m[:, :, ::-1].argmax(2)[..., None], 2
    ),
    "first": lambda x, m: np.take_along_axis(x, m.argmax(2)[..., None], 2),
}
_PLAIN: Mapping[str, Callable] = {"abs": np.abs, "min": np.minimum, "max": np.maximum}
KNOWN = (*_LOOKS, "count", "some", "there", *_PLAIN)


@dataclass(frozen=True)
class Expression:
    """A text that was read: which names it needs, how many names and numbers it is made of, and
    what it gives."""

    text: str
    names: tuple[str, ...]
    size: int
    _walk: _Walk

    def __call__(self, values: Values) -> Float[np.ndarray, "n s"]:
        """Give its value at each position of each input."""
        n, s = next(iter(values.values())).shape
        with np.errstate(all="ignore"):
            result = self._walk(
                {name: np.asarray(x, np.float64)[:, :, None] for name, x in values.items()}
            )
        return np.broadcast_to(np.asarray(result, np.float64), (n, s, 1))[..., 0].copy()


def read(text: str, tokens: Sequence[str] = ()) -> Expression:
    """Read an expression; `tokens` are the names that may stand in quotes.

    Raises: SpecError when it is none, or uses anything beyond the language.
    """
    reader = _Reader(text, tokens)
    try:
        walk = reader.walk(reader.tree(), looking=False)
    except RecursionError as e:
        raise SpecError(f"cannot read '{text[:60]}…': it nests too deep") from e
    return Expression(text, tuple(dict.fromkeys(reader.names)), reader.size, walk)


class _Reader:
    def __init__(self, text: str, tokens: Sequence[str]) -> None:
        self.text, self.tokens = text, tokens
        self.names: list[str] = []
        self.size = 0

    def tree(self) -> ast.expr:
        if len(self.text) > LONGEST:
            raise self.no(f"it has {len(self.text):,} characters; at most {LONGEST:,} are read")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return syntax.expression(" ".join(self.text.split()))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
            raise self.no(
                "it is no expression, such as last(token, there(place) == place - 1)"
            ) from e

    def walk(self, node: ast.expr, looking: bool) -> _Walk:
        """A function that computes this node; `looking` where it stands inside what a place is
        selected by."""

        def inner(x: ast.expr) -> _Walk:
            return self.walk(x, looking)

        match node:
            case ast.Constant(value=(bool() | int() | float()) as value):
                self.size += 1
                number = self.number(value)
                return lambda v: np.full((1, 1, 1), number)
            case ast.Constant(value=str() as value):
                self.size += 1
                token = self.token(value)
                return lambda v: np.full((1, 1, 1), token)
            case ast.Name():
                self.size += 1
                self.names.append(node.id)
                return lambda v: v[node.id]
            case ast.UnaryOp(op=ast.USub()):
                operand = inner(node.operand)
                return lambda v: -operand(v)
            case ast.UnaryOp(op=ast.Not()):
                operand = inner(node.operand)
                return lambda v: (operand(v) == 0).astype(np.float64)
            case ast.BinOp() if type(node.op) in _BINARY:
                apply, left_operand, right = (
                    _BINARY[type(node.op)],
                    inner(node.left),
                    inner(node.right),
                )
                return lambda v: apply(left_operand(v), right(v))
            case ast.BoolOp():
                operands, every = [inner(x) for x in node.values], isinstance(node.op, ast.And)
                return lambda v: _combine([operand(v) != 0 for operand in operands], every)
            case ast.Compare() if all(type(op) in _COMPARED for op in node.ops):
                ends = [inner(x) for x in (node.left, *node.comparators)]
                signs = [_COMPARED[type(op)] for op in node.ops]
                return lambda v: _combine(
                    [sign(a(v), b(v)) for sign, a, b in zip(signs, ends, ends[1:], strict=False)],
                    True,
                )
            case ast.IfExp():
                condition, yes, no = inner(node.test), inner(node.body), inner(node.orelse)
                return lambda v: np.where(condition(v) != 0, yes(v), no(v))
            case ast.Call(func=ast.Name(id=called), keywords=[]):
                if called not in KNOWN:
                    raise self.no(f"there is no function {called}; {nearest(called, KNOWN)}")
                return self.call(called, node.args, looking)
        raise self.no(f"{ast.unparse(node)[:60]!r} is not in the language")

    def call(self, name: str, arguments: Sequence[ast.expr], looking: bool) -> _Walk:
        """A function that is called."""
        self.size += 1
        if name == "there":
            self.wants(name, arguments, 1, 1)
            if not looking:
                raise self.no(
                    "there(…) stands where no place is looked at; it belongs into a "
                    "condition, as in count(there(token) == token)"
                )
            operand = self.walk(
                arguments[0], False
            )  # its own value, moved: there(there(x)) means nothing
            return lambda v: operand(v).swapaxes(1, 2)
        if name in _PLAIN:
            self.wants(name, arguments, 1, 1) if name == "abs" else self.wants(
                name, arguments, 2, 2
            )
            apply, many = _PLAIN[name], [self.walk(x, looking) for x in arguments]
            return lambda v: apply(*(operand(v) for operand in many))
        if looking:
            raise self.no(
                f"{name}(…) stands inside another condition; give it a name of its own as a "
                "variable"
            )
        if name in ("count", "some"):
            self.wants(name, arguments, 1, 1)
            where = self.walk(arguments[0], True)
            count = lambda v: _selected(where, v).sum(2, keepdims=True).astype(np.float64)  # noqa: E731
            return count if name == "count" else lambda v: (count(v) > 0).astype(np.float64)
        self.wants(name, arguments, 2, 3)
        look, what, where = (
            _LOOKS[name],
            self.walk(arguments[0], False),
            self.walk(arguments[1], True),
        )
        otherwise = (
            self.walk(arguments[2], False)
            if len(arguments) == 3
            else lambda v: np.full((1, 1, 1), NOTHING)
        )

        def looked(v: Mapping[str, np.ndarray]) -> np.ndarray:
            chosen = _selected(where, v)
            x = np.broadcast_to(what(v).swapaxes(1, 2), chosen.shape)
            return np.where(chosen.any(2, keepdims=True), look(x, chosen), otherwise(v))

        return looked

    def wants(self, name: str, arguments: Sequence[ast.expr], least: int, most: int) -> None:
        if not least <= len(arguments) <= most or any(
            isinstance(x, ast.Starred) for x in arguments
        ):
            raise self.no(
                f"{name}(…) takes {least if least == most else f'{least} or {most}'} values, "
                f"got {len(arguments)}"
            )

    def number(self, value: float) -> float:
        try:
            return float(value)
        except OverflowError:
            raise self.no("a number is too large") from None

    def token(self, name: str) -> float:
        if name not in self.tokens:
            raise self.no(f"no token is called {name!r}; {nearest(name, self.tokens)}")
        return float(self.tokens.index(name))

    def no(self, why: str) -> SpecError:
        excerpt = self.text if len(self.text) <= 80 else self.text[:77] + "…"
        return SpecError(f"cannot read '{excerpt}': {why}")


def _combine(values: Sequence[np.ndarray], every: bool) -> np.ndarray:
    out = values[0]
    for value in values[1:]:
        out = out & value if every else out | value
    return out.astype(np.float64)


def _selected(where: _Walk, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which places [n, here, there] are selected: none that comes later."""
    n, s, _ = next(iter(values.values())).shape
    return np.broadcast_to(where(values) != 0, (n, s, s)) & np.tri(s, dtype=bool)
