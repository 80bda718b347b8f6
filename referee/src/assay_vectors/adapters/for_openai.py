"""OpenAI's sparse_autoencoder: its inference class (its trainer runs on a GPU only)."""

import torch
from protocol import NotOffered, serve
from sparse_autoencoder.model import Autoencoder, TopK

NAMES = {
    "encoder.weight": "W_enc",
    "latent_bias": "b_enc",
    "decoder.weight": "W_dec",
    "pre_bias": "b_dec",
}


def rows(x):
    """Rows as a tensor."""
    return torch.tensor(x, dtype=torch.float64)


def coder(architecture, weights, centred=True, normalize=False):
    """An Autoencoder with a vector's weights; its linear layers hold them transposed."""
    if architecture not in ("relu", "topk") or "W_skip" in weights:
        raise NotOffered(f"no {architecture}" if "W_skip" not in weights else "no skip")
    if not centred and any(weights["b_dec"]):
        raise NotOffered("always centred")
    activation = torch.nn.ReLU() if architecture == "relu" else TopK(weights["k"])
    autoencoder = Autoencoder(
        len(weights["W_dec"]), len(weights["W_enc"]), activation=activation, normalize=normalize
    ).double()
    for name, parameter in autoencoder.named_parameters():
        value = rows(weights[NAMES[name]])
        parameter.data = value.mT.contiguous() if name.endswith(".weight") else value
    return autoencoder


def encode(architecture, weights, centred, x):
    """encode, and forward's reconstruction."""
    autoencoder = coder(architecture, weights, centred)
    return {"features": autoencoder.encode(rows(x))[0], "x_hat": autoencoder(rows(x))[2]}


def features_two_ways(architecture, weights, centred, x):
    """encode, and forward's latents."""
    autoencoder = coder(architecture, weights, centred)
    return {"encode": autoencoder.encode(rows(x))[0], "forward": autoencoder(rows(x))[1]}


def fired(architecture, weights, centred, x):
    """The latents whose stats_last_nonzero starts over in a forward pass: 1 after it."""
    autoencoder = coder(architecture, weights, centred)
    autoencoder.stats_last_nonzero += 10
    autoencoder(rows(x))
    return {"latents": (autoencoder.stats_last_nonzero == 1).nonzero()[:, 0]}


def layer_norm(weights, x):
    """normalize=True, as files with a TopK activation are read."""
    return {"x_hat": coder("relu", weights, normalize=True)(rows(x))[2]}


def save_load(architecture, weights, centred, x):
    """state_dict and from_state_dict; a TopK is normalised when read, so only ReLU has the same
    inputs."""
    if architecture == "topk":
        raise NotOffered("a TopK file is read with layer normalisation")
    read = Autoencoder.from_state_dict(coder(architecture, weights, centred).state_dict()).double()
    return {"features": read.encode(rows(x))[0], "x_hat": read(rows(x))[2]}


OPERATIONS = {
    "encode": encode,
    "features_two_ways": features_two_ways,
    "fired": fired,
    "layer_norm": layer_norm,
    "save_load": save_load,
}

if __name__ == "__main__":
    serve("sparse_autoencoder", "sparse_autoencoder", OPERATIONS)
