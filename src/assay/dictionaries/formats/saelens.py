"""SAELens: a folder with `cfg.json` and `sae_weights.safetensors`, of any version, finished or in
the middle of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.fitting import LOADED_WITH
from assay.dictionaries.formats.format import (
    Coder,
    Format,
    Hints,
    Reading,
    Source,
    batch_topk,
    jumping,
    unread,
)
from assay.dictionaries.formats.saelens_writing import CONFIG, WEIGHTS, prepare
from assay.dictionaries.formats.weights import Weights, command_for, one_of, settings, whole
from assay.dictionaries.gates import Gated
from assay.dictionaries.nonlinearity import Nonlinearity, ReLU
from assay.dictionaries.rows import PerToken
from assay.dictionaries.selection import AbsTopK, TopK

SCALER = "activation_scaler.json"
ROW = "sae_lens.json"
"""What SAELens' table of published dictionaries says about this one and the file itself does not:
`config_overrides` and `norm_scaling_factor`. It is next to a dictionary that was fetched by a name
of that table."""
_KINDS = {
    "standard": "relu",
    "gated": "gated",
    "topk": "topk",
    "abstopk": "abstopk",
    "jumprelu": "jumprelu",
    "batchtopk": "batchtopk",
    "matryoshka_batchtopk": "batchtopk",
    "transcoder": "relu",
    "skip_transcoder": "relu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}
_OTHERS = {
    "matching_pursuit": (
        "it encodes by a search that goes on until the residual is small, which is not a function "
        "of one projection"
    ),
    "temporal": "it attends to earlier tokens, so that single activations have no code",
}
_PER_TOKEN: Mapping[str, PerToken] = {
    "none": "",
    "layer_norm": "layer-norm",
    "constant_norm_rescale": "length",
}
_FOLDED = "expected_average_only_in"
_OLD_NAMES = {
    "hook_point": "hook_name",
    "hook_point_head_index": "hook_head_index",
    "activation_fn_str": "activation_fn",
}


USED = """
architecture d_in d_sae d_out k activation_fn activation_fn_kwargs apply_b_dec_to_input
normalize_activations rescale_acts_by_decoder_norm topk_threshold_lr finetuning_scaling_factor
hook_name hook_name_out model_from_pretrained_kwargs model_name context_size prepend_bos
dataset_path dataset_part assay_origin
"""
"""Keys of cfg.json, or of its metadata, that Assay uses, here or where a dictionary meets a
model."""
HARMLESS = """
dtype device act_store_device sae_lens_version sae_lens_training_version neuronpedia_id
model_class_name dataset_trust_remote_code reshape_activations use_sparse_activations hook_layer
hook_layer_out hook_head_index hook_head_index_out hook_point_layer hf_hook_name
use_error_term hook_eval
aux_loss_coefficient matryoshka_widths matryoshka_inner_widths decoder_init_norm
l1_coefficient l0_coefficient lp_norm l1_warm_up_steps l0_warm_up_steps pre_act_loss_coefficient
jumprelu_init_threshold jumprelu_bandwidth jumprelu_sparsity_loss_mode jumprelu_tanh_scale
mse_loss_normalization use_ghost_grads noise_standard_deviation normalize_sae_decoder
decoder_orthogonal_init decoder_heuristic_init decoder_heuristic_init_norm
init_encoder_as_decoder_transpose scale_sparsity_penalty_by_decoder_norm b_dec_init_method
expansion_factor from_pretrained_path finetuning_method finetuning_tokens training_tokens
n_batches_in_buffer store_batch_size_prompts train_batch_size_tokens train_batch_size
tokens_per_buffer streaming is_dataset_tokenized use_cached_activations cached_activations_path
use_learned_encoder autocast autocast_lm compile_llm llm_compilation_mode compile_sae
sae_compilation_mode seed adam_beta1 adam_beta2 lr lr_end lr_scheduler_name lr_warm_up_steps
lr_decay_steps n_restart_cycles feature_sampling_window dead_feature_window
dead_feature_threshold feature_sampling_method feature_reinit_scale resample_batches
n_eval_batches n_eval_seqs eval_batch_size_prompts eval_every_n_wandb_logs
activations_mixing_fraction log_to_wandb log_activations_store_to_wandb
log_optimizer_state_to_wandb wandb_project wandb_id wandb_entity wandb_log_frequency run_name
sparsity_log_interval logger n_checkpoints checkpoint_path output_path resume save_final_checkpoint
verbose tokens_per_feature ghost_grads written_by
"""
"""Those that change no number of a finished dictionary: how it was trained, and where."""
KNOWN = USED + HARMLESS
LOADING = """
center_writing_weights fold_ln fold_value_biases refactor_factored_attn_matrices center_unembed
dtype torch_dtype device n_devices move_to_device default_prepend_bos default_padding_side
trust_remote_code local_files_only cache_dir token low_cpu_mem_usage attn_implementation
first_n_layers device_map
"""
"""Keys of model_from_pretrained_kwargs that `fitting` obeys or refuses, and that change nothing:
center_unembed moves all logits of a token alike."""
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "seqpos_slice": ([None], [None, None]),
    "exclude_special_tokens": (False,),
    "disable_concat_sequences": (False,),
    "sequence_separator_token": ("bos",),
}
"""Keys that say which tokens it was trained on, and their values at which these are all."""


def read(source: Source, hints: Hints) -> Reading:
    """The dictionary of a SAELens folder.

    Raises: DataError for what is missing, unknown, contradictory, or no function of one activation.
    """
    config, inferred = _config(source.place / CONFIG, source.config)
    asked = config.get(LOADED_WITH) or {}
    if not isinstance(asked, dict):
        raise DataError(f"{source.place / CONFIG}: {LOADED_WITH} must be an object, got {asked!r}")
    path = source.file
    name = hints.architecture or config["architecture"]
    if isinstance(name, str) and name in _OTHERS:
        raise DataError(
            f"{source.place}: architecture {name!r} cannot be a Dictionary: {_OTHERS[name]}"
        )
    kind = one_of(name, _KINDS, "architecture", source.place / CONFIG)
    transcoder = "transcoder" in name
    sizes = {
        "d_in": config.get("d_in"),
        "d_sae": config.get("d_sae"),
        "d_out": config.get("d_out") if transcoder else None,
    }
    weights = Weights(path, source.values, **sizes)
    W_enc = weights.take("W_enc", "d_in", "d_sae")
    out = "d_out" if transcoder else "d_in"
    W_dec, b_dec = weights.take("W_dec", "d_sae", out), weights.take("b_dec", out)
    b_enc, coder_arguments, trained_as = _activation(kind, name, weights, config, hints, source)
    W_skip = weights.take("W_skip", "d_out", "d_in").mT if "skip" in name else None
    factor = weights.take_if("scaling_factor", "d_sae")
    weights.end(f"a SAELens {name} file")

    coder = Coder(
        W_enc,
        b_enc,
        W_dec,
        b_dec,
        centred=bool(config.get("apply_b_dec_to_input", True)) and not transcoder,
        W_skip=W_skip,
        per_token=_per_token(config, source, transcoder),
        **coder_arguments,
    )
    coder = _finetuned(coder, factor, config, path)
    return Reading(
        coder=_folded(coder, config, hints, source, kind),
        architecture=name,
        site=config.get("hook_name"),
        site_out=config.get("hook_name_out") if transcoder else None,
        inferred=inferred,
        transcoder=transcoder,
        config=config,
        trained=trained_as | ({"loaded_with": asked} if asked else {}),
        unread=(
            *unread({k: v for k, v in config.items() if v not in NEUTRAL.get(k, ())}, KNOWN),
            *unread({k: v for k, v in asked.items() if v is not False}, LOADING, LOADED_WITH),
        ),
    )


def _per_token(config: Mapping[str, Any], source: Source, transcoder: bool) -> PerToken:
    """How each row is normalised by itself. Raises: DataError where its inputs alone are."""
    per_token = _PER_TOKEN.get(str(config["normalize_activations"]), "")
    if transcoder and per_token:
        raise DataError(
            f"{source.place}: a transcoder whose inputs alone are normalised per token "
            f"({config['normalize_activations']}) "
            "cannot be a Dictionary, which undoes it after decoding"
        )
    return per_token


def _activation(
    kind: str, name: str, weights: Weights, config: Mapping[str, Any], hints: Hints, source: Source
) -> tuple[torch.Tensor, dict[str, Any], dict[str, Any]]:
    """The encoder's bias, the nonlinearity and its parameters, and how a BatchTopK was trained."""
    if kind == "gated":
        b_enc = weights.take("b_gate", "d_sae")
        parameters = {n: weights.take(n, "d_sae") for n in ("b_mag", "r_mag")}
        return b_enc, {"nonlinearity": Gated(), "own": parameters}, {}
    b_enc = weights.take("b_enc", "d_sae")
    if kind in ("relu", "topk", "abstopk"):
        place = source.place / CONFIG
        nonlinearity = _nonlinearity(kind, config, hints, weights.sizes["d_sae"], place)
        return b_enc, {"nonlinearity": nonlinearity}, {}
    if kind == "jumprelu":
        return b_enc, jumping(_threshold(weights)), {}
    if kind != "batchtopk":
        return b_enc, {}, {}
    threshold, rate = weights.number("topk_threshold"), config.get("topk_threshold_lr", 0.01)
    if threshold is None:
        raise DataError(
            f"{source.file} lacks topk_threshold, the threshold that a {name} file is read with"
        )
    trained_as = batch_topk(
        config.get("k"), f"running mean of a batch's smallest active value, from 0 at rate {rate}"
    )
    return b_enc, jumping(torch.full_like(b_enc, threshold)), trained_as


