"""circuit-tracer's adapter: its transcoder, which is never centred."""

import torch
from circuit_tracer.transcoder.activation_functions import JumpReLU, TopK
from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder
from protocol import NotOffered, serve


def rows(x):
    """Rows as a tensor."""
    return torch.tensor(x, dtype=torch.float64)


def coder(architecture, weights, centred, bandwidth=2.0):
    """A transcoder with a vector's weights."""
    if centred and any(weights["b_dec"]):
        raise NotOffered("never centred")
    kinds = {
        "relu": lambda: torch.relu,
        "jumprelu": lambda: JumpReLU(rows(weights["threshold"]), bandwidth),
        "topk": lambda: TopK(weights["k"]),
    }
    if architecture not in kinds or weights.get("rescale_by_decoder_norm"):
        raise NotOffered(f"no {architecture}")
    w = {name: rows(value) for name, value in weights.items() if name not in ("k", "threshold")}
    w["W_enc"] = w["W_enc"].T.contiguous()
    if "W_skip" in w:
        w["W_skip"] = w["W_skip"].T.contiguous()
    n, d = w["W_enc"].shape
    skip = {"skip_connection": "W_skip" in w, "dtype": torch.float64}
    transcoder = SingleLayerTranscoder(d, n, kinds[architecture](), 0, **skip)
    for name, value in w.items():
        getattr(transcoder, name).data = value
    return transcoder


def encode(architecture, weights, centred, x):
    """encode and decode."""
    transcoder = coder(architecture, weights, centred)
    features = transcoder.encode(rows(x))
    return {"features": features, "x_hat": transcoder.decode(features, rows(x))}


def gradients(objective, weights, centred, x, penalty=0.0, bandwidth=1.0, latent=0, p=1.0):
    """The squared error of its reconstruction, with JumpReLU or TopK."""
    kinds = {"jumprelu-reconstruction": "jumprelu", "topk": "topk"}
    if objective not in kinds:
        raise NotOffered(f"no {objective}")
    transcoder = coder(kinds[objective], weights, centred, bandwidth)
    loss = (transcoder.decode(transcoder.encode(rows(x)), rows(x)) - rows(x)).square().sum(1).mean()
    names, tensors = zip(*transcoder.named_parameters(), strict=True)
    slopes = dict(zip(names, torch.autograd.grad(loss, tensors), strict=True))
    slopes["W_enc"] = slopes["W_enc"].T
    return {"loss": loss} | {name.rpartition(".")[2]: slope for name, slope in slopes.items()}


OPERATIONS = {"encode": encode, "gradients": gradients}

if __name__ == "__main__":
    serve("circuit-tracer", "circuit-tracer", OPERATIONS)
