"""measured: an experiment made from a user's training loop, a function of the seed and of fields
that returns numbers. `_spec` makes a spec of its parameters, `_numbers` measures of what it
returns, and `_claim` claims of the conditions; a claim that names every arm gets the control of
shuffled labels (`_dealt`)."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, make_dataclass, replace
from typing import Any

import msgspec
import numpy as np

from assay.ask.text import ClaimEntry
from assay.ask.wording import Condition, claim, computed, condition
from assay.core.bench import Bench
from assay.core.claims import Claim
from assay.core.dealing import DEAL, DEALT, OTHERS, caution, deal
from assay.core.errors import AssayError, ClaimError, ExperimentError, nearest
from assay.core.experiment import Arm, Arms, Experiment
from assay.core.fit import Trained
from assay.core.heavy import xr
from assay.core.measures import measures, storable
from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec, changed, grid
from assay.lab.store.origin import of_function

FIRST = 1000
"""The first of the judged seeds; the smoke preset has 0 and 1."""

Loop = Callable[..., Mapping[str, Any]]
"""A function of `seed` and fields, all by name → numbers by name."""


def measured(
    *,
    claims: Sequence[str | Mapping[str, Any] | Claim],
    arms: Mapping[str, Mapping[str, Any]] = types.MappingProxyType({}),
    seeds: int | Sequence[int] = 8,
    scope: str = "",
) -> Callable[[Loop], Experiment]:
    """Make an experiment of a function that trains in its own way and returns numbers.

    It is called once for each arm and seed, with `seed` and the fields of the arm. Everything
    random must follow from `seed`: Assay sets no random seeds itself. It returns numbers by name;
    an array has named dims, and a unit if it has one, `("step", losses, "nats")`, or is a
    DataArray. A claim's controls are the arms that it does not name; if it names all, the same
    numbers with shuffled labels. A dict says more, as in a study: {"holds": …, "control": […]}.

    Args:
        claims: comparisons such as "main.accuracy > 0.9".
        arms: the fields of each; "main" is the method, and other arms have its fields by default.
        seeds: how many, from 1000 on, or which.
        scope: what verdicts are about, in words; by default the function and its fields.
    Raises: ExperimentError, ClaimError, SpecError.
    Example:
        >>> import assay
        >>> @assay.measured(arms={"untrained": {"steps": 0}}, claims=["main.accuracy > 0.9"])
        ... def run(seed: int, steps: int = 100):
        ...     return {"accuracy": 1 - 0.5 * 0.9**steps + 0.001 * (seed % 7)}
        >>> list(run.arms), run.claims[0].must_fail
        (['main', 'untrained'], ('untrained',))
    """

    def decorate(function: Loop) -> Experiment:
        if not inspect.isfunction(inspect.unwrap(function)):
            raise ExperimentError(f"measured takes a function, got {function!r}")
        name = function.__name__
        if isinstance(claims, str | Mapping):
            raise ExperimentError("claims= takes a list, such as claims=['main.accuracy > 0.9']")
        fields = {"main": {}, **arms}
        base = _spec(function, fields)
        several = range(FIRST, FIRST + seeds) if isinstance(seeds, int) else seeds
        judged = grid(base, seed=several)
        statements = tuple(c if isinstance(c, Claim) else _claim(c, tuple(fields)) for c in claims)
        words = scope or f"{name}({', '.join(f'{n}={{{n}}}' for n in _fields(base))})"
        text = _text(function)
        every = {arm: _arm(function, settings, arm) for arm, settings in fields.items()}
        if any(DEALT in getattr(c, "must_fail", ()) for c in statements):
            every[DEALT] = _dealt(tuple(fields))
        return Experiment(
            arms=every,
            measure=lambda runs, trained, bench: trained.header["numbers"],
            claims=statements,
            smoke=grid(base, seed=range(2)),
            default=judged,
            full=judged,
            seeds_per_group=1,
            inputs=lambda spec: {f"text of {name}": text},
            verdict_notes=lambda judged, arms: [caution(DEALT)] if DEALT in arms else [],
            scope=words,
            name=name.replace("_", "-").lower().strip("-"),
        )

    return decorate


def _text(function: Loop) -> str:
    """16 hex digits that identify the file of a function, or its own text in a notebook. Raises:
    ExperimentError."""
    try:
        return of_function(function)
    except (OSError, SyntaxError, ValueError, RecursionError) as error:
        raise ExperimentError(
            f"the source of {function.__name__} cannot be read ({error}), so its runs cannot be "
            "distinguished from those of others; put it into a file or a notebook"
        ) from error


# fields -------------------------------------------------------------------------------------------


def _fields(spec: Spec) -> dict[str, Any]:
    return {name: value for name, value in vars(spec).items() if name != "seed"}


def _spec(function: Loop, arms: Mapping[str, Mapping[str, Any]]) -> Spec:
    """The fields of the method as a spec: the function's parameters, with the values of main."""
    name = function.__name__
    parameters = dict(inspect.signature(function).parameters)
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    otherwise = any(p.kind not in by_name for p in parameters.values())
    if otherwise or parameters.pop("seed", None) is None:
        raise ExperimentError(
            f"{name} takes its seed and each field by name, as in def {name}(seed, lr=0.1); got "
            f"{name}{inspect.signature(function)}"
        )
    for arm, settings in arms.items():
        for key in settings:
            if key not in parameters:
                raise ExperimentError(
                    f"arm {arm} sets {key!r}, which {name} does not take; "
                    f"{nearest(key, parameters)}"
                )
    hints = typing.get_type_hints(function, include_extras=True)
    fields = []
    for key, parameter in parameters.items():
        inputs = [_plain(settings[key], key) for settings in arms.values() if key in settings]
        default = [] if parameter.default is parameter.empty else [_plain(parameter.default, key)]
        if not default and key not in arms["main"]:
            raise ExperimentError(
                f"{name} takes {key!r}, for which main has no value; give it a default, or set it "
                f'in arms={{"main": {{"{key}": …}}}}'
            )
        kind: Any = hints.get(key) or _kind([*inputs, *default])
        value = inputs[0] if key in arms["main"] else default[0]
        # fields that differ between runs become coordinates, which cannot be tuples
        shared = any(isinstance(x, tuple) for x in [*inputs, *default])
        per_run = kind if shared else PerRun[kind]  # type: ignore[misc]
        fields.append((key, per_run, field(default=value)))
    doc = f"What one call of {name} is given."
    namespace = {"__module__": __name__, "__doc__": doc}
    parts: dict[str, Any] = {"bases": (Spec,), "frozen": True, "kw_only": True}
    return make_dataclass(name, fields, namespace=namespace, **parts)()


