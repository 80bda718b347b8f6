"""nnsight's adapter: its interventions and gradients on a small network."""

import torch
from nnsight import NNsight
from protocol import NotOffered, serve
from residual_network import Network, Point, rows


def writing(model, x):
    """What every part writes on these rows."""
    saved = {}
    with model.trace(x):
        for name in model.writers:
            saved[name] = getattr(model, name).output.save()
    return saved


def number(model, x, edge=None, value=None):
    """The mean number, with what one reader sees of one part replaced."""
    with model.trace(x):
        if edge is not None:
            getattr(model, "{}_to_{}".format(*edge)).output[:] = value
        out = model.output.save()
    return float(out.mean())


def slopes(model, x, edge):
    """The slope of the sum of numbers in what a reader sees of one part."""
    with model.trace(x):
        seen = getattr(model, "{}_to_{}".format(*edge)).output
        seen.requires_grad_(True)
        out = model.output
        with out.sum().backward():
            slope = seen.grad.save()
    return slope


def edge_attribution(method, steps, blocks, readout, clean, corrupted):
    """Patching and gradients of every edge."""
    net = Network(blocks, readout)
    model, x, other = NNsight(net), rows(clean), rows(corrupted)
    if method not in ("patching", "gradient"):
        raise NotOffered("no integrated gradients")
    there, scores = writing(model, other), {}
    here = writing(model, x)
    for u, v in net.edges:
        if method == "patching":
            score = number(model, x) - number(model, x, (u, v), there[u])
        else:
            score = ((here[u] - there[u]) * slopes(model, x, (u, v))).sum(1).mean()
        scores[f"{u}->{v}"] = score
    return scores


def intervene(kind, x, vector, positions, donors):
    """An edit of a module's output at positions."""
    model = NNsight(torch.nn.Sequential(Point()))
    at = slice(None) if positions is None else positions
    if kind in ("project-out", "mean"):
        raise NotOffered("arithmetic is the caller's")
    with model.trace(rows(x)):
        if kind == "add":
            model[0].output[at] += rows(vector)
        else:
            model[0].output[at] = 0
        out = model.output.save()
    return {"changed": out}


OPERATIONS = {"edge_attribution": edge_attribution, "intervene": intervene}

if __name__ == "__main__":
    serve("nnsight", "nnsight", OPERATIONS)
