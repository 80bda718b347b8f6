"""Format: how one library's files are recognised, opened and read, one value each; every file in
this folder is found. What a reader reads becomes a Dictionary here, with its origin."""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, Self, TypeVar

from jaxtyping import Float

from assay.core.cache import digest_of
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.formats.weights import settings, whole
from assay.dictionaries.gates import Gated
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Nonlinearity
from assay.dictionaries.rows import PerToken


@dataclass(frozen=True, eq=False)
class Coder:
    """f = nonlinearity((x − c)·W_enc + b_enc), x̂ = f·W_dec + b_dec [+ x·W_skip], where c is b_dec
    if `centred`, else 0.

    Each rewriting gives a coder with the same features (in the units it says) and the same
    reconstructions. They compute in float64 and round once, in `dictionary`; what is not rewritten
    keeps its bits."""

    W_enc: Float[torch.Tensor, "d_in f"]
    b_enc: Float[torch.Tensor, " f"]
    W_dec: Float[torch.Tensor, "f d_out"]
    b_dec: Float[torch.Tensor, " d_out"]
    nonlinearity: Nonlinearity
    centred: bool
    own: Mapping[str, Float[torch.Tensor, " f"]] = field(default_factory=dict)
    W_skip: Float[torch.Tensor, "d_in d_out"] | None = None
    per_token: PerToken = ""

    def scaled(self, s: float) -> Self:
        """The coder for raw x, of one that was made for x·s; features stay as they are."""
        return replace(
            self,
            W_enc=self.W_enc.double() * s,
            W_dec=self.W_dec.double() / s,
            b_dec=self.b_dec.double() / s,
        )

    def unit_rows(self) -> Self:
        """The coder with decoder rows of length 1 and features times the lengths; thresholds are
        left, as being in these units."""
        norm = self.W_dec.double().norm(dim=-1)
        norm = torch.where(norm > 0, norm, 1.0)
        return replace(
            self,
            W_enc=self.W_enc.double() * norm,
            b_enc=self.b_enc.double() * norm,
            W_dec=self.W_dec.double() / norm[:, None],
        )

    def shifted(self, by: Float[torch.Tensor, " f"]) -> Self:
        """The coder whose projections are smaller by this much before any bias."""
        parameters = dict(self.own)
        if isinstance(self.nonlinearity, Gated):
            parameters["b_mag"] = (
                parameters["b_mag"].double() - by * parameters["r_mag"].double().exp()
            )
        return replace(self, b_enc=self.b_enc.double() - by, own=parameters)

    def dictionary(
        self, sites: tuple[str, ...], sites_out: tuple[str, ...], origin: Mapping[str, Any]
    ) -> Dictionary:
        """The Dictionary of one run, in float32."""
        d_in = self.W_enc.shape[0]
        tensors: dict[str, Any] = {
            "W_enc": self.W_enc,
            "b_enc": self.b_enc,
            "W_dec": self.W_dec,
            "b_dec": self.b_dec,
            "W_skip": self.W_skip,
            "b_pre": None if self.centred else torch.zeros(d_in),
        }
        standard_tensors = {
            name: value.float()[None].contiguous()
            for name, value in tensors.items()
            if value is not None
        }
        parameters = {name: value.float()[None].contiguous() for name, value in self.own.items()}
        if not all(
            bool(value.isfinite().all())
            for value in (*standard_tensors.values(), *parameters.values())
        ):
            raise DataError(
                "its weights, once folded for raw activations, are too large for float32; a "
                "scale in the file is wrong"
            )
        return Dictionary(
            **standard_tensors,
            nonlinearity=self.nonlinearity,
            own=parameters,
            per_token=self.per_token,
            sites=sites,
            sites_out=sites_out,
            origin=dict(origin),
        )


def jumping(threshold: Float[torch.Tensor, " f"]) -> dict[str, Any]:
    """The nonlinearity and its own parameter for max(pi, 0)·1[pi > threshold]: below 0 the
    threshold of ReLU, 0, does the same."""
    return {"nonlinearity": JumpReLU(), "own": {"threshold": threshold.clamp_min(0.0)}}


