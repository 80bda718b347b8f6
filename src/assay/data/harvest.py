"""Harvest: a language model's activations at one site on a corpus, in shards on disk, served as
shuffled normalised batches."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from itertools import repeat
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.bench import Bench
from assay.core.errors import DamageError, DataError, StoreError
from assay.core.heavy import torch
from assay.core.inputs import unnoted
from assay.core.integrity import Mapped
from assay.core.spec import PerRun, Spec, added
from assay.data import corpus as corpora
from assay.data.corpus import Part, Windows
from assay.subjects import folder as models
from assay.subjects.pretrained import Pretrained, fast_dtype, load
from assay.subjects.site import Site
from assay.train import rng

OUTLIER = 6.0
"""Vectors longer than this many medians are left out, as is position 0 of every window."""
BATCH_TOKENS = 2048
"""Tokens in one pass of the model."""
F16_MAX = 65504.0
_LISTED = 5000


@dataclass(frozen=True, kw_only=True)
class HarvestSpec(Spec):
    """Which activations: of which model, at which site, on which text.

    Example:
        >>> from assay.data import HarvestSpec
        >>> train = HarvestSpec(site="blocks.3.hook_resid_post", windows=100, context=64)
        >>> test = train.replace(part="test")
        >>> test.part, test.windows * test.context  # rows of the harvest
        ('test', 6400)
    """

    seed: PerRun[int] = 0
    """Seed of the choice and order of windows."""
    subject: str = "smollm2"
    """The language model: "smollm2", "gemma3-270m", a local folder or a hub's name."""
    site: str = "blocks.9.hook_resid_pre"
    """Where its activations are taken."""
    corpus: str = corpora.STDLIB
    """The text: "stdlib", "docs" or a folder of text files."""
    part: Part = "train"
    """The part of the corpus; files are split by the hash of their path."""
    windows: int = 1800
    """Windows of text; 0: all there are."""
    context: int = 128
    """Tokens in a window."""
    per_file: int = 0
    """At most this many windows from one file; 0: no limit."""
    shard: int = 100
    """Windows in one shard: what one process harvests at a time, and the most that a kill can
    lose."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What the model computes in; "auto" measures once which is faster on this machine. Stored as
    float16 in any case; a vector that is too large for it is divided by a power of two first."""

    bos: bool | None = added(None, before=None)
    """Whether each window begins with the model's BOS token; None: as its tokenizer has it."""

    def check(self) -> None:
        """Raise DataError for impossible sizes and ModelError for a site that no model has."""
        Site.parse(self.site)
        for name, least in (("windows", 0), ("context", 2), ("per_file", 0), ("shard", 1)):
            if getattr(self, name) < least:
                raise DataError(
                    f"HarvestSpec.{name} must be at least {least}, got {getattr(self, name)}"
                )

    def bytes(self) -> int:
        """Bytes on disk that the whole harvest takes; with windows=0 not known before the text is
        cut, and 0 here.

        Raises: ModelError when the model is absent.
        """
        return self.windows * self.bytes_per_window()

    def bytes_per_window(self) -> int:
        """Bytes on disk of one window: float16 activations and a float32 norm per token."""
        return self.context * (2 * models.find(self.subject).width(Site.parse(self.site)) + 4)


@dataclass(frozen=True, kw_only=True)
class HarvestWindowsSpec(Spec):
    """The windows of a harvest, named by content: the same text and tokenizer give the same windows
    wherever they lie."""

    model: str
    corpus: str
    part: str
    windows: int
    context: int
    per_file: int
    bos: bool = added(False, before=False)
    """Whether each begins with the BOS token, as one of the context's tokens."""


@dataclass(frozen=True, kw_only=True)
class HarvestShardSpec(Spec):
    """One shard of a harvest: `count` of its windows from `first` on, as this model computes them
    in this dtype."""

    MAPPED: ClassVar[frozenset[str]] = frozenset({"acts.npy"})

    of: HarvestWindowsSpec
    site: str
    dtype: str
    first: int
    count: int


