"""Language models through transformers, read and edited by module hooks; their weights are never
rewritten."""

from __future__ import annotations

import copy
import inspect
import os
import re
import tempfile
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from jaxtyping import Float, Int

from assay.core import compute, inputs
from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects import adapters, live, sizes
from assay.subjects.architectures import Inside, Place, Scale, gain, returned_by
from assay.subjects.edits import by_row, continued, edited
from assay.subjects.folder import ModelFolder, find
from assay.subjects.site import BEFORE, Site
from assay.subjects.sizes import Regime, read_sizes, regime
from assay.subjects.subject import Activations, Edit, Start, Trace
from assay.subjects.tokenizer import silent
from assay.subjects.writing import choose, processes

DType = Literal["float32", "bfloat16", "float16"]
PROOF: Mapping[DType, float] = MappingProxyType(
    {"float32": 1e-5, "bfloat16": 0.03, "float16": 0.01}
)
"""How far, as a share of the largest number, a block's parts may be from adding up when a model is
opened: what adding three numbers in another order changes."""
CALLED = {"d": "d_model", "m": "d_mlp", "h": "heads", "e": "d_head", "kv": "KV heads", "v": "vocab"}
"""What sizes are called where a model is printed; the others by their own name, such as layers."""
AUTO = "auto"
"""The device that means all GPUs."""
_CPU = Path("/proc/cpuinfo")
_open: weakref.WeakValueDictionary[tuple[Any, ...], Pretrained] = weakref.WeakValueDictionary()
"""The models of folders that are open, the last of each."""


class _Stop(Exception):
    """Raised by the hook that captured the last site, to leave the forward pass."""


def load(
    name: Any,
    device: str | torch.device = "cpu",
    dtype: DType = "float32",
    *,
    tokenizer: Any = None,
    apart: bool = False,
) -> Pretrained:
    """Open a model by its name, its local folder or a hub's name that was fetched; or wrap one that
    is in memory already, which is left as it is.

    Args:
        name: "smollm2", "gemma3-270m", a folder with config.json, tokenizer.json and
            *.safetensors, that of a LoRA adapter, or OWNER/NAME[@REVISION]; or a causal language
            model of transformers, or what wraps one.
        device: such as "cpu" or "cuda:0"; "auto" spreads it over all GPUs, by accelerate. One in
            memory stays where it is.
        dtype: of weights and activations; one in memory stays what it is.
        tokenizer: of a model in memory, that of transformers.
        apart: whether a model in memory is copied, since its weights will be others.
    Raises: ModelError when the model is absent, incomplete, damaged, larger than the memory that is
    free, or of an architecture that Assay cannot hook.
    """
    if dtype not in PROOF:
        raise ModelError(f"dtype must be float32, bfloat16 or float16, got {dtype!r}")
    if not isinstance(name, str | os.PathLike):
        live_model = live.hold(name, tokenizer)
        live.STANDING[live_model.name] = live_model
        name = live_model.name
    elif tokenizer is not None:
        raise ModelError("a tokenizer is given with a model in memory; a folder has its own")
    folder = find(str(name))
    if folder.live is not None:
        model, dtype = _of_live(folder, apart)
        return _proved(folder, model, dtype)
    opened = _proved(folder, _of_folder(folder, device, dtype), dtype)
    if not apart:
        opened.as_loaded  # noqa: B018 (seen now, before anybody can change it)
        _open[_key(folder, device, dtype)] = opened
    return opened


def name_of(model: Any) -> str:
    """The name by which a model is found, which is given as a name, as a folder, or as `load`
    returns it. Raises: ModelError for any other, and for one that is not as its folder has it."""
    if isinstance(model, str | os.PathLike):
        return str(model)
    if isinstance(model, Pretrained) and (model.folder.live or not model.is_changed):
        return model.folder.name
    changed = ", which was changed after it was loaded" * isinstance(model, Pretrained)
    raise ModelError(
        "give model= as a name, a folder, or for one in memory assay.model(model, tokenizer=…), "
        f"got {type(model).__name__}{changed}"
    )


