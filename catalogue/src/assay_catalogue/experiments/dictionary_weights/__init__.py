"""Is the matrix of an MLP's dictionary dense, by feature and by neuron, and denser than without
training?

Group: dictionaries
Paper: Bricken et al. 2023, Towards Monosemanticity, one feature's weights; Nanda 2023, its
replication (second-hand)
Claim: features are denser over neurons than random rows spread as the activations are: one needs
at least 1.1 times as many neurons for 90 % of its squared length
Baselines: frozen and soft-frozen decoder; frozen encoder; untrained models; independent neurons;
turned, permuted, random, planted rows
Cost: 610 s on 2 cores, 600 CPU-seconds, 1.0 GB a process
"""

from __future__ import annotations

from assay.core import Arm, Experiment, grid, instead, variant, varied
from assay_catalogue.dictionaries import on_text
from assay_catalogue.experiments.dictionary_weights.claims import CLAIMS, figures
from assay_catalogue.experiments.dictionary_weights.method import (
    TOGETHER,
    DictionaryWeights,
    measure,
    other_rows,
    train,
    untrained,
)

# Of the decoder, rows are which entries a feature has, columns at which neurons they stand.
ARMS = {
    "main": Arm(
        TOGETHER, note="TopK on the MLP activations of a one-block model, a model for each seed"
    ),
    "wide": varied(TOGETHER, "twice as many features", seeds=3, times={"width": 2.0}),
    "frozen-decoder": varied(
        TOGETHER,
        "decoder rows stay random, spread as the activations are",
        learned=("model", "encoder"),
        frozen="decoder",
    ),
    "soft-frozen": varied(
        TOGETHER,
        "decoder rows stay within cosine .8 of random ones",
        learned=("model", "encoder"),
        frozen="soft-decoder",
    ),
    "frozen-encoder": varied(
        TOGETHER,
        "the encoder stays random, decoder and biases learn",
        learned=("model", "rows", "columns"),
        frozen="encoder",
    ),
    "untrained": varied(
        train,
        "the same on models after one warm-up step: as they were drawn",
        learned=("encoder", "rows", "columns"),
        model_steps=1,
    ),
    "half": varied(train, "half as long, with its own decay", seeds=3, times={"steps": 0.5}),
    "shuffled": Arm(
        train,
        specs=variant(acts="shuffled", times={"steps": 2.0}),
        note="neurons made independent: each keeps its values, at other tokens; trained twice "
        "as long",
        learned=("encoder", "rows", "columns"),
    ),
    "start": varied(
        untrained, "the dictionary before its training", learned=("model",), matrix="start"
    ),
    "identity": varied(untrained, "every neuron a feature", matrix="identity"),
    "rotated": varied(
        other_rows,
        "main's rows, turned as a whole in the space of neurons",
        after="main",
        learned=("model", "encoder"),
        matrix="rotated",
    ),
    "rotated-again": Arm(
        other_rows,
        after="main",
        specs=variant(matrix="rotated", replicate=1),
        note="the same, turned by another rotation",
        learned=("model", "encoder"),
    ),
    "permuted": varied(
        other_rows,
        "the entries of each of main's rows in another order",
        after="main",
        learned=("model", "encoder", "rows"),
        matrix="permuted",
    ),
    "random": varied(
        other_rows,
        "random rows in the place of main's",
        after="main",
        learned=("model", "encoder"),
        matrix="random",
    ),
    "planted-features": Arm(
        derive=instead("main", "told_neurons", told="told_planted"),
        note="planted: features that fire on nine tenths of three tokens, in the place of main's, "
        "for rules alone",
    ),
    "planted": varied(
        other_rows,
        "planted: six neurons of ten belong to one feature each",
        after="main",
        matrix="planted",
    ),
    "planted-few": Arm(
        other_rows,
        after="main",
        specs=variant(matrix="planted", private=0.15),
        note="planted: three neurons of twenty belong to one feature each",
    ),
}
SMALL = DictionaryWeights(
    model_steps=20, d=16, m=32, width=64, k=4, windows=60, per_file=1, steps=30, batch=128
)
PAGE = """
**The question.** A dictionary of an MLP writes each feature as a vector over neurons. One feature
that was printed has large weights of both signs on many neurons, and the expectation was put down
that the whole matrix is like that: dense by feature, dense by neuron, and with nothing to be seen
by neuron that is not seen by feature. Single neurons would then stay unexplained though all
features were understood.

**How it is judged.** Each seed trains a one-block language model and a TopK dictionary of its 256
MLP activations. How many entries carry a vector is told by the fewest that hold 90 % of its squared
length (k90), by excess kurtosis and by Gini coefficients. Rows have length 1, and features that
fired fewer than ten times are left out. Beside each matrix stand random rows, normal with the
covariance of the activations and used as much: dense is what is denser than these. What features
put into a neuron is weighted by how strongly they are used. How readable features are is told by
rules: a short rule on tokens is learned for a feature, another for a neuron that fires as often,
and both are scored on other files. The same is asked of dictionaries of which half was not learned,
of models before training, and of neurons made independent: there neurons are the features, and a
dictionary that is dense even there would say nothing about networks.

**Read this before you quote it.** One-block models of width 64, trained on source code for 480
steps, and 512 features on 256 neurons. Claims have to survive half the training of the
dictionaries, not of the models, in which kurtosis still grows. Rules see tokens, no meaning: how
well they tell a feature is a lower bound. """
experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    inputs=on_text.text_and_model,
    cost=on_text.tiny_cost("m"),
    seeds_per_group=1,
    scope="{models}, TopK {k} on {m} MLP activations",
    smoke=grid(SMALL, seed=range(2)),
    default=grid(DictionaryWeights(features=36), seed=range(64_300, 64_306)),
)
