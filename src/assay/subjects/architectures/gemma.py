"""Gemma 2 and Gemma 3: what attention and MLP write is normed before it is added to the stream,
embeddings are scaled by √d, and norms multiply by 1 + their weight."""

from dataclasses import replace

from assay.subjects.architectures import POST_SCALES, Architecture, before_mlp, post_norms, read_by
from assay.subjects.architectures.llama import LLAMA

GEMMA2 = Architecture(
    name="gemma2",
    sizes=LLAMA.sizes,
    prefix="model.",
    stored=LLAMA.stored,
    tied=True,
    blocks="layers",
    final_norm="norm",
    sites={
        **post_norms(LLAMA.sites),
        "resid_mid": read_by("pre_feedforward_layernorm", shared=True),
        **before_mlp("pre_feedforward_layernorm"),
    },
    kinds=POST_SCALES,
    bos=True,
    traits=(
        "text begins with BOS",
        "embeddings times √d",
        "norms after attention and MLP as well: their writes are what these return",
        "logits capped by tanh, those of attention and the last",
        "every second block attends to a window",
    ),
)
GEMMA3 = replace(
    GEMMA2,
    name="gemma3_text",
    traits=(
        *GEMMA2.traits[:3],
        "queries and keys are normed",
        "five blocks of six attend to a window, and turn positions faster",
    ),
)
