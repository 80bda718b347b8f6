"""Belief states: what a transformer's residual stream knows of the hidden state behind its tokens.

Group: knowledge
Paper: Shai et al. 2024, Transformers represent belief state geometry in their residual stream
Claim: on RRXOR a linear probe of the stream reads 0.1 of R² more of the belief than kernel
regression on the raw tokens, endings held out
Baselines: kernel regression and tables on tokens, without a network; untrained; the network's own
prediction; shuffled beliefs; noise
Cost: 450 s on 2 cores, 740 CPU-seconds, 0.6 GB a process
"""

from __future__ import annotations

import numpy as np

from assay.core import Arm, Arms, Derive, Experiment, grid, reserved, variant
from assay.core.heavy import xr
from assay.core.sizes import Sizes
from assay_catalogue.experiments.belief_states.claims import CLAIMS, EXACT, FINDINGS, figures
from assay_catalogue.experiments.belief_states.method import (
    WINDOWS,
    BeliefStates,
    measure,
    named,
    train,
)
from assay_catalogue.experiments.belief_states.probes import judged_probe, prefixes_of
from assay_catalogue.worlds.hidden_markov.process import OwnProcess, PrefixTree


def in_place(source: str, **probes: str) -> Derive:
    """A derived arm: another arm's measures with one probe in the place of the one that is judged,
    alone and beside the kernel."""

    def derive(arms: Arms) -> xr.Dataset:
        dataset, judged_name = arms[source].copy(deep=True), judged_probe(arms[source].attrs)
        for name, values in arms[source].data_vars.items():
            if "probe" in values.dims:
                for place, probe in {
                    judged_name: probes["alone"],
                    f"{judged_name} + kernel": probes.get("with_kernel"),
                }.items():
                    if probe:
                        dataset[name].loc[{"probe": place}] = values.sel(probe=probe)
        return dataset

    return derive


def shuffled(arms: Arms) -> xr.Dataset:
    """A derived arm: main's networks, probed for beliefs exchanged between prefixes of one length,
    and nothing else of theirs."""
    dataset = arms["main"][["ending_missing"]].sel(probe=["concat"]).copy(deep=True)
    dataset["ending_missing"].loc[{"probe": "concat"}] = arms["main"].shuffled_missing
    return dataset


def plain(specs: tuple[BeliefStates, ...]) -> tuple[BeliefStates, ...]:
    """Main's runs. Raises: HeldError where a field is set that arms set, but for a process of the
    user's own."""
    own = [isinstance(s.process, OwnProcess) for s in specs]
    reserved("process", "read", "replicate")(
        tuple(s.replace(process="rrxor") if o else s for s, o in zip(specs, own, strict=True))
    )
    return specs


