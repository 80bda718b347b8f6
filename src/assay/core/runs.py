"""Runs: specs that are trained as one ensemble because they share every static field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar, cast

import numpy as np
from jaxtyping import Bool, Int, Shaped

from assay.core.errors import SpecError
from assay.core.spec import Spec, per_run_fields, static_fields

S = TypeVar("S", bound=Spec)


class Runs(Generic[S]):
    """The runs of one arm that are trained together, in order; axis `run` of everything they
    produce.

    Args:
        specs: of one class, equal but for per-run fields.
    Raises: SpecError when they are of several classes or differ in a static field (another width is
    another arm).
    Example:
        >>> from dataclasses import dataclass
        >>> import assay
        >>> @dataclass(frozen=True, kw_only=True)
        ... class Sweep(assay.Spec):
        ...     lr: assay.PerRun[float] = 0.1
        ...     width: int = 8
        >>> runs = assay.Runs(assay.grid(Sweep(), lr=[0.1, 0.2], seed=[0, 1]))
        >>> len(runs), runs.shared.width, runs.each("lr"), runs.seeds
        (4, 8, array([0.1, 0.1, 0.2, 0.2]), array([0, 1, 0, 1]))
    """

    def __init__(self, specs: Sequence[S]):
        self.specs: tuple[S, ...] = tuple(specs)
        if not self.specs:
            raise SpecError("an ensemble needs at least one run, got none")
        first = self.specs[0]
        for s in self.specs[1:]:
            if type(s) is not type(first):
                raise SpecError(
                    f"one ensemble holds one kind of spec, got {type(first).__name__} and "
                    f"{type(s).__name__}"
                )
            for name in static_fields(type(first)):
                if getattr(s, name) != getattr(first, name):
                    raise SpecError(
                        f"{type(first).__name__}.{name} is shared by all runs of an arm, got "
                        f"{getattr(first, name)!r} and "
                        f"{getattr(s, name)!r}; make it PerRun or use another arm"
                    )

    def __len__(self) -> int:
        return len(self.specs)

    def __iter__(self) -> Iterator[S]:
        return iter(self.specs)

    @property
    def shared(self) -> S:
        """A view of any member through which only static fields can be read."""
        return cast(S, _Shared(self.specs[0]))

    @property
    def seeds(self) -> Int[np.ndarray, " run"]:
        """The seed of each run."""
        return np.array([s.seed for s in self.specs], dtype=np.int64)

    def each(self, name: str) -> Shaped[np.ndarray, " run"]:
        """The value of a per-run field in each run. Raises: SpecError when the field is static."""
        if name not in per_run_fields(type(self.specs[0])):
            raise SpecError(
                f"{type(self.specs[0]).__name__}.{name} is not a per-run field; read it from "
                ".shared"
            )
        return np.array([getattr(s, name) for s in self.specs])

    def where(self, **values: object) -> Bool[np.ndarray, " run"]:
        """True for the runs that have all these field values."""
        return np.array(
            [all(getattr(s, k) == v for k, v in values.items()) for s in self.specs], dtype=bool
        )

    def replicated(self, replicate: int | None = None) -> Runs[S]:
        """Give each run its own replicate's seed, so that replicates share no random number.

        Each spec's field `replicate` counts, or one number for all. Formula: seed + 10⁶ · replicate
        """
        which = [cast(Any, s).replicate if replicate is None else replicate for s in self.specs]
        return Runs(
            [s.replace(seed=s.seed + 1_000_000 * r) for s, r in zip(self.specs, which, strict=True)]
        )

    def split(self, most: int) -> list[Runs[S]]:
        """Split the runs into groups of at most `most`, in order; allowed because runs never
        influence each other."""
        return [Runs(self.specs[i : i + most]) for i in range(0, len(self.specs), most)]


class _Shared:
    def __init__(self, spec: Spec):
        object.__setattr__(self, "_spec", spec)

    def __getattr__(self, name: str) -> Any:
        spec = object.__getattribute__(self, "_spec")
        if name in per_run_fields(type(spec)):
            raise SpecError(
                f"{type(spec).__name__}.{name} differs between runs; use runs.each({name!r})"
            )
        if name in static_fields(type(spec)):
            return getattr(spec, name)
        attribute = getattr(type(spec), name)
        if isinstance(
            attribute, property
        ):  # evaluated on this view, so that it cannot read a per-run field either
            return cast(Any, attribute.fget)(self)
        return attribute.__get__(self) if callable(attribute) else attribute

    def __setattr__(self, name: str, value: object) -> None:
        raise SpecError("a spec is frozen; use .replace()")
