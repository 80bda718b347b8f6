"""sparsify's adapter. One class does everything; ReLU is its top-k with k the number of latents."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from protocol import NotOffered, serve
from safetensors.torch import save_file
from sparsify import SparseCoder, SparseCoderConfig

NAMES = {"encoder.weight": "W_enc", "encoder.bias": "b_enc"}


def rows(x, dtype="float64"):
    """Rows as a tensor."""
    return torch.tensor(x, dtype=getattr(torch, dtype))


def coder(architecture, weights, centred=True):
    """A coder with a vector's weights; it stores W_enc and W_skip transposed."""
    d, n = len(weights["W_enc"]), len(weights["W_dec"])
    if architecture not in ("topk", "groupmax", "relu"):
        raise NotOffered(f"no {architecture}")
    k = n if architecture == "relu" else weights["k"]
    activation = "groupmax" if architecture == "groupmax" else "topk"
    cfg = SparseCoderConfig(
        activation=activation,
        num_latents=n,
        k=k,
        transcode=not centred,
        skip_connection="W_skip" in weights,
    )
    sparse_coder = SparseCoder(d, cfg, dtype=torch.float64)
    for name, parameter in sparse_coder.named_parameters():
        value = rows(weights[NAMES.get(name, name)])
        parameter.data = value.mT.contiguous() if name in ("encoder.weight", "W_skip") else value
    return sparse_coder


def dense(sparse_coder, out):
    """Features of every latent from the kept ones."""
    empty = torch.zeros(len(out[0]), sparse_coder.num_latents, dtype=out[0].dtype)
    return empty.scatter(-1, out[1], out[0])


def _fvu(x, x_hat, dtype="float64"):
    sparse_coder = SparseCoder(
        len(x[0]), SparseCoderConfig(num_latents=1, k=1), dtype=getattr(torch, dtype)
    )
    sparse_coder.decode = lambda acts, indices: rows(x_hat, dtype)
    return sparse_coder(rows(x, dtype)).fvu


def measured(x, x_hat, dtype="float64"):
    """1 - fvu of a forward pass whose reconstruction is given."""
    return {"ev": 1 - _fvu(x, x_hat, dtype)}


def streamed(batches, dtype="float64"):
    """The mean over forward passes, as its trainer logs."""
    return {"ev": 1 - sum(_fvu(b["x"], b["x_hat"], dtype) for b in batches) / len(batches)}


def encode(architecture, weights, centred, x):
    """encode and forward."""
    sparse_coder = coder(architecture, weights, centred)
    return {
        "features": dense(sparse_coder, sparse_coder.encode(rows(x))),
        "x_hat": sparse_coder(rows(x)).sae_out,
    }


def features_two_ways(architecture, weights, centred, x):
    """encode, and the latents of a forward pass."""
    sparse_coder = coder(architecture, weights, centred)
    out = sparse_coder(rows(x))
    return {
        "encode": dense(sparse_coder, sparse_coder.encode(rows(x))),
        "forward": dense(sparse_coder, (out.latent_acts, out.latent_indices)),
    }


def fired(architecture, weights, centred, x):
    """The latents that its trainer marks: did_fire[out.latent_indices.flatten()] = True."""
    out = coder(architecture, weights, centred)(rows(x))
    return {"latents": out.latent_indices.flatten().unique()}


def save_load(architecture, weights, centred, x):
    """save_to_disk and load_from_disk."""
    with TemporaryDirectory() as room:
        coder(architecture, weights, centred).save_to_disk(room)
        read = SparseCoder.load_from_disk(room)
    return {"features": dense(read, read.encode(rows(x))), "x_hat": read(rows(x)).sae_out}


def load(format, config, tensors, x):
    """Its own folder."""
    with TemporaryDirectory() as room:
        (Path(room) / "cfg.json").write_text(json.dumps(config))
        save_file(
            {name: rows(value, "float32") for name, value in tensors.items()},
            Path(room) / "sae.safetensors",
        )
        read = SparseCoder.load_from_disk(room)
    x = rows(x, "float32")
    return {
        "latents": read.num_latents,
        "features": dense(read, read.encode(x)),
        "x_hat": read(x).sae_out,
    }


def gradients(objective, weights, centred, x, penalty=0.0, bandwidth=1.0, latent=0, p=1.0):
    """fvu with the variance given as the number of rows, which makes it the mean squared error; or
    one pre-activation."""
    if objective not in ("topk", "preactivation"):
        raise NotOffered(f"no {objective}")
    sparse_coder = coder("topk", weights, centred)
    n = torch.tensor(float(len(x)))
    loss = (
        sparse_coder(rows(x), total_variance=n).fvu
        if objective == "topk"
        else sparse_coder.encode(rows(x)).pre_acts[0, latent]
    )
    names, tensors = zip(*sparse_coder.named_parameters(), strict=True)
    raw_grads = torch.autograd.grad(loss, tensors, allow_unused=True)
    grads = {
        n: torch.zeros_like(t) if g is None else g
        for n, t, g in zip(names, tensors, raw_grads, strict=True)
    }
    return {"loss": loss} | {
        NAMES.get(n, n): g.mT if n == "encoder.weight" else g for n, g in grads.items()
    }


def auxk(weights, x, k_aux, dead):
    """auxk_loss of a forward pass with a dead mask."""
    sparse_coder = coder("topk", weights)
    loss = sparse_coder(rows(x), dead_mask=torch.tensor(dead)).auxk_loss
    gradient = torch.autograd.grad(loss, sparse_coder.encoder.weight, allow_unused=True)[0]
    row = torch.zeros(len(x[0])) if gradient is None else gradient[dead.index(True)]
    return {"loss": loss, "direction": row / (row.norm() or 1)}


OPERATIONS = {
    "metrics": measured,
    "metrics_stream": streamed,
    "encode": encode,
    "features_two_ways": features_two_ways,
    "fired": fired,
    "save_load": save_load,
    "load": load,
    "gradients": gradients,
    "auxk": auxk,
}

if __name__ == "__main__":
    serve("sparsify", "eai-sparsify", OPERATIONS)
