"""Captum's adapter: integrated gradients, feature ablation and input times gradient of edges out of
the embedding, each an input of its own."""

import torch
from captum.attr import FeatureAblation, InputXGradient, IntegratedGradients
from protocol import NotOffered, serve
from residual_network import Network, rows

NAMES = {"patching": FeatureAblation, "integrated-inputs": IntegratedGradients}


def edge_attribution(method, steps, blocks, readout, clean, corrupted):
    """The edges out of the embedding; of others there are no attributions with the rest held."""
    net = Network(blocks, readout)
    readers = [v for u, v in net.edges if u == "embed"]

    def number(*views):
        wrote: dict[str, torch.Tensor] = {}
        for reader, view in zip(readers, views, strict=True):
            stream = view + sum(wrote.values())
            if reader == "logits":
                return stream @ net.readout
            w, b, out = net.weights[int(reader.removeprefix("mlp"))]
            wrote[reader] = torch.relu(stream @ w + b) @ out
        raise ValueError("no readout")

    x, other = ((rows(r),) * len(readers) for r in (clean, corrupted))
    if method == "gradient":
        if any(map(any, corrupted)):
            raise NotOffered("InputXGradient has no baseline")
        parts = InputXGradient(number).attribute(tuple(v.clone().requires_grad_() for v in x))
    elif method not in NAMES:
        raise NotOffered(f"no {method} of one writer for all its readers")
    elif method == "patching":
        masks = tuple(torch.full(rows(clean).shape[1:], i)[None] for i in range(len(readers)))
        # What a group of coordinates is worth stands at each of them.
        parts = FeatureAblation(number).attribute(x, other, feature_mask=masks)
        parts = [p[:, :1] for p in parts]
    else:
        more = {"n_steps": steps or 50, "method": "riemann_middle"}
        parts = IntegratedGradients(number).attribute(x, other, **more)
    return {f"embed->{v}": p.sum(1).mean() for v, p in zip(readers, parts, strict=True)}


OPERATIONS = {"edge_attribution": edge_attribution}

if __name__ == "__main__":
    serve("Captum", "captum", OPERATIONS)