def shared(name: str, device: str = "cpu", dtype: DType = "float32") -> Pretrained:
    """The model of a folder that is open in this process and as it was loaded, such as one that
    `assay.model` gave; else loaded now. Raises: ModelError, as `load`."""
    folder = find(name)
    opened = None if folder.live is not None else _open.get(_key(folder, device, dtype))
    if opened is None or opened.is_changed:
        return load(name, device, dtype)
    return opened if opened.folder.name == folder.name else replace(opened, folder=folder)


def is_any_changed() -> bool:
    """Say whether a model that is open is not as it was loaded."""
    return any(model.is_changed for model in _open.values())


def _key(folder: ModelFolder, device: str | torch.device, dtype: DType) -> tuple[Any, ...]:
    """What a model is known by while it is open: its files as they are now."""
    places = dict.fromkeys((folder.path, folder.texts))
    places |= {folder.adapter.path: None} if folder.adapter is not None else {}
    files = sorted(path for place in places for path in place.resolve().iterdir())
    return (str(device), dtype, folder.bos, *((p, p.stat().st_mtime_ns) for p in files))


def _of_live(folder: ModelFolder, apart: bool) -> tuple[Any, DType]:
    """A model in memory, itself or a copy, and what it computes in. Raises: ModelError."""
    assert folder.live is not None
    model = folder.live.model
    dtype: Any = str(next(model.parameters()).dtype).removeprefix("torch.")
    if dtype not in PROOF:
        raise ModelError(f"the model in memory is of {dtype}; Assay runs {', '.join(PROOF)}")
    if apart or folder.architecture.open_up:
        model = copy.deepcopy(model).requires_grad_(False)
    return model, dtype


def _proved(folder: ModelFolder, model: Any, dtype: DType) -> Pretrained:
    """A model whose sites are proved to be what their names say. Raises: ModelError."""
    if folder.architecture.open_up:
        folder.architecture.open_up(model)
    blocks, refusals = getattr(model.base_model, folder.architecture.blocks), []
    for places in folder.architecture.places():
        subject = Pretrained(folder, model, dtype, blocks, places)
        try:
            prove(subject)
        except ModelError as error:
            refusals.append(error)
        else:
            return subject
    raise refusals[0]


def _check_memory(
    folder: ModelFolder, shapes: Mapping[str, Sequence[int]], device: Any, dtype: DType
) -> None:
    """Ask for memory before any is taken. Raises: ModelError."""
    each, name = getattr(torch, dtype).itemsize, folder.name
    if str(device) == AUTO:
        count = torch.cuda.device_count()
        free = sum(torch.cuda.mem_get_info(n)[0] for n in range(count)) or compute.free_memory()
        where = f"{name} on all {count} GPUs" if count else name
        sizes.check_memory(folder.config, shapes, each, free, where)
        return
    sizes.check_memory(folder.config, shapes, each, compute.free_memory(), name)
    if (place := torch.device(device)).type == "cuda":
        free = torch.cuda.mem_get_info(place)[0]
        sizes.check_memory(folder.config, shapes, each, free, f"{name} on {place}")


@contextmanager
def _without_adapter(folder: ModelFolder) -> Iterator[Path]:
    """The folder as transformers may read it: where an adapter is next to whole weights, a folder
    of links without it, as transformers would add it where peft is installed, apart from the
    weights."""
    if not (folder.path / adapters.FILE).exists():
        yield folder.path
        return
    with tempfile.TemporaryDirectory(prefix="assay-model-") as name:
        for path in folder.path.iterdir():
            if path.is_file() and not path.name.startswith("adapter_"):
                (Path(name) / path.name).symlink_to(path.absolute())
        yield Path(name)


