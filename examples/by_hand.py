"""Random directions with one length and one bias for all, computed by hand."""

from dataclasses import replace

from assay.core import Arm
from assay.core.spec import changed
from assay_catalogue.experiments.superposition import train


def by_hand(runs, bench):
    start = train(runs, bench)  # one step, for its random directions
    W = start.tensors["W"]
    W = W / W.norm(dim=-1, keepdim=True) * 10**0.5
    # an input of 1 on one feature gives 10 - 9 = 1 for it, and more than 0 for another feature
    # only if their cosine is above 0.9
    return replace(start, tensors={"W": W, "b": W.new_full(W.shape[:2], -9.0)})


arm = Arm(
    by_hand,
    specs=changed(steps=1),
    note="random directions, all of length √10 with a bias of −9: nothing is learned",
    learned=(),
)
