"""Mamba recall: what lets one state-space block recall a pair that it has seen once.

Group: knowledge
Paper: Okpekpe & Orvieto 2025, Revisiting associative recall in modern recurrent models; Ali et al.
2024 (hidden attention)
Claim: one block recalls, in a narrow window of learning rates; it binds a pair and writes it down
one token after the value
Baselines: a time-invariant scan, no convolution, each tuned as well; untrained; patches at the
places beside
Cost: 306 s on 2 cores, 520 CPU-seconds, 0.7 GB a process
"""

from __future__ import annotations

from assay.core import (
    Arm,
    Arms,
    Derive,
    Elsewhere,
    Experiment,
    SpecMap,
    grid,
    reserved,
    variant,
    varied,
)
from assay.core.heavy import xr
from assay_catalogue.experiments.mamba_induction.claims import CLAIMS, EXACT, FINDINGS, figures
from assay_catalogue.experiments.mamba_induction.method import RATE, MambaInduction, measure, train
from assay_catalogue.experiments.mamba_induction.trajectory import chains_along, measure_along


def in_place(target: str, patch: str) -> Derive:
    """A derived arm: main's networks with what another patch restores in the place of the one that
    is judged."""

    def derive(arms: Arms) -> xr.Dataset:
        dataset = arms["main"][["held_out", "restored"]].sel(patch=[target]).copy(deep=True)
        dataset["restored"].loc[{"patch": target}] = arms["main"].restored.sel(patch=patch)
        return dataset

    return derive


FEW, FEWEST = 6, 4
"""Seeds of arms that stand beside the judged one, and of the one that asks how much half the
training would have changed."""
CHAINS: SpecMap[MambaInduction] = variant(where={"lr": RATE}, chains=1)
"""The runs of an arm at one rate, with chains."""
ARMS = {
    "main": Arm(
        train,
        specs=reserved("conv", "selective", "chains"),
        note="one whole block: convolution over four positions, selective scan, gate",
    ),
    "half": Arm(
        train,
        specs=variant(seeds=FEWEST, times={"steps": 0.5}),
        note="half as long, with its own decay of the rate",
    ),
    "frozen": Arm(
        train,
        specs=variant(seeds=FEW, selective=False),
        note="a time-invariant scan: Δ, B and C learned constants; convolution, gate, sizes and "
        "sweep are main's",
    ),
    "no-conv": Arm(
        train,
        specs=variant(seeds=FEW, conv=0),
        note="no convolution; the selective scan, gate, sizes and sweep are main's",
    ),
    "untrained": varied(train, "whole blocks before training", learned=(), seeds=FEW, steps=0),
    "along": Arm(
        chains_along,
        specs=CHAINS,
        measure=measure_along,
        after="main",
        note="Langevin chains at six states along main's trainings",
    ),
    "along-frozen": Arm(
        chains_along,
        specs=CHAINS,
        measure=measure_along,
        after="frozen",
        note="the same chains along those of frozen",
    ),
    "write-next": Arm(
        derive=in_place("write at the value", "write 1 later"),
        note="main, patched one position after the value instead",
    ),
    "write-here": Arm(
        derive=in_place("write 1 later", "write at the value"),
        note="main, patched at the value instead of after it",
    ),
    "write-second": Arm(
        derive=in_place("write 1 later", "write 2 later"),
        note="main, patched two positions after the value instead",
    ),
    "conv-key": Arm(
        derive=in_place("conv at the value", "conv at the key"),
        note="main, patched at the key instead of the value",
    ),
    "conv-next": Arm(
        derive=in_place("conv at the value", "conv 1 later"),
        note="main, patched one position after the value instead",
    ),
    "conv-here": Arm(
        derive=in_place("conv 1 later", "conv at the value"),
        note="main, patched at the value instead of after it",
    ),
    "conv-second": Arm(
        derive=in_place("conv 1 later", "conv 2 later"),
        note="main, patched two positions after the value instead",
    ),
}
PAGE = """
**The question.** A Mamba block has no attention, and yet recalls: shown key and value once, it
answers the key with its value. Which part does it? The short convolution can see both at the
value's position; the selective scan can choose what to keep and what to read.

**How it is judged.** One block learns to recall three pairs of 32 keys and 32 values. So do a block
without the convolution and one whose scan is time-invariant. The learning rate is swept in *every*
arm, and each seed's best is chosen on sequences that are not judged. Then activations of a donor
sequence, which differs in one token, are put in at one place at a time: what the convolution gives,
and what is written to the state.

**Read this before you quote it.** One size, one task, three rates, a training of under a minute.
That an arm does not learn here does not mean that it cannot: a time-invariant scan with many more
channels than keys has a way. Patches say what suffices, not what is necessary. """
RATES = (0.004, 0.01, 0.025)
DEFAULT = MambaInduction()
SMALL = MambaInduction(keys=6, values=6, pairs=3, d=16, channels=16, state=4, steps=20, batch=8)
SCOPE = (
    "{layers}-block Mamba models of {channels} channels on sequences of {pairs} pairs of {keys} "
    "keys and {values} values"
)
experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=(*CLAIMS, *EXACT, *FINDINGS),
    figures=figures,
    sizes={
        "known": lambda sizes: 1 / sizes("main", "pairs")[0],
        "missed": lambda sizes: sizes("main", "pairs")[0] - 1,
    },
    frozen={"layers": 'the title, "one state-space block",'},
    scope=SCOPE,
    smoke=grid(SMALL, lr=(0.003, 0.01), seed=range(1000, 1002)),
    default=grid(DEFAULT, lr=RATES, seed=range(63520, 63531)),
    elsewhere={"long": Elsewhere(grid(DEFAULT, lr=RATES, seed=range(47_000, 47_048)), SCOPE)},
)