def _of_folder(folder: ModelFolder, device: str | torch.device, dtype: DType) -> Any:
    """The model of a folder, checked, with its adapter's change. Raises: ModelError."""
    folder.check_weights()
    shapes, spread = folder.shapes(), str(device) == AUTO
    _check_memory(folder, shapes, device, dtype)
    try:
        model, loading_info = _opened(folder, dtype, {"device_map": AUTO} if spread else {})
        bad = next((name for name, weight in model.named_parameters() if not _finite(weight)), "")
    except Exception as error:  # whatever transformers meets in a folder that someone made
        why = " ".join(str(error).split())[:160] or type(error).__name__
        packed = "its config.json has quantization_config: save it with plain weights"
        mend = packed if "quantization_config" in folder.config else folder.mend
        raise ModelError(f"transformers cannot load {folder.path}: {why}; {mend}") from error
    _copy_small(model)
    if bad:
        raise ModelError(
            f"{bad} in {folder.path} has numbers that are NaN or infinite; {folder.mend}"
        )
    _check_loaded(folder, shapes, loading_info)
    model = model.eval().requires_grad_(False)
    places = {str(place) for place in getattr(model, "hf_device_map", {}).values()}
    if "disk" in places or ("cpu" in places and len(places) > 1):
        raise ModelError(f"{folder.name} does not fit on the GPUs that are here")
    if folder.adapter is not None:
        model = adapters.merge(folder.adapter, model)
    return model if spread else model.to(device)


def _opened(folder: ModelFolder, dtype: DType, more: Mapping[str, Any]) -> tuple[Any, Any]:
    """What transformers makes of a folder, in silence, and what it says of the weights."""
    import transformers

    with silent():
        with (
            inputs.unnoted(),  # it reads what was checked, which is noted
            _without_adapter(folder) as path,
        ):
            opened: Any = transformers.AutoModelForCausalLM.from_pretrained(
                path,
                dtype=getattr(torch, dtype),
                local_files_only=True,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # reported by `_check_loaded`
                output_loading_info=True,
                **more,
            )
        # settings that no model runs with show here, before anything is measured
        with torch.no_grad():
            tokens = torch.zeros(1, 1, dtype=torch.long, device=opened[0].device)
            base = opened[0].eval().base_model
            base(input_ids=tokens, use_cache=False).last_hidden_state.isfinite()
    return opened[0], opened[1]


