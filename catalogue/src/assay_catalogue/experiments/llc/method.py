"""The method of llc: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge

from assay.core import PerRun, Spec
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.heavy import xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.analysis.chains import CHECKS, block_ends
from assay_catalogue.analysis.sampler import check_sampler, n_beta_of
from assay_catalogue.worlds.potentials.potential import Known, known, potential, sample, summed

FAULTS = ("none", "unstable", "off the minimum")
UNSTABLE, OFF = 4.4, 0.3
"""How bad they are: lr · (n_beta · curvature + localisation) of the first; by how much every weight
is moved in the second."""
AT_1000 = n_beta_of(1000)
KEPT = ("losses", "acceptance", "refused", "at_centre")
"""What is kept of chains: mean losses, Metropolis acceptance, and losses at refused steps, block by
block; the loss at the start."""


@dataclass(frozen=True, kw_only=True)
class Llc(Spec):
    potential: PerRun[str] = "network 5-3-4 rank 1"
    """The loss: "network INPUTS-HIDDEN-OUTPUTS rank R", "quadratic 1x6 0.5x2 0x2" (curvatures),
    "monomial 1 1" (w₁² w₂²)."""
    lr: PerRun[float] = 3e-4
    """The chains' step."""
    localisation: PerRun[float] = 1.0
    """Strength of the pull towards the minimum, in units of the prior: exp(−localisation/2 · |w −
    w*|²)."""
    n_beta: PerRun[float] = AT_1000
    """Data points over temperature; n/ln n at n = 1000."""
    replicate: PerRun[int] = 0
    """Other chains of the same set-up: shifts every seed."""
    fault: PerRun[str] = "none"
    """What is wrong on purpose: "unstable" steps, or a start "off the minimum"."""
    chains: Annotated[int, Ge(2), "as errors are taken over chains"] = 8
    """Chains of one run."""
    steps: int = 8_000
    """Steps of each chain."""
    burn_in: int = 3_200
    """Steps of each chain that are not counted."""
    blocks: int = 100
    """Parts of equal length whose mean losses are recorded."""

    def check(self) -> None:
        if self.fault not in FAULTS:
            raise SpecError(f"Llc.fault is one of {', '.join(FAULTS)}, got {self.fault!r}")
        block_ends(self.steps, self.blocks)
        if not 0 <= self.burn_in <= self.steps - 3 * (self.steps // self.blocks):
            raise SpecError(
                f"Llc.burn_in must leave at least three blocks of {self.steps} steps, got "
                f"{self.burn_in}"
            )
        if not self.localisation > 0:
            raise SpecError(
                "Llc.localisation, the pull towards the minimum, must be above 0: without it "
                "free directions wander off "
                f"for ever, got {self.localisation:g}"
            )
        check_sampler(self.lr, self.n_beta, self.localisation, potential(self.potential).stiffest)

    @property
    def begun(self) -> str:
        """Where chains start, in words."""
        return self.fault if self.fault == "off the minimum" else "their known minimum"


def train(runs: Runs[Llc], bench: Bench) -> Trained:
    """Chains of every run, batched over all runs whose potential has one shape; what is kept are
    their losses."""
    s, every = runs.shared, [potential(name) for name in runs.each("potential")]
    lr, gamma, n_beta, fault = (
        runs.each(name) for name in ("lr", "localisation", "n_beta", "fault")
    )
    stiff = n_beta * [p.stiffest for p in every] + gamma
    chains = sample(
        every,
        s.chains * runs.replicated().seeds[:, None] + np.arange(s.chains),
        lr=np.where(fault == "unstable", UNSTABLE / stiff, lr),
        n_beta=n_beta,
        localisation=gamma,
        off=np.where(fault == "off the minimum", OFF, 0.0),
        steps=s.steps,
        blocks=s.blocks,
        bench=bench,
    )
    tensors = {name: getattr(chains, name) for name in KEPT}
    meant = fault != "none"  # a chain that breaks on purpose is measured, not left out
    probe_steps = np.array(block_ends(s.steps, s.blocks))
    return Trained(
        tensors, {}, {"loss": chains.losses.mean(1).numpy()}, probe_steps, chains.diverged & ~meant
    )


def without_each_bias(r: Llc) -> tuple[float, float]:
    """On a quadratic, what stationary chains would give if the step biased nothing, and if the pull
    did; NaN elsewhere."""
    if not r.potential.startswith("quadratic"):
        return np.nan, np.nan
    return known(r.potential, r.n_beta, r.localisation).stationary, known(
        r.potential, r.n_beta, 0.0, r.lr
    ).stationary


def measure(runs: Runs[Llc], trained: Trained, bench: Bench) -> xr.Dataset:
    losses, acceptances, refused, centre = (trained.tensors[k].double().cpu().numpy() for k in KEPT)
    summary = summed(
        losses,
        acceptances,
        refused,
        centre,
        runs.each("n_beta"),
        trained.steps,
        runs.shared.burn_in,
    )
    numbers = np.array([known(r.potential, r.n_beta, r.localisation, r.lr) for r in runs]).T
    one_bias = np.array([without_each_bias(r) for r in runs]).T
    # A trace takes more room than all else, and is shown of main's chains alone.
    shown = {"trace": ("run step", summary.trace.astype(np.float32), "1")}
    return measures(
        runs,
        coords={"step": trained.steps.tolist(), "check": list(CHECKS)},
        failed=("run check", summary.failed, "bool"),
        estimate=("run", summary.estimate, "1"),
        late=("run", summary.late, "1"),
        **{name: ("run", x, "1") for name, x in zip(Known._fields, numbers, strict=True)},
        **{name: ("run", x, "1") for name, x in zip(("no_step", "no_pull"), one_bias, strict=True)},
        **({} if runs.each("replicate").any() else shown),
    )
