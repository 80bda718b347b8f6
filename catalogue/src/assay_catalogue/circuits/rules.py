"""Rules of an explanation: expressions of a small language, or functions, called so that what they
give is one number for each position, or one line of refusal.

    last(token, there(place) == place - 1)                     the token one place back
    least(token, there(place) < 5 and there(token) > token)    the smallest larger value among the
                                                               first five
    count(there(token) == token) == 1                          whether the token occurs once so far

A name stands for a value at each position; `there(x)` is x at the position that is looked at, which
is never a later one. Functions that look take their first argument there, and a condition: mean,
total, least, most, last, first (with what to give where nothing is selected, else -1), count, some.
Beside these: numbers, + - * / // %, comparisons, and, or, not, x if c else y, abs, min, max, and
'END' for a token by its name. It is the language of conditions (core/expression.py) with more
names: whoever reads a file of it runs no code.

Source: the selection and aggregation of Weiss, Goldberg and Yahav 2021, Thinking Like Transformers
(RASP).

Functions that somebody else wrote, called so that what goes wrong is one line that names the
place."""

from __future__ import annotations

import ast
import inspect
import operator
import signal
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from assay.core import syntax
from assay.core.errors import AssayError, SpecError, nearest
from assay.core.expression import Reader, Walk
from assay_catalogue.circuits.explanation import Rule

NOTHING = -1.0
"""What looking gives where no place is selected, unless told otherwise."""
Values = Mapping[str, Float[np.ndarray, "n s"]]
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


@dataclass(frozen=True)
class Expression:
    """A text that was read: which names it needs, how many names and numbers it is made of, and
    what it gives."""

    text: str
    names: tuple[str, ...]
    size: int
    _walk: Walk

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
    reader = _Rule(text, tokens)
    try:
        walk = reader.walk(reader.tree())
    except RecursionError as e:
        raise reader.deep() from e
    return Expression(text, tuple(dict.fromkeys(reader.names)), reader.size, walk)


class _Rule(Reader):
    """Arithmetic, logic and looking over values [n, here, there]; `inside` a condition, in which
    `there` may stand."""

    SIGNS: ClassVar[Mapping[type, Callable]] = {
        **Reader.SIGNS,
        ast.FloorDiv: operator.floordiv,
        ast.Mod: operator.mod,
    }
    FUNCTIONS: ClassVar[Mapping[str, tuple[int, Callable]]] = {
        "abs": (1, np.abs),
        "min": (2, np.minimum),
        "max": (2, np.maximum),
    }
    LOOKING: ClassVar[tuple[str, ...]] = (*_LOOKS, "count", "some", "there")
    ALLOWED: ClassVar[str] = (
        "numbers, names, 'TOKEN', + - * / // %, comparisons, and, or, not, x if c else y, "
        f"{', '.join((*LOOKING, *FUNCTIONS))}"
    )
    EXAMPLE: ClassVar[str] = (
        "it is not an expression such as last(token, there(place) == place - 1)"
    )
    LONGEST: ClassVar[int] = 2_000
    ERROR: ClassVar[type[AssayError]] = SpecError

    def __init__(self, text: str, tokens: Sequence[str]) -> None:
        super().__init__(text)
        self.tokens = tokens
        self.names: list[str] = []
        self.size = 0

    def number(self, number: float) -> Walk:
        self.size += 1
        return lambda v: np.full((1, 1, 1), number)

    def name(self, node: ast.expr, inside: bool) -> Walk | None:
        match node:
            case ast.Constant(value=bool() as value):
                return self.number(float(value))
            case ast.Constant(value=str() as value):
                if value not in self.tokens:
                    raise self.no(f"no token is called {value!r}; {nearest(value, self.tokens)}")
                return self.number(float(self.tokens.index(value)))
            case ast.Name():
                self.size += 1
                self.names.append(node.id)
                return lambda v: v[node.id]
            case ast.UnaryOp(op=ast.Not()):
                operand = self.walk(node.operand, inside)
                return lambda v: (operand(v) == 0).astype(np.float64)
            case ast.BoolOp():
                operands = [self.walk(x, inside) for x in node.values]
                every = isinstance(node.op, ast.And)
                return lambda v: _combine([operand(v) != 0 for operand in operands], every)
            case ast.Compare() if all(type(op) in _COMPARED for op in node.ops):
                ends = [self.walk(x, inside) for x in (node.left, *node.comparators)]
                signs = [_COMPARED[type(op)] for op in node.ops]
                return lambda v: _combine(
                    [sign(a(v), b(v)) for sign, a, b in zip(signs, ends, ends[1:], strict=False)],
                    True,
                )
            case ast.IfExp():
                yes, no = self.walk(node.body, inside), self.walk(node.orelse, inside)
                condition = self.walk(node.test, inside)
                return lambda v: np.where(condition(v) != 0, yes(v), no(v))
        return None

    def call(self, node: ast.Call, inside: bool, more: Sequence[str] = LOOKING) -> Walk:
        self.size += 1
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "there":
            (inner,) = self.values(node, 1, 1)
            if not inside:
                raise self.no(
                    "there(…) is used outside a condition; use it inside one, as in "
                    "count(there(token) == token)"
                )
            moved = self.walk(inner)  # its own value, moved: there(there(x)) means nothing
            return lambda v: moved(v).swapaxes(1, 2)
        if name not in more:
            return super().call(node, inside, more)
        if inside:
            raise self.no(
                f"{name}(…) is inside another condition; define it as a variable of its own"
            )
        if name in ("count", "some"):
            (condition,) = self.values(node, 1, 1)
            where = self.walk(condition, inside=True)
            count = lambda v: _selected(where, v).sum(2, keepdims=True).astype(np.float64)  # noqa: E731
            return count if name == "count" else lambda v: (count(v) > 0).astype(np.float64)
        value, condition, *rest = self.values(node, 2, 3)
        look, what, where = _LOOKS[name], self.walk(value), self.walk(condition, inside=True)
        otherwise = self.walk(rest[0]) if rest else lambda v: np.full((1, 1, 1), NOTHING)

        def looked(v: Mapping[str, np.ndarray]) -> np.ndarray:
            chosen = _selected(where, v)
            x = np.broadcast_to(what(v).swapaxes(1, 2), chosen.shape)
            return np.where(chosen.any(2, keepdims=True), look(x, chosen), otherwise(v))

        return looked