def _copy_small(model: Any) -> None:
    """Copy what is no matrix out of the mapped file. Where matrices are converted, as from float16,
    the norms, stored in float32, would be all that keeps the whole file in memory."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.ndim < 2:
            tensor.data = tensor.data.clone()


def _check_loaded(
    folder: ModelFolder, shapes: Mapping[str, Sequence[int]], loading_info: Mapping[str, Any]
) -> None:
    """Refuse weights that transformers would leave out or draw at random. Raises: ModelError."""
    for weight, shape, claimed in sorted(loading_info["mismatched_keys"]):
        raise ModelError(
            f"cannot load {folder.path}: {weight} is {list(shape)}, its config.json claims "
            f"{list(claimed)}; {folder.mend}"
        )
    if loading_info["missing_keys"]:  # transformers would fill them with random numbers
        raise ModelError(
            f"the weights in {folder.path} lack "
            f"{', '.join(sorted(loading_info['missing_keys'])[:3])}; {folder.mend}"
        )
    for weight in sorted(loading_info["unexpected_keys"]):  # transformers would leave them out
        if _is_of_a_block(weight, folder, shapes):
            raise ModelError(
                f"the weights in {folder.path} have {weight}, for which {folder.architecture.name} "
                "has no place: its config.json is that of another model"
            )


def _is_of_a_block(weight: str, folder: ModelFolder, shapes: Mapping[str, Sequence[int]]) -> bool:
    """Whether a tensor that transformers has no use for is a weight of a block: no mask, which has
    four axes, no number by itself, no turning frequencies, as older files hold them."""
    architecture = folder.architecture
    shape = shapes.get(weight, shapes.get(weight.removeprefix(architecture.prefix), ()))
    block = re.search(rf"(?:^|\.){architecture.blocks}\.(\d+)\.", weight)
    return (
        block is not None
        and int(block[1]) < folder.layers
        and 0 < len(shape) < 4
        and not weight.endswith("inv_freq")
    )


def prove(subject: Pretrained) -> None:
    """Check on a few tokens that the sites are what their names say. Raises: ModelError with the
    block where a stream is not what entered plus what the block's parts wrote, or where logits are
    not transformers' own."""
    length = min(8, subject.folder.most_tokens)
    ids = torch.arange(length, device=subject.device) * 31 % subject.model.config.vocab_size
    tokens, wrong = ids[None], subject.folder.architecture.name
    parts = [
        k for k in ("attn_out", "mlp_out", "mixer_out") if k in subject.folder.architecture.sites
    ]
    kinds = ["resid_pre", *parts, "resid_post"]
    around = [k for k in ("ln2_normalized", "mlp_in") if "ln2_normalized" in subject.places]
    trace = subject.run(
        tokens, capture=[Site(kind, n) for n in range(subject.layers) for kind in kinds + around]
    )
    stream = None
    for n in range(subject.layers):
        before, *writes, after = (trace.acts[Site(kind, n)].float() for kind in kinds)
        if stream is not None and not torch.equal(before, stream):
            raise ModelError(
                f"{subject.name}: what enters block {n} is not what left block {n - 1}, so Assay "
                f"cannot read this {wrong}"
            )
        # not ≤: what is no number is no proof
        if not (off := _off(sum(writes, before), after)) <= PROOF[subject.dtype]:
            raise ModelError(
                f"{subject.name}: the stream after block {n} is not the stream before it plus "
                f"{' plus '.join(parts)} (off by {off:.1g} of its size), so Assay cannot read this "
                f"{wrong}"
            )
        stream = after
        _prove_norm(subject, trace, n)
    with torch.no_grad():
        logits = subject.model(input_ids=tokens, use_cache=False).logits.float()
    half = (length + 1) // 2
    beginning = subject.run(tokens[:, :half]).logits
    assert trace.logits is not None and beginning is not None
    if not _off(beginning.float(), trace.logits[:, :half].float()) <= PROOF[subject.dtype]:
        raise ModelError(
            f"{subject.name}: later tokens change its logits, so it is not a decoder; Assay "
            f"cannot read this {wrong}"
        )
    if not (off := _off(trace.logits.float(), logits)) <= PROOF[subject.dtype]:
        raise ModelError(
            f"{subject.name}: logits differ from transformers' own by {off:.1g} of their size, so "
            f"Assay cannot read this {wrong}"
        )


def _prove_norm(subject: Pretrained, trace: Trace, n: int) -> None:
    """Check that a block's MLP reads what its norm makes, times the weight, plus the bias."""
    if "ln2_normalized" not in subject.places:
        return
    norm = subject.blocks[n].get_submodule(subject.places["ln2_normalized"].module)
    plain, read = (trace.acts[Site(kind, n)].float() for kind in ("ln2_normalized", "mlp_in"))
    made, bias = plain * gain(norm), getattr(norm, "bias", None)
    made = made if bias is None else made + bias.float()
    if not (off := _off(made, read)) <= PROOF[subject.dtype]:
        raise ModelError(
            f"{subject.name}: the MLP of block {n} does not read what its norm makes (off by "
            f"{off:.1g} of its size), so Assay cannot read this {subject.folder.architecture.name}"
        )


def _off(x: torch.Tensor, y: torch.Tensor) -> float:
    """The largest difference, as a share of the largest number."""
    x, y = x.detach(), y.detach()  # of a model in memory, whose weights have gradients
    return float((x - y).abs().max() / y.abs().max().clamp_min(1e-30))


def _finite(weight: torch.Tensor) -> bool:
    """Whether every number is finite: so is nearly always their sum, which is many times quicker to
    see than each of them."""
    return bool(weight.sum(dtype=torch.float32).isfinite()) or bool(weight.isfinite().all())


