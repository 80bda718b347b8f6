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
    scores = []
    for i, row in enumerate(prompts):
        with model.trace(f"The capital of {row['country'] if source is None else source[i]}"):
            stream = model.model.layers[int(BLOCK)].input[0, -1].save()
        place = len(encode(f"The capital of {row['country']}")) - 1
        with model.trace(f"The capital of {row['country']} is"):
            model.model.layers[int(BLOCK)].input[0, place] = stream
            logits = model.lm_head.output[0, -1].detach().save()
        right, foil = (encode(f" {row[c]}")[0] for c in ("city", "foil"))
        scores.append(float(logits[right] - logits[foil]))
    return {"lead": scores}


claim = "Patching in another country's residual stream puts its capital ahead by two nats"
rows = Path(__file__).parents[1] / "capitals.csv"
about = {"scope": f"{Path(MODEL).name}, block {BLOCK}, at the country", "measured_in": "nats"}
verdict = assay.check(claim, leads, prompts=rows, holds="lead_after < -2", source="other", **about)
print(verdict, verdict.save(OUT), sep="\n")
