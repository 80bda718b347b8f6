"""Kissane and Krzyzanowski's dictionaries of attention's heads: `NAME.pt` with `NAME_cfg.json`
beside it, for `attn.hook_z`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from assay.dictionaries.formats.format import Coder, Format, Hints, Reading, Source
from assay.dictionaries.formats.weights import Weights, settings
from assay.dictionaries.nonlinearity import ReLU


def fits(weight_file: Source) -> bool:
    """Whether settings of this name lie beside a file with these tensors."""
    return {"W_enc", "b_enc", "W_dec", "b_dec"} == set(weight_file.values) and _settings_path(
        weight_file.file
    ).is_file()


def open_file(weight_file: Source) -> Source:
    """A weight file with the settings that have its name."""
    return replace(weight_file, config=settings(_settings_path(weight_file.file)))


def read(source: Source, hints: Hints) -> Reading:
    """The dictionary of one layer's heads, side by side as one vector: ReLU, centred by b_dec.

    Raises: DataError for what is missing, left over or of another size than its settings say.
    """
    config = source.config
    weights = Weights(
        source.file, source.values, d=config.get("act_size"), N=config.get("dict_size")
    )
    W_enc, b_enc = weights.take("W_enc", "d", "N"), weights.take("b_enc", "N")
    W_dec, b_dec = weights.take("W_dec", "N", "d"), weights.take("b_dec", "d")
    weights.end("a file of attention's heads")
    return Reading(
        coder=Coder(W_enc, b_enc, W_dec, b_dec, ReLU(), centred=True),
        architecture="relu",
        site=config.get("act_name"),
        inferred=["architecture"],
    )


def _settings_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}_cfg.json")


FORMAT = Format(
    name="hook-z",
    suffixes=(".pt",),
    beside=("{stem}_cfg.json",),
    fits=fits,
    open=open_file,
    read=read,
    unscaled="these files take raw activations",
)
