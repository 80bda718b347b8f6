"""Live: a model that is in memory already, as transformers has it, with its tokenizer. It is known
by a hash of what it holds, and is never changed."""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from assay.core.errors import ModelError
from assay.core.heavy import torch

STANDING: dict[str, Live] = {}
"""The models in memory by name, each used wherever a model of this name is needed."""
_WRAPS = ("original_model", "_module", "_model")
"""Where TransformerLens' bridge and nnsight's LanguageModel have the model that they wrap."""
_PART = "._original_component"
"""What TransformerLens' bridge puts into the names of the modules that it wraps in place."""
_BRIDGE = "transformer_lens.model_bridge"
"""Where hooks of the bridge's own are written."""
_ALIKE = 0.02
"""How far, as a share of the largest, logits of a bridge may be from those of the model that it
wraps: attention that adds in another order, in bfloat16."""
_IDLE = ("pad_token", "padding_side", "is_local", "local_files_only", "name_or_path")
"""Settings of a tokenizer that change no number here, and that wrappers set."""


@dataclass(eq=False)
class Live:
    """A model in memory."""

    model: Any
    """A causal language model of transformers."""
    folder: tempfile.TemporaryDirectory[str] = field(repr=False)
    """Its settings and its tokenizer, as files."""
    _hashed: tuple[Any, str] = (None, "")
    _session: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def path(self) -> Path:
        """The folder of its settings and its tokenizer."""
        return Path(self.folder.name)

    @property
    def name(self) -> str:
        """What it is called: by what it holds."""
        return f"in-memory-{self.fingerprint[:12]}"

    @cached_property
    def kind(self) -> str:
        """The class of the model."""
        return type(self.model).__name__

    @property
    def provenance(self) -> str:
        """What to call it in a report."""
        words = f"{self.kind} in memory, {self.fingerprint[:12]}"
        return f"{words}, {self.hooks_in_words}" if self.hooks else words

    @property
    def hooks(self) -> list[str]:
        """The places of hooks that are not Assay's: between runs Assay has none."""
        return hooks_on(self.model)

    @property
    def hooks_in_words(self) -> str:
        """Say that its owner has hooks on it; "" where there are none."""
        if not (where := self.hooks):
            return ""
        more = f" and {len(where) - 1} more" if where[1:] else ""
        return f"with hooks of its owner's on {where[0]}{more}, so that its runs are measured anew"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over its present tensors, its settings and its tokenizer; with hooks on it, whose
        effect no hash covers, another one in each session."""
        now = (state(self.model), self.model.config.to_json_string())
        if self._hashed[0] != now:
            self._hashed = (now, self._hash(self.model.state_dict()))
        return self._hashed[1]

    def _hash(self, tensors: Mapping[str, Any]) -> str:
        digest = hashlib.sha256(self.model.config.to_json_string().encode())
        for path in sorted(self.path.iterdir()):
            if path.name == "tokenizer_config.json":
                settings = json.loads(path.read_text())
                settings = {k: v for k, v in settings.items() if k not in _IDLE}
                digest.update(path.name.encode() + json.dumps(settings, sort_keys=True).encode())
            elif path.name != "config.json":
                digest.update(path.name.encode() + path.read_bytes())
        for name, tensor in tensors.items():
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            flat = tensor.detach().contiguous().flatten().view(torch.uint8)
            digest.update(flat.cpu().numpy().data)
        if self.hooks:
            digest.update(f"{self._session} {self.hooks}".encode())
        return digest.hexdigest()


def hooks_on(model: Any) -> list[str]:
    """Where hooks are on a model: between runs Assay has none."""
    kinds = ("_forward_hooks", "_forward_pre_hooks")
    return [
        name or "the model"
        for name, module in model.named_modules()
        if any(getattr(module, kind, None) for kind in kinds)
    ]


def state(model: Any) -> tuple[Any, ...]:
    """What is cheap to see of a model, and changes with its hooks and its weights, also where they
    are set past autograd."""
    tensors = model.state_dict().items()
    sums = ((n, t.data_ptr(), t._version, float(t.sum(dtype=torch.float32))) for n, t in tensors)
    return (*sums, *hooks_on(model))


def hold(model: Any, tokenizer: Any = None) -> Live:
    """A user's model in memory: one of transformers, or a wrapper of one, as nnsight's
    LanguageModel and TransformerLens' bridge do. Raises: ModelError for any other, one without
    weights, or one in training."""
    wrapped = (getattr(model, name, None) for name in _WRAPS)
    inner: Any = next((m for m in wrapped if _is_model(m)), model)
    tokenizer = tokenizer if tokenizer is not None else getattr(model, "tokenizer", None)
    if not _is_model(inner):
        raise ModelError(
            "assay.model takes a name, a folder, or a causal language model of transformers, got "
            f"{type(model).__name__}"
        )
    if hasattr(inner, "peft_config"):
        raise ModelError(
            f"a {type(inner).__name__} has adapters apart from its weights; give "
            "model.merge_and_unload()"
        )
    if any(p.is_meta for p in inner.parameters()):
        raise ModelError("the model has no weights yet; load them (dispatch=True, in nnsight)")
    if inner.training:
        raise ModelError("the model is in training, where dropout draws; call model.eval() first")
    if tokenizer is None:
        raise ModelError("a model in memory needs its tokenizer: assay.model(model, tokenizer=…)")
    if any(_PART in name for name, _ in inner.named_modules()):
        inner = _unwrapped(inner)
    folder = tempfile.TemporaryDirectory(prefix="assay-live-")
    try:
        inner.config.save_pretrained(folder.name)
        if getattr(inner, "generation_config", None) is not None:
            inner.generation_config.save_pretrained(folder.name)
        tokenizer.save_pretrained(folder.name)
    except Exception as error:  # whatever the user's settings raise
        why = " ".join(str(error).split())[:160] or type(error).__name__
        raise ModelError(f"the model's settings or tokenizer cannot be written: {why}") from error
    if not (Path(folder.name) / "tokenizer.json").exists():
        raise ModelError(
            f"a {type(tokenizer).__name__} has no tokenizer.json; give a fast tokenizer"
        )
    return Live(inner, folder)


def _unwrapped(wrapped: Any) -> Any:
    """The model of transformers whose modules a bridge of TransformerLens has wrapped in place, on
    the same weights. Raises: ModelError where it computes something else: where the bridge has
    hooks, or weights that it processed."""
    for name, module in wrapped.named_modules():
        hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
        if not all(str(getattr(hook, "__module__", "")).startswith(_BRIDGE) for hook in hooks):
            raise ModelError(
                f"the bridge has a hook at {name.replace(_PART, '') or 'the model'}, and Assay "
                "runs the model that it wraps without it; call reset_hooks() of the bridge first"
            )
    config = copy.deepcopy(wrapped.config)
    config._attn_implementation = None  # a bridge sets its own, which adds in another order
    with torch.device("meta"):
        model = type(wrapped)._from_config(config).eval()
    every = (wrapped.named_buffers, wrapped.named_parameters)
    modules = {
        name.replace(_PART, ""): tensor.detach()
        for named in every
        for name, tensor in named(remove_duplicate=False)
    }
    for name, _ in [*model.named_parameters(), *model.named_buffers()]:
        if name not in modules:
            raise ModelError(f"the bridge lacks {name} of the {type(wrapped).__name__} it wraps")
        place, _, last = name.rpartition(".")
        module = model.get_submodule(place)
        if last in module._parameters:
            module._parameters[last] = torch.nn.Parameter(modules[name], requires_grad=False)
        else:
            module._buffers[last] = modules[name]
    model.tie_weights()
    ids = torch.arange(8, device=model.device)[None] % model.config.vocab_size
    with torch.no_grad():
        here, there = (m(input_ids=ids, use_cache=False).logits.float() for m in (model, wrapped))
    off = float((here - there).abs().max() / there.abs().max())
    if not off <= _ALIKE:
        raise ModelError(
            "the bridge computes something else than its weights do in transformers (logits differ "
            f"by {off:.1g} of their size); give one without compatibility mode"
        )
    return model


@contextmanager
def standing(models: Mapping[str, Live]) -> Iterator[None]:
    """Use models in memory for these names."""
    previous = {name: STANDING.get(name) for name in models}
    STANDING.update(models)
    try:
        yield
    finally:
        for name, live in previous.items():
            if live is None:
                STANDING.pop(name, None)
            else:
                STANDING[name] = live


def _is_model(model: Any) -> bool:
    """Whether it is a causal language model of transformers."""
    parts = ("config", "base_model", "get_output_embeddings", "named_parameters")
    return all(hasattr(model, part) for part in parts) and hasattr(model.config, "model_type")