def inputs(spec: HarvestSpec) -> dict[str, str]:
    """What a harvest reads from outside: the model's and the corpus's fingerprints. Loads no model;
    hashes text once.

    Args:
        spec: the harvest's.
    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from assay.data import HarvestSpec, inputs
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.txt").write_text("some text")
        ...     sorted(inputs(HarvestSpec(subject="smollm2", corpus=folder)))  # two SHA-256
        ['corpus', 'model']
    """
    return {
        "model": models.fingerprint(spec.subject),
        "corpus": corpora.load(spec.corpus).fingerprint,
    }


def harvest(spec: HarvestSpec, bench: Bench, like: Harvest | None = None) -> Harvest:
    """The activations that the spec asks for, from the store or made now; processes that ask for
    the same share the work.

    Centre, scale and outlier limit come from the training part: a harvest of it has its own, any
    other part must be given one of the training part as `like`.

    Args:
        spec: which activations.
        bench: where shards are kept.
        like: a harvest of the training part.
    Raises: DataError, ModelError, StoreError, each with one line, for text, model or disk that will
    not do.
    """
    return harvests([spec], bench, None if like is None else [like])[0]


def harvests(
    specs: Sequence[HarvestSpec], bench: Bench, like: Sequence[Harvest] | None = None
) -> list[Harvest]:
    """Several sites of one model on the same text, each as `harvest` gives it: the model runs once
    over what any of them lacks.

    Args:
        specs: one for each site.
        bench: where shards are kept.
        like: harvests of the training part, one for each spec.
    Raises: DataError where the specs differ in more than their site; and as `harvest` does.
    """
    spec, folder = specs[0], _checked_folder(specs, like)
    text = corpora.load(spec.corpus)
    windows_spec, cut = cut_text(spec, bench)
    windows = windows_in(cut)
    dtype, count = dtype_of(spec, bench), len(windows.tokens)
    sites = sorted({str(Site.parse(site_spec.site)) for site_spec in specs})
    whole = HarvestShardSpec(
        seed=spec.seed, of=windows_spec, site=sites[0], dtype=dtype, first=0, count=count
    )
    shards = [
        [whole.replace(site=site, first=i, count=min(spec.shard, count - i)) for site in sites]
        for i in range(0, count, spec.shard)
    ]
    size = sum(site_spec.bytes_per_window() for site_spec in specs)

    def run(first: int, folders: Mapping[Site, Path]) -> None:
        _room((count - first) * size, bench.root)
        if not first:  # loading comes next, and takes a while
            bench.report(0, count, unit="windows")
        with unnoted():  # loaded by the first shard that is missing, if any is
            model = model_in(spec.subject, str(bench.device), dtype, folder.fingerprint)
        _run(
            model,
            windows.tokens[first : first + spec.shard],
            folders,
            lambda completed: bench.report(
                first + completed, count, unit="windows", harvest_mb=count * size / 1e6
            ),
        )

    paths = {}
    # a site's turn comes after all that one pass could give it together with those before it
    for i, site in enumerate(sites):

        def build(shard: Any, path: Path, i: int = i) -> None:
            _fill(
                shards[shard.first // spec.shard][i + 1 :],
                {Site.parse(shard.site): path},
                bench,
                partial(run, shard.first),
            )

        paths[site] = tuple(bench.artefacts([of_sites[i] for of_sites in shards], build))
    files = tuple(d.path for d in text.documents)
    opened_harvests = []
    for site_spec, same in zip(specs, like or repeat(None, len(specs)), strict=True):
        shard_paths = paths[str(Site.parse(site_spec.site))]
        built = tuple(p.stat().st_ino for p in shard_paths)
        opened_harvests.append(
            _opened(site_spec, cut, files, shard_paths, built, dtype, folder.provenance, same)
        )
    return opened_harvests


def _checked_folder(
    specs: Sequence[HarvestSpec], like: Sequence[Harvest] | None
) -> models.ModelFolder:
    """The model of these specs, which has their sites. Raises: DataError; ModelError."""
    spec = specs[0]
    if any(site_spec.replace(site=spec.site) != spec for site_spec in specs):
        raise DataError(
            "what is harvested in one pass differs in its site alone; call harvest for each "
            "of these specs"
        )
    if spec.part != "train" and like is None:
        raise DataError(
            f"a harvest of the {spec.part} part is normalised as the training part is: "
            "harvest that first, give it as like="
        )
    folder = models.find(spec.subject)
    for site_spec in specs:
        folder.check(Site.parse(site_spec.site))
    return folder


def cut_text(spec: HarvestSpec, bench: Bench) -> tuple[HarvestWindowsSpec, Path]:
    """Cut the text of a harvest into windows, or find it cut: by content, and the folder.

    Args:
        spec: whose.
        bench: where it is kept.
    """
    folder = models.find(spec.subject, spec.bos)
    windows_spec = HarvestWindowsSpec(
        seed=spec.seed,
        model=folder.fingerprint,
        corpus=corpora.load(spec.corpus).fingerprint,
        part=spec.part,
        windows=spec.windows,
        context=spec.context,
        per_file=spec.per_file,
        bos=bool(folder.opening),
    )

    def cut_up(path: Path) -> None:
        with unnoted():  # the artefact's spec has what is read, by content
            _cut(spec, path)

    return windows_spec, bench.artefact(windows_spec, cut_up)


def _fill(
    shards: Sequence[HarvestShardSpec],
    folders: Mapping[Site, Path],
    bench: Bench,
    run: Callable[[Mapping[Site, Path]], None],
) -> None:
    """Call `run` with these folders and those of the shards that are missing.

    Everyone takes shards in the order of their sites, so that no two processes wait for each other.
    """
    for i, shard in enumerate(shards):
        built_paths: list[Path] = []

        def take(
            path: Path, i: int = i, site: str = shard.site, built_paths: list[Path] = built_paths
        ) -> None:
            built_paths.append(path)
            _fill(shards[i + 1 :], {**folders, Site.parse(site): path}, bench, run)

        bench.artefact(shard, take)
        if built_paths:
            return
    run(folders)


@lru_cache(maxsize=8)
def _opened(
    spec: HarvestSpec,
    cut: Path,
    files: tuple[str, ...],
    shards: tuple[Path, ...],
    built: tuple[int, ...],
    dtype: str,
    provenance: str,
    like: Harvest | None,
) -> Harvest:
    """One Harvest per process for the same files, so that what it works out (mean, order, masks) is
    worked out once.

    `built` are the folders' inodes: a shard that was built again is another one at the same place.
    """
    return Harvest(spec, windows_in(cut), files, shards, dtype, provenance, like)


def trained_on(spec: HarvestSpec, windows: Windows) -> Mapping[str, Any]:
    """What a dictionary trained on these windows should carry; see `Harvest.trained_on`.

    Args:
        spec: of their harvest.
        windows: the text, as it was cut.
    """
    documents = corpora.load(spec.corpus).documents
    document_hashes = [documents[i].sha256[:12] for i in np.unique(windows.document)]
    listed = {"documents": document_hashes} if len(document_hashes) <= _LISTED else {}
    return {
        **inputs(spec),
        "part": spec.part,
        "context_size": spec.context,
        "prepend_bos": bool(models.find(spec.subject, spec.bos).opening),
        **listed,
    }


def _cut(spec: HarvestSpec, path: Path) -> None:
    folder = models.find(spec.subject, spec.bos)
    windows = corpora.load(spec.corpus).windows(
        folder.tokenizer.encode,
        spec.part,
        context=spec.context - len(folder.opening),
        count=spec.windows,
        per_file=spec.per_file,
        seed=spec.seed,
    )
    opening = np.tile(np.array(folder.opening, np.int32), (len(windows.tokens), 1))
    np.save(path / "tokens.npy", np.concatenate([opening, windows.tokens], 1))
    np.save(path / "document.npy", windows.document)
    # of position 0, so that a text's tokens keep their numbers after an opening
    np.save(path / "offset.npy", windows.offset - np.int32(len(folder.opening)))


def windows_in(path: Path) -> Windows:
    """The windows of a folder of `cut_text`. Raises: DamageError."""
    return Windows(*(_open(path, name) for name in ("tokens", "document", "offset")))


def _open(path: Path, name: str) -> np.ndarray:
    try:
        return np.load(path / f"{name}.npy")
    except (OSError, ValueError, EOFError) as error:
        raise DamageError(path, f"{path / name}.npy is missing or damaged") from error


def dtype_of(spec: HarvestSpec, bench: Bench) -> str:
    """What the model computes in."""
    if spec.dtype != "auto":
        return spec.dtype

    return "bfloat16" if bench.device.type == "cuda" else fast_dtype()


def _room(size: int, root: Path) -> None:
    needed, free = size / 1e6, shutil.disk_usage(root).free / 1e6
    if free < 1.1 * needed + 50:
        raise StoreError(
            f"the harvest needs another {needed:.0f} MB in {root}, {free:.0f} MB are free; "
            "make room, or ask for fewer windows"
        )


def _run(
    subject: Any,
    tokens: Int[np.ndarray, "w s"],
    folders: Mapping[Site, Path],
    tell: Callable[[int], None],
) -> None:
    """Write one shard of each site: activations, their norms, and the sums that centre and scale
    are made of."""
    # held in memory and written at once (a few MB): writing through a memory map would be killed by
    # a full disk
    arrays = {site: np.empty((*tokens.shape, subject.width(site)), np.float16) for site in folders}
    powers = {site: np.zeros(tokens.shape, np.int16) for site in folders}
    step = max(1, BATCH_TOKENS // tokens.shape[1])
    for i in range(0, len(tokens), step):
        batch = torch.from_numpy(tokens[i : i + step].astype(np.int64))
        for site, x in subject.run(batch, capture=list(folders), logits=False).acts.items():
            rows = x.flatten(2)
            # float32: compared with a bfloat16 number the limit would be rounded up, to 65536
            largest = rows.abs().amax(-1).float()
            if not bool(largest.isfinite().all()):
                raise DataError(f"activations at {site} are not finite")
            if bool((large := largest > F16_MAX).any()):
                # 2¹⁵ and less fits; by a power of two nothing is rounded that float16 would keep
                power = torch.where(large, torch.frexp(largest).exponent - 15, 0)
                powers[site][i : i + step] = power.cpu().numpy()
                rows = torch.ldexp(rows.float(), -power[..., None])
            arrays[site][i : i + step] = (
                rows.half().cpu().numpy()
            )  # half as much to copy, and five times as fast as NumPy
        tell(min(i + step, len(tokens)))
    for site, path in folders.items():
        _write(path, arrays.pop(site), powers[site])


def _write(path: Path, acts: Float[np.ndarray, "w s d"], powers: Int[np.ndarray, "w s"]) -> None:
    norms = np.empty(acts.shape[:2], np.float32)
    total, squares = np.zeros(acts.shape[2]), 0.0
    for i, window in enumerate(acts):
        x64 = np.ldexp(window.astype(np.float64), powers[i, :, None])
        norms[i] = np.linalg.norm(x64, axis=-1)
        total += x64[1:].sum(0)
        squares += float((x64[1:] ** 2).sum())
    np.save(path / "acts.npy", acts)
    if powers.any():
        np.save(path / "powers.npy", powers)
    np.save(path / "norms.npy", norms)
    np.save(path / "sums.npy", np.append(total, squares))


@lru_cache(maxsize=1)
def model_in(
    name: str, device: str, dtype: str, fingerprint: str
) -> Any:  # the fingerprint: a folder may change in place
    """Load a model, once per process."""
    return load(name, device, dtype)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Harvest:
    """Activations with where they come from. A row is one token: row = window · context + position
    in the window.

    Position 0 and vectors longer than 6 medians are not deleted, but `kept` leaves them out, and so
    do batches. Normalised means (x − mean) · scale, with E‖normalised‖² = d over the kept rows of
    the training part."""

    spec: HarvestSpec
    """Which activations these are."""
    windows: Windows = field(repr=False)
    """The text, as it was cut."""
    files: tuple[str, ...] = field(repr=False)
    """Paths of the corpus's documents, by document number."""
    shards: tuple[Path, ...] = field(repr=False)
    """Folders with the activations, in order."""
    dtype: str
    provenance: str
    """What to call the model in a report."""
    like: Harvest | None = field(default=None, repr=False)
    """The harvest of the training part by which this one is normalised; None: itself."""

    @property
    def tokens(self) -> Int[np.ndarray, "window s"]:
        """The token ids of every window."""
        return self.windows.tokens

    @cached_property
    def _acts(self) -> list[Mapped]:
        return [Mapped(path / "acts.npy") for path in self.shards]

    @cached_property
    def _powers(self) -> list[np.ndarray | None]:
        """Of each shard with vectors too large for float16 the powers of two that they lack."""
        return [
            _open(path, "powers").ravel() if (path / "powers.npy").exists() else None
            for path in self.shards
        ]

    @cached_property
    def norms(self) -> Float[np.ndarray, "window s"]:
        """Length of every vector as it was harvested."""
        return np.concatenate([_open(path, "norms") for path in self.shards])

    @property
    def d(self) -> int:
        """Numbers per token."""
        return int(self._acts[0].shape[2])

    def __len__(self) -> int:
        return int(self.tokens.size)

    @cached_property
    def median(self) -> float:
        """Median length of the training part's vectors, position 0 left out."""
        return self.like.median if self.like is not None else float(np.median(self.norms[:, 1:]))

    @cached_property
    def keep(self) -> Bool[np.ndarray, "window s"]:
        """False at position 0 and where a vector is longer than 6 medians: massive activations that
        drown all others."""
        keep = self.norms <= OUTLIER * self.median
        keep[:, 0] = False
        return keep

    @cached_property
    def kept(self) -> Int[np.ndarray, "kept"]:
        """The rows that are kept, ascending."""
        return np.flatnonzero(self.keep)

    @cached_property
    def document(self) -> Int[np.ndarray, " row"]:
        """The document number of every row; `files` has its path."""
        return np.repeat(self.windows.document, self.spec.context)

    @cached_property
    def _moments(self) -> tuple[np.ndarray, float]:
        """Mean over the kept rows and scale, from the shards' sums less the outliers'."""
        sums = np.sum([_open(path, "sums") for path in self.shards], axis=0)
        out = ~self.keep
        out[:, 0] = False
        for row in np.flatnonzero(out):
            x = self.gather(np.array([row]))[0].astype(np.float64)
            sums -= np.append(x, (x * x).sum())
        mean, square = sums[:-1] / len(self.kept), sums[-1] / len(self.kept)
        variance = float(square - (mean * mean).sum())
        if not variance > 0:
            raise DataError(
                f"the activations at {self.spec.site} are all the same vector, so there is "
                "nothing to learn from them"
            )
        return mean.astype(np.float32), float(np.sqrt(self.d / variance))

    @property
    def mean(self) -> Float[np.ndarray, "d"]:
        """Mean of the kept rows of the training part, as harvested."""
        return self.like.mean if self.like is not None else self._moments[0]

    @property
    def scale(self) -> float:
        """The factor that makes E‖x − mean‖² = d over the kept rows of the training part."""
        return self.like.scale if self.like is not None else self._moments[1]

    def gather(self, rows: np.ndarray) -> Float[np.ndarray, "b d"]:
        """Rows as harvested, float32; reads only these rows from the memory-mapped shards.

        Args:
            rows: their numbers, [b].
        """
        per = self.spec.shard * self.spec.context
        which, inside = np.divmod(rows, per)
        half = np.empty((len(rows), self.d), np.float16)
        large: list[tuple[np.ndarray, np.ndarray]] = []
        for shard in np.unique(which):
            positions = np.flatnonzero(which == shard)
            half[positions] = self._acts[shard].rows(inside[positions], self.d)
            if (powers := self._powers[shard]) is not None:
                large.append((positions, powers[inside[positions]]))
        x = torch.from_numpy(half).float().numpy()  # four times as fast as NumPy widens float16
        for positions, power in large:
            (there,) = power.nonzero()
            x[positions[there]] = np.ldexp(x[positions[there]], power[there, None])
        return x

    def rows(self, rows: Int[np.ndarray, " b"]) -> Float[torch.Tensor, "b d"]:
        """The normalised vectors of these rows, float32.

        Args:
            rows: their numbers, [b].
        """
        x = torch.from_numpy(self.gather(np.asarray(rows)))
        return x.sub_(torch.from_numpy(self.mean)).mul_(float(np.float32(self.scale)))

    def raw(self, windows: Int[np.ndarray, " w"]) -> Float[torch.Tensor, "w s d"]:
        """The vectors of whole windows as harvested, float32: what a spliced run starts from.

        Args:
            windows: their numbers, [w].
        """
        per = self.spec.context
        rows = (np.asarray(windows)[:, None] * per + np.arange(per)).ravel()
        return torch.from_numpy(self.gather(rows).reshape(-1, per, self.d))

    def normalise(self, x: Float[torch.Tensor, "... d"]) -> Float[torch.Tensor, "... d"]:
        """(x − mean) · scale.

        Args:
            x: as harvested, […, d].
        """
        return (x - self._mean_on(x)) * self.scale

    def restore(self, x: Float[torch.Tensor, "... d"]) -> Float[torch.Tensor, "... d"]:
        """x / scale + mean: the inverse of `normalise`.

        Args:
            x: normalised, […, d].
        """
        return x / self.scale + self._mean_on(x)

    def _mean_on(self, x: torch.Tensor) -> torch.Tensor:
        return x.new_tensor(self.mean)

    def batches(
        self, seeds: Int[np.ndarray, " run"], batch: int
    ) -> Callable[[int], Float[torch.Tensor, "b d"] | Float[torch.Tensor, "run b d"]]:
        """Normalised training batches as a function of the step: every kept row once per epoch, in
        an order drawn by the seed.

        With one distinct seed a batch is [b, d], shared by all runs; with several it is [run, b,
        d]. A run gets the same batches alone and in any group. Rows are shuffled across documents;
        an epoch's incomplete last batch is left out.

        Args:
            seeds: of each run, [run].
            batch: rows of a step.
        Raises: DataError when a batch is larger than an epoch.
        """
        per_epoch = len(self.kept) // batch
        if not per_epoch:
            raise DataError(
                f"a batch of {batch} is larger than the {len(self.kept)} vectors of this harvest"
            )
        distinct, back = np.unique(np.asarray(seeds), return_inverse=True)

        @lru_cache(maxsize=2 * len(distinct))
        def order(seed: int, epoch: int) -> np.ndarray:
            return self.kept[
                rng.permutation(np.array([seed]), "harvest.batches", epoch, len(self.kept))[0]
            ]

        def batches(step: int) -> torch.Tensor:
            epoch, i = divmod(step, per_epoch)
            rows = np.concatenate(
                [order(int(s), epoch)[i * batch : (i + 1) * batch] for s in distinct]
            )
            x = self.rows(rows)
            return x if len(distinct) == 1 else x.view(len(distinct), batch, self.d)[back]

        return batches

    def model(self, device: torch.device) -> Pretrained:
        """The language model whose activations these are, in the dtype it was harvested in; loaded
        once per process."""
        return model_in(
            self.spec.subject, str(device), self.dtype, models.fingerprint(self.spec.subject)
        )

    def where(self, row: int) -> tuple[str, int]:
        """The file (its path below the corpus folder) and the position in it, in tokens, that a row
        is from.

        Args:
            row: its number.
        """
        window, position = divmod(int(row), self.spec.context)
        return self.files[self.windows.document[window]], int(
            self.windows.offset[window]
        ) + position

    @cached_property
    def trained_on(self) -> Mapping[str, Any]:
        """What a dictionary trained on this should carry, as plain JSON: model, corpus, part, and
        the documents it has seen.

        Of each document the first 12 hex digits of its hash; above 5,000 documents they are left
        out."""
        return trained_on(self.spec, self.windows)

    def header(self) -> Mapping[str, Any]:
        """What a dictionary trained on this must carry to be used: site, normalisation, and how it
        was computed."""
        return {
            "site": self.spec.site,
            "subject": self.provenance,
            "dtype": self.dtype,
            "scale": self.scale,
            "mean": [float(m) for m in self.mean],
            "outlier_norm": OUTLIER * self.median,
        }
