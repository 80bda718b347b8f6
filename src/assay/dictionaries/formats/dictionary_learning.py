"""dictionary_learning: `ae.pt`, a state dict with `config.json` next to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.formats import sites as places
from assay.dictionaries.formats.format import (
    TORCH,
    Coder,
    Format,
    Hints,
    Reading,
    Source,
    batch_topk,
    jumping,
    unread,
)
from assay.dictionaries.formats.weights import Weights, command_for, one_of, settings, whole
from assay.dictionaries.gates import Gated
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import TopK

CONFIG, WEIGHTS = "config.json", "ae.pt"
KNOWN = """
dict_class trainer_class activation_dim dict_size k submodule_name layer lm_name
lr steps seed device wandb_name warmup_steps decay_start sparsity_warmup_steps l1_penalty
sparsity_penalty bandwidth target_l0 resample_steps initial_sparsity_penalty auxk_alpha
threshold_beta threshold_start_step group_fractions group_weights group_sizes
top_k_aux dead_feature_threshold lr_decay_start p_start p_end anneal_start anneal_end
"""
"""Keys of a trainer that Assay uses, in the first line, and those of training alone."""
BUFFER = "d_submodule n_ctxs refresh_batch_size out_batch_size device"
_LINEAR = {"encoder.weight", "encoder.bias", "decoder.weight"}
_KEYS = {
    "AutoEncoder": _LINEAR | {"bias"},
    "AutoEncoderNew": _LINEAR | {"decoder.bias"},
    "GatedAutoEncoder": {
        "decoder_bias",
        "encoder.weight",
        "r_mag",
        "gate_bias",
        "mag_bias",
        "decoder.weight",
    },
    "JumpReluAutoEncoder": {"W_enc", "b_enc", "W_dec", "b_dec", "threshold"},
    "AutoEncoderTopK": _LINEAR | {"b_dec", "k", "threshold"},
    "BatchTopKSAE": _LINEAR | {"b_dec", "k", "threshold"},
    "MatryoshkaBatchTopKSAE": {"W_enc", "b_enc", "W_dec", "b_dec", "k", "threshold", "group_sizes"},
}


def open_file(weight_file: Source) -> Source:
    """A weight file with the settings of its run, next to it or above `checkpoints`."""
    folder = weight_file.file.absolute().parent
    file = (folder.parent if folder.name == "checkpoints" else folder) / CONFIG
    config = settings(file) if file.exists() else {}
    return replace(weight_file, config=config)


def fits(weight_file: Source) -> bool:
    """Whether the names are those of one of the classes. Two linear layers of a state dict have the
    names of one of them as well, so that these count in a file with its settings or its name
    alone."""
    names, is_named_so = set(weight_file.values), weight_file.file.name.startswith("ae")
    if names == _KEYS["AutoEncoderNew"] and not is_named_so and not open_file(weight_file).config:
        return False
    if any(names == keys for keys in _KEYS.values()):
        return True
    # older files of a TopK have no threshold
    return names | {"threshold"} == _KEYS.get(stated_class(weight_file))


def stated_class(weight_file: Source) -> str:
    """The class that the settings of a weight file say; "" where they say none."""
    trainer = open_file(weight_file).config.get("trainer")
    return str(trainer.get("dict_class") or "") if isinstance(trainer, dict) else ""


def read(source: Source, hints: Hints) -> Reading:
    """The dictionary of an `ae.pt`.

    Raises: DataError for what is missing, unknown or contradictory, and where the file alone leaves
    two readings."""
    values = source.values
    trainer = source.config.get("trainer") or {}
    if not isinstance(trainer, dict):
        raise DataError(f"{source.place / CONFIG}: trainer must be an object, got {trainer!r}")
    inferred: list[str] = []
    name = _class(source, set(values), hints, trainer, inferred)
    weights = Weights(
        source.file, values, d=trainer.get("activation_dim"), N=trainer.get("dict_size")
    )
    coder, trained_as = _coder(name, weights, trainer, hints, source.file)
    buffer = source.config.get("buffer")
    buffer = buffer if isinstance(buffer, dict) else {}
    # what goes into a module is another place than what comes out of it
    named = trainer.get("submodule_name") if buffer.get("io", "out") == "out" else None
    weights.end(f"a dictionary_learning {name} file")
    return Reading(
        coder=coder,
        architecture=name,
        site=places.of_submodule(named, trainer.get("layer")),
        inferred=inferred,
        guessed=("site",),
        trained=trained_as,
        unread=(
            *unread(source.config, "trainer buffer"),
            *unread(trainer, KNOWN, "trainer"),
            *unread({k: v for k, v in buffer.items() if v != "out"}, BUFFER, "buffer"),
        ),
    )


def _class(
    source: Source, names: set[str], hints: Hints, trainer: Mapping[str, Any], inferred: list[str]
) -> str:
    stated = trainer.get("dict_class")
    if hints.architecture is not None:
        if stated and hints.architecture not in _KEYS:
            raise DataError(
                f"{source.file}: {CONFIG} says that it is a {stated} of dictionary_learning, so "
                f"architecture={hints.architecture} has no place"
            )
        one_of(hints.architecture, _KEYS, "architecture", source.file)
        return hints.architecture
    if stated is not None:
        one_of(stated, _KEYS, "dict_class", source.place / CONFIG)
        return str(stated)
    fitting = [name for name, keys in _KEYS.items() if keys == names]
    if "AutoEncoderTopK" in fitting:
        raise DataError(
            f"{source.file}: TopK and BatchTopK files have the same tensors, and config.json is "
            "not next to it; give one (AutoEncoderTopK or BatchTopKSAE): "
            + command_for(source.file, architecture="AutoEncoderTopK")
        )
    if fitting == ["JumpReluAutoEncoder"]:
        d, n = list(getattr(source.values.get("W_enc"), "shape", (0, 1)))[:2] or (0, 1)
        both = "both orientations of W_enc fit, and " if d == n else ""
        raise DataError(
            f"{source.file}: {both}these are the names of dictionary_learning's "
            "JumpReluAutoEncoder, which does not subtract b_dec from the input, and those of state "
            "dicts of one's own; say which, JumpReluAutoEncoder, jumprelu or jumprelu-uncentred: "
            + command_for(source.file, architecture="NAME")
        )
    if not fitting:
        raise DataError(
            f"{source.file} has the tensors {', '.join(sorted(map(str, names)))}, which are "
            "those of no dictionary_learning class"
        )
    inferred.append("architecture")
    return fitting[0]


def _coder(
    name: str, weights: Weights, trainer: Mapping[str, Any], hints: Hints, path: Path
) -> tuple[Coder, dict[str, Any]]:
    """The coder, and for BatchTopK what it was trained as."""
    if name in ("JumpReluAutoEncoder", "MatryoshkaBatchTopKSAE"):
        W_enc, b_enc = weights.take("W_enc", "d", "N"), weights.take("b_enc", "N")
        W_dec, b_dec = weights.take("W_dec", "N", "d"), weights.take("b_dec", "d")
    else:
        W_enc, W_dec = (
            weights.take("encoder.weight", "N", "d").mT,
            weights.take("decoder.weight", "d", "N").mT,
        )
        b_enc = weights.take("gate_bias" if name == "GatedAutoEncoder" else "encoder.bias", "N")
        of_dec = {
            "AutoEncoder": "bias",
            "AutoEncoderNew": "decoder.bias",
            "GatedAutoEncoder": "decoder_bias",
        }
        b_dec = weights.take(of_dec.get(name, "b_dec"), "d")
    parts = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec}
    parts["centred"] = name not in ("AutoEncoderNew", "JumpReluAutoEncoder")  # type: ignore[assignment]
    if name in ("AutoEncoder", "AutoEncoderNew"):
        return Coder(**parts, nonlinearity=ReLU()), {}  # type: ignore[arg-type]
    if name == "GatedAutoEncoder":
        parameters = {"r_mag": weights.take("r_mag", "N"), "b_mag": weights.take("mag_bias", "N")}
        return Coder(**parts, nonlinearity=Gated(), own=parameters), {}  # type: ignore[arg-type]
    if name == "JumpReluAutoEncoder":
        return Coder(**parts, **jumping(weights.take("threshold", "N"))), {}  # type: ignore[arg-type]
    stored, threshold = weights.number("k"), weights.number("threshold")
    stored = trainer.get("k") if stored is None else stored
    k = whole(stored if hints.k is None else hints.k, "k", path, weights.sizes["N"])
    if name == "AutoEncoderTopK":
        return Coder(**parts, nonlinearity=TopK(k)), {}  # type: ignore[arg-type]
    weights.drop("group_sizes")
    threshold = hints.threshold if hints.threshold is not None else threshold
    if threshold is None or not 0 <= threshold < float("inf"):
        raise DataError(
            f"{path}: a {name} file is read with its inference threshold, and training never set "
            f"it; give one: {command_for(path, threshold='NUMBER')}"
        )
    trained_as = batch_topk(
        k, "running mean of a batch's smallest kept value, from the first one at rate 0.001"
    )
    return Coder(**parts, **jumping(torch.full_like(b_enc, threshold))), trained_as  # type: ignore[arg-type]


FORMAT = Format(
    name="dictionary-learning",
    suffixes=TORCH,
    files=(WEIGHTS,),
    read_with=(CONFIG,),
    fits=fits,
    open=open_file,
    read=read,
    unscaled="its files take raw activations",
)
