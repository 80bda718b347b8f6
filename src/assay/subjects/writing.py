"""Writing: what a model's settings say of how it writes: the tokens that end a text, and what else
decides the next token than its logits, obeyed as transformers' `generate` does, or refused; and how
a token is chosen from logits."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from assay.core import foreign
from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.sizes import told_of_a_model
from assay.train import rng

FILE = "generation_config.json"
OBEYED: Mapping[str, tuple[Any, ...]] = {
    "repetition_penalty": (1, 1.0),
    "encoder_repetition_penalty": (1, 1.0),
    "encoder_no_repeat_ngram_size": (0,),
    "no_repeat_ngram_size": (0,),
    "bad_words_ids": ([],),
    "sequence_bias": ([], {}),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "suppress_tokens": ([],),
    "begin_suppress_tokens": ([],),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "exponential_decay_length_penalty": (),
    "remove_invalid_values": (False,),
}
"""Settings that change the choice of the likeliest token → values other than null that do not."""
REFUSED: Mapping[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "num_beam_groups": (1,),
    "diversity_penalty": (0, 0.0),
    "num_return_sequences": (1,),
    "guidance_scale": (1, 1.0),
    "penalty_alpha": (0, 0.0),
    "dola_layers": (),
    "constraints": ([],),
    "force_words_ids": ([],),
    "stop_strings": ([], ""),
    "max_time": (),
    "watermarking_config": (),
    "token_healing": (False,),
    "use_mtp": (False,),
    "speculation_type": (),
    "cache_implementation": ("dynamic", "hybrid", "static"),
}
"""Settings that Assay does not support → values other than null that turn them off."""


@dataclass(frozen=True, eq=False)
class Writing:
    """How a model writes, by its generation_config.json or, where there is none, by its
    config.json."""

    source: str
    settings: Mapping[str, Any] = field(repr=False)

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end a text. Raises: ModelError for what are no tokens."""
        end = self.settings.get("eos_token_id")
        listed = end if isinstance(end, list) else [] if end is None else [end]
        if any(type(token) is not int for token in listed) or end == []:
            raise ModelError(
                f"{self.source}: eos_token_id must be a token's number or a list of some, got "
                f"{str(end)[:40]}"
            )
        return tuple(listed)

    @property
    def changes(self) -> dict[str, Any]:
        """Settings that change the choice of the likeliest token."""
        return _stated(self.settings, OBEYED)

    @property
    def draws(self) -> bool:
        """Whether it asks for draws, which `generates` does not make."""
        return bool(self.settings.get("do_sample"))

    def check(self) -> None:
        """Refuse settings that change what is written and that Assay does not obey. Raises:
        ModelError, naming one."""
        for name, value in _stated(self.settings, REFUSED).items():
            raise ModelError(
                f"{self.source}: {name} = {str(value)[:60]} changes what transformers writes, and "
                "Assay does not do that; set it to null"
            )


def _stated(settings: Mapping[str, Any], defaults: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    """Of the known settings those with a value that does something."""
    return {
        name: value
        for name, neutral in defaults.items()
        if (value := settings.get(name)) is not None and value not in neutral
    }


def read(folder: Path, config: Mapping[str, Any]) -> Writing:
    """How the model of a folder writes. Raises: ModelError where its file is no JSON object."""
    if not (path := folder / FILE).exists():
        return Writing("config.json", config)
    with told_of_a_model():
        return Writing(FILE, foreign.json_object(path))


Process = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]
"""From all tokens so far [b, s] and the next token's logits [b, v] to those that are chosen by."""


def processes(model: Any, writing: Writing, prompts: torch.Tensor, new: int) -> Process | None:
    """What changes logits before a token is chosen, as transformers does it; None: nothing does.

    Args:
        model: a causal language model of transformers.
        writing: its settings.
        prompts: their tokens, [b, s].
        new: how many tokens are written at most.
    Raises: ModelError for settings that it cannot make sense of.
    """
    writing.check()
    ahead = "prompt_lookup_num_tokens"
    if writing.settings.get(ahead) and getattr(model, "_is_stateful", False):
        raise ModelError(f"{writing.source}: transformers ignores {ahead} with this model")
    if not writing.changes:
        return None
    settings = copy.deepcopy(model.generation_config)
    settings.update(do_sample=False, num_beams=1, max_length=prompts.shape[1] + new)
    try:
        model._prepare_special_tokens(settings, device=model.device)
        processors = model._get_logits_processor(
            settings,
            input_ids_seq_length=prompts.shape[1],
            encoder_input_ids=prompts,  # of a decoder the prompt
            device=model.device,
            model_kwargs={},
        )
    except Exception as error:  # a user's settings, in whatever shape
        why = " ".join(str(error).split())[:120] or type(error).__name__
        names = ", ".join(writing.changes)
        raise ModelError(f"{writing.source}: {names}: {why}") from error
    return lambda ids, logits: processors(ids, logits)


def choose(
    logits: Float[torch.Tensor, "b v"], temperature: float, seeds: Sequence[int], step: int
) -> Int[torch.Tensor, " b"]:
    """Choose each row's next token.

    The same seed and step draw the same from the same logits, whatever the other rows are.

    Formula: argmax(logits / temperature + Gumbel noise), a draw from softmax(logits / temperature)

    Args:
        logits: [b, v].
        temperature: 0 takes the most probable token.
        seeds: of each row.
        step: how many tokens of the text were chosen before.
    Example:
        >>> import torch
        >>> from assay.subjects.writing import choose
        >>> logits = torch.tensor([[0.0, 0.1, 0.0]] * 3)
        >>> choose(logits, 0.0, [0, 0, 0], 0).tolist(), choose(logits, 1.0, [0, 1, 0], 0).tolist()
        ([1, 1, 1], [0, 2, 0])
    """
    if not temperature:
        return logits.argmax(-1)
    uniforms = rng.uniform(np.asarray(seeds), "steer.token", step, (logits.shape[-1],))
    noise = -np.log(-np.log(np.maximum(uniforms.astype(np.float64), 1e-300)))
    return (
        logits.float() / temperature + torch.from_numpy(noise).float().to(logits.device)
    ).argmax(-1)
