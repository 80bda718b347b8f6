"""Asking tiny models in the plain way: one prompt at a time, with hooks of one's own."""

from pathlib import Path

import numpy as np
import torch
import transformers

import tiny_models
from assay.ask.measure import interventions, measuring, prompts
from assay.ask.measure.tasks import Task
from assay.ask.tables import Direction, Intervention, Model, Prompts, Read

READS = (Read(name="one", log_prob=(" a", " b")), Read(name="several", log_prob=" return a + b"))
WINDOW = {"sliding_window": 64, "head_dim": 8, "query_pre_attn_scalar": 8, "bos_token_id": 3}


def make(folder, kind, **changes):
    """A tiny model; gemma3_text reads a BOS, token 3, before every text."""
    return tiny_models.make(folder, kind, **(WINDOW if kind == "gemma3_text" else {}) | changes)


def rows_of(*records, name="prompts", **table):
    """A set of prompts."""
    return prompts.load(Prompts(name=name, rows=records, **table), Path())


def measured(model, prompt_set, table=None, control="", tables=(), sources=(), seeds=(0,), **more):
    """Every read of an arm: name → [seed, point of the sweep …, prompt], and its levels."""
    if table is not None:
        interventions.check(table, tables)
        table = interventions.expanded(table, tables)
    known = {p.table.name: p for p in (prompt_set, *sources)}
    task = Task(
        Model(name=str(model)),
        prompt_set,
        more.pop("reads", READS),
        table,
        control,
        tables,
        known,
        chooses=more.pop("chooses", False),
        first=more.pop("first", None),
    )
    numbers, levels = measuring.measure(
        task, np.asarray(seeds), Path(), "cpu", False, lambda done, total: None, **more
    )
    return {name: array for name, (_, array, _) in numbers.items()}, levels


class Naive:
    """A model of transformers, whose sites are edited by hooks that this file writes; each change
    gets a copy."""

    def __init__(self, folder):
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
        self.tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json")
        )
        self.opening = self.tokenizer.encode("")
        self.heads = self.model.config.num_attention_heads

    def tokens(self, text):
        return self.tokenizer.encode(text)

    def _hook(self, site, change):
        _, layer, kind = site.split(".", 2)
        block = self.model.model.layers[int(layer)]
        if kind == "hook_resid_pre":
            return block.register_forward_pre_hook(
                lambda module, args: (change(args[0].clone()), *args[1:])
            )
        if kind == "attn.hook_z":

            def by_head(module, args):
                z = args[0].clone().unflatten(-1, (self.heads, -1))
                return (change(z).flatten(-2), *args[1:])

            return block.self_attn.o_proj.register_forward_pre_hook(by_head)
        assert kind == "hook_mlp_out"
        return block.mlp.register_forward_hook(lambda module, args, out: change(out.clone()))

    def logits(self, tokens, edits=()):
        handles = [self._hook(site, change) for site, change in dict(edits).items()]
        try:
            with torch.no_grad():
                return self.model(torch.tensor([tokens])).logits[0].double()
        finally:
            for handle in handles:
                handle.remove()

    def acts(self, text, site):
        """What a site has at every token, the opening included."""
        seen = []

        def look(x):
            seen.append(x[0].clone())
            return x

        self.logits(self.tokens(text), {site: look})
        return seen[0]

    def reads(self, text, edits=()):
        """The two numbers of READS."""

        def log_prob(answer):
            prompt = self.tokens(text)
            answer_tokens = self.tokenizer.encode(answer, add_special_tokens=False)
            log = self.logits([*prompt, *answer_tokens], edits).log_softmax(-1)
            return sum(
                float(log[len(prompt) - 1 + k, token]) for k, token in enumerate(answer_tokens)
            )

        return log_prob(" a") - log_prob(" b"), log_prob(" return a + b")


def direction(name="d", site="blocks.1.hook_resid_pre", **more):
    return Direction(name=name, site=site, **more)


def intervention(**more):
    return Intervention(name="changed", **more)
