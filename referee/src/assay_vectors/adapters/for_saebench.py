"""SAEBench's adapter: its core evaluation, and its reference coders."""

from types import SimpleNamespace

import torch
from core_evaluation import HOOK, CoreEvaluation, rows
from protocol import NotOffered, serve
from sae_bench.custom_saes import gated_sae, jumprelu_sae, relu_sae, topk_sae
from sae_bench.evals.core import main as core
from sae_bench.evals.sparse_probing import probe_training
from sae_bench.sae_bench_utils import dataset_info

KINDS = {
    "relu": relu_sae.ReluSAE,
    "gated": gated_sae.GatedSAE,
    "jumprelu": jumprelu_sae.JumpReluSAE,
    "topk": topk_sae.TopKSAE,
}
NAMES = {"b_gate": "gate_bias"}


def coder(architecture, weights, centred):
    """One of its reference coders; relu, gated and topk are centred, jumprelu is not."""
    if architecture not in KINDS or "W_skip" in weights:
        raise NotOffered(f"no {architecture}" if architecture not in KINDS else "no skip")
    if centred != (architecture != "jumprelu") and any(weights["b_dec"]):
        raise NotOffered(f"its {architecture} is {'never' if centred else 'always'} centred")
    d, n = len(weights["W_enc"]), len(weights["W_dec"])
    more = {"k": weights["k"]} if architecture == "topk" else {}
    sae = KINDS[architecture](
        d_in=d, d_sae=n, model_name="none", hook_layer=0, device="cpu", dtype=torch.float64, **more
    )
    for name, value in weights.items():
        if name != "k":
            getattr(sae, NAMES.get(name, name)).data = rows(value)
    return sae


def encode(architecture, weights, centred, x):
    """encode and forward."""
    sae = coder(architecture, weights, centred)
    return {"features": sae.encode(rows(x)), "x_hat": sae(rows(x))}


def mean_difference_features(features, label, k):
    """get_top_k_mean_diff_mask, which marks what is left out."""
    positive, negative = dataset_info.POSITIVE_CLASS_LABEL, dataset_info.NEGATIVE_CLASS_LABEL
    labels = torch.tensor([positive if yes else negative for yes in label])
    mask = probe_training.get_top_k_mean_diff_mask(rows(features), labels, k)
    return {"latents": (~mask).nonzero()[:, 0]}


def config(**more):
    """What its evaluation reads of a coder's configuration."""
    return SimpleNamespace(hook_name=HOOK, hook_layer=0, hook_head_index=None, **more)


OPERATIONS = {
    **CoreEvaluation(
        core,
        config,
        coder,
        {"ignore_tokens": {0}, "exclude_special_tokens_from_reconstruction": True},
    ).operations(),
    "encode": encode,
    "mean_difference_features": mean_difference_features,
}

if __name__ == "__main__":
    serve("SAEBench", "sae-bench", OPERATIONS)
