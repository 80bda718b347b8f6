"""Language models on a device: sites read and edited, losses spliced, activations harvested, all as
on the CPU."""

from pathlib import Path

import numpy as np
import pytest
import torch

import tiny_models
from assay.ask.measure import gradients, prompts, reads
from assay.ask.measure.tokenized import Context, PassOutput, prompt
from assay.ask.tables import Prompts, Read
from assay.core.runs import Runs
from assay.data import lm
from assay.data.harvest import HarvestSpec, harvest
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring import ablation
from assay.dictionaries.nonlinearity import ReLU
from assay.features import importance
from assay.features.index.firings import Place, limits, read
from assay.features.live import ablation as live_ablation
from assay.features.live import edits, steering
from assay.features.live.reader import Reader
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay.train import rng

D, F = 24, 16
SITE = Site("resid_pre", 1)
TOKENS = torch.from_numpy(rng.integers(np.array([2]), "tokens", 0, (4, 9), 250)[0])
DOCUMENT = np.array([0, 0, 1, 1])
KEEP = torch.ones(4, 9, dtype=torch.bool).index_fill(1, torch.tensor([0]), False)


def drawn(name, *shape):
    return torch.from_numpy(rng.normal(np.array([9]), name, 0, shape)[0])


def dictionary(where, d=D, runs=1, site=SITE):
    parts = [
        drawn("W_enc", runs, d, F),
        0.1 * drawn("b_enc", runs, F),
        drawn("W_dec", runs, F, d),
        0.1 * drawn("b_dec", runs, d),
    ]
    return Dictionary(*parts, ReLU(), sites=(str(site),)).to(where)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("models") / "llama", "llama", bos_token_id=3)


def taken(trace):
    return {str(site): x for site, x in trace.acts.items()}


READ = {
    "every site": lambda m, d: taken(m.run(TOKENS, capture=m.sites)),
    "the loss": lambda m, d: [m.losses(TOKENS), m.losses(TOKENS, edits={SITE: lambda x: x * 1.1})],
    "a late start": lambda m, d: m.losses(TOKENS, start=(1, drawn("resid", 4, 9, D))),
    "gradients": lambda m, d: torch.autograd.grad(
        m.run(
            TOKENS,
            edits={SITE: (x := drawn("resid", 4, 9, D).to(d).requires_grad_()).add},
            gradients=True,
        )
        .final.square()
        .sum(),
        x,
    ),
    "importance": lambda m, d: importance.importance_sums(
        m, SITE, dictionary(d), [0, 3, [1, 2]], TOKENS, DOCUMENT, 2, keep=KEEP
    ),
    "one pass of an index": lambda m, d: read(
        Place(m, dictionary(d), SITE, SITE, limits(m, SITE, SITE, TOKENS.numpy(), 1, 6.0), 1),
        TOKENS.numpy(),
        gradients=True,
    ),
    "a read by its gradient": lambda m, d: slopes(m, d),
}


def slopes(model, d):
    """Gradients of a log probability in steps, by a head's output, and by latents of the stream."""
    row = prompts.load(Prompts(name="p", rows=({"text": "def add(a, b"},)), Path()).rows[0]
    reading = PassOutput(prompt(model.folder, row))
    target = reads.ready(Read(name="it", log_prob=" return"), reading.prompt, Context())
    heads = gradients.slopes(model, target, reading, [Site("z", 1)], [0, 2], 3)
    stream = gradients.slopes(model, target, reading, [SITE], [-1])[SITE]
    return [
        heads[Site("z", 1)].acts,
        heads[Site("z", 1)].by,
        gradients.by_latent(dictionary(d), stream),
    ]


def passage(model):
    return ablation.capture(model, SITE, TOKENS, KEEP)[0]


@pytest.mark.parametrize("what", READ)
def test_a_model_is_read_alike(what, folder, device, near):
    near(READ[what](load(str(folder), device), device), READ[what](load(str(folder)), "cpu"), 1e-3)


def test_a_text_is_read_and_changed_alike(folder, device, near):
    changes = (edits.Change(1, factor=0.0), edits.Change(3, factor=2.5), edits.Change(5, value=4.0))

    def told(where):
        reader = Reader(load(str(folder), where), dictionary(where)[0], SITE)
        reading = reader.read("def add(a, b):  # one, two")
        changed = edits.change(reader, reading, changes)
        return [
            reading.firings.value,
            live_ablation.attribute(reader, reading).value,
            changed.after,
            changed.kl,
            edits.outlook(reader, reading, changed, 4).kl,
            live_ablation.ablate_features(reader, reading, [[0, 1], [2]]).delta,
            live_ablation.ablate_features(reader, reading, [1, 2], last=True, random=0).delta,
            live_ablation.reconstructed_loss(reader, reading),
            [step.kl for step in steering.steer(reader, "one", changes, new=3, temperature=1.0)],
        ]

    near(told(device), told("cpu"), 2e-3)


def test_small_language_models_train(device, bench_on, near):
    runs = Runs(
        [
            lm.LmSpec(
                seed=seed,
                corpus="",
                layers=1,
                d=8,
                heads=2,
                m=16,
                context=8,
                steps=4,
                batch=4,
                warm=1,
            )
            for seed in (1, 2)
        ]
    )
    shape = lm.shape_of(runs.shared, 250)

    def trained(where):
        text = TOKENS[:, :8]
        one = lm.train_lms(
            runs,
            shape,
            lambda step: (text + step) % 250,
            bench_on(where),
            evaluate_at=[2, 4],
            held_out=text.numpy(),
        )
        return one.tensors, one.history

    near(trained(device), trained("cpu"), 1e-3)


@pytest.mark.parametrize("dtype", ["float32", "auto"])
def test_activations_are_harvested_alike(dtype, folder, device, bench_on, near, tmp_path):
    texts = tmp_path / "texts"
    texts.mkdir()
    for i in range(12):
        (texts / f"t{i}.py").write_text(
            "".join(f"def f{i}_{j}(x):\n    return x + {j * i}\n" for j in range(12))
        )

    def told(where):
        spec = HarvestSpec(
            subject=str(folder),
            site=str(SITE),
            corpus=str(texts),
            windows=10,
            context=16,
            shard=4,
            dtype=dtype,
        )
        return harvest(spec, bench_on(where, root=tmp_path / str(where))).rows(np.arange(20))

    near(told(device), told("cpu"), 1e-3 if dtype == "float32" else 0.1)
