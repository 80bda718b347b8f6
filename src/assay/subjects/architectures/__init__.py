"""Architecture: what Assay must know of a model's modules and settings, one value each; a file in
this folder is found by being there, and a module of another distribution by an entry point in the
group `assay.architectures`.

A file holds an architecture and its relatives as values at its top. Which sites a model has follows
from its architecture: a kind of site without a place in `sites` does not exist there. Below are the
places: where in a model's modules a site is, and how it is read and edited there.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

from jaxtyping import Float

from assay.core.errors import ModelError
from assay.core.heavy import offered, torch

GROUP = "assay.architectures"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes, modules and sites of the models of one transformers type."""

    name: str
    """transformers' model_type, e.g. "llama"."""
    sizes: Mapping[str, str]
    """Letter of a size → its name in config.json: layers, d stream, m MLP, h heads, e width of a
    head, kv, v vocabulary, positions."""
    follow: Mapping[str, Callable[[Mapping[str, int]], int]] = field(default_factory=dict)
    """Sizes that a config may leave out, from those it gives; e is d / h wherever there are
    heads."""
    prefix: str
    """What the stored names of weights begin with, in files that have it."""
    stored: Mapping[str, str]
    """Weights that must be stored, `*` for each block → their sizes by letters, such as "h·e d"."""
    layer_norm: bool = False
    """Whether its norms take out the mean, as LayerNorm does and RMSNorm does not."""
    tied: bool = False
    """Whether the unembedding is the embedding's tensor where config.json does not say
    (`tie_word_embeddings`)."""
    pos_embed: str = ""
    """Learned positions, an attribute of transformers' base model; "" where there are none."""
    blocks: str
    """The list of blocks, an attribute of transformers' base model."""
    final_norm: str
    """The norm before the unembedding, likewise."""
    sites: Mapping[str, Place]
    """Kind of site within a block → where it is, in the order in which a forward pass meets
    them."""
    kinds: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Kinds that only such models have → the hook's name within a block, and the axes:
    ("hook_delta", "b s c")."""
    open_up: Callable[[Any], None] | None = None
    """What is done to transformers' model, where some of its sites are no module's input or output:
    they get a module each."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Kinds of site that other transformers have and these lack → why."""
    otherwise: Callable[[Mapping[str, Any]], Architecture | None] | None = None
    """The architecture that a config means, where a setting of it makes another one."""
    guesses: tuple[tuple[str, str], ...] = ()
    """Of an architecture that was found by structure: pairs of modules that may be what attention
    and MLP write, tried in this order when a model is opened."""
    promised: int = 0
    """Of such an architecture: how many numbers its weights have, in place of `stored`."""
    bos: bool = False
    """Whether their text needs a BOS token, which the tokenizer of a GGUF file does not put
    there."""
    traits: tuple[str, ...] = ()
    """How such models differ from Llama, each in a few words, for choosing a site."""

    def places(self) -> Iterator[Mapping[str, Place]]:
        """Yield where its sites are: for certain, or guess by guess."""
        yield self.sites
        for attention, mlp in self.guesses[1:]:
            yield {**self.sites, "attn_out": returned_by(attention), "mlp_out": returned_by(mlp)}

    @property
    def needed(self) -> tuple[str, ...]:
        """Letters of the sizes that a config must give."""
        return tuple(
            letter
            for letter in ("layers", "d", "h", "m")
            if letter in self.sizes and letter not in self.follow
        )


def attention(module: str) -> dict[str, Place]:
    """Place the four steps within an attention."""
    steps = ("rot_q", "rot_k", "attn_scores", "pattern")
    return {step: Inside(module, step) for step in steps}


def before_mlp(norm: str) -> dict[str, Place]:
    """Place what a norm before the MLP divides by, what it makes before its weight, and what the
    MLP reads, behind it."""
    return {"ln2_scale": Scale(norm), "ln2_normalized": Normalized(norm), "mlp_in": read_by("mlp")}


POST_SCALES = {
    "ln1_post_scale": ("ln1_post.hook_scale", "b s 1"),
    "ln2_post_scale": ("ln2_post.hook_scale", "b s 1"),
}
"""Kinds that only those have who norm what attention and MLP write."""


def post_norms(sites: Mapping[str, Place]) -> dict[str, Place]:
    """Place, among other sites, what the norms behind attention and MLP divide by and return."""
    norms = {"attn_out": "post_attention_layernorm", "mlp_out": "post_feedforward_layernorm"}
    places: dict[str, Place] = {}
    for kind, place in sites.items():
        if kind in norms:
            scale = "ln1_post_scale" if kind == "attn_out" else "ln2_post_scale"
            places |= {scale: Scale(norms[kind]), kind: returned_by(norms[kind])}
        else:
            places[kind] = place
    return places


