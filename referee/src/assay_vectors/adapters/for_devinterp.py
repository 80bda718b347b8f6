"""devinterp's adapter: steps of its sampler, its inverse temperature, its estimate."""

from types import SimpleNamespace

import numpy as np
import torch
import xarray as xr
from devinterp.optim.sgmcmc import SGMCMC
from devinterp.slt.llc import compute_llc
from devinterp.utils import default_nbeta
from protocol import serve


def step(w, gradient, centre, n_beta, noise, **more):
    """What one step of SGMCMC.sgld adds."""
    parameter = torch.nn.Parameter(torch.tensor(centre, dtype=torch.float64))
    sampler = SGMCMC.sgld([parameter], nbeta=n_beta, noise_level=noise, **more)
    parameter.data = torch.tensor(w, dtype=torch.float64)
    parameter.grad = torch.tensor(gradient, dtype=torch.float64)
    sampler.step(noise_generator=torch.Generator().manual_seed(0))
    return parameter.detach() - torch.tensor(w, dtype=torch.float64)


def langevin_drift(w, gradient, lr, n_beta, localisation, centre):
    """A step without noise."""
    more = {"lr": lr, "localization": localisation}
    return {"moved": step(w, gradient, centre, n_beta, 0.0, **more)}


def langevin_noise(lr, n_beta):
    """The variance of steps on flat ground."""
    flat = [0.0] * 40_000
    return {"variance": step(flat, flat, flat, n_beta, 1.0, lr=lr).var()}


def llc(losses, at_centre, n_beta):
    """compute_llc of recorded losses."""
    dims = ("chain", "step", "batch_sampling", "token_pos")
    table = xr.Dataset(
        {
            "sampling_loss_micro": (dims, np.array(losses)[..., None, None]),
            "init_loss": ("init", [at_centre]),
        },
        attrs={"metadata": {"config": {"sampler": {"n_beta": n_beta}}}},
    )
    return {"llc": compute_llc(SimpleNamespace(dataset=table)).llc_mean.item()}


def llc_sampled(curvatures, n_beta, lr, localisation, chains, draws, burn_in):
    """Chains of SGMCMC.sgld, all in one parameter, and compute_llc."""
    noise = torch.Generator().manual_seed(0)
    h = torch.tensor(curvatures, dtype=torch.float64)
    w = torch.nn.Parameter(torch.zeros(chains, len(h), dtype=torch.float64))
    sampler = SGMCMC.sgld([w], nbeta=n_beta, lr=lr, localization=localisation)
    losses = []
    for _ in range(burn_in + draws):
        loss = (h * w.square()).sum(1) / 2
        losses.append(loss.detach())
        w.grad = torch.autograd.grad(loss.sum(), w)[0]
        sampler.step(noise_generator=noise)
    return llc(torch.stack(losses[burn_in:], 1).numpy(), 0.0, n_beta)


OPERATIONS = {
    "langevin_drift": langevin_drift,
    "langevin_noise": langevin_noise,
    "llc": llc,
    "llc_sampled": llc_sampled,
    "n_beta": lambda samples: {"n_beta": default_nbeta(samples)},
}

if __name__ == "__main__":
    serve("devinterp", "devinterp", OPERATIONS)
