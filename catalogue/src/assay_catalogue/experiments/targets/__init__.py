"""What should the dictionary of one MLP reconstruct: its activations, what it adds to the stream,
or the logits?

Group: dictionaries
Paper: Bricken et al. 2023, Towards Monosemanticity, set-up and dictionaries of MLP activations; no
number of these claims is published
Claim: at equal L0 a dictionary trained on the MLP's update lowers the update's FVU by at least
0.003
Baselines: untrained models; isotropic directions of the same rank; another start; the whole stream;
random, turned and tenfold parts
Cost: 370 s on 2 cores, 570 CPU-seconds, 2.3 GB a process
"""

from __future__ import annotations

from collections.abc import Callable

from assay.core import Arm, Arms, Derive, Elsewhere, Experiment, grid, instead, variant, varied
from assay.core.heavy import xr
from assay.core.measures import only
from assay_catalogue.dictionaries import on_text
from assay_catalogue.experiments.targets.claims import (
    CLAIMS,
    GEMMA,
    SMOLLM2,
    OnDisk,
    equal_neurons,
    figures,
    linear_norms_of,
    unread_by_block,
    unread_in,
    unread_share,
)
from assay_catalogue.experiments.targets.method import (
    TargetsOnDisk,
    WhichTarget,
    measure,
    measure_blocks,
    train,
)


def same_target(arms: Arms) -> xr.Dataset:
    """The arm `main` with the other start of `act` where the dictionary trained on the update
    stands."""
    data = arms["main"]
    swapped = data.error_update.where(
        data.cell != "act-update", data.error_update.sel(cell="again", drop=True)
    )
    return only(data.assign(error_update=swapped), "error_update", "variance_update")


def whole_stream(arms: Arms) -> xr.Dataset:
    """The arm `main` with the dictionary of the whole stream where that of the activations
    stands."""
    data = arms["main"]
    swapped = data.error_logit.where(
        data.cell != "act", data.error_logit.sel(cell="post", drop=True)
    )
    return only(data.assign(error_logit=swapped), "error_logit", "variance_logit")


def rows_of(other: str) -> Derive:
    """The arm `main` with other rows where the logit dictionary's features stand."""

    def derive(arms: Arms) -> xr.Dataset:
        data = arms["main"]
        swapped = {
            n: data[n].where(data.other != "logit", data[n].sel(other=other, drop=True))
            for n in ("found", "chance")
        }
        return only(data.assign(swapped), "found", "chance")

    return derive


def effects_of(source: str, change: str) -> Derive:
    """An arm's linearised effects, of changed parts."""
    return instead(source, frozen=f"{change}_frozen", jacobian=f"{change}_jacobian")


def language_model(subject: str) -> Callable[[tuple[WhichTarget, ...]], list[WhichTarget]]:
    """One run of a model on disk, on one window of each of 24 files, or of the preset's fewer."""
    return lambda main: [
        main[0].replace(subject=subject, cells=(), per_file=1, tested=min(24, main[0].tested or 24))
    ]


ISOTROPIC = {"null": "random_null", "isotropic": "isotropic", "total": "total"}
READ = {"null": "readable_null", "isotropic": "readable_isotropic", "total": "readable_total"}


def changed_parts(model: OnDisk) -> dict[str, Arm]:
    """A model on disk, other parts of its activations and of its update in their place."""
    arm, prefix, name = model.arm, model.prefix, model.name
    return {
        f"{prefix}isotropic": Arm(
            derive=instead(arm, **ISOTROPIC),
            note=f"a random subspace of the same rank for each block of {name}",
            learned=("activations",),
        ),
        f"{prefix}tenfold": Arm(
            derive=effects_of(arm, "tenfold"), note=f"tenfold for {name}'s principal directions"
        ),
        f"{prefix}turned": Arm(
            derive=effects_of(arm, "turned"), note=f"turned for {name}'s principal directions"
        ),
        f"{prefix}random": Arm(
            derive=effects_of(arm, "random"),
            note=f"random directions as long as {name}'s principal ones",
            learned=("activations", "readout"),
        ),
    }


