"""SAEBench's adapter: its core evaluation, given stand-ins for model, store and coder that hold a
vector's numbers."""

from types import SimpleNamespace

import torch
from protocol import NotOffered, serve
from sae_bench.custom_saes import gated_sae, jumprelu_sae, relu_sae, topk_sae
from sae_bench.evals.core import main as core

HOOK = "blocks.0.hook_resid_post"
KINDS = {
    "relu": relu_sae.ReluSAE,
    "gated": gated_sae.GatedSAE,
    "jumprelu": jumprelu_sae.JumpReluSAE,
    "topk": topk_sae.TopKSAE,
}
NAMES = {"b_gate": "gate_bias"}


def rows(x, dtype="float64"):
    """Rows as a tensor."""
    return torch.tensor(x, dtype=getattr(torch, dtype))


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


def evaluated(batches, dtype, sae=None, features=None):
    """get_sparsity_and_variance_metrics on given rows and reconstructions, or on a coder of its
    own."""
    pending_batches = [(rows(b["x"], dtype)[None], rows(b["x_hat"], dtype)[None]) for b in batches]
    model = SimpleNamespace(run_with_cache=lambda *a, **k: (None, {HOOK: pending_batches[0][0]}))
    store = SimpleNamespace(
        get_batch_tokens=lambda n: torch.ones(1, pending_batches[0][0].shape[1], dtype=torch.long)
    )
    ones = [
        torch.ones(1, len(b["x"]), 1) if features is None else rows(features)[None] for b in batches
    ]
    cfg = SimpleNamespace(
        hook_name=HOOK, hook_layer=0, hook_head_index=None, d_sae=ones[0].shape[-1]
    )
    table = SimpleNamespace(
        cfg=cfg,
        device="cpu",
        encode=lambda x: ones.pop(0),
        decode=lambda f: pending_batches.pop(0)[1],
    )
    return core.get_sparsity_and_variance_metrics(
        sae or table, model, store, len(batches), True, True, True, True, 1, {}
    )


def measured(x, x_hat, dtype="float64"):
    """explained_variance and mse."""
    return streamed([{"x": x, "x_hat": x_hat}], dtype)


def streamed(batches, dtype="float64"):
    """ev and mse over batches."""
    measures, _ = evaluated(batches, dtype)
    return {"ev": measures["explained_variance"], "mse": measures["mse"]}


def sparsity(features):
    """l0 and feature_density."""
    measures, per_feature = evaluated(
        [{"x": [[1.0]] * len(features), "x_hat": [[1.0]] * len(features)}],
        "float64",
        features=features,
    )
    return {"l0": measures["l0"], "density": per_feature["feature_density"]}


def quality(architecture, weights, centred, x):
    """The evaluation of one of its reference coders."""
    measures, _ = evaluated(
        [{"x": x, "x_hat": x}], "float64", coder(architecture, weights, centred)
    )
    return {"ev": measures["explained_variance"], "l0": measures["l0"]}


def shrinkage(x, x_hat, mean=None):
    """relative_reconstruction_bias."""
    if mean is not None:
        raise NotOffered("not about a mean")
    return {
        "gamma": evaluated([{"x": x, "x_hat": x_hat}], "float64")[0]["relative_reconstruction_bias"]
    }


class Model:
    """In the place of a language model: losses per position from activations, with hooks."""

    def __init__(self, losses):
        self.losses = losses

    def __call__(self, tokens, **k):
        """The clean loss."""
        return None, self.losses(None)

    def run_with_hooks(self, tokens, fwd_hooks, **k):
        """The loss under a hook."""
        return None, self.losses(fwd_hooks[0][1])


def scored(losses, sae, tokens, batches, special):
    """ce_loss_score of get_downstream_reconstruction_metrics; special tokens are left out as its
    run_evals can be told to."""
    store = SimpleNamespace(get_batch_tokens=lambda n: tokens)
    sae.cfg, sae.device = SimpleNamespace(hook_name=HOOK, hook_layer=0, hook_head_index=None), "cpu"
    more = (
        {"ignore_tokens": {0}, "exclude_special_tokens_from_reconstruction": True}
        if special
        else {}
    )
    args = (sae, Model(losses), store, False, True, batches, 1)
    return {"score": core.get_downstream_reconstruction_metrics(*args, **more)["ce_loss_score"]}


def ce_recovered(clean, spliced, ablated):
    """Over batches whose losses are given, asked for in this order."""
    order = iter(
        [float(loss) for batch in zip(clean, spliced, ablated, strict=True) for loss in batch]
    )
    tokens = torch.ones(1, 2, dtype=torch.long)
    return scored(
        lambda hook: torch.full((1, 2), next(order)), SimpleNamespace(), tokens, len(clean), False
    )


def ce_splice(activations, special, factor):
    """On the toy model."""
    acts = rows(activations)[None]

    def losses(hook):
        return 20 - (acts if hook is None else hook(acts.clone(), None)).sum(-1).cumsum(-1)

    sae = SimpleNamespace(encode=lambda x: x, decode=lambda f: factor * f)
    return scored(losses, sae, 1 - torch.tensor([special]).long(), 1, True)


def encode(architecture, weights, centred, x):
    """encode and forward."""
    sae = coder(architecture, weights, centred)
    return {"features": sae.encode(rows(x)), "x_hat": sae(rows(x))}


OPERATIONS = {
    "metrics": measured,
    "metrics_stream": streamed,
    "sparsity": sparsity,
    "quality": quality,
    "shrinkage": shrinkage,
    "ce_recovered": ce_recovered,
    "ce_splice": ce_splice,
    "encode": encode,
}

if __name__ == "__main__":
    serve("SAEBench", "sae-bench", OPERATIONS)
