"""What turns projections into features: one frozen dataclass each, compared by value.

A nonlinearity gets the projection z = W_enc·(x − b_dec) *without* its bias, since Gated's two paths
share z but not the bias. Its own parameters are [run, f] tensors in `own`; which ones, and where
training starts, `init` says. A new one is a frozen dataclass with `init` and a call in a file of
this folder, where `kinds` finds it. Where it has them, five more things are used: `inference`, the
nonlinearity that reads what this one trained; `provenance()`, what the header of a trained
dictionary says of that; `confine(own)`, what its parameters must keep to after a step; `encoders`,
the names of further encoders [run, d_in, f] in `own`, whose projections are put behind those of
W_enc; `signed`, True where a feature below 0 is on as well. The Gated family is in `gates.py`,
those that choose a number of features in `selection.py`, JumpReLU in `jump.py`."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias, runtime_checkable

from jaxtyping import Float

from assay.core.errors import DataError, nearest
from assay.core.heavy import torch

ByFeature: TypeAlias = 'Float[torch.Tensor, "run b f"]'
"""A number for each row and feature: projections, features."""
Bias: TypeAlias = 'Float[torch.Tensor, "run f"]'
Own: TypeAlias = "Mapping[str, torch.Tensor]"
"""A nonlinearity's parameters by name, [run, …]."""


@runtime_checkable
class Nonlinearity(Protocol):
    """What every nonlinearity offers: the start of its own parameters, and features from
    projections.

    Example:
        >>> import torch
        >>> from assay.dictionaries import Nonlinearity, TopK
        >>> isinstance(TopK(32), Nonlinearity), isinstance(torch.relu, Nonlinearity)
        (True, False)
    """

    def init(self, runs: int, f: int) -> dict[str, torch.Tensor]:
        """Own parameters [run, f] at the start of training.

        Args:
            runs: number of dictionaries.
            f: features of each.
        """

    def __call__(self, z: ByFeature, b_enc: Bias, parameters: Own) -> ByFeature:
        """Features, at least 0.

        Args:
            z: projections without their bias, [run, b, f]; f more for each further encoder.
            b_enc: bias of the encoder, [run, f].
            parameters: what `init` gave, trained; {} where it gave nothing.
        """


@dataclass(frozen=True)
class ReLU:
    """f = max(z + b_enc, 0), the sparse autoencoder of Towards Monosemanticity (2023).

    Example:
        >>> import torch
        >>> from assay.dictionaries import ReLU
        >>> z, b_enc = torch.tensor([[[2.0, -3.0]]]), torch.tensor([[1.0, 1.0]])
        >>> ReLU()(z, b_enc, {})
        tensor([[[3., 0.]]])
    """

    def init(self, runs: int, f: int) -> dict[str, torch.Tensor]:
        """No parameters of its own."""
        return {}

    def __call__(self, z: ByFeature, b_enc: Bias, parameters: Own) -> ByFeature:
        """Features [run, b, f]."""
        return (z + b_enc[:, None]).relu()


@dataclass(frozen=True)
class Identity:
    """f = z + b_enc, of either sign: a linear baseline such as principal components, not a sparse
    code.

    Example:
        >>> import torch
        >>> from assay.dictionaries import Identity
        >>> z, b_enc = torch.tensor([[[2.0, -3.0]]]), torch.tensor([[1.0, 1.0]])
        >>> Identity()(z, b_enc, {})
        tensor([[[ 3., -2.]]])
    """

    def init(self, runs: int, f: int) -> dict[str, torch.Tensor]:
        """No parameters of its own."""
        return {}

    def __call__(self, z: ByFeature, b_enc: Bias, parameters: Own) -> ByFeature:
        """Codes [run, b, f]."""
        return z + b_enc[:, None]