def _finetuned(
    coder: Coder, factor: torch.Tensor | None, config: Mapping[str, Any], path: Path
) -> Coder:
    if factor is None or torch.allclose(factor, torch.ones_like(factor)):
        return coder
    if not config.get("finetuning_scaling_factor"):
        raise DataError(
            f"{path} has a scaling_factor that is not 1, and its settings say that there is none"
        )
    return replace(coder, W_dec=coder.W_dec * factor[:, None])


def open_file(weight_file: Source) -> Source:
    """The weights, and the settings next to them."""
    folder = weight_file.file.parent
    overrides = _row(folder).get("config_overrides") or {}
    if not isinstance(overrides, dict):
        raise DataError(f"{folder / ROW}: config_overrides must be an object, got {overrides!r}")
    config = settings(folder / CONFIG) | overrides
    return replace(weight_file, config=config)


def loading(folder: Path) -> Mapping[str, Any]:
    """What the settings in a folder ask to be done to the model first. Raises: DataError."""
    config = settings(folder / CONFIG) | (_row(folder).get("config_overrides") or {})
    metadata = config.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    asked = config.get(LOADED_WITH, metadata.get(LOADED_WITH))
    return asked if isinstance(asked, dict) else {}


def _row(folder: Path) -> dict[str, Any]:
    return settings(folder / ROW) if (folder / ROW).is_file() else {}


