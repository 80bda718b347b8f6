"""The pretend device refuses what CUDA refuses, allows what CUDA allows, and computes what the CPU
computes."""

import numpy as np
import pytest
import torch
from torch.nn import functional

import pretend

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="not beside a GPU")

HERE = torch.arange(12.0).view(3, 4)
INDEX = torch.tensor([2, 0])

REFUSED = {
    "sum": lambda d: HERE.to(d) + torch.ones(4),
    "in-place": lambda d: torch.ones(3, 4).add_(HERE.to(d)),
    "a number in place": lambda d: torch.ones(()).add_(HERE.to(d)[0, 0]),
    "product": lambda d: HERE.to(d) @ torch.ones(4, 2),
    "einsum": lambda d: torch.einsum("rd,fd->rf", HERE.to(d), HERE),
    "where": lambda d: torch.where(HERE > 1, HERE.to(d), 0.0),
    "mask": lambda d: HERE.to(d).masked_fill(HERE > 1, 0.0),
    "gather": lambda d: HERE.to(d).gather(0, INDEX[None].expand(1, 2)),
    "index_select": lambda d: HERE.to(d).index_select(0, INDEX),
    "index_add": lambda d: torch.zeros(3, 4, device=d).index_add_(0, INDEX, torch.ones(2, 4)),
    "index of a device in a tensor of the CPU": lambda d: HERE[INDEX.to(d)],
    "put": lambda d: HERE.to(d).index_put((INDEX.to(d),), torch.ones(2, 4)),
    "embedding": lambda d: functional.embedding(INDEX, HERE.to(d)),
    "stack": lambda d: torch.stack([HERE.to(d), HERE]),
    "numbers without dimensions in a stack": lambda d: torch.stack([HERE.to(d).sum(), HERE.sum()]),
    "equal": lambda d: torch.equal(HERE.to(d), HERE),
    "autograd": lambda d: functional.linear(HERE.to(d), torch.ones(2, 4, requires_grad=True)),
    "searchsorted": lambda d: torch.searchsorted(HERE.to(d)[0], torch.ones(2)),
    "foreach": lambda d: torch._foreach_add([HERE.to(d)], [HERE]),
    "products of whole numbers": lambda d: HERE.long().to(d) @ HERE.long().to(d).T,
    "products of truth values": lambda d: torch.einsum(
        "ij,kj->ik", (HERE > 1).to(d), (HERE > 1).to(d)
    ),
    "numpy": lambda d: HERE.to(d).numpy(),
    "asarray": lambda d: np.asarray(HERE.to(d)),
    "a function of numpy": lambda d: np.linalg.norm(HERE.to(d)),
    "an array times": lambda d: HERE.to(d) * np.ones(4),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_mixes_devices_or_leaves_one_unasked_is_refused(what, device):
    with pytest.raises(
        (RuntimeError, TypeError),
        match=r"(?i)same device|device type tensor to numpy|indices should be|cpu|not implemented",
    ):
        REFUSED[what](device)


def test_gradients_lie_where_the_parameters_do_and_fused_adam_steps_there(device, near):
    def trained(where):
        W = torch.nn.Parameter(HERE.clone().to(where))
        adam = torch.optim.Adam([W], lr=0.1, fused=True)
        for _ in range(3):
            adam.zero_grad()
            (functional.relu(torch.ones(2, 3, device=where) @ W) ** 2).sum().backward()
            adam.step()
        assert W.device.type == W.grad.device.type == torch.device(where).type
        return W

    near(trained(device), trained("cpu"), 1e-6)


def test_results_say_where_they_are():
    here = pretend.install()
    assert (HERE.to(here) * 2).device == here
    assert HERE.to(here).cpu().device.type == "cpu"
    assert type(HERE.to(here).cpu()) is torch.Tensor
    assert torch.zeros(2, device=here)[0].device == here
