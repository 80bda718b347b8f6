"""TransformerLens's adapter: its hook points and caches on a small network."""

from functools import partial

import torch
from protocol import NotOffered, serve
from residual_network import Network, rows
from transformer_lens import HookedRootModule
from transformer_lens.hook_points import HookPoint


class Hooked(Network, HookedRootModule):
    """The network with a hook point for each writer and reader."""

    def __init__(self, blocks, readout):
        super().__init__(blocks, readout, HookPoint)
        self.setup()


def edge_attribution(method, steps, blocks, readout, clean, corrupted):
    """run_with_hooks for patching; gradients from the backward cache."""
    if method not in ("patching", "gradient"):
        raise NotOffered("no integrated gradients")
    net = Hooked(blocks, readout)
    _, here = net.run_with_cache(rows(clean))
    _, there = net.run_with_cache(rows(corrupted))
    slopes = {}
    for u, v in net.edges:
        keep = lambda grad, hook, edge=(u, v): slopes.update({edge: grad})  # noqa: E731
        net.add_hook(f"{u}_to_{v}", keep, dir="bwd")
    net(rows(clean).requires_grad_()).sum().backward()
    net.reset_hooks()
    scores = {}
    for u, v in net.edges:
        swap = partial(lambda x, hook, value: value, value=there[u])
        if method == "patching":
            patched = net.run_with_hooks(rows(clean), fwd_hooks=[(f"{u}_to_{v}", swap)])
            score = (net(rows(clean)) - patched).mean()
        else:
            score = ((here[u] - there[u]) * slopes[u, v]).sum(1).mean()
        scores[f"{u}->{v}"] = score
    return scores


def intervene(kind, x, vector, positions, donors):
    """run_with_hooks at positions."""
    if kind in ("project-out", "mean"):
        raise NotOffered("arithmetic is the caller's")
    point = HookedRootModule()
    point.hook, point.forward = HookPoint(), lambda x: point.hook(x)
    point.setup()
    at = slice(None) if positions is None else positions

    def change(x, hook):
        new = x.clone()
        new[at] = new[at] + rows(vector) if kind == "add" else torch.zeros_like(new[at])
        return new

    return {"changed": point.run_with_hooks(rows(x), fwd_hooks=[("hook", change)])}


OPERATIONS = {"edge_attribution": edge_attribution, "intervene": intervene}

if __name__ == "__main__":
    serve("TransformerLens", "transformer-lens", OPERATIONS)