@dataclass(frozen=True)
class Rescaled:
    """f = 1[g > 0] · max(factor·g + shift, 0), g the features of another nonlinearity; so nothing
    that was off comes on.

    The form of rescale & shift (`assay.dictionaries.baselines.repair`), and of codes made wrong on
    purpose for a control.

    Example:
        >>> import torch
        >>> from assay.dictionaries import ReLU, Rescaled
        >>> z, zero = torch.tensor([[[3.0, -4.0]]]), torch.zeros(1, 2)
        >>> parameters = {"factor": torch.full((1, 2), 2.0), "shift": torch.ones(1, 2)}
        >>> Rescaled(ReLU())(z, zero, parameters)  # 2·3 + 1; what is off stays off
        tensor([[[7., 0.]]])
    """

    of: Nonlinearity
    """The nonlinearity whose features are rescaled; its own parameters carry the prefix `of_`."""

    @property
    def encoders(self) -> tuple[str, ...]:
        """Further encoders of the nonlinearity below."""
        return tuple(f"of_{name}" for name in getattr(self.of, "encoders", ()))

    def init(self, runs: int, f: int) -> dict[str, torch.Tensor]:
        """factor 1 and shift 0, and the parameters of the nonlinearity below."""
        inner = {f"of_{name}": value for name, value in self.of.init(runs, f).items()}
        return {"factor": torch.ones(runs, f), "shift": torch.zeros(runs, f), **inner}

    def __call__(self, z: ByFeature, b_enc: Bias, parameters: Own) -> ByFeature:
        """Features [run, b, f]."""
        inner = self.of(
            z,
            b_enc,
            {
                name.removeprefix("of_"): value
                for name, value in parameters.items()
                if name.startswith("of_")
            },
        )
        # The mask keeps a shift above 0 from switching on what was off.
        return (inner * parameters["factor"][:, None] + parameters["shift"][:, None]).relu() * (
            inner > 0
        )


def inference(nonlinearity: Nonlinearity) -> Nonlinearity:
    """The nonlinearity that reads what this one trained: itself for most, JumpReLU for BatchTopK,
    the hard gate for a soft one."""
    read: Nonlinearity = getattr(nonlinearity, "inference", nonlinearity)
    return read


def projections(
    centred: Float[torch.Tensor, "run b d"],
    W_enc: Float[torch.Tensor, "run d f"],
    parameters: Own,
    nonlinearity: Nonlinearity | None,
) -> Float[torch.Tensor, "run b n"]:
    """What the nonlinearity is applied to: the encoder's projections, and behind them those of its
    further encoders.

    Formula: z = (x − b) W_enc, with n = f · (1 + number of further encoders)
    """
    z = centred @ W_enc
    more = getattr(nonlinearity, "encoders", ())
    return torch.cat([z, *(centred @ parameters[name] for name in more)], -1) if more else z


@cache
def known() -> Mapping[str, type[Nonlinearity]]:
    """Find the nonlinearities of this folder by class name: every dataclass at the top of a file
    that has `init` and can be called."""
    files = [
        import_module(f"{__package__}.{file.name}")
        for file in pkgutil.iter_modules(import_module(str(__package__)).__path__)
        if not file.ispkg
    ]
    values = [value for file in files for value in vars(file).values()]
    kinds = [
        value
        for value in values
        # issubclass asks a Protocol for its methods' names, and refuses one that has attributes: so
        # Nonlinearity has methods alone, and what else is used is looked up by getattr.
        if isinstance(value, type) and is_dataclass(value) and issubclass(value, Nonlinearity)
    ]
    return MappingProxyType({kind.__name__: kind for kind in kinds})


def has_name(nonlinearity: Nonlinearity) -> bool:
    """Tell whether a file can say which it is, so that `from_json` makes it again: it is `known`,
    and so are those within it."""
    if type(nonlinearity) not in known().values():
        return False
    inner = (getattr(nonlinearity, field.name) for field in fields(nonlinearity))  # type: ignore[arg-type]
    return all(has_name(value) for value in inner if isinstance(value, Nonlinearity))


def to_json(nonlinearity: Nonlinearity) -> dict[str, Any]:
    """The nonlinearity as plain JSON: its class name and fields."""
    values = {field.name: getattr(nonlinearity, field.name) for field in fields(nonlinearity)}  # type: ignore[arg-type]
    plain = {
        name: to_json(value) if isinstance(value, Nonlinearity) else value
        for name, value in values.items()
    }
    return {"name": type(nonlinearity).__name__, **plain}


def from_json(values: Mapping[str, Any]) -> Nonlinearity:
    """The nonlinearity that `to_json` wrote."""
    name, settings = values.get("name", ""), {k: v for k, v in values.items() if k != "name"}
    if name not in known():
        raise DataError(
            f"unknown nonlinearity {name!r} in a dictionary's header; {nearest(str(name), known())}"
        )
    return known()[name](
        **{k: from_json(v) if isinstance(v, Mapping) else v for k, v in settings.items()}
    )