@dataclass(frozen=True, eq=False, repr=False)
class Pretrained:
    """A language model with sites. Tokens go in as they are: no BOS is added, nothing is padded."""

    folder: ModelFolder
    """Its sizes, sites and tokenizer."""
    model: Any
    """A causal language model of transformers."""
    dtype: DType
    """What it computes in."""
    blocks: torch.nn.ModuleList
    """All blocks; while a run starts late, the model itself holds only the later ones."""
    places: Mapping[str, Place]
    """Where each kind of site is within a block, proved on these weights."""

    def __repr__(self) -> str:
        """Which model it is, how large, and what its family does otherwise than Llama."""
        numbers = read_sizes(self.folder.config)
        sizes = ", ".join(f"{CALLED.get(letter, letter)} {n}" for letter, n in numbers.items())
        return "; ".join([f"{self.provenance}: {sizes}", *self.folder.architecture.traits])

    @property
    def name(self) -> str:
        """What it was loaded by: "smollm2" or a path."""
        return self.folder.name

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.model.parameters()).device

    @property
    def layers(self) -> int:
        """Number of blocks."""
        return self.folder.layers

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every site, in the order of a forward pass."""
        return self.folder.sites

    @cached_property
    def as_loaded(self) -> tuple[Any, ...]:
        """What is cheap to see of its weights and hooks, when it was first asked for."""
        return live.state(self.model)

    @property
    def is_changed(self) -> bool:
        """Whether it is not as it was loaded: has other weights, or hooks of its owner's."""
        return self.as_loaded != live.state(self.model)

    @cached_property
    def _order(self) -> Mapping[Site, int]:
        return {site: i for i, site in enumerate(self.sites)}

    @property
    def fingerprint(self) -> str:
        """SHA-256 that identifies the weights."""
        return self.folder.fingerprint

    @property
    def provenance(self) -> str:
        """What to call the model in a report: "SmolLM2-135M-Instruct, 4-bit Q4_1"."""
        return self.folder.provenance

    @property
    def final_norm(self) -> Any:
        """The norm before the unembedding."""
        return getattr(self.model.base_model, self.folder.architecture.final_norm)

    @property
    def gain(self) -> Float[torch.Tensor, " d"]:
        """What the final norm multiplies by."""
        return gain(self.final_norm)

    @property
    def head(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """The unembedding: from what the final norm returns to logits, capped where the model caps
        them."""
        linear = self.model.get_output_embeddings()
        cap = getattr(self.model.config, "final_logit_softcapping", None)
        return linear if cap is None else lambda x: cap * torch.tanh(linear(x) / cap)

    def regime(self, length: int) -> Regime:
        """Give what texts share that are read by the same model: its rope may be another for long
        ones, and a text is never read with those of another regime."""
        return regime(self.model.config, length)

    def width(self, site: Site) -> int:
        """Numbers per token at a site. Raises: ModelError for a site it lacks."""
        return self.folder.width(site)

    def encode(self, text: str) -> list[int]:
        """The token ids of a text; no BOS."""
        return self.folder.tokenizer.encode(text)

    def prompt(self, text: str) -> Int[torch.Tensor, "1 s"]:
        """The tokens of a text as the model reads it: BOS first in families that need it."""
        return torch.tensor([[*self.folder.opening, *self.encode(text)]], device=self.device)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids."""
        return self.folder.tokenizer.decode(ids)

    def token_text(self, ids: Sequence[int]) -> list[str]:
        """What each token by itself adds to a text before it."""
        return self.folder.tokenizer.token_text(ids)

    def run(
        self,
        tokens: Int[torch.Tensor, "b s"],
        *,
        capture: Sequence[Site | str] = (),
        edits: Mapping[Site, Edit] = {},
        logits: bool = True,
        start: Start | None = None,
        gradients: bool = False,
        cache: Any = None,
    ) -> Trace:
        """Activations at the captured sites and, with logits=True, the way to logits and loss.

        With gradients=True the pass is recorded, so that what it gives can be differentiated by
        what `edits` and `start` put in; the weights stay frozen. A site in both `edits` and
        `capture` is captured as edited. With logits=False the pass ends at the last captured site.
        `start=(layer, residual)` begins before that block from that residual, and gives what a full
        pass with the residual put there gives; sites before it cannot be captured or edited then.
        `cache` is a transformers cache of the tokens before these: only these are run, and it grows
        by them. It takes a whole pass, from the first block to the logits.

        Args:
            tokens: ids, [b, s].
            capture: sites whose activations are kept, or their names.
            edits: site → function of its activations [b, s, …] that gives others of this shape.
            logits: whether to go to the end.
            start: (block, residual before it [b, s, d]).
            gradients: whether the pass is recorded.
            cache: as `past_key_values` of transformers.
        Raises: ModelError for a site the model lacks or the run never meets, tokens it cannot read,
        edits of another shape.
        """
        first = 0 if start is None else start[0]
        if cache is not None and (start is not None or not logits):
            raise ModelError(
                "a cache holds every block's keys: with one, a run must start at the first "
                "block and end with the logits"
            )
        if cache is not None and "z" not in self.folder.architecture.sites:
            raise ModelError(
                f"a cache holds what attention has read, and {self.folder.architecture.name} "
                "has no attention; run all tokens"
            )
        cached = 0 if cache is None else int(cache.get_seq_length())
        sites = [Site.parse(site) if isinstance(site, str) else site for site in capture]
        tokens = _checked(self, tokens, (*sites, *edits), first, cached)
        if not logits and not capture:
            return Trace(tokens, {})
        acts, waiting = Activations(), set(sites)
        final: torch.Tensor | None = None

        def visit(site: Site, x: torch.Tensor) -> torch.Tensor:
            if site.kind == "pos_embed":  # looked up once for all sequences
                x = x.expand(len(tokens), *x.shape[1:])
            if site in edits:
                x = edited(site, x, edits[site])
            if site in waiting:
                acts[site] = x
                waiting.discard(site)
                if not (waiting or logits):
                    raise _Stop
            return x

        with torch.set_grad_enabled(gradients), ExitStack() as stack:
            if start is not None:
                stack.enter_context(_starting_at(self, first, start[1], tokens))
            # In the order of a pass: of two sites at one module the first is to be met first.
            for site in sorted({*sites, *edits}, key=self._order.__getitem__):
                stack.enter_context(_hook(self, site, visit))
            try:
                grown = {} if cache is None else {_cache_name(self): cache}
                final = self.model.base_model(
                    input_ids=tokens, use_cache=cache is not None, **grown
                ).last_hidden_state
            except _Stop:
                return Trace(tokens, acts)
        dtype = self.model.get_output_embeddings().weight.dtype
        return Trace(
            tokens, acts, final.to(dtype), self.head
        )  # Mamba's stream is float32 whatever its weights are

    def generate(
        self,
        tokens: Int[torch.Tensor, "b s"],
        *,
        edits: Mapping[Site, Edit] | Sequence[Mapping[Site, Edit]] = {},
        new: int = 20,
        temperature: float = 0.0,
        seeds: Sequence[int] = (),
    ) -> list[list[int]]:
        """Write on behind each sequence, the most probable token each time, by the settings that
        transformers' `generate` obeys; the ids of what is new, up to the token that ends a text.
        At a temperature above 0 each token is sampled from all tokens, by the seed of its sequence.

        Positions of an edit are those of the prompt: -1 is its last token, and nothing new is
        edited there. Where they have no end, as None and slice(-1, None), each new token is edited
        as well; a function of your own sees the prompt, then each new token by itself. Keys and
        values are kept, so that each token is run once; of a model without attention the whole text
        is run for each.

        Args:
            tokens: ids of the prompts, [b, s].
            edits: as for `run`, or as many as there are prompts: each has its own.
            new: how many tokens at most.
            temperature: what logits are divided by before a token is sampled; 0: none is.
            seeds: one for each prompt, where tokens are sampled.
        Raises: ModelError for prompts that with the new tokens are longer than the model reads,
        for no new token, other numbers of edits, and as `run`.
        """
        return _write_on(self, tokens, edits, new, temperature, seeds)

    def losses(
        self,
        tokens: Int[torch.Tensor, "b s"],
        *,
        edits: Mapping[Site, Edit] = {},
        start: Start | None = None,
    ) -> Float[torch.Tensor, "b s-1"]:
        """Loss at predicting each next token, in nats, without keeping logits.

        Args:
            tokens: ids, [b, s].
            edits: site → function of its activations [b, s, …] that gives others of this shape.
            start: (block, residual before it [b, s, d]).
        """
        return self.run(tokens, edits=edits, start=start).loss()

    def unembed(self) -> Float[torch.Tensor, "d v"]:
        """The matrix from the residual stream to logits, float32, with the final norm's weight
        folded in.

        The direct path only: the norm's division by the length of the whole stream is left out, and
        for a LayerNorm (GPT-2) its constant bias; its removal of the mean is folded in.
        """
        norm = self.final_norm
        matrix = self.model.get_output_embeddings().weight.detach().float().T * self.gain[:, None]
        return matrix - matrix.mean(0) if isinstance(norm, torch.nn.LayerNorm) else matrix


@contextmanager
def _hook(
    model: Pretrained, site: Site, visit: Callable[[Site, torch.Tensor], torch.Tensor]
) -> Iterator[None]:
    module, place = _place(model, site)
    shape = () if isinstance(place, Inside) else model.folder.shape(site)
    handle = place.hook(module, shape, partial(visit, site))
    try:
        yield
    finally:
        handle.remove()


def _write_on(
    model: Pretrained,
    tokens: torch.Tensor,
    edits: Mapping[Site, Edit] | Sequence[Mapping[Site, Edit]],
    new: int,
    temperature: float,
    seeds: Sequence[int],
) -> list[list[int]]:
    from transformers import DynamicCache

    mappings = [edits] if isinstance(edits, Mapping) else [*edits]
    sites = [site for mapping in mappings for site in mapping]
    text = _checked(model, tokens, sites, 0, new, "new ones")
    if new < 1:
        raise ModelError(f"new must be at least 1, got {new}")
    b, s = text.shape
    if len(mappings) != b and not isinstance(edits, Mapping):
        raise ModelError(f"{b} prompts need as many edits, or one for all; got {len(mappings)}")
    if temperature and len(seeds) != b:
        raise ModelError(f"{b} prompts are sampled by a seed each; got {len(seeds)}")
    process = processes(model.model, model.folder.writing, text, new)
    cache = DynamicCache() if "z" in model.folder.architecture.sites else None
    unread, ends = text, torch.tensor(model.folder.ends, device=text.device, dtype=torch.long)
    for step in range(new):
        if cache is not None and model.regime(s + step) != model.regime(s + step - 1):
            cache, unread = DynamicCache(), text  # its keys were turned otherwise
        acting = [continued(mapping, s, s + step) for mapping in mappings]
        trace = model.run(
            unread, edits=acting[0] if len(acting) == 1 else by_row(acting), cache=cache
        )
        assert trace.final is not None and trace.head is not None
        logits = trace.head(trace.final[:, -1])
        if process is not None:
            with torch.no_grad():
                logits = process(text, logits.float())
        chosen = choose(logits, temperature, seeds, step)[:, None]
        text = torch.cat([text, chosen], 1)
        unread = text if cache is None else chosen
        if torch.isin(text[:, s:], ends).any(1).all():
            break
    written = [row.tolist() for row in text[:, s:]]
    lengths = [
        next((n + 1 for n, t in enumerate(w) if t in model.folder.ends), len(w)) for w in written
    ]
    return [w[:n] for w, n in zip(written, lengths, strict=True)]


def _checked(
    model: Pretrained,
    tokens: torch.Tensor,
    sites: Sequence[Site],
    first: int,
    more: int,
    kind: str = "in the cache",
) -> torch.Tensor:
    tokens = torch.as_tensor(tokens).long()
    config = model.model.config
    if tokens.ndim != 2 or not tokens.numel():
        raise ModelError(
            f"tokens must be [sequences, positions] and not empty, got {list(tokens.shape)}"
        )
    limit = getattr(config, "max_position_embeddings", None) or 2**31  # Mamba has none
    if tokens.shape[1] + more > limit:
        raise ModelError(
            f"{model.name} reads at most {limit} positions, got {tokens.shape[1]}"
            + (f" and {more} {kind}" if more else "")
        )
    if int(tokens.min()) < 0 or int(tokens.max()) >= config.vocab_size:
        raise ModelError(
            f"tokens must be in 0 to {config.vocab_size - 1}, got {int(tokens.min())} to "
            f"{int(tokens.max())}"
        )
    for site in sites:
        model.folder.check(site)
        if (site.layer is not None and site.layer < first) or (first and site.kind in BEFORE):
            raise ModelError(
                f"{site} lies before the start at block {first}, so this run never meets it"
            )
    # checked where they were, so that a device need not be waited for
    return tokens.to(model.device, non_blocking=True)


def _place(model: Pretrained, site: Site) -> tuple[torch.nn.Module, Place]:
    base, architecture = model.model.base_model, model.folder.architecture
    if site.layer is not None:
        place = model.places[site.kind]
        return model.blocks[site.layer].get_submodule(place.module), place
    if site.kind == "embed":
        return base.get_input_embeddings(), returned_by("")
    if site.kind == "pos_embed":
        return base.get_submodule(architecture.pos_embed), returned_by("")
    return model.final_norm, Scale("") if site.kind == "final_scale" else returned_by("")


@contextmanager
def _starting_at(
    model: Pretrained, first: int, resid: torch.Tensor, tokens: torch.Tensor
) -> Iterator[None]:
    """Runs only the blocks from `first` on, the first of them from the given residual."""
    d = model.folder.shape(Site("final_norm"))
    if not 0 <= first < model.layers:
        raise ModelError(f"a run can start before blocks 0 to {model.layers - 1}, got {first}")
    if tuple(resid.shape) != (*tokens.shape, *d):
        raise ModelError(
            f"the residual to start from must be {[*tokens.shape, *d]}, got {list(resid.shape)}"
        )
    inner, name = model.model.base_model, model.folder.architecture.blocks
    start_resid = resid.to(model.device, getattr(torch, model.dtype))
    # Earlier blocks are passed by and not cut off: some types give each block, by its number,
    # a mask and positions of its own.
    passed = [_passed(block) for block in model.blocks[:first]]
    handle = model.blocks[first].register_forward_pre_hook(
        lambda module, args: (start_resid, *args[1:])
    )
    setattr(inner, name, torch.nn.ModuleList([*passed, *model.blocks[first:]]))
    try:
        yield
    finally:
        setattr(inner, name, model.blocks)
        handle.remove()


def _cache_name(model: Pretrained) -> str:
    """What this version of transformers calls a cache."""
    parameters = inspect.signature(type(model.model.base_model).forward).parameters
    return "cache" if "cache" in parameters else "past_key_values"


@contextmanager
def without(model: Pretrained, blocks: Collection[int]) -> Iterator[None]:
    """Pass these blocks by in every run: what enters one leaves it. No site of theirs is met."""
    whole, name = model.blocks, model.folder.architecture.blocks
    parts = [_passed(block) if n in blocks else block for n, block in enumerate(whole)]
    object.__setattr__(model, "blocks", torch.nn.ModuleList(parts))
    setattr(model.model.base_model, name, model.blocks)
    try:
        yield
    finally:
        object.__setattr__(model, "blocks", whole)
        setattr(model.model.base_model, name, whole)


def _passed(block: torch.nn.Module) -> torch.nn.Module:
    """Replace a block that a late start leaves out: its output is its input."""

    class Passed(torch.nn.Module):
        def forward(self, x: torch.Tensor, *_: Any, **__: Any) -> Any:
            return (x, None) if type(block).__name__ in _TUPLES else x

    return Passed()


_TUPLES = ("GPTJBlock",)
"""Blocks that return their attention together with the stream."""


def fast_dtype() -> DType:
    """ "bfloat16" where this CPU has instructions that multiply in it, several times as fast as in
    float32 (avx512_bf16, amx_bf16); else "float32", also where nothing says so."""
    try:
        flags = {*_CPU.read_text().split()}
    except OSError:
        return "float32"
    return "bfloat16" if flags & {"avx512_bf16", "amx_bf16"} else "float32"
