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


def run(country, k=None):
    def cut(block, args):  # the latent's share of the stream is taken out
        args[0].sub_(0 if k is None else sae.encode(args[0])[..., k, None] * sae.W_dec[k])

    with model.model.layers[layer].register_forward_pre_hook(cut):
        return model(encode(f"The capital of {country} is", return_tensors="pt").input_ids)


def leads(latents, prompts):
    logits = [run(x, *latents or ()).logits[0, -1] for x in prompts["country"]]
    first = [[encode(f" {x}").input_ids[0] for x in prompts[c]] for c in ("city", "foil")]
    return [float(x[a] - x[b]) for x, a, b in zip(logits, *first, strict=True)]


rows = pd.read_csv(Path(__file__).parents[1] / "capitals.csv")
on = torch.cat([sae.encode(run(c).hidden_states[layer][0, 1:]) > 0 for c in rows["country"]])
like = {"norm": sae.W_dec.norm(dim=1), "rate": on.float().mean(0)}
claim, latent = f"Latent {LATENT} carries the lead", assay.Latents([int(LATENT)], len(on.T), like)
verdict = assay.check(claim, leads, rows, "effect < -0.1", latent, scope=f"{PATH} at {layer}")
print(verdict)
verdict.save(OUT)