@cache
def known() -> Mapping[str, Architecture]:
    """Find the architectures of this folder, and those that other distributions add, by name, the
    largest family first."""
    files = [point.load() for point in offered().select(group=GROUP)]
    files += [import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)]
    families = [
        [
            value
            for name, value in vars(file).items()
            if isinstance(value, Architecture) and name.isupper() and name[0] != "_"
        ]
        for file in files
    ]
    return MappingProxyType(
        {
            architecture.name: architecture
            for family in sorted(families, key=len, reverse=True)
            for architecture in family
        }
    )


class Handle(Protocol):
    """What a hook is taken away by."""

    def remove(self) -> None:
        """Take the hook away."""


class Place(Protocol):
    """Where a kind of site is within a block."""

    @property
    def module(self) -> str:
        """The module it hangs on, by its path within the block; "" is the block itself."""

    def hook(self, module: Any, shape: Sequence[int], visit: Visit) -> Handle:
        """Let `visit` see the site, whose axes after batch and sequence have this shape, in every
        pass until the handle is removed."""


@dataclass(frozen=True)
class Read:
    """What a module reads."""

    module: str
    shared: bool = False
    """Whether others read the same tensor: an edit then changes it in place, so that all of them
    see it."""

    def hook(self, module: Any, shape: Sequence[int], visit: Visit) -> Handle:
        """Hang on the module's first argument, or on `hidden_states`."""

        def before(
            module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            x = args[0] if args else kwargs["hidden_states"]
            new = visit(x.unflatten(-1, shape)).reshape(x.shape)
            if self.shared:
                new = x.copy_(new)
            return ((new, *args[1:]), kwargs) if args else ((), {**kwargs, "hidden_states": new})

        return module.register_forward_pre_hook(before, with_kwargs=True)


@dataclass(frozen=True)
class Returned:
    """What a module returns, or consecutive numbers of it."""

    module: str
    pick: Callable[[torch.Tensor, Sequence[int]], torch.Tensor] | None = None
    """The view of the output that is the site, given its shape; without one all of it."""

    def hook(self, module: Any, shape: Sequence[int], visit: Visit) -> Handle:
        """Hang on what the module returns, or the first thing of several."""

        def after(module: torch.nn.Module, args: tuple[Any, ...], out: Any) -> Any:
            if isinstance(out, tuple):  # blocks of some types return their attention as well
                return (after(module, args, out[0]), *out[1:])
            if self.pick is None:
                split = len(shape) > 1 and out.ndim == 3  # heads are next to each other
                new = visit(out.unflatten(-1, shape) if split else out)
                return new.flatten(-len(shape)) if split else new
            new = visit(self.pick(out, shape).clone())
            out = out.clone()  # of which `pick` gives a view
            self.pick(out, shape).copy_(new)
            return out

        return module.register_forward_hook(after)


@dataclass(frozen=True)
class Scale:
    """What a norm divides by: the root of the mean square of what it reads, or of its variance."""

    module: str

    def hook(self, module: Any, shape: Sequence[int], visit: Visit) -> Handle:
        """Hang on a norm; another scale changes what it returns in proportion, but for its bias."""

        def after(norm: Any, args: tuple[Any, ...], out: torch.Tensor) -> torch.Tensor:
            x, bias = args[0].float(), getattr(norm, "bias", None)
            if isinstance(norm, torch.nn.LayerNorm):
                x = x - x.mean(-1, keepdim=True)
            scale = (x.square().mean(-1, keepdim=True) + _epsilon(norm)).sqrt()
            new = visit(scale)
            if new is scale:
                return out
            without = out if bias is None else out - bias
            without = without * (scale / new).to(out.dtype)
            return without if bias is None else without + bias

        return module.register_forward_hook(after)


@dataclass(frozen=True)
class Normalized:
    """What a norm makes of what it reads before it multiplies by its weight and adds its bias."""

    module: str

    def hook(self, module: Any, shape: Sequence[int], visit: Visit) -> Handle:
        """Hang on a norm; what is put there is multiplied and shifted as the norm does it."""
        by = gain(module)

        def after(norm: Any, args: tuple[Any, ...], out: torch.Tensor) -> torch.Tensor:
            bias = getattr(norm, "bias", None)
            plain = (out if bias is None else out - bias) / torch.where(by == 0, 1.0, by)
            if not bool(by.all()):  # where the weight is 0 what it returns says nothing
                plain = torch.where(by == 0, _normalized(norm, args[0]), plain)
            new = visit(plain)
            if new is plain:
                return out
            new = new * by
            return (new if bias is None else new + bias).to(out.dtype)

        return module.register_forward_hook(after)


def _normalized(norm: Any, x: torch.Tensor) -> torch.Tensor:
    x = x.float()
    if isinstance(norm, torch.nn.LayerNorm):
        x = x - x.mean(-1, keepdim=True)
    return x / (x.square().mean(-1, keepdim=True) + _epsilon(norm)).sqrt()


def _epsilon(norm: Any) -> float:
    return float(norm.eps if hasattr(norm, "eps") else norm.variance_epsilon)


def gain(norm: Any) -> torch.Tensor:
    """Give what a norm multiplies by, float32: its weight, or 1 + its weight as in Gemma."""
    weight: torch.Tensor = norm.weight.detach()
    signs = torch.ones_like(weight)
    signs[1::2] = -1  # mean 0 and mean square 1, so a norm gives it back times its gain
    with torch.no_grad():
        # past its hooks, which are for passes
        given = (norm.forward(signs) - norm.forward(-signs)) / 2 * signs
    off = [float((given - weight - one).abs().sum()) for one in (0, 1)]
    return weight.float() + off.index(min(off))


@dataclass(frozen=True)
class Result:
    """What each head writes: its z times its own rows of the output projection, without the
    bias."""

    module: str
    """The output projection."""

    def hook(self, module: Any, shape: Sequence[int], visit: Visit) -> Handle:
        """Hang on the projection; other writes are added to what it returns."""
        heads = shape[0]

        def after(linear: Any, args: tuple[Any, ...], out: torch.Tensor) -> torch.Tensor:
            # Conv1D, GPT-2's, keeps its matrix input first
            W = linear.weight.T if isinstance(linear, torch.nn.Linear) else linear.weight
            z = args[0].unflatten(-1, (heads, -1))
            written = torch.einsum("bshe,hed->bshd", z, W.unflatten(0, (heads, -1)))
            new = visit(written)
            return out if new is written else out + (new - written).sum(2)

        return module.register_forward_hook(after)


@dataclass(frozen=True)
class Inside:
    """A step within attention: `rot_q`, `rot_k`, `attn_scores` or `pattern`."""

    module: str
    """The attention."""
    step: str

    def hook(self, module: Any, shape: Sequence[int], visit: Visit) -> Handle:
        """Hang on a step of `attend`, which takes the place of transformers' own."""
        return hook_attention(module, self.step, visit)


def read_by(module: str, *, shared: bool = False) -> Read:
    """Place a site at what a module reads."""
    return Read(module, shared)


def returned_by(
    module: str, pick: Callable[[torch.Tensor, Sequence[int]], torch.Tensor] | None = None
) -> Returned:
    """Place a site at what a module returns, or at a view of it."""
    return Returned(module, pick)


Visit: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"
"""What is at a site → what goes on in its place."""

NAME = "assay"
"""Under which transformers finds it."""
_HERE = "assay_visits"
"""Attribute of an attention module: step → what visits it in this pass."""


class AttentionHandle:
    """Takes a visit away and, after the last of a model, gives attention back to transformers."""

    def __init__(self, module: Any, step: str, implementation: str | None):
        self.module, self.step, self.before = module, step, implementation

    def remove(self) -> None:
        """Undo what `hook_attention` did; the last hooked goes first."""
        visits = getattr(self.module, _HERE)
        del visits[self.step]
        self.module.config._attn_implementation = self.before
        if not visits:
            delattr(self.module, _HERE)
            self.module.__dict__.pop("_attn", None)


def hook_attention(module: Any, step: str, visit: Visit) -> AttentionHandle:
    """Let `visit` see a step of one attention in every pass until the handle is removed."""
    _register()
    implementation = module.config._attn_implementation
    if not hasattr(module, _HERE):
        setattr(module, _HERE, {})
    getattr(module, _HERE)[step] = visit
    if hasattr(type(module), "_attn"):  # GPT-J has a method where others ask for a function
        module._attn = lambda q, k, v, mask=None: _head_first(attend(module, q, k, v, mask))
    else:
        module.config._attn_implementation = NAME
    return AttentionHandle(module, step, implementation)


def attend(
    module: Any,
    query: Float[torch.Tensor, "b h q e"],
    key: Float[torch.Tensor, "b kv k e"],
    value: Float[torch.Tensor, "b kv k e"],
    attention_mask: Float[torch.Tensor, "b 1 q k"] | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    **more: Any,
) -> tuple[Float[torch.Tensor, "b q h e"], Float[torch.Tensor, "b h q k"]]:
    """Attend as transformers does, visiting each step.

    Formula: softmax(cap · tanh(q kᵀ · scaling / cap) + mask) v, softmax in float32
    """
    if more.get("s_aux") is not None:
        raise ModelError("this attention has sinks, whose steps Assay does not know")
    visits = getattr(module, _HERE, {})
    if "rot_q" in visits:
        query = visits["rot_q"](query.transpose(1, 2)).transpose(1, 2)
    if "rot_k" in visits:
        key = visits["rot_k"](key.transpose(1, 2)).transpose(1, 2)
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, 1) for x in (key, value))
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if attention_mask is not None:
        scores = scores + attention_mask
    if "attn_scores" in visits:
        scores = visits["attn_scores"](scores)
    pattern = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    if "pattern" in visits:
        pattern = visits["pattern"](pattern)
    return (pattern @ value).transpose(1, 2).contiguous(), pattern


def _head_first(
    out: tuple[torch.Tensor, torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor]:
    return out[0].transpose(1, 2), out[1]


@cache
def _register() -> None:
    import transformers
    from transformers.masking_utils import eager_mask

    transformers.AttentionInterface.register(NAME, attend)
    transformers.AttentionMaskInterface.register(NAME, eager_mask)
