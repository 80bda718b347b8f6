"""What asking_on_a_gpu.py asks of a model, asked without Assay: with hooks of transformers, with
nnsight and with TransformerLens, all prompts in one pass for each edit.

Where a library has a choice, it is the quicker one: nothing is unembedded but the last token, and a
pass that only reads ends when all is read, if the library can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

Change = Callable[[torch.Tensor], torch.Tensor]
"""What is at a place, [prompt, token, d] → what goes on there."""
STREAM, HEADS = "stream", "heads"
"""Where a layer is edited: what enters its block; what its heads hand to the output projection."""


@dataclass(frozen=True)
class Question:
    """Tokens and numbers of what is asked."""

    tokens: Sequence[Sequence[int]]
    """Of each prompt."""
    corrupted: Sequence[Sequence[int]]
    """Of each prompt's other text."""
    place: Sequence[int]
    """The token of each prompt that is patched."""
    other: Sequence[int]
    """The token of the other text that is put there."""
    answers: tuple[int, int]
    """The tokens whose log-probabilities are compared."""
    layers: Sequence[int]
    """Where edits are made."""
    heads: Sequence[int]
    """The heads that are set to something else."""
    strength: float
    """How long the vector is that is added."""


class ByHand:
    """The question as hooks answer it; each library says how it reads and edits."""

    def __init__(self, model: Any, question: Question) -> None:
        self.model, self.question = model, question
        self.device = next(model.parameters()).device
        self.tokens, lengths = self._filled(question.tokens)
        self.corrupted, _ = self._filled(question.corrupted)
        self.all, self.last = torch.arange(len(lengths), device=self.device), lengths - 1
        self.real = torch.arange(self.tokens.shape[1], device=self.device) < lengths[:, None]
        self.place, self.other = (
            torch.tensor(some, device=self.device) for some in (question.place, question.other)
        )
        width = model.config.hidden_size // model.config.num_attention_heads
        self.columns = torch.cat(
            [torch.arange(h * width, (h + 1) * width, device=self.device) for h in question.heads]
        )

    def _filled(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """All prompts filled up on the right, where nothing earlier looks, and their lengths."""
        rows = [torch.tensor(tokens) for tokens in prompts]
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self.device)
        return tokens, torch.tensor([len(row) for row in rows], device=self.device)

    def edited(self, where: str, layer: int, change: Change) -> torch.Tensor:
        """The last token's stream behind the final norm, [prompt, d], under one edit."""
        raise NotImplementedError

    def seen(
        self, tokens: torch.Tensor, where: str, layers: Sequence[int], pick: Change
    ) -> list[torch.Tensor]:
        """What is picked of each of these layers with nothing done."""
        raise NotImplementedError

    def edits(self) -> torch.Tensor:
        """The difference of log-probabilities, [edit, prompt]."""
        q = self.question
        with torch.no_grad():
            first, second = self.model.lm_head.weight[[*q.answers]].float()
            vector = q.strength * (first - second) / (first - second).norm()
            there = self.seen(self.corrupted, STREAM, q.layers, lambda x: x[self.all, self.other])
            means = self.seen(self.tokens, HEADS, q.layers, self._means)
            gaps = [self._gap(STREAM, n, lambda x: x + vector.to(x)) for n in q.layers]
            pairs = list(zip(q.layers, there, means, strict=True))
            gaps += [self._gap(STREAM, n, self._putting(new)) for n, new, _ in pairs]
            gaps += [self._gap(HEADS, n, self._setting(torch.zeros(2, 1))) for n in q.layers]
            gaps += [self._gap(HEADS, n, self._setting(mean)) for n, _, mean in pairs]
            return torch.stack(gaps).cpu()

    def streams(self) -> list[torch.Tensor]:
        """What probes read: the last token's stream behind every block, [prompt, d] of each."""
        raise NotImplementedError

    def _gap(self, where: str, layer: int, change: Change) -> torch.Tensor:
        final = self.edited(where, layer, change)
        logs = self.model.lm_head(final).float().log_softmax(-1)
        first, second = self.question.answers
        return logs[:, first] - logs[:, second]

    def _means(self, z: torch.Tensor) -> torch.Tensor:
        """The heads' means over all prompts: of the first tokens, and of all others."""
        some, later = z[:, :, self.columns], self.real.clone()
        later[:, 0] = False
        return torch.stack([some[:, 0].mean(0), some[later].mean(0)])

    def _putting(self, new: torch.Tensor) -> Change:
        def change(x: torch.Tensor) -> torch.Tensor:
            x = x.clone()
            x[self.all, self.place] = new
            return x

        return change

    def _setting(self, value: torch.Tensor) -> Change:
        def change(z: torch.Tensor) -> torch.Tensor:
            z = z.clone()
            z[:, :1, self.columns], z[:, 1:, self.columns] = value.to(z).unbind()
            return z

        return change


