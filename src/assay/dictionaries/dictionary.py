"""Dictionary: one class for the family; what differs between its members is a nonlinearity and a few tensors of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import index
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from assay.core.errors import DataError
from assay.core.fit import Trained
from assay.dictionaries.nonlinearity import Nonlinearity, from_json, to_json

STANDARD = ("W_enc", "b_enc", "W_dec", "b_dec", "b_pre", "mean", "scale")


@dataclass(frozen=True, eq=False)
class Sparse:
    """The features that are on, as parallel arrays: in run `run`, input row `row` has feature `feature` at `value`."""

    run: Int[Tensor, "n"]
    row: Int[Tensor, "n"]
    feature: Int[Tensor, "n"]
    value: Float[Tensor, "n"]


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Dictionaries of one shape and nonlinearity, run axis first.

    It reads and gives **raw** activations, in the units of the subject: `encode` subtracts `mean` and multiplies by `scale`
    (the numbers training used, stored with the dictionary), `decode` undoes both. `normalised` is the same dictionary for
    activations that are normalised already. Features are the same either way, in units of the normalised activations.
    """

    W_enc: Float[Tensor, "run d_in f"]
    b_enc: Float[Tensor, "run f"]
    W_dec: Float[Tensor, "run f d_out"]
    b_dec: Float[Tensor, "run d_out"]
    nonlinearity: Nonlinearity
    own: Mapping[str, Tensor] = field(default_factory=dict)
    """The nonlinearity's parameters, [run, …]."""
    mean: Float[Tensor, "run d_in"] | None = None
    """Subtracted from raw activations; None: 0."""
    scale: Float[Tensor, "run"] | None = None
    """Factor on centred activations; None: 1."""
    sites: tuple[str, ...] = ()
    """Where in the subject the activations come from and go to."""
    b_pre: Float[Tensor, "run d_in"] | None = None
    """What the encoder subtracts; None: b_dec, as in training."""

    def __post_init__(self) -> None:
        runs, d_in, f = self.W_enc.shape
        d_out = self.W_dec.shape[-1]
        wanted = {"b_enc": (runs, f), "W_dec": (runs, f, d_out), "b_dec": (runs, d_out), "b_pre": (runs, d_in)}
        wanted |= {"mean": (runs, d_in), "scale": (runs,)}
        for name, shape in wanted.items():
            value = getattr(self, name)
            if value is not None and tuple(value.shape) != shape:
                raise DataError(
                    f"{name} must be {list(shape)} beside W_enc {list(self.W_enc.shape)} [run, d_in, f], got {list(value.shape)}"
                )

    def __len__(self) -> int:
        return len(self.W_enc)

    def __iter__(self) -> Iterator[Self]:
        return (self[r] for r in range(len(self)))

    def __getitem__(self, runs: int | slice) -> Self:
        """The dictionaries of one run or a slice of runs, as views; the run axis stays, of length 1 for one run."""
        if not isinstance(runs, slice):
            runs = index(runs)  # NumPy's integers too
            if not -len(self) <= runs < len(self):
                raise IndexError(f"run {runs} of {len(self)}")
            runs = slice(runs, runs + 1 or None)
        return self._map(lambda value: value[runs])

    @property
    def width(self) -> int:
        """Number of features."""
        return self.W_enc.shape[-1]

    @property
    def normalised(self) -> Self:
        """The same dictionaries for activations that are already centred and scaled."""
        return replace(self, mean=None, scale=None)

    def to(self, device: torch.device | str) -> Self:
        """The same dictionaries with their tensors on a device."""
        return self._map(lambda value: value.to(device))

    def normalise(self, x: Float[Tensor, "b d_in"] | Float[Tensor, "run b d_in"]) -> Float[Tensor, "run b d_in"]:
        """Raw activations, centred and scaled as in training.

        Raises: DataError for activations of another width.
        """
        if x.shape[-1] != self.W_enc.shape[1] or x.ndim not in (2, 3):
            raise DataError(
                f"activations must be [b, {self.W_enc.shape[1]}] or [run, b, …] for this dictionary, got {list(x.shape)}"
            )
        x = x if x.ndim == 3 else x[None]
        if self.mean is not None:
            x = x - self.mean[:, None]
        return x if self.scale is None else x * self.scale[:, None, None]

    def encode(self, x: Float[Tensor, "b d_in"] | Float[Tensor, "run b d_in"]) -> Float[Tensor, "run b f"]:
        """Features of activations, shared by the runs ([b, d]) or each run's own ([run, b, d])."""
        centre = self.b_dec if self.b_pre is None else self.b_pre
        return self.nonlinearity((self.normalise(x) - centre[:, None]) @ self.W_enc, self.b_enc, self.own)

    def decode(self, features: Float[Tensor, "run b f"]) -> Float[Tensor, "run b d_out"]:
        """Activations that features stand for."""
        x = torch.baddbmm(self.b_dec[:, None], features, self.W_dec)
        if self.scale is not None:
            x = x / self.scale[:, None, None]
        return x if self.mean is None else x + self.mean[:, None]

    def reconstruct(self, x: Float[Tensor, "b d_in"] | Float[Tensor, "run b d_in"]) -> Float[Tensor, "run b d_out"]:
        """Activations after a pass through the dictionary: decode(encode(x))."""
        return self.decode(self.encode(x))

    def active(self, x: Float[Tensor, "b d_in"] | Float[Tensor, "run b d_in"]) -> Sparse:
        """The features that are on, ordered by run, row and feature."""
        features = self.encode(x)
        run, row, feature = features.nonzero(as_tuple=True)
        return Sparse(run, row, feature, features[run, row, feature])

    @classmethod
    def of(cls, trained: Trained) -> Self:
        """The dictionaries that `fit_dictionaries` trained, or a store gave back."""
        return cls.from_tensors(trained.tensors, trained.header)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> Self:
        """Dictionaries from tensors by name and the header that says how to read them.

        Raises: DataError where a tensor is missing or the nonlinearity unknown.
        """
        missing = [name for name in STANDARD[:4] if name not in tensors]
        if missing or "nonlinearity" not in header:
            raise DataError(f"a dictionary needs W_enc, b_enc, W_dec, b_dec and a header with its nonlinearity; missing: "
                            f"{', '.join(missing) or 'nonlinearity'}")  # fmt: skip
        own = {name: value for name, value in tensors.items() if name not in STANDARD}
        given = {name: tensors[name] for name in STANDARD if name in tensors}
        return cls(**given, nonlinearity=from_json(header["nonlinearity"]), own=own, sites=tuple(header.get("sites", ())))

    def header(self) -> dict[str, Any]:
        """What a reader needs beside the tensors, as JSON."""
        return {"kind": "dictionary", "nonlinearity": to_json(self.nonlinearity), "sites": list(self.sites)}

    def tensors(self) -> dict[str, Float[Tensor, "run ..."]]:
        """All tensors by name, the nonlinearity's own among them."""
        given = {name: getattr(self, name) for name in STANDARD if getattr(self, name) is not None}
        return {**given, **self.own}

    def to_trained(self) -> Trained:
        """The dictionaries as the result of an arm's `train`, for those made from others and not by `fit`."""
        steps = np.zeros(0, dtype=np.int64)
        return Trained(self.tensors(), self.header(), {}, steps, np.zeros(len(self), dtype=bool))

    def save(self, path: Path) -> None:
        """Write one safetensors file: the tensors, and the header as JSON under the metadata key `assay`."""
        import json

        from safetensors.torch import save_file

        tensors = {name: value.contiguous() for name, value in self.tensors().items()}
        save_file(tensors, path, {"assay": json.dumps(self.header())})

    @classmethod
    def load(cls, path: Path) -> Self:
        """The dictionaries of a file that `save` wrote.

        Raises: DataError for a file that cannot be read or holds something else.
        """
        import json

        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                header = json.loads((file.metadata() or {}).get("assay", "{}"))
                return cls.from_tensors({name: file.get_tensor(name) for name in file.keys()}, header)  # noqa: SIM118
        except (SafetensorError, OSError) as e:
            raise DataError(f"{path} is not a readable safetensors file ({e}); expected one that Dictionary.save wrote") from e

    @classmethod
    def join(cls, dictionaries: Sequence[Dictionary]) -> Dictionary:
        """Dictionaries of one shape and nonlinearity with their runs one after the other."""
        first = dictionaries[0]
        tensors = [d.tensors() for d in dictionaries]
        return cls.from_tensors({name: torch.cat([t[name] for t in tensors]) for name in tensors[0]}, first.header())

    def _map(self, change: Any) -> Self:
        tensors = {name: change(value) for name, value in self.tensors().items()}
        own = {name: tensors.pop(name) for name in self.own}
        return replace(self, **tensors, own=own)
