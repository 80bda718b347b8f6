"""A language model before any training: a folder with its config and tokenizer, and weights drawn
at random."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.bench import Bench
from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.core.spec import Spec
from assay.subjects.folder import ModelFolder, copy_beside, find
from assay.subjects.pretrained import Pretrained


@dataclass(frozen=True, kw_only=True)
class UntrainedSpec(Spec):
    """A model's architecture, cut after so many blocks; the seed draws its weights."""

    model: str
    blocks: int


def untrained(name: str, blocks: int, bench: Bench, seed: int = 0) -> Path:
    """The folder of a model shaped like `name`, of so many blocks, with matrices drawn as before
    its training.

    What a dictionary finds in its activations was put there by text and architecture, not by
    training. Matrices are normal with the config's `initializer_range`; gains and biases are what
    transformers starts them with.

    Raises: ModelError for fewer blocks than 1 or more than the model has.
    Source: Sparse Autoencoders Can Interpret Randomly Initialized Transformers (2025)
    """
    folder = find(name)
    if not 1 <= blocks <= folder.layers:
        raise ModelError(f"an untrained {name} can have 1 to {folder.layers} blocks, got {blocks}")
    more = " and how its texts begin" if _needs_opening(folder) else ""
    spec = UntrainedSpec(seed=seed, model=f"{folder.fingerprint}{more}", blocks=blocks)
    return bench.artefact(spec, lambda path: _build(folder, blocks, seed, path))


def _needs_opening(folder: ModelFolder) -> bool:
    """Whether its texts begin with what its tokenizer does not put there, as Assay made it."""
    return not folder.tokenizer.opening and bool(folder.beginning())


def redrawn(model: Pretrained, seed: int = 0) -> Pretrained:
    """Draw a model's weights in memory as before its training: matrices as in `untrained`, gains 1,
    biases 0.

    For what is measured once and needs no folder. Nothing on disk changes.
    """
    draw, spread = torch.Generator().manual_seed(seed), model.model.config.initializer_range
    # in some families a norm multiplies by 1 + its weight
    one = 1 - round(float((model.gain - model.final_norm.weight.float()).mean()))
    for name, weight in model.model.named_parameters():
        if weight.ndim == 2:
            weight.data.copy_(torch.empty(weight.shape).normal_(0, spread, generator=draw))
        else:
            weight.data.fill_(0 if name.endswith("bias") else one)
    return model


def _build(folder: ModelFolder, blocks: int, seed: int, path: Path) -> None:
    import transformers
    from safetensors.torch import save_model

    config: Any = transformers.AutoConfig.from_pretrained(folder.path, local_files_only=True)
    config.num_hidden_layers = blocks
    if kinds := getattr(config, "layer_types", None):
        config.layer_types = kinds[:blocks]
    with torch.random.fork_rng(
        devices=[]
    ):  # transformers draws from the global stream, which is put back
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    draw = torch.Generator().manual_seed(seed)
    for weight in (
        p for p in model.parameters() if p.ndim == 2
    ):  # gains and biases start as constants
        weight.data.normal_(0, config.initializer_range, generator=draw)
    config.save_pretrained(path)
    save_model(
        model, str(path / "model.safetensors"), {"format": "pt"}
    )  # tied weights once, and no progress bar
    copy_beside(folder, path)
    if _needs_opening(folder):
        (path / "assay.json").write_text(json.dumps({"name": f"untrained {folder.provenance}"}))
