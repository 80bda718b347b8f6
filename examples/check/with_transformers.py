"""Is the capital read from the token of the country? with_transformers.py MODEL BLOCK OUT"""

import sys
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

import assay

MODEL, BLOCK, OUT = sys.argv[1:4] if sys.argv[3:] else sys.exit(f"usage: {__doc__[51:]}")
folder = assay.subjects.folder.find(MODEL).path
model = AutoModelForCausalLM.from_pretrained(folder).float().requires_grad_(False)
encode = AutoTokenizer.from_pretrained(folder, padding_side="right")


def run(texts, places=0, put=None):
    batch = encode(texts, return_tensors="pt", padding=True)
    rows, last = [*range(len(texts))], batch.attention_mask.sum(1) - 1

    def patch(block, args):
        args[0][rows, places] = args[0][rows, places] if put is None else put

    with model.model.layers[int(BLOCK)].register_forward_pre_hook(patch):
        out = model(**batch, output_hidden_states=True)
    return out.hidden_states[int(BLOCK)][rows, last], out.logits[rows, last]


def leads(source, prompts):  # by how much the capital leads, with the source's stream
    own = [f"The capital of {row['country']}" for row in prompts]
    streams, _ = run(own if source is None else [f"The capital of {x}" for x in source])
    _, logits = run([f"{x} is" for x in own], [len(x) - 1 for x in encode(own).input_ids], streams)
    first = [[encode(f" {row[c]}").input_ids[0] for c in ("city", "foil")] for row in prompts]
    return {"lead": [float(x[a] - x[b]) for x, (a, b) in zip(logits, first, strict=True)]}


claim = "Patching in another country's residual stream puts its capital ahead by two nats"
rows, scope = Path(__file__).parents[1] / "capitals.csv", f"{MODEL}, block {BLOCK}, at the country"
verdict = assay.check(claim, leads, rows, "lead_after < -2", assay.Patch("other"), scope=scope)
print(verdict)
verdict.save(OUT)
