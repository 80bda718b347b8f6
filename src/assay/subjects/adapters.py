"""Adapters: a folder that holds what LoRA changed of a model (peft's format), added to the weights
of its base when that is loaded. What its settings state is obeyed, or refused by name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

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
"""Settings that change no number of an adapter that is there, or that follow from the base: which
way round a matrix lies is known from its module."""
STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
"""How the matrices may have been started; every other way changes the base's weights as well."""
REFUSED: Mapping[str, tuple[Any, ...]] = {
    "bias": ("none",),
    "task_type": ("CAUSAL_LM",),
    "init_lora_weights": STARTS,
}
"""Settings → the values beside null that are taken. Every other setting is taken where it says
nothing: null, false, or empty."""
_PREFIX = "base_model.model."
_PART = re.compile(r"(.+)\.lora_(embedding_)?([AB])(?:\.weight)?")
BETWEEN = " on "
"""What stands between an adapter's folder and its base in a name."""


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

    def scaling(self, module: str, rank: int) -> float:
        """What its change of a module is multiplied by. Raises: ModelError where the rank is not
        that which the settings claim.

        Formula: α / r, or α / √r with use_rslora
        """
        claimed = _of_pattern(self.settings.get("rank_pattern"), module, self.settings.get("r"))
        alpha = _of_pattern(
            self.settings.get("alpha_pattern"), module, self.settings.get("lora_alpha", 8)
        )
        if claimed != rank:
            raise ModelError(
                f"{self.path / WEIGHTS}: {module} has rank {rank}, and {FILE} claims {claimed}"
            )
        return float(alpha / (math.sqrt(rank) if self.settings.get("use_rslora") else rank))


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


def merge(adapter: Adapter, model: Any) -> None:
    """Add to the weights of its base what an adapter changes. Raises: ModelError for tensors that
    have no place there.

    Formula: W + scaling · B · A
    """
    modules = dict(model.named_modules())
    tied = _tied(model)
    for name, a, b, of_tokens in _pairs(adapter):
        module = modules.get(name)
        weight = getattr(module, "weight", None)
        where = f"{adapter.path / WEIGHTS}: {name}"
        if weight is None or not _is_targeted(adapter.settings, name):
            what = "is not a module of its base" if weight is None else f"is not targeted by {FILE}"
            raise ModelError(f"{where} {what}, so it would be left out")
        if weight.data_ptr() in tied:
            raise ModelError(
                f"{where} is tied: embedding and unembedding are one tensor there, of which peft "
                "changes one use alone; Assay cannot add that to the weights"
            )
        scaling = adapter.scaling(name, a.shape[0])
        change = scaling * (b.float() @ a.float())
        # GPT-2's matrices lie input first; of an embedding A has a column a token
        change = change.T if of_tokens or type(module).__name__ == "Conv1D" else change
        if change.shape != weight.shape:
            raise ModelError(
                f"{where} changes {list(change.shape)} numbers, its base has {list(weight.shape)}"
            )
        if not change.isfinite().all():
            raise ModelError(f"{where} has numbers that are NaN or infinite")
        with torch.no_grad():
            change = change.to(weight.device)
            weight.copy_((weight.float() + change).to(weight.dtype))


def _pairs(adapter: Adapter) -> Iterator[tuple[str, Any, Any, bool]]:
    """Each module that is changed, with A [r, in] and B [out, r], and whether it is an
    embedding."""
    path, found = adapter.path / WEIGHTS, dict[str, dict[str, Any]]()
    embeddings = set()
    try:
        with told_of_a_model(), safe_open(foreign.tensors(path), framework="pt") as file:
            for key in file.keys():  # noqa: SIM118
                match = _PART.fullmatch(key.removeprefix(_PREFIX))
                if match is None:
                    raise ModelError(
                        f"{path}: {key} is neither lora_A nor lora_B of a module, and Assay "
                        "supports nothing else; merge the adapter with peft (merge_and_unload)"
                    )
                found.setdefault(match[1], {})[match[3]] = file.get_tensor(key)
                if match[2]:
                    embeddings.add(match[1])
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is not a complete safetensors file ({str(error)[:80]})"
        ) from error
    for name, parts in sorted(found.items()):
        if set(parts) != {"A", "B"} or any(x.ndim != 2 for x in parts.values()):
            raise ModelError(f"{path}: {name} has not both matrices, lora_A and lora_B")
        if parts["A"].shape[0] != parts["B"].shape[1]:
            raise ModelError(f"{path}: {name}: lora_A and lora_B have not the same rank")
        yield name, parts["A"], parts["B"], name in embeddings


def _is_targeted(settings: Mapping[str, Any], name: str) -> bool:
    """Whether peft would add the change of a module, by the settings."""
    layers = settings.get("layers_to_transform")
    if layers is not None:
        number = re.search(r"\.(\d+)\.", name)
        listed = [layers] if isinstance(layers, int) else layers
        if number is None or int(number[1]) not in listed:
            return False
    targets = settings.get("target_modules")
    if _names(settings.get("exclude_modules"), name):
        return False
    return targets in (None, "all-linear") or _names(targets, name)


def _names(some: Any, name: str) -> bool:
    """Whether a setting names a module: a regular expression of the whole name, or a list of ends
    of names."""
    if isinstance(some, str):
        return re.fullmatch(some, name) is not None
    return any(name == end or name.endswith(f".{end}") for end in some or ())


def _of_pattern(patterns: Any, name: str, usual: Any) -> Any:
    """What the first pattern that fits a module's name says, else the usual value."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", name):
            return value
    return usual


def _tied(model: Any) -> set[int]:
    """Where the embedding lies, if the unembedding is the same tensor."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    one = head is not None and embedding.weight is head.weight
    return {embedding.weight.data_ptr()} if one else set()


def _settings(path: Path) -> dict[str, Any]:
    with told_of_a_model():
        return foreign.json_object(path / FILE)