P = TypeVar("P", bound=PurePath)
TORCH = (".pt", ".pth", ".bin", ".ckpt")
"""Endings of torch's own files."""
UNKNOWN = "unknown"
"""The target of a transcoder that does not name it: no place, so that it is never taken for the
input's."""
_LONGEST = 20_000  # characters of settings that are kept


@dataclass(frozen=True)
class Hints:
    """What a user says about a file that the file itself does not say."""

    site: str | None = None
    """Where the activations come from, for example "blocks.9.hook_resid_post"."""
    site_out: str | None = None
    """Where the reconstruction belongs, for a transcoder."""
    scale: float | None = None
    """Factor on the inputs in training, where the file says that there was one and not which."""
    architecture: str | None = None
    """The peer's name of the architecture, where the tensors alone leave two."""
    k: int | None = None
    """Active features per input, where a TopK file does not hold it."""
    threshold: float | None = None
    """Inference threshold, where a BatchTopK file holds none."""
    context: int | None = None
    """Tokens in a window in training."""
    bos: bool | None = None
    """Whether windows began with a BOS in training."""


@dataclass(frozen=True)
class Source:
    """One weight file, opened once for all formats to look at, and the settings that belong to
    it."""

    file: Path
    values: Mapping[str, Any]
    """Tensors and plain values by name."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The header of a safetensors file."""
    stated: bool = False
    """The user named the format."""
    config: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def place(self) -> Path:
        """The folder that paths and siblings are read from."""
        return self.folder if self.folder is not None else self.file.parent


@dataclass(kw_only=True)
class Reading:
    """What a format makes of a file, before the user's hints and the file's origin join it."""

    coder: Coder
    architecture: str
    """The peer's name for it."""
    site: object = None
    site_out: object = None
    """Where the file says that it reads and writes."""
    inferred: list[str] = field(default_factory=list)
    """What no file states."""
    guessed: tuple[str, ...] = ()
    """Of site and site_out those that are inferred where they are used."""
    transcoder: bool = False
    """Whether it writes to another place, even where no file names it."""
    config: Mapping[str, Any] | None = None
    """The peer's settings to keep; None: those of the file."""
    trained: Mapping[str, Any] = field(default_factory=dict)
    """More entries of `origin`: see `batch_topk`."""
    unread: tuple[str, ...] = ()
    """Keys of its settings that are neither used nor known to change nothing."""


def _as_it_is(source: Source) -> Source:
    return source


@dataclass(frozen=True, kw_only=True)
class Format:
    """One library's way of storing a dictionary."""

    name: str
    """What a user calls it."""
    suffixes: tuple[str, ...]
    """Endings of its weight files."""
    files: tuple[str, ...] = ()
    """Names of its weight files within a folder; (): they may be called anything."""
    settings: str = ""
    """The settings file by which its folder is known even where the weights are gone."""
    read_with: tuple[str, ...] = ()
    """Names of the files that are read with the weights where they exist."""
    fits: Callable[[Source], bool] = lambda source: False  # by its name alone
    """Whether what a file holds says that it is of this format; asked before names are."""
    open: Callable[[Source], Source] = _as_it_is
    """The file with the settings that belong to it."""
    read: Callable[[Source, Hints], Reading | Dictionary]
    """What it holds, or DataError in one line."""
    unscaled: str = ""
    """Why a scale of the inputs has no place; "": it may have one."""
    prepare: Callable[[Dictionary, str | None], Callable[[Path], list[str]]] | None = None
    """From a dictionary and its model's name, what writes it to a place and names the parts; None:
    this format is only read."""

    def load(self, weight_file: Source, hints: Hints) -> Dictionary:
        """The dictionary in a file: what the format reads, at the sites that the user says, else
        those of the file, with its origin. Raises: DataError, one line."""
        source = self.open(weight_file)
        reading = self.read(source, hints)
        if isinstance(reading, Dictionary):
            return reading
        if self.unscaled and hints.scale is not None:
            raise DataError(f"{source.file}: a scale has no place: {self.unscaled}")
        sites = []
        for name, hint, stated in (
            ("site", hints.site, reading.site),
            ("site_out", hints.site_out, reading.site_out),
        ):
            if hint is None and isinstance(stated, str) and stated and name in reading.guessed:
                reading.inferred.append(name)
            value = hint if hint is not None else stated
            sites.append((value,) if isinstance(value, str) and value else ())
        return reading.coder.dictionary(
            sites[0],
            sites[1] or ((UNKNOWN,) if reading.transcoder else ()),
            _origin(self.name, source, reading, hints),
        )


