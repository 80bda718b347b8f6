"""Targets: what a dictionary of one block may be asked to reconstruct, several of them side by side
for the same tokens.

The MLP's activations, what it adds to the stream, the stream after it, what it adds in logits, the
attention's output, or the stream before the block. Everything comes from harvests on the same
windows, and a batch holds all targets of its rows: so that dictionaries of different targets, and
those that read one place and reconstruct another, are trained in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.bench import Bench
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.core.spec import Spec
from assay.data import corpus as corpora
from assay.data.corpus import Part
from assay.data.harvest import Harvest, HarvestSpec, harvests
from assay.subjects.folder import find
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay.train import rng
from assay_catalogue.analysis.readout import Readout, readout

Target = Literal["act", "update", "post", "logit", "logit-exact", "attn", "resid"]

NEEDS: dict[str, tuple[str, ...]] = {
    "act": ("mlp_post",),
    "update": ("mlp_post",),
    "post": ("mlp_post", "resid_mid"),
    "logit": ("mlp_post", "resid_mid"),
    "logit-exact": ("mlp_post", "resid_mid"),
    "attn": ("attn_out",),
    "resid": ("resid_pre",),
}
"""The sites that each target is made from, by kind.

`act` is the MLP's activations h, `update` what the MLP adds to the stream, o, `post` the stream x
after it. `logit` is o in logit coordinates with the final norm's divisor taken from x,
`logit-exact` the logits with o less those without it; both have the squared error of centred logits
in as many numbers as the stream has (`analysis/readout.py`), and for a block that is not the last
one they are its direct path. `attn` is what the attention adds, `resid` the stream before the
block. """


_STORED: tuple[tuple[Target, str], ...] = (
    ("act", "mlp_post"),
    ("attn", "attn_out"),
    ("resid", "resid_pre"),
)


@dataclass(frozen=True, kw_only=True)
class TargetSpec(Spec):
    """Which targets of which block of which model, on which text; the seed draws windows."""

    subject: str = "smollm2"
    """The language model: "smollm2", "gemma3-270m", a local folder or a hub's name."""
    layer: int = 0
    """The block."""
    targets: tuple[Target, ...] = ("act",)
    """What is to be reconstructed, or read."""
    corpus: str = corpora.STDLIB
    """The text: "stdlib", "docs" or a folder of text files."""
    part: Part = "train"
    """The part of the corpus."""
    windows: int = 1800
    """Windows of text; 0: all there are."""
    context: int = 128
    """Tokens in a window."""
    per_file: int = 0
    """At most this many windows from one file; 0: no limit."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What the model computes in; "auto": whichever is faster on this machine."""

    def check(self) -> None:
        """Raise DataError where no target is named."""
        if not self.targets:
            raise DataError(f"TargetSpec.targets names none; targets: {', '.join(NEEDS)}")

    def harvests(self) -> dict[str, HarvestSpec]:
        """What is harvested, by kind of site."""
        kinds = sorted({kind for name in self.targets for kind in NEEDS[name]})
        return {
            kind: HarvestSpec(
                seed=self.seed,
                subject=self.subject,
                site=str(Site(kind, self.layer)),
                corpus=self.corpus,
                part=self.part,
                windows=self.windows,
                context=self.context,
                per_file=self.per_file,
                dtype=self.dtype,
            )
            for kind in kinds
        }


@dataclass(frozen=True, kw_only=True)
class TargetMomentsSpec(Spec):
    """Mean and scale of targets over the training rows, named by content."""

    model: str
    corpus: str
    of: TargetSpec


def targets(spec: TargetSpec, bench: Bench, like: Targets | None = None) -> Targets:
    """The targets that the spec asks for; centre and scale are the training part's, which another
    part is given as `like`.

    Raises: DataError, ModelError, StoreError, as `harvest` does.
    """
    harvest_specs = spec.harvests()
    harvest_by_kind = dict(
        zip(
            harvest_specs,
            harvests(
                [*harvest_specs.values()],
                bench,
                None if like is None else [like.harvests[kind] for kind in harvest_specs],
            ),
            strict=True,
        )
    )
    folder = find(spec.subject)
    read = (
        _readout(spec.subject, spec.layer, folder.fingerprint)
        if "mlp_post" in harvest_by_kind
        else None
    )
    target_set = _opened(spec, tuple(harvest_by_kind.items()), read, like)
    if like is None:  # the moments are worked out once and kept
        moments_spec = TargetMomentsSpec(
            model=folder.fingerprint,
            corpus=corpora.load(spec.corpus).fingerprint,
            of=spec.replace(subject="", corpus=""),
        )
        target_set.moments = _load(
            bench.artefact(moments_spec, lambda path: _save(target_set, path)), spec.targets
        )
    return target_set


@lru_cache(maxsize=4)
def _readout(
    subject: str, layer: int, fingerprint: str
) -> Readout:  # the fingerprint: a folder may change in place
    return readout(load(subject), layer)


@lru_cache(maxsize=8)
def _opened(
    spec: TargetSpec,
    harvest_items: tuple[tuple[str, Harvest], ...],
    read: Readout | None,
    like: Targets | None,
) -> Targets:
    return Targets(spec, dict(harvest_items), read, like)


Moments = dict[Target, tuple[np.ndarray, float]]


def _save(target_set: Targets, path: Path) -> None:
    for name, (mean, scale) in target_set.measure_moments().items():
        np.save(path / f"{name}.npy", np.append(mean, scale))


def _load(path: Path, names: Sequence[Target]) -> Moments:
    read = {name: np.load(path / f"{name}.npy") for name in names}
    return {name: (x[:-1].astype(np.float32), float(x[-1])) for name, x in read.items()}