KNOWN = (*_Rule.LOOKING, *_Rule.FUNCTIONS)
"""The functions of the language, which no variable may be called."""


def _combine(values: Sequence[np.ndarray], every: bool) -> np.ndarray:
    out = values[0]
    for value in values[1:]:
        out = out & value if every else out | value
    return out.astype(np.float64)


def _selected(where: Walk, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which places [n, here, there] are selected: none that comes later."""
    n, s, _ = next(iter(values.values())).shape
    return np.broadcast_to(where(values) != 0, (n, s, s)) & np.tri(s, dtype=bool)


def bound(rule: Rule, what: str, known: Sequence[str], tokens: Sequence[str]) -> BoundRule:
    """Read a rule that may use these variables and tokens. Raises: SpecError where it uses
    another."""
    if isinstance(rule, BoundRule):
        return rule
    if isinstance(rule, str):
        try:
            expression = read(rule, tokens)
        except SpecError as e:
            raise SpecError(f"{what}: {e}") from None
        bound_rule = BoundRule(what, expression.names, expression)
    else:
        bound_rule = BoundRule(what, tuple(inspect.signature(rule).parameters), rule)
    if unknown := [n for n in bound_rule.names if n not in known]:
        raise SpecError(
            f"{what} uses {unknown[0]}, which is not a variable; {nearest(unknown[0], known)}"
        )
    return bound_rule


@dataclass(frozen=True)
class BoundRule:
    """A rule, with the names of the variables it needs; `what` it is called in an error."""

    what: str
    names: tuple[str, ...]
    rule: Rule | Expression

    def __call__(self, values: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """Give its numbers, in this shape. Raises: SpecError where it gives anything else, or
        nothing."""
        if isinstance(self.rule, Expression):
            numbers = self.rule(values)
        else:
            assert not isinstance(self.rule, str)
            numbers = call(
                self.what, partial(self.rule, **{n: values[n].copy() for n in self.names})
            )
        try:
            out = np.asarray(numbers, dtype=np.float64)
        except (TypeError, ValueError):
            raise SpecError(
                f"{self.what} gives {type(numbers).__name__}; a number for each position is "
                f"needed, {list(shape)}"
            ) from None
        if out.shape != shape:
            what = f"inputs, positions{', classes' * (len(shape) > 2)}"
            raise SpecError(
                f"{self.what} gives an array {list(out.shape)}; {list(shape)} is needed: {what}"
            )
        if (off := ~np.isfinite(out)).any():
            raise SpecError(
                f"{self.what} gives {out[off][0]} at position {np.argwhere(off)[0][1]}; only "
                "finite numbers count"
            )
        return out

    def size(self) -> int:
        """Count the names and numbers it is written with. Raises: SpecError where that is not
        known."""
        if isinstance(self.rule, Expression):
            return self.rule.size
        try:
            return leaves(textwrap.dedent(inspect.getsource(self.rule)))  # type: ignore[arg-type]
        except (OSError, TypeError, SyntaxError):
            raise SpecError(
                f"{self.what}: its length is unknown because it is not in a file; give the "
                "explanation a size"
            ) from None


@dataclass(frozen=True)
class Shuffled(BoundRule):
    """A rule of other inputs' tokens: by one permutation wherever there are as many of them, so
    that such rules agree with each other."""

    seed: int = 0

    def __call__(self, values: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """Give its numbers, of other inputs."""
        order = np.random.default_rng([self.seed, shape[0]]).permutation(shape[0])
        return super().__call__({**values, "token": values["token"][order]}, shape)


def leaves(code: str) -> int:
    """Count the names and numbers in Python code, texts of documentation apart. Raises:
    SyntaxError."""
    return sum(
        isinstance(x, ast.Name | ast.Attribute | ast.arg)
        or (isinstance(x, ast.Constant) and not isinstance(x.value, str))
        for x in ast.walk(syntax.module(code))
    )


SECONDS = 20.0
"""How long one call may compute: on a busy machine more time passes."""


class _LateError(BaseException):
    """No Exception, so that a function that catches these does not catch it."""


def call(
    what: str, function: Callable[..., Any], *args: Any, seconds: float = SECONDS, **kwargs: Any
) -> Any:
    """Call a function; `what` is what it is called in an error. Time is only kept in the main
    thread, where it can be interrupted, and one that waits without computing is waited for.

    Raises: SpecError where it raises, leaves the program, or computes longer.
    """
    try:
        with _alarm(seconds):
            return function(*args, **kwargs)
    except _LateError:
        raise SpecError(f"{what} did not end within {seconds:g} seconds of computing") from None
    except AssayError:
        raise
    except (Exception, SystemExit) as e:
        message = next(iter(str(e).splitlines()), "")
        raise SpecError(
            f"{what} raised {type(e).__name__}{': ' + message[:160] if message else ''}"
        ) from e


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or not hasattr(
        signal, "setitimer"
    ):
        yield
        return

    def late(*_: object) -> None:
        raise _LateError

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
