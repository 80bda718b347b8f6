"""The tensors of dictionaries by name, and how they are kept: in memory, in a file, in a store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import index
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from assay.core.arrays import is_tensor
from assay.core.display import Shown
from assay.core.errors import DataError
from assay.core.fit import Trained
from assay.core.heavy import torch
from assay.dictionaries.nonlinearity import Nonlinearity, from_json, has_name, to_json
from assay.dictionaries.rows import PER_TOKEN, PerToken

STANDARD = (
    "W_enc",
    "b_enc",
    "W_dec",
    "b_dec",
    "b_pre",
    "mean",
    "scale",
    "W_skip",
    "mean_out",
    "scale_out",
)


@dataclass(frozen=True, eq=False)
class DictionaryTensors(Shown):
    """What `Dictionary` is made of: tensors [run, …], a nonlinearity, and what is known of both."""

    W_enc: Float[torch.Tensor, "run d_in f"]
    """The encoder: a column for each feature."""
    b_enc: Float[torch.Tensor, "run f"]
    """Its bias, handed to the nonlinearity."""
    W_dec: Float[torch.Tensor, "run f d_out"]
    """The decoder: a row, the direction, for each feature."""
    b_dec: Float[torch.Tensor, "run d_out"]
    """Added to what is decoded."""
    nonlinearity: Nonlinearity
    """What turns projections into features."""
    own: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """The nonlinearity's parameters, [run, …]."""
    mean: Float[torch.Tensor, "run d_in"] | None = None
    """Subtracted from raw activations; None: 0."""
    scale: Float[torch.Tensor, " run"] | Float[torch.Tensor, "run d_in"] | None = None
    """Factor on centred activations, one for all or (crosscoders) one for each dimension; None:
    1."""
    sites: tuple[str, ...] = ()
    """Where in the subject the activations come from, and go to unless `sites_out` says
    otherwise."""
    b_pre: Float[torch.Tensor, "run d_in"] | None = None
    """What the encoder subtracts; None: b_dec, as in training. Zeros: nothing, as in
    transcoders."""
    W_skip: Float[torch.Tensor, "run d_in d_out"] | None = None
    """A linear path around the features; None: there is none."""
    mean_out: Float[torch.Tensor, "run d_out"] | None = None
    """Added to what is decoded, where the target is another place than the input; None: `mean`."""
    scale_out: Float[torch.Tensor, " run"] | Float[torch.Tensor, "run d_out"] | None = None
    """What is decoded is divided by it; None: `scale`."""
    per_token: PerToken = ""
    """Normalisation of each row by itself, before mean and scale, and undone after them: see
    `assay.dictionaries.rows`."""
    sites_out: tuple[str, ...] = ()
    """Where the reconstruction goes; (): the same as `sites`."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """Where the dictionary comes from, as plain JSON: format and hash of a file, what was inferred,
    `trained_as`."""

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_parameters(self)

    def __len__(self) -> int:
        return len(self.W_enc)

    def __iter__(self) -> Iterator[Self]:
        return (self[r] for r in range(len(self)))

    def __getitem__(self, runs: int | slice) -> Self:
        """The dictionaries of one run or a slice of runs, as views; the run axis stays, of length 1
        for one run.

        Args:
            runs: a number, from the end if negative, or a slice.
        Example:
            >>> import torch
            >>> from assay.dictionaries import Dictionary, pca
            >>> three = Dictionary.join(pca(torch.eye(3), 2, 2, 2))
            >>> len(three), len(three[0]), len(three[1:])
            (3, 1, 2)
        """
        if not isinstance(runs, slice):
            runs = index(runs)  # NumPy's integers too
            if not -len(self) <= runs < len(self):
                raise IndexError(f"run {runs} of {len(self)}")
            # −1 would become slice(−1, 0), which is empty: `or None` makes it run to the end.
            runs = slice(runs, runs + 1 or None)
        return self._map(lambda value: value[runs])

    @property
    def width(self) -> int:
        """Give the number of features."""
        return self.W_enc.shape[-1]

    def to(self, device: torch.device | str) -> Self:
        """Move the dictionaries to a device.

        Args:
            device: such as "cpu" or "cuda:0".
        Example:
            >>> import torch
            >>> from assay.dictionaries import pca
            >>> pca(torch.eye(3), 2)[0].to("cpu").W_enc.device
            device(type='cpu')
        """
        return self._map(lambda value: value.to(device))

    @classmethod
    def of(cls, trained: Trained, nonlinearity: Nonlinearity | None = None) -> Self:
        """Read the dictionaries that `fit` trained, or a store gave back; a `nonlinearity`
        of one's own is given again.

        Args:
            trained: tensors [run, …] and their header.
            nonlinearity: needed only where it is not one of Assay's.
        Example:
            >>> import torch
            >>> from assay.dictionaries import Dictionary, pca
            >>> trained = pca(torch.eye(3), 2)[0].to_trained()  # or what `fit_dictionaries` gives
            >>> Dictionary.of(trained)
            <Dictionary of 2 features over 3 dimensions, Identity>
        """
        return cls.from_tensors(trained.tensors, trained.header, nonlinearity)

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, torch.Tensor],
        header: Mapping[str, Any],
        nonlinearity: Nonlinearity | None = None,
    ) -> Self:
        """Make dictionaries from tensors by name and the header that says how to read them.

        Args:
            tensors: [run, …] by the names of the fields; other names are the nonlinearity's.
            header: what `header` gives.
            nonlinearity: in place of the one that the header names.
        Raises: DataError where a tensor is missing or the nonlinearity unknown.
        Example:
            >>> import torch
            >>> from assay.dictionaries import Dictionary, pca
            >>> tensors = {"W_enc": torch.ones(1, 4, 8), "b_enc": torch.zeros(1, 8)}
            >>> tensors |= {"W_dec": torch.ones(1, 8, 4), "b_dec": torch.zeros(1, 4)}
            >>> Dictionary.from_tensors(tensors, pca(torch.eye(3), 2)[0].header())
            <Dictionary of 8 features over 4 dimensions, Identity>
        """
        missing = [name for name in STANDARD[:4] if name not in tensors]
        if missing or "nonlinearity" not in header:
            raise DataError(
                "a dictionary needs W_enc, b_enc, W_dec, b_dec and a header with its "
                "nonlinearity; missing: "
                f"{', '.join(missing) or 'nonlinearity'}"
            )
        # Every tensor neither standard nor in `beside` belongs to the nonlinearity.
        parameters = {
            name: value
            for name, value in tensors.items()
            if name not in (*STANDARD, *header.get("beside", ()))
        }
        standard_tensors = {name: tensors[name] for name in STANDARD if name in tensors}
        return cls(
            **standard_tensors,
            nonlinearity=nonlinearity or from_json(header["nonlinearity"]),
            own=parameters,
            sites=tuple(header.get("sites", ())),
            per_token=header.get("per_token", ""),
            sites_out=tuple(header.get("sites_out", ())),
            origin=header.get("origin", {}),
        )

    def header(self) -> dict[str, Any]:
        """Give what a reader needs besides the tensors, as JSON, without empty fields."""
        more = {
            "per_token": self.per_token,
            "sites_out": list(self.sites_out),
            "origin": dict(self.origin),
        }
        plain = {
            "kind": "dictionary",
            "nonlinearity": to_json(self.nonlinearity),
            "sites": list(self.sites),
        }
        return plain | {name: value for name, value in more.items() if value}

    def tensors(self) -> dict[str, Float[torch.Tensor, "run ..."]]:
        """Give all tensors by name, the nonlinearity's own among them."""
        standard_tensors = {
            name: getattr(self, name) for name in STANDARD if getattr(self, name) is not None
        }
        return {**standard_tensors, **self.own}

    def to_trained(self) -> Trained:
        """Give the dictionaries as the result of an arm's `train`, for those that are made from
        others and not by `fit`."""
        steps = np.zeros(0, dtype=np.int64)
        return Trained(self.tensors(), self.header(), {}, steps, np.zeros(len(self), dtype=bool))

    def save(self, path: Path) -> None:
        """Write one safetensors file: the tensors, and the header as JSON under the metadata key
        `assay`.

        Args:
            path: the file, replaced if it exists.
        Raises: DataError for a nonlinearity of one's own, which `load` could not make again.
        Example:
            >>> import tempfile, torch
            >>> from pathlib import Path
            >>> from assay.dictionaries import Dictionary, pca
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     pca(torch.eye(3), 2)[0].save(Path(folder, "pca.safetensors"))
            ...     Dictionary.load(Path(folder, "pca.safetensors"))
            <Dictionary of 2 features over 3 dimensions, Identity>
        """
        _write(self, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Load the dictionaries of a file that `save` wrote, or the one that a store keeps as
        params.safetensors of a run.

        Raises: DataError for a file that cannot be read or holds something else.
        """
        return cls.from_tensors(*_read(path))

    @classmethod
    def join(cls, dictionaries: Sequence[Self]) -> Self:
        """Join dictionaries of one shape and nonlinearity, their runs one after the other.

        Args:
            dictionaries: at least one.
        Example:
            >>> import torch
            >>> from assay.dictionaries import Dictionary, pca
            >>> Dictionary.join(pca(torch.eye(3), 2, 2))
            <Dictionary of 2 features over 3 dimensions, Identity, 2 runs>
        """
        first = dictionaries[0]
        tensors = [d.tensors() for d in dictionaries]
        return cls.from_tensors(
            {name: torch.cat([t[name] for t in tensors]) for name in tensors[0]}, first.header()
        )

    def _map(self, change: Any) -> Self:
        tensors = {name: change(value) for name, value in self.tensors().items()}
        parameters = {name: tensors.pop(name) for name in self.own}
        return replace(self, **tensors, own=parameters)


def _check_shapes(parts: DictionaryTensors) -> None:
    """Refuse tensors that do not fit together. Raises: DataError."""
    # First: shapes below would fail on a list without saying why.
    if untaken := [name for name, value in parts.tensors().items() if not is_tensor(value)]:
        raise DataError(
            f"a dictionary is made of torch tensors, and its {', '.join(untaken)} is "
            "none: give torch.as_tensor of it"
        )
    if parts.W_enc.ndim != 3 or parts.W_dec.ndim != 3:
        raise DataError(
            "W_enc must be [run, d_in, f] and W_dec [run, f, d_out], got "
            f"{list(parts.W_enc.shape)} and "
            f"{list(parts.W_dec.shape)}; one dictionary has a run axis of length 1"
        )
    runs, d_in, f = parts.W_enc.shape
    d_out = parts.W_dec.shape[-1]
    allowed_shapes: dict[str, tuple[tuple[int, ...], ...]] = {
        "b_enc": ((runs, f),),
        "W_dec": ((runs, f, d_out),),
        "b_dec": ((runs, d_out),),
        "b_pre": ((runs, d_in),),
        "mean": ((runs, d_in),),
        "scale": ((runs,), (runs, d_in)),
        "W_skip": ((runs, d_in, d_out),),
        "mean_out": ((runs, d_out),),
        "scale_out": ((runs,), (runs, d_out)),
    }
    for name, shapes in allowed_shapes.items():
        value = getattr(parts, name)
        if value is not None and tuple(value.shape) not in shapes:
            raise DataError(
                f"{name} must be {list(shapes[0])} with W_enc {list(parts.W_enc.shape)} "
                f"[run, d_in, f], got {list(value.shape)}"
            )
    if d_in != d_out:  # nothing may be taken from the input's side
        for name, other in (("b_pre", "b_dec"), ("mean_out", "mean")):
            if getattr(parts, name) is None and getattr(parts, other) is not None:
                raise DataError(
                    f"{name} must be given where d_in {d_in} is not d_out {d_out}: "
                    f"{other} has another width"
                )
    if parts.per_token not in PER_TOKEN:
        raise DataError(
            f"per_token must be one of {', '.join(map(repr, PER_TOKEN))}, got {parts.per_token!r}"
        )


def _check_parameters(parts: DictionaryTensors) -> None:
    """Refuse parameters that the nonlinearity does not have. Raises: DataError."""
    runs, d_in, f = parts.W_enc.shape
    parameter_shapes = {
        name: (runs, *value.shape[1:]) for name, value in parts.nonlinearity.init(1, f).items()
    }
    parameter_shapes |= dict.fromkeys(getattr(parts.nonlinearity, "encoders", ()), (runs, d_in, f))
    for name, shape in parameter_shapes.items():
        got = list(parts.own[name].shape) if name in parts.own else "none"
        if got != list(shape):
            raise DataError(
                f"{type(parts.nonlinearity).__name__} needs its {name} as {list(shape)}, got {got}"
            )


def _write(parts: DictionaryTensors, path: Path) -> None:
    from safetensors.torch import save_file

    if not has_name(parts.nonlinearity):
        raise DataError(
            f"{path} is not written: a file cannot name the nonlinearity "
            f"{type(parts.nonlinearity).__name__}, which is not one of Assay's "
            "own; keep tensors() and header() and read them with "
            "Dictionary.from_tensors(tensors, header, nonlinearity)"
        )
    # copied: tensors that lie in one memory, as tied weights may, are refused by safetensors
    tensors = {
        name: value.cpu().clone(memory_format=torch.contiguous_format)
        for name, value in parts.tensors().items()
    }
    save_file(tensors, path, {"assay": json.dumps(parts.header())})


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and header of a file that `save` or a store wrote. Raises: DataError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get("assay", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as e:
        raise DataError(
            f"{path} is not a readable safetensors file ({e}); expected one that "
            "Dictionary.save wrote"
        ) from e
    if (
        "header" in header
    ):  # a store's: one run without its axis, its history under names with a slash
        header, tensors = (
            header["header"],
            {name: value[None] for name, value in tensors.items() if "/" not in name},
        )
    if header.get("kind") != "dictionary":
        raise DataError(
            f"{path} holds no dictionary of Assay's own; expected a file that Dictionary.save "
            "wrote. "
            "Files of other libraries: assay.dictionaries.formats.load, or `assay export`"
        )
    return tensors, header