def _plain(value: Any, key: str) -> Any:
    """The value of a field, lists as tuples. Raises: ExperimentError for a type that cannot be part
    of a key."""
    if isinstance(value, list | tuple):
        return tuple(_plain(x, key) for x in value)
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, bool | int | float | str | None):
        raise ExperimentError(
            f"{key} is a number, a text, true or false, None or a list of these, got "
            f"{type(value).__name__} {str(value)[:60]!r}; make the rest of it inside the function"
        )
    return value


def _kind(values: Sequence[Any]) -> Any:
    """The type of a field with these values."""
    kinds: set[Any] = {type(v) for v in values}
    if kinds == {int, float}:
        return float
    if kinds == {tuple}:
        inner: Any = _kind([x for v in values for x in v]) if any(values) else Any
        return tuple[inner, ...]
    return functools.reduce(lambda a, b: a | b, sorted(kinds, key=lambda kind: kind.__name__))


# arms ---------------------------------------------------------------------------------------------


def _arm(function: Loop, settings: Mapping[str, Any], name: str) -> Arm:
    def train(runs: Runs, bench: Bench) -> Trained:
        numbers = []
        for finished, spec in enumerate(runs):
            inputs = {"seed": spec.seed, **_fields(spec)}
            numbers.append(_numbers(function, function(**inputs), Runs([spec])))
            bench.report(finished + 1, len(runs), "runs")
        joined = xr.concat(numbers, "run") if numbers[1:] else numbers[0]
        header, no_runs = {"kind": "numbers", "numbers": joined}, Trained.nothing(runs)
        return Trained({}, header, {}, no_runs.steps, no_runs.diverged)

    note = ", ".join(f"{key}={value}" for key, value in settings.items())
    return Arm(train, specs=None if name == "main" else changed(**settings), note=note)


def _numbers(function: Loop, output: Any, runs: Runs) -> xr.Dataset:
    """The return value of one call, as measures. Raises: ExperimentError, with its place and
    seed."""
    code = inspect.unwrap(function).__code__
    (spec,) = runs

    def wrong(problem: str) -> ExperimentError:
        place = f"{code.co_filename} line {code.co_firstlineno}"
        return ExperimentError(f"{place}: {code.co_name} {problem} (seed {spec.seed})")

    if not isinstance(output, Mapping) or not output:
        got = "nothing" if output is None else f"{type(output).__name__} {str(output)[:60]!r}"
        raise wrong(f"must return numbers by name, such as {{'accuracy': 0.9}}, got {got}")
    entries: dict[str, Any] = {}
    coords: dict[str, Any] = {}
    for name, value in output.items():
        dims, array, unit = _entry(value)
        try:
            array = np.asarray(array.detach().cpu() if hasattr(array, "detach") else array)
        except (TypeError, ValueError, RuntimeError):
            array = np.asarray(None)
        if array.dtype.kind not in "biuf":
            raise wrong(f"returned {name!r} as {str(value)[:60]!r}, which is not a number")
        if array.ndim != len(dims):
            raise wrong(
                f"returned {name!r} with {array.ndim} dims and names {len(dims)} of them; write "
                f'"{name}": ("step", values), with a name for each dim'
            )
        if len(set(dims)) < len(dims):
            raise wrong(f"returned {name!r} with two dims of one name, {' '.join(dims)}")
        if not np.isfinite(array).all():
            raise wrong(
                f"returned a {name!r} that is not finite; decide what a failed training "
                "counts as, and return that number, such as chance"
            )
        coords |= {d: value[d].values.tolist() for d in dims if d in getattr(value, "coords", ())}
        entries[name] = " ".join(("run", *dims)), array[None], unit
    try:
        data = measures(runs, coords=coords, **entries)
    except (AssayError, TypeError) as error:
        raise wrong(f"returned measures that cannot be used: {error}") from error
    if why := storable(data, runs.specs):
        raise wrong(why)
    return data


