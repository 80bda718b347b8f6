"""Does one latent of a SAELens dictionary carry the lead? with_sae_lens.py FOLDER SAE LATENT OUT"""

import sys
from pathlib import Path

import pandas as pd
import torch
from sae_lens import SAE
from transformers import AutoModelForCausalLM, AutoTokenizer

import assay

torch.set_grad_enabled(False)
FOLDER, PATH, LATENT, OUT = sys.argv[1:5] if sys.argv[4:] else sys.exit(f"usage: {__doc__[56:]}")
model = AutoModelForCausalLM.from_pretrained(FOLDER, output_hidden_states=True).float()
encode, sae = AutoTokenizer.from_pretrained(FOLDER), SAE.load_from_disk(PATH)
layer = int(sae.cfg.metadata.hook_name.split(".")[1])  # blocks.N.hook_resid_pre


def run(country, latents=()):
    def cut(block, args):  # what the latents write is taken out of the stream
        args[0].sub_(sae.encode(args[0])[..., [*latents]] @ sae.W_dec[[*latents]])

    with model.model.layers[layer].register_forward_pre_hook(cut):
        return model(encode(f"The capital of {country} is", return_tensors="pt").input_ids)


def leads(latents, prompts):
    logits = [run(country, latents or ()).logits[0, -1] for country in prompts["country"]]
    first = [[encode(f" {x}").input_ids[0] for x in prompts[c]] for c in ("city", "foil")]
    return [float(x[a] - x[b]) for x, a, b in zip(logits, *first, strict=True)]


rows = pd.read_csv(Path(__file__).parents[1] / "capitals.csv")
on = torch.cat([sae.encode(run(c).hidden_states[layer][0, 1:]) > 0 for c in rows["country"]])
sizes = {"norm": sae.W_dec.norm(dim=1), "rate": on.float().mean(0)}
latent = assay.Latents([int(LATENT)], of=len(sae.W_dec), like=sizes)
claim, scope = f"Without latent {LATENT} the lead falls", f"{Path(FOLDER).name}, layer {layer}"
result = assay.check(claim, leads, rows, "effect < -0.1", latent, scope=scope)
print(result, result.save(OUT), sep="\n")
