"""Metric audit: which measures of a dictionary can be believed, by two planted truths, and by what
they can tell apart on a language model?

Group: dictionaries
Paper: Chanin 2026, Are Sparse Autoencoder Benchmarks Reliable? (arXiv 2605.18229); Korznikov et al.
2026, Sanity Checks for SAEs
Claim: FVU orders dictionaries of one L0 and width as planted truth does, by F1 and by MMCS: both
rank correlations at least 0.7
Baselines: random numbers; the measure of the same recipes in another world; L0; how far rows moved;
the learning rate; both truths with noise; two trainings of one kind; random weights
Cost: 480 s on 2 cores, 740 CPU-seconds, 1.9 GB a process
"""

from __future__ import annotations

from assay.core import Arm, Elsewhere, Experiment, grid, varied
from assay_catalogue.dictionaries import on_text
from assay_catalogue.experiments.metric_audit import model, planted
from assay_catalogue.experiments.metric_audit.claims import (
    CLAIMS,
    DRAWN,
    LABELS,
    SOFT,
    apart_on,
    figures,
    lucks,
    on_model,
)
from assay_catalogue.experiments.metric_audit.derived import (
    HIGHER,
    ON_MODEL,
    elsewhere,
    measure_of,
    noisy,
    numbers,
    twice,
)
from assay_catalogue.experiments.metric_audit.panel import MetricAudit, ModelAudit


def turned(name: str, sign: int) -> str:
    """Name a measure as its score is: with a minus where less of it is better."""
    return name if sign > 0 else f"{name}, turned (score = −{name}),"


def judges(arm: str, model: str, lm: str = "") -> dict[str, Arm]:
    """Judges of a language model's dictionaries, and those that must fail or must succeed."""
    return {
        **{
            f"{lm}{name}": Arm(
                derive=measure_of(arm, name, sign),
                note=f"{turned(name, sign)} as the judge of {model}'s dictionaries",
            )
            for name, sign in ON_MODEL.items()
        },
        f"{lm}numbers": Arm(
            derive=numbers(arm),
            note=f"random numbers as the judge of {model}'s dictionaries",
            learned=(),
        ),
        f"{lm}numbers-apart": Arm(
            derive=numbers(arm, above=(SOFT, DRAWN)),
            note="planted: random numbers, TopK's raised by 10 of their deviations",
        ),
        **{
            f"{lm}{name}-twice": Arm(
                derive=twice(arm, name, (SOFT, DRAWN)),
                note="TopK's second training in the place of the other kinds",
            )
            for name in ON_MODEL
        },
    }


ARMS = {
    "main": Arm(
        planted.train,
        note="twenty recipes in each planted world, each trained twice: five kinds, with and "
        "without momentum, at learning rates that the world draws",
    ),
    "lm": varied(
        model.train,
        "on SmolLM2's activations: TopK twice, ReLU, soft-frozen; TopK of a model with random "
        "weights, before its {block} block",
        measure=model.measure,
        seeds=7,
        times={"width": 16 / 3, "steps": 1 / 4, "k": 4},
        subject="smollm2",
        lr=4e-3,
        penalty=0.15,
    ),
    **{
        name: Arm(
            derive=measure_of("main", name, sign),
            note=f"{turned(name, sign)} as the judge of planted dictionaries",
        )
        for name, sign in HIGHER.items()
    },
    **{
        f"{name}-elsewhere": Arm(
            derive=elsewhere(name),
            note="its numbers for the dictionaries of the same kind and recipe in another world",
            learned=(),
        )
        for name in LABELS
    },
    "noisy-truth": Arm(
        derive=noisy,
        note="planted: the mean rank by both truths with a tenth of its spread as noise",
    ),
    "numbers": Arm(derive=numbers("main"), note="random numbers as the judge", learned=()),
    **judges("lm", "SmolLM2", "lm-"),
}
SMALL = MetricAudit(
    steps=24,
    width=24,
    d=16,
    parents=8,
    rows=400,
    known=4,
    concepts=3,
    lots=4,
    batch=32,
    layer=2,
    drawn_layer=1,
    windows=24,
    passages=1,
    looked=24,
    probed=300,
)
PAGE = """
**The question.** Dictionaries are compared by measures that nobody can check, since nobody knows a
language model's true features. Here the measures themselves are judged: do they order dictionaries
as planted truth does, and can they tell apart what is known to be different?

**The worlds.** Planted: 96 directions in 32 dimensions, 32 parents and two children of each, a
child on only where its parent is, so that latents can absorb and split. Each world draws forty
dictionaries of one width, which are read at one L0. They are ranked by two truths: the mean F1 with
which one latent says that a feature is on, and the mean largest cosine with a feature's direction.
And SmolLM2, where there is no truth: trainings that differ by luck alone, a half-frozen one, random
weights.

**How it is judged.** A unit is a world with dictionaries of its own, or on SmolLM2 a start and an
order of the data. A measure must rank dictionaries as both truths do, and better than their
recipe, L0, how far decoder rows moved, and the learning rate.

**Read this before you quote it.** One law of planted inputs, one size; small dictionaries of one
language model, trained briefly on one text. A rank correlation depends on which dictionaries are
compared: here five kinds whose recipes differ as those of people do. """


def ordinal(n: int) -> str:
    """Write which one in a row it is: second, 21st."""
    words = (
        "zeroth",
        "first",
        "second",
        "third",
        "fourth",
        "fifth",
        "sixth",
        "seventh",
        "eighth",
        "ninth",
        "tenth",
        "eleventh",
        "twelfth",
    )
    ending = {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th") if n % 100 not in (11, 12, 13) else "th"
    return words[n] if n < len(words) else f"{n}{ending}"


SCOPE = "{inputs_in_words}: small dictionaries, trained briefly"
GEMMA = Experiment(
    version=3,
    arms={
        "main": Arm(model.train, note="the panel on Gemma's activations, as on SmolLM2's"),
        **judges("main", "Gemma"),
    },
    measure=model.measure,
    claims=(*on_model("Gemma"), *lucks("Gemma")),
    figures=lambda arms: apart_on(arms, "Gemma"),
    inputs=on_text.inputs,
    cost=on_text.harvest_cost,
    seeds_per_group=5,
    scope=SCOPE,
    smoke=(),
    default=grid(ModelAudit(), seed=range(21_040, 21_056)),
)
experiment = Experiment(
    version=3,
    page=PAGE.strip(),
    arms=ARMS,
    measure=planted.measure,
    claims=CLAIMS,
    figures=figures,
    inputs=on_text.inputs,
    cost=on_text.harvest_cost,
    seeds_per_group=5,
    sizes={"block": lambda sizes: ordinal(sizes("lm", "drawn_layer")[0] + 1)},
    scope=SCOPE,
    smoke=grid(SMALL, seed=range(2)),
    default=grid(MetricAudit(), seed=range(61_100, 61_112)),
    elsewhere={"gemma": Elsewhere(design=GEMMA)},
)