def _entry(value: Any) -> tuple[tuple[str, ...], Any, str]:
    """(dims, array, unit) of a returned value."""
    if isinstance(value, xr.DataArray):
        return tuple(map(str, value.dims)), value.values, str(value.attrs.get("units", "1"))
    if isinstance(value, tuple) and len(value) in (2, 3) and isinstance(value[0], str):
        return tuple(value[0].split()), value[1], value[2] if value[2:] else "1"
    return (), value, "1"


# claims -------------------------------------------------------------------------------------------


def _claim(words: str | Mapping[str, Any], arms: tuple[str, ...]) -> Claim:
    """The Claim of a condition, or of a claim table of a study, about these arms."""
    entry = {"holds": words} if isinstance(words, str) else dict(words)
    try:
        stated = msgspec.convert({"text": entry.get("holds", ""), **entry}, ClaimEntry)
    except msgspec.ValidationError as error:
        raise ClaimError(f"claim {entry.get('holds', '')!r}: {error}") from None
    read = condition(stated.holds)
    for arm in (*read.parsed.arms, *stated.control):
        if arm not in arms:
            raise ClaimError(f"claim {stated.text!r} names arm {arm!r}; {nearest(arm, arms)}")
    about = next((arm for arm in read.parsed.arms if arm not in stated.control), "main")
    compared = {about, *read.parsed.arms}
    for arm in stated.control:
        if arm in compared:
            raise ClaimError(
                f"claim {stated.text!r}: {arm} is in the claim itself, so it would be "
                "compared with itself; name another arm as the control"
            )
    excused = {*stated.also, *stated.planted, *stated.violations}
    others = tuple(arm for arm in arms if arm not in compared | excused)
    if stated.control or others:
        return claim(msgspec.structs.replace(stated, control=stated.control or others), about, read)
    if len(arms) < 2 or read.equal:
        raise ClaimError(
            f"claim {stated.text!r} needs a control, an arm that it does not name and for which it "
            'must fail, such as arms={"shuffled": {"shuffled": True}}'
        )
    return _with_labels_dealt(stated, about, arms, read)


def _with_labels_dealt(
    stated: ClaimEntry, about: str, arms: tuple[str, ...], read: Condition
) -> Claim:
    """A claim that names every arm: its control has the same numbers with shuffled labels."""
    units = stated.units or ("seed",)
    plain = claim(msgspec.structs.replace(stated, control=(DEALT,)), about, read)
    of_deals, _ = computed(read, about, msgspec.structs.replace(stated, units=(*units, DEAL)))
    names = sorted({c.name for c in read.columns})

    def value(arm: xr.Dataset, others: Mapping[str, xr.Dataset]) -> Any:
        if DEALT not in arm.attrs:
            return plain.value(arm, others)
        inputs = {name: others[name][names] for name in arms}
        _check_alike(inputs)
        columns = {k: c for k, c in inputs[about].coords.items() if c.dims == ("run",)}
        dealt = deal({name: data.drop_vars(columns) for name, data in inputs.items()}, about)
        sides = {about: dealt, **dealt.attrs[OTHERS]}
        sides = {name: side.assign_coords(columns) for name, side in sides.items()}
        terms = of_deals(sides[about], sides)
        return {term: x.mean(DEAL, skipna=False) for term, x in terms.items()}

    return replace(plain, value=value)


def _dealt(arms: tuple[str, ...]) -> Arm:
    """The arm of the numbers with shuffled labels: of each measure the mean over the arms."""

    def derive(measured: Arms) -> xr.Dataset:
        inputs = {name: measured[name] for name in arms}
        _check_alike(inputs)
        first = inputs[arms[0]]
        shared = [n for n in first if len({x[n].shape for x in inputs.values() if n in x}) == 1]
        means = {
            n: first[n].copy(data=np.mean([x[n].values for x in inputs.values()], axis=0))
            for n in shared
            if n != "diverged" and all(n in x for x in inputs.values())
        }
        return first[list(means)].assign(means).assign_attrs({DEALT: ", ".join(arms)})

    return Arm(derive=derive, note="the labels of the arms dealt out", asked=False)


def _check_alike(arms: Arms) -> None:
    seeds = {name: x.seed.values.tolist() for name, x in arms.items()}
    if len({tuple(s) for s in seeds.values()}) > 1:
        raise ClaimError(
            f"{' and '.join(seeds)} have runs of different seeds, so their labels cannot be "
            'shuffled; name a control: {"holds": …, "control": [ARM]}'
        )
