"""Is the capital read from the token of the country? with_transformers.py MODEL BLOCK OUT"""

import sys
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

import assay

MODEL, BLOCK, OUT = sys.argv[1:4] if sys.argv[3:] else sys.exit(f"usage: {__doc__[51:]}")
folder = assay.subjects.folder.find(MODEL).path
model = AutoModelForCausalLM.from_pretrained(folder).float().requires_grad_(False)
encode = AutoTokenizer.from_pretrained(folder)


def run(text, place=0, put=None):
    def patch(block, args):
        args[0][0, place] = args[0][0, place] if put is None else put

    with model.model.layers[int(BLOCK)].register_forward_pre_hook(patch):
        out = model(encode(text, return_tensors="pt").input_ids, output_hidden_states=True)
    return out.hidden_states[int(BLOCK)][0], out.logits[0, -1]


def leads(source, prompts):  # by how much the capital leads, with the source's stream
    scores = []
    for i, row in enumerate(prompts):
        stream, _ = run(f"The capital of {row['country'] if source is None else source[i]}")
        place = len(encode(f"The capital of {row['country']}").input_ids) - 1
        _, logits = run(f"The capital of {row['country']} is", place, stream[-1])
        right, foil = (encode(f" {row[c]}").input_ids[0] for c in ("city", "foil"))
        scores.append(float(logits[right] - logits[foil]))
    return {"lead": scores}


claim = "Patching in another country's residual stream puts its capital ahead by two nats"
rows = Path(__file__).parents[1] / "capitals.csv"
about = {"scope": f"{Path(MODEL).name}, block {BLOCK}, at the country", "measured_in": "nats"}
verdict = assay.check(claim, leads, prompts=rows, holds="lead_after < -2", source="other", **about)
print(verdict, verdict.save(OUT), sep="\n")