@dataclass(eq=False)
class Targets:
    """Targets of the same tokens. A row is one token, as in Harvest; rows that any of its harvests
    leaves out are left out.

    Normalised means (a − mean) · scale, with E‖normalised‖² = width over the kept rows of the
    training part."""

    spec: TargetSpec
    harvests: dict[str, Harvest] = field(repr=False)
    readout: Readout | None = field(repr=False)
    like: Targets | None = field(repr=False, default=None)
    moments: Moments = field(repr=False, default_factory=dict)

    @property
    def _first(self) -> Harvest:
        return next(iter(self.harvests.values()))

    @cached_property
    def keep(self) -> Bool[np.ndarray, "window s"]:
        """False at position 0 and where any harvest has a massive activation."""
        return np.logical_and.reduce([h.keep for h in self.harvests.values()])

    @cached_property
    def kept(self) -> Int[np.ndarray, "kept"]:
        """The rows that are kept, ascending."""
        return np.flatnonzero(self.keep)

    @property
    def document(self) -> Int[np.ndarray, " row"]:
        """The document number of every row."""
        return self._first.document

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the corpus's documents, by document number."""
        return self._first.files

    def width(self, name: Target) -> int:
        """Numbers per token of a target."""
        return len(self.mean(name))

    def mean(self, name: Target) -> Float[np.ndarray, " d"]:
        """Mean of a target over the kept rows of the training part."""
        return (self.like or self).moments[name][0]

    def scale(self, name: Target) -> float:
        """The factor that makes E‖a − mean‖² the target's width over these rows."""
        return (self.like or self).moments[name][1]

    def sites(self, name: Target) -> tuple[str, ...]:
        """The sites that a target is made from."""
        return tuple(str(Site(kind, self.spec.layer)) for kind in NEEDS[name])

    def raw(
        self, rows: Int[np.ndarray, " b"], names: Sequence[Target] | None = None
    ) -> dict[Target, Float[torch.Tensor, "b d"]]:
        """Targets of these rows as they are, float32."""
        rows, names = np.asarray(rows), tuple(self.spec.targets if names is None else names)
        kinds = {kind for name in names for kind in NEEDS[name]}
        acts = {kind: torch.from_numpy(self.harvests[kind].gather(rows)) for kind in kinds}
        out: dict[Target, torch.Tensor] = {
            name: acts[kind] for name, kind in _STORED if kind in acts
        }
        if "mlp_post" in acts:
            assert self.readout is not None
            if set(names) - {"act"}:
                out["update"] = self.readout.update(out["act"])
            if "resid_mid" in acts:
                out["post"] = acts["resid_mid"] + out["update"]
        if self.readout is not None:
            if "logit" in names:
                out["logit"] = self.readout.frozen(out["update"], out["post"])
            if "logit-exact" in names:
                out["logit-exact"] = self.readout.exact(out["update"], out["post"])
        return {name: out[name] for name in names}

    def rows(
        self, rows: Int[np.ndarray, " b"], names: Sequence[Target] | None = None
    ) -> dict[Target, Float[torch.Tensor, "b d"]]:
        """Normalised targets of these rows, float32."""
        return {name: self.normalise(name, x) for name, x in self.raw(rows, names).items()}

    def normalise(
        self, name: Target, x: Float[torch.Tensor, "... d"]
    ) -> Float[torch.Tensor, "... d"]:
        """(x − mean) · scale."""
        return (x - x.new_tensor(self.mean(name))) * self.scale(name)

    def batches(
        self, seeds: Int[np.ndarray, " run"], batch: int
    ) -> Callable[[int], dict[Target, Float[torch.Tensor, "b d"]]]:
        """Normalised training batches of every target as a function of the step, in an order drawn
        by the runs' one seed.

        Every kept row comes once per epoch; an epoch's incomplete last batch is left out.

        Raises: DataError for several seeds, or a batch larger than an epoch.
        """
        distinct = np.unique(np.asarray(seeds))
        per_epoch = len(self.kept) // batch
        if len(distinct) != 1:
            raise DataError(
                "batches of several targets are drawn for one seed at a time, got "
                f"{len(distinct)} seeds"
            )
        if not per_epoch:
            raise DataError(
                f"a batch of {batch} is larger than the {len(self.kept)} rows of these targets"
            )

        @lru_cache(maxsize=2)
        def order(epoch: int) -> np.ndarray:
            return self.kept[rng.permutation(distinct, "targets.batches", epoch, len(self.kept))[0]]

        def draw_batch(step: int) -> dict[Target, torch.Tensor]:
            epoch, i = divmod(step, per_epoch)
            return self.rows(order(epoch)[i * batch : (i + 1) * batch])

        return draw_batch

    def measure_moments(self, chunk: int = 8192) -> Moments:
        """Mean and scale of each target over the kept rows.

        Raises: DataError for a target that does not vary.
        """
        sums: dict[Target, np.ndarray] = {}
        for i in range(0, len(self.kept), chunk):
            for name, x in self.raw(self.kept[i : i + chunk]).items():
                x64 = x.double()
                part = np.append(x64.sum(0).numpy(), float(x64.square().sum()))
                sums[name] = sums.get(name, 0.0) + part
        out: Moments = {}
        for name, total in sums.items():
            mean = total[:-1] / len(self.kept)
            variance = float(total[-1] / len(self.kept) - (mean * mean).sum())
            if not variance > 0:
                raise DataError(
                    f"target {name} of block {self.spec.layer} is the same everywhere, so "
                    "there is nothing to learn"
                )
            out[name] = (mean.astype(np.float32), float(np.sqrt(len(mean) / variance)))
        return out
