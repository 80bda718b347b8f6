"""Text stream: a language model's activations at one site on a text, pass after pass of the model,
as the blocks of a stream: never more of them on the disk than its readers have yet to see."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from assay.core import rng
from assay.core.bench import Bench
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.core.inputs import unnoted
from assay.data.harvest import (
    BATCH_TOKENS,
    F16_MAX,
    OUTLIER,
    HarvestSpec,
    cut_text,
    dtype_of,
    model_in,
    trained_on,
    windows_in,
)
from assay.data.stream import Stream, fill_stream
from assay.subjects import folder as models
from assay.subjects.site import Site

SAMPLE = 2**15
"""Tokens at the beginning of which mean, scale and the limit of outliers are taken."""


class TextRows:
    """The activations of a text as blocks of rows, each from one pass of the model.

    Position 0 of each window and vectors longer than 6 medians are left out, as from the batches of
    a harvest; median, mean and scale are those of the first 2¹⁵ tokens. A text that is through
    begins again, its passes in another order."""

    def __init__(
        self, spec: HarvestSpec, bench: Bench, passed: Callable[[int], None] = lambda tokens: None
    ):
        """Cut the text; `passed` hears how many tokens each pass of the model read. Raises:
        DataError, ModelError."""
        self.spec, self.bench, self.passed = spec, bench, passed
        self.folder = models.find(spec.subject, spec.bos)
        self.site = Site.parse(spec.site)
        self.folder.check(self.site)
        self.windows = windows_in(cut_text(spec, bench)[1])
        self.dtype = dtype_of(spec, bench)
        self.per_pass = max(1, BATCH_TOKENS // spec.context)
        self.passes = -(-len(self.windows.tokens) // self.per_pass)

    @property
    def about(self) -> Mapping[str, Any]:
        """What a dictionary that is trained on this should carry, and what tells this from other
        rows."""
        fields = json.loads(self.spec.replace(subject="", corpus="").to_json())
        if self.spec.bos is None:  # as those have it that were begun before it could be said
            del fields["bos"]
        return {
            "sites": [str(self.site)],
            "trained_on": dict(trained_on(self.spec, self.windows)),
            "harvest": {"dtype": self.dtype, **fields},
        }

    @property
    def rows(self) -> int:
        """Vectors of the whole text, outliers among them."""
        return int(len(self.windows.tokens) * (self.spec.context - 1))

    def fill(
        self, folder: Path, *, rows: int, shards: int, window: int, most: int, **options: Any
    ) -> Stream:
        """Fill a stream; see `fill_stream`, which `options` are for.

        Args:
            folder: of the stream.
            rows: of each shard.
            shards: how many.
            window: shards that are shuffled together.
            most: shards on the disk at once.
        """

        def header() -> Stream:
            mean, scale, limit = self.statistics()
            return Stream(
                d=len(mean),
                rows=rows,
                shards=shards,
                window=window,
                most=most,
                mean=tuple(float(m) for m in mean),
                scale=scale,
                limit=limit,
                about=self.about,
            )

        return fill_stream(folder, self.block, header, about=self.about, **options)

    @property
    def sample(self) -> int:
        """Tokens of which median, mean and scale are."""
        return min(self.passes, -(-SAMPLE // self._per_pass_tokens)) * self._per_pass_tokens

    @property
    def _per_pass_tokens(self) -> int:
        return self.per_pass * self.spec.context

    def block(self, number: int, limit: float) -> Float[np.ndarray, "n d"]:
        """The rows of a pass that are kept, float16, the same whenever they are asked for.

        Args:
            number: from 0, without end.
            limit: length from which a vector is left out.
        """
        acts, norms = self._pass(number)
        its = acts[_kept_rows(norms, limit)]
        if len(its) and float(its.abs().amax()) > F16_MAX:
            raise DataError(
                f"activations at {self.spec.site} are too large for float16; harvest another site"
            )
        return its.half().numpy()

    def statistics(self) -> tuple[Float[np.ndarray, " d"], float, float]:
        """Mean, scale, and the length from which vectors are left out."""
        count = self.sample // self._per_pass_tokens
        sample = [(acts.half(), norms) for acts, norms in map(self._pass, range(count))]
        limit = OUTLIER * float(np.median(np.concatenate([norms[:, 1:] for _, norms in sample])))
        total, squares, n = np.zeros(1), 0.0, 0
        for acts, norms in sample:
            its = acts[_kept_rows(norms, limit)].double().numpy()
            total, squares, n = total + its.sum(0), squares + float((its * its).sum()), n + len(its)
        mean = total / n
        variance = squares / n - float((mean * mean).sum())
        if not variance > 0:
            raise DataError(
                f"the activations at {self.spec.site} are all the same vector, so there is nothing "
                "to learn from them"
            )
        return mean.astype(np.float32), float(np.sqrt(len(mean) / variance)), limit

    def _pass(self, number: int) -> tuple[torch.Tensor, Float[np.ndarray, "w s"]]:
        """The activations of a pass [w, s, d], on the CPU, and their lengths."""
        repeat, i = divmod(number, self.passes)
        if repeat:
            i = int(
                rng.permutation(np.array([self.spec.seed]), "stream.pass", repeat, self.passes)[0][
                    i
                ]
            )
        tokens = self.windows.tokens[i * self.per_pass : (i + 1) * self.per_pass]
        with unnoted():
            model = model_in(
                self.spec.subject, str(self.bench.device), self.dtype, self.folder.fingerprint
            )
        batch = torch.from_numpy(tokens.astype(np.int64))
        acts = model.run(batch, capture=[self.site], logits=False).acts[self.site].flatten(2)
        acts = acts.float().cpu()
        norms = torch.linalg.vector_norm(acts.double(), dim=-1).numpy()
        if not np.isfinite(norms).all():
            raise DataError(f"activations at {self.spec.site} are not finite")
        self.passed(tokens.size)
        return acts, norms


def _kept_rows(norms: Float[np.ndarray, "w s"], limit: float) -> Bool[torch.Tensor, "w s"]:
    keep = norms <= limit
    keep[:, 0] = False
    return torch.from_numpy(keep)
