"""Is the capital read from the token of the country? with_nnsight.py MODEL BLOCK OUT"""

import sys
from pathlib import Path

import torch
from nnsight import TransformersModel

import assay

MODEL, BLOCK, OUT = sys.argv[1:4] if sys.argv[3:] else sys.exit(f"usage: {__doc__[51:]}")
folder = str(assay.subjects.folder.find(MODEL).path)
model = TransformersModel(folder, task="text-generation", dispatch=True, dtype=torch.float32)


def encode(text):
    return model.tokenizer(text).input_ids


def leads(source, prompts):
    """By how much the capital leads, with the source's stream at the country's token."""
    own = [f"The capital of {row['country']}" for row in prompts]
    with model.trace(own if source is None else [f"The capital of {x}" for x in source]):
        streams = model.model.layers[int(BLOCK)].input[:, -1].save()
    with model.trace([f"{text} is" for text in own]):  # nnsight pads on the left
        model.model.layers[int(BLOCK)].input[:, -1 - len(encode(" is"))] = streams
        logits = model.lm_head.output[:, -1].detach().save()
    first = [[encode(f" {row[c]}")[0] for c in ("city", "foil")] for row in prompts]
    return {"lead": [float(x[a] - x[b]) for x, (a, b) in zip(logits, first, strict=True)]}


claim = "Patching in another country's residual stream puts its capital ahead by two nats"
rows, scope = Path(__file__).parents[1] / "capitals.csv", f"{MODEL}, block {BLOCK}, at the country"
verdict = assay.check(claim, leads, rows, "lead_after < -2", assay.Patch("other"), scope=scope)
print(verdict)
verdict.save(OUT)
