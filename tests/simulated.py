"""An index of made-up firings: what its tables must say is known from the arrays that made it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assay.features.index import build, firings
from assay.features.index.about import About

VOCABULARY = 300


@dataclass(frozen=True, eq=False)
class Made:
    """The folder of an index, and the arrays it was made from."""

    folder: Path
    acts: np.ndarray
    effects: np.ndarray
    tokens: np.ndarray
    document: np.ndarray
    kept: np.ndarray
    directions: build.Directions


def about(width, d=16):
    return About(
        name="made/up",
        dictionary=f"{width:064x}",
        model="model",
        model_words="a model",
        model_sha256="1" * 64,
        corpus="text",
        corpus_sha256="2" * 64,
        site="blocks.0.hook_resid_post",
        site_out="blocks.0.hook_resid_post",
        kind="TopK",
        d_in=d,
        d_sae=width,
        tokens=0,
        windows=0,
        context=0,
        documents=0,
        bos=False,
        skip_first=1,
    )


def made(
    folder,
    *,
    width=40,
    windows=24,
    context=32,
    shards=3,
    d=16,
    seed=0,
    words=lambda ids: [f"<{i}>" for i in ids],
    ablated=None,
    copies=(),
    rarely=None,
):
    """Sparse activations of which feature 0 is dead, feature 1 dense, and feature 2 the negative of
    feature 3's direction; a copy ("decoder" or "acts", i, j) gives i the direction or the
    activations of j."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, VOCABULARY, (windows, context)).astype(np.int32)
    document = (np.arange(windows) // 2).astype(np.int32)
    kept = np.ones((windows, context), bool)
    kept[:, 0] = False
    rate = rng.uniform(0.01, 0.2, width)
    rate[0], rate[1] = 0, 0.9
    acts = (
        rng.exponential(1.0, (windows, context, width))
        * (rng.random((windows, context, width)) < rate)
        * kept[..., None]
    )
    acts = acts.astype(np.float32)
    if rarely is not None:  # on at one token in the middle of a window
        acts[..., rarely] = 0
        acts[0, context // 2, rarely] = 1
    for what, copy, of in copies:
        acts[..., copy] = acts[..., of if what == "acts" else copy]
    effects = (rng.normal(size=acts.shape) * (acts > 0)).astype(np.float32)
    decoder = rng.normal(size=(width, d)).astype(np.float32)
    decoder[2] = -2 * decoder[3]
    for what, copy, of in copies:
        decoder[copy] = 3 * decoder[of] if what == "decoder" else decoder[copy]
    directions = build.Directions(
        decoder=decoder,
        unembedding=rng.normal(size=(d, VOCABULARY)).astype(np.float32),
        seeds={
            "other": decoder[: width // 2] + 0.01,
            "third": rng.normal(size=(width, d)).astype(np.float32),
        },
    )
    per = windows // shards
    paths = []
    for i in range(shards):
        part = slice(i * per, (i + 1) * per)
        row, feature = np.nonzero(acts[part].reshape(-1, width))
        path = folder / f"shard{i}"
        path.mkdir(parents=True)
        shuffled = rng.permutation(len(row))
        row, feature = row[shuffled], feature[shuffled]
        flat = acts[part].reshape(-1, width), effects[part].reshape(-1, width)
        firings.write(
            path,
            feature=feature,
            row=row,
            value=flat[0][row, feature],
            effect=flat[1][row, feature],
            tokens=tokens[part],
            document=document[part],
            keep=kept[part],
        )
        paths.append(path)
    index = folder / "index"
    index.mkdir()
    build.build(
        index,
        paths,
        directions,
        about(width, d),
        words=words,
        ablated=ablated,
        vocabulary=VOCABULARY,
        documents=[f"text {i}.py" for i in range(windows // 2)],
    )
    return Made(index, acts, effects, tokens, document, kept, directions)
