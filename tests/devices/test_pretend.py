"""The pretend device refuses what CUDA refuses, allows what CUDA allows, and computes what the CPU
computes."""

import copy
import operator

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
ALLOWED = {
    "sum": lambda d: HERE.to(d) + torch.ones(4, device=d),
    "a number of the CPU": lambda d: torch.tensor(2.0) * HERE.to(d) - torch.tensor(1.0),
    "masks of the CPU": lambda d: HERE.to(d)[HERE > 2],
    "indices of the CPU": lambda d: HERE.to(d)[INDEX, :2],
    "copy": lambda d: torch.zeros(3, 4).copy_(HERE.to(d)),
    "put a number": lambda d: operator.setitem(x := HERE.to(d), (0, 1), torch.tensor(5.0)) or x,
    "put a row": lambda d: operator.setitem(x := HERE.to(d), 0, torch.zeros(4, device=d)) or x,
    "fill": lambda d: HERE.to(d).masked_fill(HERE.to(d) > 2, torch.tensor(7.0)),
    "views": lambda d: (x := HERE.to(d), x[1].mul_(3), x.mT.add_(1))[0],
    "made there": lambda d: torch.cat(
        [
            torch.tensor([1.0, 2.0], device=d),
            torch.arange(3, device=d),
            torch.full((2,), 4.0, device=d),
        ]
    ),
    "made by a rule": lambda d: [
        torch.arange(1, 9, 3, device=d),
        torch.linspace(0, 1, 4, device=d),
        torch.eye(2, 3, device=d),
        torch.tril_indices(3, 3, device=d),
        torch.repeat_interleave(torch.arange(3, device=d), INDEX.new_tensor([2, 0, 1]).to(d)),
    ],
    "made alike": lambda d: (
        [f(HERE.to(d)) for f in (torch.zeros_like, torch.ones_like)]
        + [HERE.to(d).new_tensor([1.0]), HERE.to(d).new_zeros(2)]
    ),
    "from an array": lambda d: (
        torch.as_tensor(np.arange(3.0), device=d) + torch.from_numpy(np.ones(3)).to(d)
    ),
    "values": lambda d: [
        HERE.to(d).sum().item(),
        bool((HERE.to(d) > 3).any()),
        HERE.to(d).tolist(),
        len(HERE.to(d).nonzero()),
    ],
    "attention": lambda d: functional.scaled_dot_product_attention(
        *[HERE.to(d).view(1, 1, 3, 4)] * 3, is_causal=True
    ),
    "a copy": lambda d: copy.deepcopy(HERE.to(d)),
    "a module": lambda d: (
        functional.layer_norm(HERE.to(d), (4,)) @ torch.nn.Linear(4, 2).to(d).weight.detach().T * 0
    ),
    "vmap of grad": lambda d: torch.func.vmap(torch.func.grad(lambda x: (x**3).sum()))(HERE.to(d)),
    "largest": lambda d: HERE.to(d).topk(2).values,
    "decomposed": lambda d: torch.linalg.svd(HERE.to(d), full_matrices=False).S,
    "back": lambda d: HERE.to(d).cpu().numpy(),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_mixes_devices_or_leaves_one_unasked_is_refused(what, device):
    with pytest.raises(
        (RuntimeError, TypeError),
        match=r"(?i)same device|device type tensor to numpy|indices should be|cpu|not implemented",
    ):
        REFUSED[what](device)


@pytest.mark.parametrize("what", ALLOWED)
def test_what_is_allowed_gives_the_numbers_of_the_cpu(what, device, near):
    near(ALLOWED[what](device), ALLOWED[what]("cpu"), 1e-6)


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