def _config(path: Path, stored: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The settings in one flat form, and which of them the file does not state."""
    config = {_OLD_NAMES.get(k, k): v for k, v in stored.items() if k != "metadata"}
    metadata = stored.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise DataError(f"{path}: metadata must be an object, got {metadata!r}")
    config |= {k: v for k, v in metadata.items() if v is not None and k not in config}
    inferred = []
    for missing, default in (
        ("architecture", "standard"),
        ("apply_b_dec_to_input", True),
        ("normalize_activations", "none"),
    ):
        if config.get(missing) is None:
            config[missing] = default
            inferred.append(missing)
    if isinstance(config["normalize_activations"], bool):
        config["normalize_activations"] = (
            "expected_average_only_in" if config["normalize_activations"] else "none"
        )
    one_of(
        config["normalize_activations"],
        dict.fromkeys((*_PER_TOKEN, _FOLDED)),
        "normalize_activations",
        path,
    )
    function = config.get("activation_fn", "relu")
    arguments = config.get("activation_fn_kwargs") or {}
    stated = arguments.get("k") if isinstance(arguments, dict) else None
    if config["architecture"] == "standard" and function == "topk":
        config["architecture"] = "topk"
    if config["architecture"] == "topk" and config.get("k") is None:
        config["k"] = stated
    if stated is not None and config.get("k") not in (None, stated):
        raise DataError(f"{path}: k is {config['k']!r}, and {stated!r} in activation_fn_kwargs")
    if function not in ("relu", "topk"):
        raise DataError(f"{path}: activation_fn {function!r} is not known; known: relu, topk")
    return config, inferred


def _nonlinearity(
    kind: str, config: Mapping[str, Any], hints: Hints, width: int, path: Path
) -> Nonlinearity:
    if kind == "relu":
        return ReLU()
    k = whole(config.get("k") if hints.k is None else hints.k, "k", path, width)
    return TopK(k) if kind == "topk" else AbsTopK(k)


def _threshold(weights: Weights) -> torch.Tensor:
    logarithm = weights.take_if("log_threshold", "d_sae")
    return weights.take("threshold", "d_sae") if logarithm is None else logarithm.exp()


def _folded(
    coder: Coder, config: Mapping[str, Any], hints: Hints, source: Source, kind: str
) -> Coder:
    """The coder for raw activations, with the norms of decoder rows folded where the file leaves
    that to the reader."""
    by_norm = bool(config.get("rescale_acts_by_decoder_norm", kind == "batchtopk")) and kind in (
        "topk",
        "abstopk",
        "batchtopk",
    )
    if config["normalize_activations"] == "expected_average_only_in":
        s = _scale(source.place, hints)
        coder = coder.scaled(s)
        if (
            by_norm and kind == "batchtopk"
        ):  # its threshold is in units of the rows' lengths, which have just grown by 1 / s
            coder = replace(coder, own={"threshold": coder.own["threshold"].double() / s})
    elif hints.scale is not None:
        raise DataError(
            f"{source.place}: its inputs were not scaled (normalize_activations), so "
            f"scale={hints.scale} has no place"
        )
    return coder.unit_rows() if by_norm else coder


def _scale(folder: Path, hints: Hints) -> float:
    file = folder / SCALER
    value = (
        hints.scale
        if hints.scale is not None
        else settings(file).get("scaling_factor")
        if file.exists()
        else _row(folder).get("norm_scaling_factor")
    )
    if value is None:
        raise DataError(
            f"{folder}: its inputs were scaled by √d / mean‖x‖, and the factor is not in the "
            f"file; put {SCALER} next to it, or give the factor: "
            + command_for(folder, scale="NUMBER")
        )
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value < float("inf")
    ):
        raise DataError(f"{folder}: the inputs' scale must be a positive number, got {value!r}")
    return float(value)


FORMAT = Format(
    name="saelens",
    suffixes=(".safetensors",),
    files=(WEIGHTS,),
    settings=CONFIG,
    read_with=(CONFIG, SCALER, ROW),
    open=open_file,
    read=read,
    prepare=prepare,
)