class Plain(ByHand):
    """Hooks of PyTorch on the modules of transformers."""

    def _module(self, where: str, layer: int) -> torch.nn.Module:
        block = self.model.model.layers[layer]
        return block if where == STREAM else block.self_attn.o_proj

    def edited(self, where: str, layer: int, change: Change) -> torch.Tensor:
        """The last token's stream behind the final norm, [prompt, d], under one edit."""

        def before(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            return (change(args[0]), *args[1:])

        handle = self._module(where, layer).register_forward_pre_hook(before)
        try:
            final = self.model.model(input_ids=self.tokens, use_cache=False).last_hidden_state
        finally:
            handle.remove()
        return final[self.all, self.last]

    def seen(
        self, tokens: torch.Tensor, where: str, layers: Sequence[int], pick: Change
    ) -> list[torch.Tensor]:
        """What is picked of each of these layers with nothing done."""
        found: dict[int, torch.Tensor] = {}
        handles = [
            self._module(where, n).register_forward_pre_hook(
                lambda module, args, n=n: found.update({n: pick(args[0])})
            )
            for n in layers
        ]
        try:
            self.model.model(input_ids=tokens, use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        return [found[n] for n in layers]

    def streams(self) -> list[torch.Tensor]:
        """What probes read: the last token's stream behind every block, [prompt, d] of each."""
        found: list[torch.Tensor] = []

        def after(module: Any, args: Any, out: Any) -> None:
            stream = out[0] if isinstance(out, tuple) else out
            found.append(stream[self.all, self.last].float())

        handles = [block.register_forward_hook(after) for block in self.model.model.layers]
        try:
            with torch.no_grad():
                self.model.model(input_ids=self.tokens, use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        return found


class NNsight(ByHand):
    """Traces of nnsight."""

    def __init__(self, model: Any, question: Question) -> None:
        super().__init__(model, question)
        import nnsight

        self.traced = nnsight.NNsight(model.model)

    def edited(self, where: str, layer: int, change: Change) -> torch.Tensor:
        """The last token's stream behind the final norm, [prompt, d], under one edit."""
        traced, block, all_, last = self.traced, self.traced.layers[layer], self.all, self.last
        place = block if where == STREAM else block.self_attn.o_proj
        with traced.trace(input_ids=self.tokens, use_cache=False):
            place.input = change(place.input)
            final = traced.norm.output[all_, last].save()
        return final  # noqa: RET504 (a trace ends with its block)

    def seen(
        self, tokens: torch.Tensor, where: str, layers: Sequence[int], pick: Change
    ) -> list[torch.Tensor]:
        """What is picked of each of these layers with nothing done."""
        traced = self.traced
        blocks = [traced.layers[n] for n in layers]
        places = [block if where == STREAM else block.self_attn.o_proj for block in blocks]
        with traced.trace(input_ids=tokens, use_cache=False) as tracer:
            found = [pick(place.input) for place in places]
            found.save()
            tracer.stop()
        return found

    def streams(self) -> list[torch.Tensor]:
        """What probes read: the last token's stream behind every block, [prompt, d] of each."""
        traced, all_, last = self.traced, self.all, self.last
        with torch.no_grad(), traced.trace(input_ids=self.tokens, use_cache=False):
            found = [block.output[all_, last].float() for block in traced.layers]
            found.save()
        return found


class TransformerLens(ByHand):
    """Hooks of TransformerLens on its bridge to transformers, whose attention it replaces by one
    that shows its pattern."""

    def __init__(self, model: Any, question: Question) -> None:
        super().__init__(model, question)
        import transformers
        from tokenizers import Tokenizer, models
        from transformer_lens.model_bridge import TransformerBridge

        words = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
        self.bridge = TransformerBridge.boot_transformers(
            "made",
            hf_model=model,
            dtype=model.dtype,
            tokenizer=transformers.PreTrainedTokenizerFast(tokenizer_object=words),
        )

    @staticmethod
    def _name(where: str, layer: int) -> str:
        return f"blocks.{layer}.{'hook_resid_pre' if where == STREAM else 'attn.hook_z'}"

    def edited(self, where: str, layer: int, change: Change) -> torch.Tensor:
        """The last token's stream behind the final norm, [prompt, d], under one edit."""
        final: list[torch.Tensor] = []

        def edit(x: torch.Tensor, hook: Any) -> torch.Tensor:
            return change(x) if x.ndim == 3 else change(x.flatten(2)).view_as(x)

        def last(x: torch.Tensor, hook: Any) -> torch.Tensor:
            final.append(x[self.all, self.last])
            return final[0][:, None]  # so that no other token is unembedded

        hooks = [(self._name(where, layer), edit), ("unembed.hook_in", last)]
        self.bridge.run_with_hooks(self.tokens, fwd_hooks=hooks, return_type=None)
        return final[0]

    def seen(
        self, tokens: torch.Tensor, where: str, layers: Sequence[int], pick: Change
    ) -> list[torch.Tensor]:
        """What is picked of each of these layers with nothing done."""
        names = [self._name(where, n) for n in layers]
        return self._read(tokens, names, lambda x: pick(x.flatten(2)))

    def streams(self) -> list[torch.Tensor]:
        """What probes read: the last token's stream behind every block, [prompt, d] of each."""
        names = [f"blocks.{n}.hook_resid_post" for n in range(len(self.model.model.layers))]
        with torch.no_grad():
            return self._read(self.tokens, names, lambda x: x[self.all, self.last].float())

    def _read(self, tokens: torch.Tensor, names: Sequence[str], pick: Change) -> list[torch.Tensor]:
        found: list[torch.Tensor] = []

        def read(x: torch.Tensor, hook: Any) -> None:
            found.append(pick(x))

        hooks = [(name, read) for name in names]
        hooks.append(("unembed.hook_in", lambda x, hook: x[:, :1]))
        self.bridge.run_with_hooks(tokens, fwd_hooks=hooks, return_type=None)
        return found


CONTENDERS = {"plain": Plain, "nnsight": NNsight, "transformer_lens": TransformerLens}
LAST = ("transformer_lens",)
"""Those that change the model's modules, so that the others must be done before."""
