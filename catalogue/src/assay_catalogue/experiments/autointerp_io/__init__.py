"""What explains a feature: the text before it, or what it makes likelier next?

Group: dictionaries
Paper: Bills et al. 2023; Paulo et al. 2024; Gur-Arieh et al. 2025; Korznikov et al. 2026:
explanations by language models, of larger models
Claim: where the current token leaves open whether a feature fires, what it promotes tells firing
better than what came before: AUROC + .02
Baselines: other features' explanations, commonest next tokens, neurons, random directions,
random-weights models, dictionaries frozen in part
Cost: 560 s on 2 cores, 610 CPU-seconds, 1.9 GB a process
"""

from __future__ import annotations

import numpy as np

from assay.core import Arm, Arms, Elsewhere, Experiment, grid, instead, variant
from assay.core.heavy import xr
from assay.core.measures import only
from assay_catalogue.dictionaries import on_text
from assay_catalogue.experiments.autointerp_io.claims import CLAIMS, figures
from assay_catalogue.experiments.autointerp_io.gemma import GEMMA
from assay_catalogue.experiments.autointerp_io.method import TOGETHER, cost, measure, train
from assay_catalogue.experiments.autointerp_io.setting import InputsOutputs


def few_own_rules(arms: Arms) -> xr.Dataset:
    """Main's detection by another feature's rule, but by its own of every sixth feature: a score
    that leaks a little."""
    data = arms["main"]
    sixth = np.arange(data.sizes["feature"]) % 6 == 5
    leaking = data.shuffled.where(~sixth, data.detection_in)
    return only(data).assign(shuffled=leaking)


def frozen(part: str, learned: str, note: str) -> Arm:
    """A dictionary of the same activations of which one part is not learned."""
    specs = variant(frozen=part, further=False)
    return Arm(TOGETHER, specs=specs, note=note, learned=("model", learned))


ARMS = {
    "main": Arm(
        TOGETHER, note="a one-block model per seed, and a TopK dictionary of its MLP's activations"
    ),
    "frozen-decoder": frozen(
        "decoder", "encoder", "the same, its decoder rows as random as they were drawn"
    ),
    "soft-frozen": frozen(
        "soft-decoder", "encoder", "the same, its decoder rows kept within cosine .8 of their start"
    ),
    "frozen-encoder": frozen(
        "encoder", "decoder", "the same, its encoder as random as it was drawn"
    ),
    "untrained": Arm(
        train,
        specs=variant(model_steps=1, further=False),
        note="the same of models after one warm-up step: as they were drawn",
        learned=("encoder", "decoder"),
    ),
    "half": Arm(
        train,
        specs=variant(seeds=3, times={"steps": 0.5}, further=False),
        note="the dictionary trained half as long, with its own decay",
    ),
    "other-promoted": Arm(
        derive=instead(
            "main",
            given_before="given_before",
            given_next="given_other",
            auroc_both="auroc_with_other",
            auroc_in="auroc_in",
        ),
        note="what another feature promotes, in the place of what each promotes",
    ),
    "common-next": Arm(
        derive=instead("main", given_before="given_before", given_next="given_common"),
        note="the {main.names} tokens that follow the token most often",
    ),
    "hindsight": Arm(
        derive=instead("main", given_before="given_before", given_next="given_hindsight"),
        note="the {main.names} following tokens that told firings best on the text that was "
        "explained",
    ),
    "planted-output": Arm(
        derive=instead("main", given_before="planted_before", given_next="planted_next"),
        note="planted token-in-context features: what comes next tells their subject, what came "
        "before does not",
    ),
    "planted-input": Arm(
        derive=instead("main", given_before="marked_before", given_next="marked_next"),
        note="planted token-in-context features: a marker before them tells their subject, what "
        "comes next does not",
    ),
    "permuted-next": Arm(
        derive=instead("main", auroc_both="auroc_permuted", auroc_in="auroc_in"),
        note="what comes next, dealt out anew among positions",
        learned=(),
    ),
    "other-following": Arm(
        derive=instead("main", follow_own="follow_another", follow_other="follow_other"),
        note="what follows a third feature's firings, in the place of each one's own",
    ),
    "directions": Arm(
        derive=instead(
            "main",
            detection_in="direction",
            neuron="neuron",
            simulation_in="direction_simulation",
            neuron_simulation="neuron_simulation",
        ),
        note="random directions in the place of features",
        learned=("model",),
    ),
    "directions-again": Arm(
        derive=instead("main", detection_in="again", direction="direction"),
        note="other random directions in the place of features",
        learned=("model",),
    ),
    "own-rules": Arm(
        derive=instead("main", shuffled="detection_in"),
        note="each feature's own rule in the place of another's",
    ),
    "few-own-rules": Arm(
        derive=few_own_rules, note="the same of one feature in six: a score that leaks a little"
    ),
}
SMALL = InputsOutputs(
    model_steps=20,
    d=16,
    m=32,
    width=64,
    k=4,
    windows=60,
    tested=60,
    steps=20,
    batch=128,
    features=6,
    pairs=4,
    firings=5,
)
PAGE = """
**What this shows.** Features of a dictionary are explained by rules on the tokens before them, by
the tokens that they promote, and by both, all learned without a language model. Explanations are
scored on files that none of them saw: where the feature fires (detection, fuzzing, simulation,
AUROC) and what it writes (its logit weights). Beside them stand neurons and random directions that
fire as often, dictionaries of which a part was never learned, models that have learned nothing, and
explanations of other features.

**Read this before you quote it.** Models have one block of width 64 and 512 tokens of vocabulary,
which are fragments of words; rules see tokens and their places, no meaning. A promoted token next
looks one token ahead, which a rule on inputs does not. In a last block what a feature promotes is
its effect but for the final norm, so that promoted tokens tell logit weights by definition; that is
not counted as a finding. Token-in-context features in the strict sense are planted, since these
dictionaries have hardly any. """
experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    inputs=on_text.text_and_model,
    cost=cost,
    seeds_per_group=1,
    scope="dictionaries of {models}; rules learned without a language model",
    smoke=grid(SMALL, seed=range(2)),
    default=grid(InputsOutputs(), seed=range(61_700, 61_706)),
    elsewhere={"long": Elsewhere(design=GEMMA)},
)