ARMS = {
    "main": Arm(train, note="a one-block model per seed, and a dictionary for each target"),
    "half": varied(
        train,
        "half as many steps, with their own decay",
        seeds=3,
        times={"steps": 0.5},
        cells=("act", "again", "act-update", "logit"),
    ),
    "untrained": Arm(
        on_text.no_training,
        specs=variant(cells=(), model_steps=1, windows=64),
        note="the same models after one warm-up step: as they were drawn",
        learned=(),
    ),
    "smollm2": Arm(
        on_text.no_training,
        measure=measure_blocks,
        specs=language_model("smollm2"),
        note="all blocks of SmolLM2, without a dictionary",
    ),
    "smollm2-untrained": Arm(
        on_text.no_training,
        measure=measure_blocks,
        specs=language_model("untrained smollm2"),
        note="SmolLM2 with weights drawn as before its training",
        learned=(),
    ),
    "isotropic": Arm(
        derive=instead("main", **ISOTROPIC),
        note="what a random subspace of W_out's rank does not read of the same activations",
        learned=("activations",),
    ),
    "readable-acts": Arm(
        derive=instead("main", **READ),
        note="activations without what W_out does not read, and {main.noise:%} noise",
    ),
    "isotropic-rows": Arm(
        derive=instead("main", unread="random_unread", written="written"),
        note="isotropic decoder rows of the same lengths and use",
        learned=("activations", "readout"),
    ),
    "readable-rows": Arm(
        derive=instead("main", unread="readable_unread", written="readable_written"),
        note="the dictionary's rows without what W_out does not read, and {main.noise:%} noise",
    ),
    "same-target": Arm(
        derive=same_target, note="another start of act in the place of act-update: no effect"
    ),
    "whole-stream": Arm(
        derive=whole_stream,
        note="the dictionary of the stream in the place of act: another target, and not a similar "
        "one",
    ),
    "stream-rows": Arm(
        derive=rows_of("post"),
        note="rows of the dictionary of the stream, in the place of the logit dictionary's",
    ),
    "random-rows": Arm(
        derive=rows_of("random"),
        note="random rows spread as the logit dictionary's, in its place",
        learned=("activations", "readout"),
    ),
    "tenfold": Arm(
        derive=effects_of("main", "tenfold"), note="features' contributions made ten times as long"
    ),
    "longer": Arm(
        derive=effects_of("main", "longer"), note="features' contributions made 1.6 times as long"
    ),
    "turned": Arm(
        derive=effects_of("main", "turned"),
        note="features' contributions turned half-way towards the stream they are in",
    ),
    "random-parts": Arm(
        derive=effects_of("main", "random"),
        note="random directions, as long as features' contributions",
        learned=("activations", "readout"),
    ),
    "uneven": Arm(
        derive=instead("main", importance="uneven"),
        note="equal worth times lognormal factors, σ = 1: Gini .52 in the mean",
    ),
    **changed_parts(SMOLLM2),
}
SMALL = WhichTarget(
    model_steps=20, d=16, m=32, width=64, k=4, windows=60, per_file=1, tested=6, steps=20, batch=128
)
PAGE = """
**The question.** A dictionary of an MLP is usually trained to reconstruct its activations h. The
rest of the network never sees h, only o = W_out h, which the MLP adds to the residual stream; and
of the last MLP's o only what it does to the logits matters. With four times as many neurons as
dimensions, three quarters of the directions of h are read by nothing. So what should be
reconstructed: h, o, the stream x after it, or o in logits, z? And if it should be something else,
does it matter in practice?

**How it is judged.** A dictionary is named by what it reads and what it makes: h → h, h → o, x → x,
z → z. All have 256 features of which TopK keeps 8, so that L0 is equal by construction, and all of
a seed see the same tokens. z has as many numbers as the stream, and the squared error of z is that
of the centred logits: a Cholesky factor of the unembedding's Gram matrix stands for the vocabulary.
Errors of h → h are pushed through W_out and on to the logits before they are compared. Each seed
trains a model of its own as well; intervals resample seeds and held-out documents together.

**Read this before you quote it.** The models have one block of width 64 and read source code for 2
million tokens; the dictionaries read 150,000. How long each is trained moves the numbers, also
where it does not turn a verdict: in the pilot .36 of the activations' variance was unread after 1
million tokens and .52 after 2.5 million, and with it grew what training on the update gains. Claims
about FVU and about similarity have to survive moving them by the change from half to full training
of the dictionaries, not of the models. One width, 256, is
judged: as many features as neurons. No number in the literature is about these claims. What is
unread is compared with isotropic directions of the same rank, of which three quarters are unread by
arithmetic, and with the same models untrained. SmolLM2 is 4-bit and instruction-tuned; no
dictionary is trained on it here, parts of its update along 24 principal directions stand for
features, and its 30 blocks are blocks of one model. """
ON_GEMMA = Experiment(
    arms={
        "main": Arm(on_text.no_training, note="all blocks of Gemma, without a dictionary"),
        "untrained": varied(
            on_text.no_training,
            "Gemma with weights drawn as before its training",
            learned=(),
            subject="untrained gemma3-270m",
        ),
        **changed_parts(GEMMA),
    },
    measure=measure_blocks,
    claims=(
        unread_in(GEMMA),
        *linear_norms_of(GEMMA),
        equal_neurons(GEMMA),
        unread_share(GEMMA),
    ),
    figures=lambda arms: [unread_by_block(arms, GEMMA)],
    inputs=on_text.text_and_model,
    seeds_per_group=1,
    measured=3,
    scope="{models}",
    smoke=(),
    default=grid(TargetsOnDisk(), seed=(63_000,)),
)
experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    inputs=on_text.text_and_model,
    cost=on_text.tiny_cost("m", "d"),
    seeds_per_group=1,
    measured=4,
    sizes={"unread": lambda sizes: 1 - sizes("main", "d")[0] / sizes("main", "m")[0]},
    scope="{models}",
    smoke=grid(SMALL, seed=range(2)),
    default=grid(WhichTarget(), seed=range(64_000, 64_008)),
    elsewhere={"gemma": Elsewhere(design=ON_GEMMA)},
)