def _origin(format: str, source: Source, reading: Reading, hints: Hints) -> dict[str, Any]:
    """Where a dictionary comes from, as plain JSON. What Assay knew of the training text when it
    wrote the file, is known again."""
    config = dict(source.config if reading.config is None else reading.config)
    if hints.context is not None:
        config["context_size"] = whole(hints.context, "context", source.file, 10**6)
    if hints.bos is not None:
        config["prepend_bos"] = hints.bos
    ours = config.get("assay_origin")
    text = ours.get("trained_on") if isinstance(ours, Mapping) else None
    plain = json.loads(
        json.dumps({k: v for k, v in config.items() if k != "assay_origin"}, default=str)
    )
    return {
        "format": format,
        "file": source.file.name,
        "sha256": digest_of(source.file),
        "architecture": reading.architecture,
        "config": {"too_long": True} if len(json.dumps(plain)) > _LONGEST else plain,
        "inferred": sorted(set(reading.inferred)),
        **({"unread": list(reading.unread)} if reading.unread else {}),
        **({"trained_on": text} if isinstance(text, Mapping) else {}),
        **reading.trained,
    }


def unread(config: Mapping[str, Any], known: str, of: str = "") -> tuple[str, ...]:
    """The keys of settings that say something and are not among the known ones.

    Args:
        config: the settings.
        known: names, apart by spaces.
        of: the key under which they are, to name them by.
    """
    silent: tuple[Any, ...] = (None, "", [], {})
    names = {*known.split()}
    return tuple(
        f"{of}.{key}" if of else str(key)
        for key, value in config.items()
        if key not in names and value not in silent
    )


def batch_topk(k: object, estimator: str) -> dict[str, Any]:
    """The entries of `origin` for a file that BatchTopK trained and one threshold reads: how the
    threshold was estimated, and k."""
    trained = (
        {"trained_as": {"name": "BatchTopK", "k": int(k)}}
        if isinstance(k, int | float) and k >= 1 and k % 1 == 0
        else {}
    )
    return {"k": k, "threshold": estimator, **trained}


def with_settings(name: str) -> Callable[[Source], Source]:
    """Make a function that opens a file with the JSON settings of this name in the same folder."""

    def opened(source: Source) -> Source:
        return replace(source, config=settings(source.file.parent / name))

    return opened


@cache
def known() -> Mapping[str, Format]:
    """Find the formats of this folder by name: ours, then those with settings of their own, then
    the others."""
    modules = [
        import_module(f"{__package__}.{file.name}")
        for file in pkgutil.iter_modules(import_module(str(__package__)).__path__)
    ]
    formats = [module.FORMAT for module in modules if hasattr(module, "FORMAT")]
    return MappingProxyType(
        {
            file_format.name: file_format
            for file_format in sorted(
                formats,
                key=lambda file_format: (file_format.name != "assay", not file_format.settings),
            )
        }
    )


def read_with(weights: P) -> list[P]:
    """Name the files that some format reads with a weight file, where they exist: next to it, and
    above a folder `checkpoints`."""
    folders = [weights.parent, *([weights.parent.parent] * (weights.parent.name == "checkpoints"))]
    names = {name for format in known().values() for name in format.read_with}
    return [
        path for folder in folders for name in sorted(names) if (path := folder / name) != weights
    ]
