"""Tiny language models as transformers runs them, one prompt at a time, in float64, with nothing of
Assay's; and studies of them that are measured in a line."""

import contextlib
from pathlib import Path

import numpy as np
import tokenizers
import torch
import transformers

import tiny_models
from assay.ask.measure import measuring, prompts
from assay.ask.tables import Model, Prompts

KINDS = {
    "llama": {},
    "gpt2": {},
    "gemma3_text": {
        "sliding_window": 4,
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "bos_token_id": 2,
        "final_logit_softcapping": 3.0,
    },
}
"""Without an opening, with learned positions and LayerNorm, and with a BOS before every text."""


class Naive:
    """A tiny model: its folder, and plain passes over one text."""

    def __init__(self, folder, kind, **changes):
        self.folder = tiny_models.make(folder, kind, **KINDS[kind] | changes)
        self.tokenizer = tokenizers.Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            self.folder, dtype=torch.float64, attn_implementation="eager"
        ).eval()
        self.opening = self.tokenizer.encode("").ids
        base = self.model.base_model
        self.blocks = base.h if kind == "gpt2" else base.layers
        self.norm = base.ln_f if kind == "gpt2" else base.norm
        weight = self.norm.weight.detach()
        self.gain = 1 + weight if kind == "gemma3_text" else weight
        self.cap = getattr(self.model.config, "final_logit_softcapping", None)

    def read_by(self, word):
        """What of a stream the unembedding reads for a word: its row behind the final norm's
        weight, which LayerNorm takes the mean off; of length 1."""
        token = self.tokenizer.encode(word, add_special_tokens=False).ids[0]
        row = self.model.get_output_embeddings().weight[token].detach() * self.gain
        row = row - row.mean() if isinstance(self.norm, torch.nn.LayerNorm) else row
        return row / row.norm()

    def ids(self, text):
        return self.tokenizer.encode(text).ids

    @contextlib.contextmanager
    def changed(self, layer, change):
        """While it lasts, what enters a block is changed."""
        if change is None:
            yield
            return
        handle = self.blocks[layer].register_forward_pre_hook(
            lambda module, args: (change(args[0].clone()), *args[1:])
        )
        with contextlib.closing(contextlib.ExitStack()) as stack:
            stack.callback(handle.remove)
            yield

    @torch.no_grad()
    def run(self, ids, change=None, layer=1):
        """Log-probabilities [s, v], the stream before each block [block, s, d], and attention
        [block, h, s, s]."""
        stream, handles = {}, []
        with self.changed(layer, change):
            for n, block in enumerate(self.blocks):
                handles.append(
                    block.register_forward_pre_hook(
                        lambda module, args, n=n: stream.__setitem__(n, args[0][0].clone())
                    )
                )
            out = self.model(torch.tensor([ids]), output_attentions=True, use_cache=False)
            for handle in handles:
                handle.remove()
        logs = out.logits[0].double().log_softmax(-1).numpy()
        acts = np.stack([stream[n].numpy() for n in range(len(self.blocks))])
        return logs, acts, np.stack([a[0].numpy() for a in out.attentions])

    def log_prob(self, text, answer, change=None):
        """Of all tokens of an answer behind a text."""
        before, whole = self.ids(text), self.ids(text + answer)
        logs, _, _ = self.run(whole, change)
        return sum(logs[i - 1, whole[i]] for i in range(len(before), len(whole)))

    @torch.no_grad()
    def lens(self, stream):
        """Log-probabilities that a stream [d] would give at once."""
        logits = self.model.get_output_embeddings()(self.norm(torch.from_numpy(stream)))
        if self.cap:
            logits = self.cap * torch.tanh(logits / self.cap)
        return logits.log_softmax(-1).numpy()

    def written(self, text, new, change=None):
        """The likeliest tokens behind a text, each from a whole new pass."""
        ids = self.ids(text)
        begin = len(ids)
        for _ in range(new):
            ids = [*ids, int(self.run(ids, change)[0][-1].argmax())]
        return self.tokenizer.decode(ids[begin:], skip_special_tokens=False)


def texts(*rows, name="prompts", **fields):
    """Prompts from rows; a row that is a text has it as its column `text`."""
    records = tuple({"text": row} if isinstance(row, str) else row for row in rows)
    return prompts.load(Prompts(name=name, rows=records, **fields), Path())


def task(naive, shown, reads, intervention=None, directions=(), sources=()):
    """What one arm measures."""
    every = {s.table.name: s for s in (shown, *sources)}
    model = Model(name=str(naive.folder))
    return measuring.Task(model, shown, tuple(reads), intervention, "", tuple(directions), every)


def measured(*args, seeds=(1000,), folder=Path(), **fields):
    """The numbers of each read for the first seed, by its name."""
    named, _ = measuring.measure(
        task(*args, **fields), np.array(seeds), folder, "cpu", False, lambda *_: None
    )
    return {name: array[0] if len(seeds) == 1 else array for name, (_, array, _) in named.items()}