FEW = 6
"""Seeds of arms that stand beside the judged one, and on Mess3, where networks hardly differ."""
MESS3 = {
    "process": "mess3",
    "moments": (),
    "decay": 0.3,
    "context": 6,
    "probed": 6,
    "ending": 2,
    "draws": 1,
}
MESS3_STEPS = 500 / 2700
ARMS = {
    "main": Arm(
        train,
        specs=plain,
        note="{process}, AdamW on exact next-token distributions of sampled prefixes",
    ),
    "half": Arm(
        train,
        specs=variant(seeds=FEW, times={"steps": 0.5}, moments=()),
        note="half as long, with its own decay of the rate",
    ),
    "untrained": Arm(
        train,
        specs=variant(seeds=FEW, steps=0, moments=()),
        note="the same networks before training",
        learned=(),
    ),
    "tokens": Arm(
        train,
        specs=variant(steps=0, moments=(), read="tokens"),
        note="no network: kernel regression on the tokens, joint tables of the last 1 to 7, the "
        "last {main.probed} one by one, the exact prediction",
    ),
    "planted": Arm(
        train,
        specs=variant(seeds=FEW, steps=0, moments=(), read="planted"),
        note="the belief through a random matrix, plus noise of 0.3, in the place of the stream",
    ),
    "noise": Arm(
        train,
        specs=variant(seeds=FEW, steps=0, moments=(), read="noise"),
        note="noise alone in its place",
        learned=(),
    ),
    "mess3": Arm(
        train,
        specs=variant(seeds=FEW, times={"steps": MESS3_STEPS}, **MESS3),
        note="Mess3, last layer",
    ),
    "mess3-half": Arm(
        train,
        specs=variant(seeds=FEW, times={"steps": MESS3_STEPS / 2}, **MESS3),
        note="half as long, with its own decay of the rate",
    ),
    "mess3-untrained": Arm(
        train,
        specs=variant(seeds=FEW, steps=0, **MESS3),
        note="untrained networks on Mess3, all layers",
        learned=(),
    ),
    "mess3-tokens": Arm(
        train,
        specs=variant(steps=0, read="tokens", **MESS3),
        note="no network: the last {mess3.probed} tokens of Mess3, by kernel regression, one by "
        "one, and tables of the last 1 and {mess3.ending}",
    ),
    "own-prediction": Arm(
        derive=in_place("main", alone="softmax", with_kernel="softmax + kernel"),
        note="main's own next-token predictions in the place of its stream",
    ),
    "untrained-with-kernel": Arm(
        derive=in_place("untrained", alone="concat + kernel"),
        note="kernel regression on the tokens, and the untrained stream beside it",
        learned=(),
    ),
    "table": Arm(
        derive=in_place("tokens", alone=f"last {WINDOWS}"),
        note="the joint table of the last 7 tokens in its place",
    ),
    "shuffled": Arm(
        derive=shuffled,
        note="main's stream, beliefs exchanged among prefixes of one length, fitted and scored so",
        learned=(),
    ),
    "mess3-untrained-with-kernel": Arm(
        derive=in_place("mess3-untrained", alone="concat + kernel"),
        note="kernel regression on Mess3's tokens, and the untrained stream beside it",
        learned=(),
    ),
}
PAGE = """
**The hypothesis.** Whoever predicts tokens well must know how the process goes on from here: a
belief about its hidden state. Shai et al. find that belief, linearly, in the residual stream of
small transformers. The fractal it draws for Mess3 is a matter of Bayes' rule and not of
transformers; what is to be shown is that the stream holds the belief beyond what tokens alone, or
the prediction, give.

**How it is judged.** All prefixes of a process are enumerated with their exact beliefs, and a ridge
probe is *trained on those exact posteriors* and judged on prefixes it never saw. So may be any
method that reads the tokens: kernel regression on the raw tokens, without a network, is the
strongest rival here, far above tables of last tokens. Every claim is judged for what the network
adds to it. Each R² says whether single prefixes were held out, or *all prefixes with the same last
5 tokens* together. It is over all prefixes and all endings that the process has up to that length,
every prefix counting the same; a unit is a network with its own draws of the folds.

**Read this before you quote it.** Nothing is said of other endings or other processes. A probe that
finds the belief shows that the stream lets a supervised reader work it out, as the tokens do. The
networks learn from exact next-token distributions, not from sampled
tokens: the same expected gradient without noise. The belief grows while the loss falls, and both
with time: which of them it follows cannot be told here.
"""
ALONG = (0.0, 0.1, 0.25, 0.5, 1.0)
DEFAULT = BeliefStates(moments=ALONG, draws=2)
SMALL = BeliefStates(
    steps=30,
    moments=(0.0, 0.5, 1.0),
    layers=4,
    d=16,
    d_mlp=32,
    batch=16,
    context=6,
    probed=6,
    ending=3,
)


def tree(sizes: Sizes, arm: str) -> PrefixTree:
    """All prefixes that an arm's probes are fitted to and scored on."""
    process, x, alpha, probed = (
        sizes(arm, name)[0] for name in ("process", "x", "alpha", "probed")
    )
    return prefixes_of(process, x, alpha, probed)


def endings(sizes: Sizes, arm: str) -> int:
    """How many endings of the longest length that is held out, or whole shorter prefixes, there are
    among an arm's prefixes."""
    (longest,) = sizes(arm, "ending")
    return int(tree(sizes, arm).suffixes(longest).max()) + 1


experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=(*CLAIMS, *EXACT, *FINDINGS),
    figures=figures,
    seeds_per_group=6,
    sizes={
        "process": lambda sizes: named(sizes("main", "process")[0]),
        "prefixes": lambda sizes: len(tree(sizes, "main")),
        "beliefs": lambda sizes: len(np.unique(tree(sizes, "main").state)),
        "endings": lambda sizes: endings(sizes, "main"),
        "mess3-endings": lambda sizes: endings(sizes, "mess3"),
        "functions": lambda sizes: sizes("main", "layers")[0] * sizes("main", "d")[0],
    },
    scope="all prefixes and endings of {strings}, {layers}-layer transformers of width {d}",
    measured=3,  # R² over all endings, averaged over draws of the folds, beliefs cut to 0 … 1
    smoke=grid(SMALL, seed=range(1000, 1002)),
    default=grid(DEFAULT, seed=range(63540, 63552)),
)
