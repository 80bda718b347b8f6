"""Adapters: a folder that holds what LoRA changed of a model (peft's format), added by peft to the
weights of its base when that is loaded. What its settings state is obeyed, or refused by name."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.sizes import told_of_a_model

FILE, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
OBEYED = {
    "r",
    "lora_alpha",
    "use_rslora",
    "rank_pattern",
    "alpha_pattern",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "base_model_name_or_path",
    "revision",
    "peft_type",
}
_HARMLESS = """
auto_mapping inference_mode lora_dropout peft_version megatron_core megatron_config runtime_config
qalora_group_size eva_config corda_config loftq_config lora_ga_config ensure_weight_tying
layers_pattern fan_in_fan_out
"""
HARMLESS = frozenset(_HARMLESS.split())
"""Settings that change no number of an existing adapter, or that follow from the base: a module
shows whether its matrix is transposed."""
STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
"""How the matrices may have been started; every other way changes the base's weights as well."""
REFUSED: Mapping[str, tuple[Any, ...]] = {
    "bias": ("none",),
    "task_type": ("CAUSAL_LM",),
    "init_lora_weights": STARTS,
}
"""Settings → the values other than null that are accepted. Every other setting is accepted where
it is null, false, or empty."""
_OF_BASE = {"base_model_name_or_path", "revision", "peft_type"}
_PREFIX = "base_model.model."
_PART = re.compile(r"(.+)\.lora_(?:embedding_)?([AB])(?:\.weight)?")
BETWEEN = " on "
"""What separates an adapter's folder from its base in a name."""


@dataclass(frozen=True, eq=False)
class Adapter:
    """What a folder says of its adapter."""

    path: Path
    base: Any
    """The folder of the model that it changes."""
    settings: Mapping[str, Any] = field(repr=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that decide its numbers."""
        return (self.path / FILE, self.path / WEIGHTS)


def base_of(path: Path) -> str:
    """The name of the base that an adapter's folder states. Raises: ModelError."""
    settings = _settings(path)
    name, revision = settings.get("base_model_name_or_path"), settings.get("revision")
    if not isinstance(name, str) or not name:
        raise ModelError(
            f'{path / FILE} names no base (base_model_name_or_path); write base = "…" in '
            f'[[model]], or the name as "{path}{BETWEEN}BASE"'
        )
    hub = re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not Path(name).is_dir()
    return f"{name}@{revision}" if revision and hub else name


def read(path: Path, base: Any) -> Adapter:
    """The adapter of a folder. Raises: ModelError for what is no LoRA, or one that Assay does not
    obey, with the setting's name."""
    settings = _settings(path)
    if (kind := settings.get("peft_type")) != "LORA":
        raise ModelError(f"{path / FILE}: peft_type is {str(kind)[:40]}, and Assay reads LORA")
    if not (path / WEIGHTS).is_file():
        pickled = next(path.glob("adapter_model.bin"), None)
        raise ModelError(
            f"adapter folder {path} lacks {WEIGHTS}"
            + (f"; it has {pickled.name}, and Assay reads no pickled weights" if pickled else "")
        )
    for name, value in settings.items():
        taken = REFUSED.get(name, (False, "", [], {}))
        if name in OBEYED | HARMLESS or value is None or value in taken:
            continue
        raise ModelError(
            f"{path / FILE}: {name} = {str(value)[:60]} changes what the adapter does, and Assay "
            "does not do that; merge the adapter with peft (merge_and_unload), and give the whole "
            "model"
        )
    for name, least in (("r", 1), ("lora_alpha", 0)):
        value = settings.get(name, 8)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
            raise ModelError(f"{path / FILE}: {name} must be a number from {least} up, got {value}")
    return Adapter(path, base, settings)


def merge(adapter: Adapter, model: Any) -> Any:
    """The base with what an adapter changes added to its weights, by peft. Raises: ModelError for
    tensors that have no place there.

    Formula: W + scaling · B · A
    """
    import peft
    from safetensors.torch import load_file

    path, tied = adapter.path / WEIGHTS, _tied(model)
    settings = {k: v for k, v in adapter.settings.items() if k in OBEYED - _OF_BASE and v}
    try:
        with told_of_a_model():
            tensors = load_file(foreign.tensors(path))
        _check_pairs(path, tensors)
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            tuned = peft.get_peft_model(model, peft.LoraConfig(**settings))
            changed: list[Any] = [m for m in tuned.modules() if hasattr(m, "lora_A")]
            if any(m.get_base_layer().weight.data_ptr() in tied for m in changed):
                raise ModelError(
                    f"{path} changes embeddings that are tied: embedding and unembedding are one "
                    "tensor there, of which peft changes one use alone; Assay cannot add that to "
                    "the weights"
                )
            loaded: Any = peft.set_peft_model_state_dict(tuned, tensors)
            if left := loaded.unexpected_keys:
                raise ModelError(
                    f"{path}: {left[0].removeprefix(_PREFIX)} is not targeted by {FILE}, or is no "
                    "part of its base, so it would be left out"
                )
            merged = tuned.merge_and_unload(safe_merge=True)
    except ModelError:
        raise
    except Exception as error:  # whatever peft raises on a user's folder
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(f"peft cannot add {adapter.path} to its base: {why}") from error
    return merged.requires_grad_(False)


def _check_pairs(path: Path, tensors: Mapping[str, Any]) -> None:
    """Refuse what is no matrix of a pair. Raises: ModelError."""
    parts: dict[str, set[str]] = {"A": set(), "B": set()}
    for key in tensors:
        match = _PART.fullmatch(key.removeprefix(_PREFIX))
        if match is None:
            raise ModelError(
                f"{path}: {key} is neither lora_A nor lora_B of a module, and Assay supports "
                "nothing else; merge the adapter with peft (merge_and_unload), and give the whole "
                "model"
            )
        parts[match[2]].add(match[1])
    if alone := sorted(parts["A"] ^ parts["B"]):
        raise ModelError(f"{path}: {alone[0]} has not both matrices, lora_A and lora_B")


def _tied(model: Any) -> set[int]:
    """The embedding's address in memory, if the unembedding is the same tensor."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    one = head is not None and embedding.weight is head.weight
    return {embedding.weight.data_ptr()} if one else set()


def _settings(path: Path) -> dict[str, Any]:
    with told_of_a_model():
        return foreign.json_object(path / FILE)
