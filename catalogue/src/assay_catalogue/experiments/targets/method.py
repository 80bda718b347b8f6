"""The method of targets: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from jaxtyping import Float

from assay.core import Bench, Runs, SpecError, Trained, probes
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data import corpus as corpora
from assay.data.names import model_in_words, text_in_words
from assay.data.tiny import tiny
from assay.dictionaries.dictionary import Dictionary
from assay.subjects.pretrained import fast_dtype, load
from assay.subjects.untrained import redrawn
from assay.train.rng import normal
from assay_catalogue.analysis.readout import readout
from assay_catalogue.data.targets import Target, Targets, TargetSpec, targets
from assay_catalogue.dictionaries.on_text import TinyModelDictionary, topk
from assay_catalogue.subjects.unread import unread as unread_of

if TYPE_CHECKING:
    from assay_catalogue.dictionaries.cells import Cell

CELLS: dict[str, tuple[Target, Target]] = {
    "act": ("act", "act"),
    "again": ("act", "act"),
    "act-update": ("act", "update"),
    "update": ("update", "update"),
    "post": ("post", "post"),
    "logit": ("logit", "logit"),
    "act-logit": ("act", "logit"),
}
"""What each dictionary reads and what it reconstructs."""
OTHER = ("again", "act-update", "update", "post", "logit", "act-logit")
"""The cells among whose features those of `act` are looked for."""
TRAINED = ("act", "again", "act-update", "post", "logit")
"""The cells of the presets."""


@dataclass(frozen=True, kw_only=True)
class WhichTarget(TinyModelDictionary):
    subject: str = "tiny"
    """"tiny": a one-block model that each seed trains for itself; "smollm2", "gemma3-270m", a local
    folder or a hub's name; "untrained smollm2": its weights drawn anew."""
    layer: Annotated[int, Ge(0)] = 0
    """The block of a tiny model; of a model on disk all blocks are measured."""
    activation: Literal["gelu", "relu"] = "gelu"
    """Their non-linearity."""
    cells: tuple[str, ...] = TRAINED
    """The dictionaries that are trained."""
    windows: Annotated[int, Ge(0)] = 1800
    per_file: Annotated[int, Ge(0)] = 4
    """Test windows from one file, at most."""
    tested: int = 0
    """Test windows; 0: all there are."""
    context: Annotated[int, Ge(1)] = 64
    """Tokens in a window."""
    steps: Annotated[int, Ge(1)] = 600
    products: Literal["bfloat16", "float32"] = "float32"
    """Precision of matrix products in training; parameters are float32. Many CPUs are far slower in
    bfloat16."""
    noise: float = 0.01
    """Variance of the noise added to what is planted as read by W_out, as a share of its own."""

    def check(self) -> None:
        if unknown := [c for c in self.cells if c not in CELLS]:
            raise SpecError(f"WhichTarget.cells names {unknown[0]!r}; cells: {', '.join(CELLS)}")
        if self.subject != "tiny" and self.cells:  # or tiny models would be trained in its name
            raise SpecError(
                "dictionaries are trained on tiny models alone: WhichTarget.subject must be tiny, "
                f"got {self.subject!r}; of a model on disk, cells is empty"
            )

    @property
    def models(self) -> str:
        """What is measured, in words."""
        on_disk = f"all blocks of {model_in_words(self.subject)}, {text_in_words(self.corpus)}"
        return super().models if self.subject == "tiny" else on_disk


@dataclass(frozen=True, kw_only=True)
class TargetsOnDisk(WhichTarget):
    """A model on disk by itself, on one window of each of 24 files."""

    subject: str = "gemma3-270m"
    cells: tuple[str, ...] = ()
    per_file: Annotated[int, Ge(0)] = 1
    tested: int = 24


def target_parts(s: WhichTarget, bench: Bench) -> tuple[Targets, Targets]:
    """(training part, test part): the targets of this seed's model."""
    spec = TargetSpec(
        subject=str(tiny(s.model(), bench)),
        layer=s.layer,
        targets=("act", "update", "post", "logit"),
        corpus=s.corpus,
        windows=s.windows,
        context=s.context,
        dtype="float32",
    )
    train = targets(spec, bench)
    return train, targets(
        spec.replace(part="test", windows=s.tested, per_file=s.per_file), bench, like=train
    )


def cells_of(s: WhichTarget) -> dict[str, Cell]:
    from assay_catalogue.dictionaries.cells import Cell

    return {name: Cell(*CELLS[name], replicate=int(name == "again")) for name in s.cells}


def train(runs: Runs[WhichTarget], bench: Bench) -> Trained:
    """Every cell's dictionary of this seed, on the same batches."""
    from assay_catalogue.dictionaries.cells import fit_cells

    (s,) = runs.specs  # a seed has a model of its own, so it is a group of its own
    data, _ = target_parts(s, bench)
    batches = data.batches(runs.seeds, s.batch)
    return fit_cells(
        cells_of(s),
        runs,
        topk(runs),
        data,
        batches,
        steps=s.steps,
        bench=bench,
        probe_at=probes(s.steps, 20),
    )


def measure(runs: Runs[WhichTarget], trained: Trained, bench: Bench) -> xr.Dataset:
    """What each cell's dictionary leaves of the update, reads and writes, and the model itself, by
    document."""

    from assay_catalogue.dictionaries.cells import dictionaries

    (s,) = runs.specs
    data, test = target_parts(s, bench)
    files, document = np.unique(test.document[test.kept], return_inverse=True)
    grouping, raw = (torch.from_numpy(document), len(files)), test.raw(test.kept)
    coords: dict[str, Any] = {"document": [test.files[f] for f in files]}
    variables: dict[str, Any] = {}
    if not s.cells or "post" in s.cells:  # the model itself, once for each
        variables |= model_measures(s, data, raw, grouping)
    if s.cells:
        cell_dictionaries = dictionaries(trained.to("cpu"))  # where the readout is
        variables |= dictionary_measures(s, cell_dictionaries, raw, test, grouping)
        coords |= {
            "cell": list(cell_dictionaries),
            "other": [*(n for n in OTHER if n in cell_dictionaries), "random"],
        }
    return measures(runs, coords=coords, **variables)


def normals(s: WhichTarget, purpose: str, *shape: int, index: int = 0) -> torch.Tensor:
    """Standard normal numbers of this seed, for one purpose."""
    return torch.from_numpy(normal(np.array([s.seed]), f"targets.{purpose}", index, shape)[0])


def readable(
    s: WhichTarget, x: Float[torch.Tensor, "b m"], null: Float[torch.Tensor, "m m"], purpose: str
) -> Float[torch.Tensor, "b m"]:
    """Rows without what W_out does not read of them, and a little noise so that the share is not 0
    by arithmetic."""
    visible = x - x @ null
    return visible + (s.noise * visible.square().mean()).sqrt() * normals(s, purpose, *x.shape)


def model_measures(
    s: WhichTarget, data: Any, raw: Mapping[Target, torch.Tensor], grouping: Any
) -> dict[str, Any]:
    """Measures of the model alone: variance that W_out does not read, and what each neuron is worth
    to the logits."""

    from assay_catalogue.dictionaries.cell_measures import by_document

    read, h = data.readout, data.normalise("act", raw["act"])
    variables: dict[str, tuple[str, Any, str]] = {}
    m, d = read.W_out.shape
    any_subspace, _ = torch.linalg.qr(normals(s, "subspace", m, d))
    visible = readable(s, h, read.null, "noise")
    parts = {
        "null": h @ read.null,
        "total": h,
        "random_null": h - h @ any_subspace @ any_subspace.T,
        "readable_null": visible @ read.null,
        "readable_total": visible,
        "raw_null": raw["act"] @ read.null,
        "raw_total": raw["act"],
    }
    for name, x in parts.items():
        variables[name] = (
            "run document",
            by_document(x.square().sum(1), *grouping)[None],
            "squared activation",
        )
    for name in ("", "readable_"):
        variables[name + "isotropic"] = (
            "run document",
            (1 - d / m) * variables[name + "total"][1],
            "squared activation",
        )
    worth = read.importance * h.var(0) / data.scale("act") ** 2
    variables["importance"] = ("run neuron", worth[None], "squared logit")
    variables["uneven"] = ("run neuron", normals(s, "uneven", m).exp()[None], "1")
    return variables


def measure_blocks(runs: Runs[WhichTarget], trained: Trained, bench: Bench) -> xr.Dataset:
    """Of a model on disk: what each block's W_out reads, and what the last block's neurons and
    update do to the logits."""
    from assay_catalogue.dictionaries.cell_measures import by_document
    from assay_catalogue.dictionaries.concentration import gini
    from assay_catalogue.dictionaries.linear_effects import effect_errors, principal_parts

    (s,) = runs.specs
    name, text = s.subject.removeprefix("untrained "), corpora.load(s.corpus)
    model = load(name, bench.device, fast_dtype())
    model = model if name == s.subject else redrawn(model, s.seed)
    cut = text.windows(
        model.encode, "test", context=s.context, count=s.tested, per_file=s.per_file, seed=s.seed
    )
    files, document = np.unique(cut.document, return_inverse=True)
    unread_parts = unread_of(model, cut.tokens, document, s.seed)
    read = readout(model, model.layers - 1)
    (m, d), grouping = read.W_out.shape, (unread_parts.document, len(files))
    sums = {
        "total": unread_parts.total,
        "null": unread_parts.null,
        "random_null": unread_parts.random_null,
        "isotropic": (1 - d / m) * unread_parts.total,
    }
    variables = {
        name: ("run block document", x[None], "squared activation") for name, x in sums.items()
    }
    h = read.scaled(unread_parts.h)
    worth = (
        by_document((h - h.mean(0)).square(), *grouping) * read.importance.numpy()
    )  # [document, neuron]
    variables["importance"] = (
        "run neuron",
        worth.sum(0)[None] / len(h),
        "squared logit",
    )
    variables["gini"] = (
        "run document",
        np.array([[gini(row) for row in worth]]),
        "Gini coefficient",
    )
    if name == s.subject:
        update = read.update(unread_parts.h)
        parts, row = principal_parts(update)
        variables |= effect_errors(
            parts, row, unread_parts.mid + update, read, unread_parts.document, len(files), s.seed
        )
    coords = {
        "document": [text.documents[f].path for f in files],
        "block": list(range(model.layers)),
    }
    return measures(runs, coords=coords, **variables)


def dictionary_measures(
    s: WhichTarget,
    cell_dictionaries: Mapping[str, Dictionary],
    raw: Mapping[Target, torch.Tensor],
    test: Any,
    grouping: Any,
) -> dict[str, Any]:
    """Measures of the trained dictionaries: errors in each space, likeness, and what the dictionary
    of activations writes."""

    from assay_catalogue.dictionaries import cell_measures as of
    from assay_catalogue.dictionaries.linear_effects import effect_errors

    cells, read, act = cells_of(s), test.readout, cell_dictionaries["act"]
    rows = {
        name: of.cell_sums(cells[name], dictionary, raw, read, *grouping)
        for name, dictionary in cell_dictionaries.items()
    }
    variables = {
        "tokens": ("run document", of.by_document(raw["act"][:, 0] ** 0, *grouping)[None], "tokens")
    }
    for space, sums in of.variances(raw, test, *grouping).items():
        variables[f"variance_{space}"] = ("run document", sums[None], f"squared {space}")
    for key in ("active", *(f"error_{space}" for space in of.SPACES)):
        variables[key] = (
            "run cell document",
            np.stack([r[key] for r in rows.values()])[None],
            key.replace("error_", "squared "),
        )
    features, D = act.encode(raw["act"]), act.W_dec[0]
    if "logit" in cell_dictionaries:
        variables |= likeness_measures(s, cell_dictionaries, features, read)
    if "post" in cell_dictionaries:
        isotropic = torch.nn.functional.normalize(normals(s, "rows", *D.shape), dim=-1) * D.norm(
            dim=-1, keepdim=True
        )
        for change, W in (
            ("", D),
            ("random_", isotropic),
            ("readable_", readable(s, D, read.null, "noise.rows")),
        ):
            for name, sums in of.spent(features, W, read.null, *grouping).items():
                variables[change + name] = ("run document", sums[None], "squared feature")
        variables["null_of_feature"] = (
            "run feature",
            (D @ read.null).square().sum(1)[None],
            "share",
        )
        token, feature = features.nonzero(as_tuple=True)
        assert act.scale is not None  # trained dictionaries know it
        parts = features[token, feature][:, None] * (D @ read.W_out)[feature] / act.scale[0]
        document, n = grouping
        variables |= effect_errors(parts, token, raw["post"], read, document, n, s.seed)
    return variables


def likeness_measures(
    s: WhichTarget, cell_dictionaries: Mapping[str, Dictionary], features: torch.Tensor, read: Any
) -> dict[str, Any]:
    """Measures of how well features of `act` are found among those of other cells, and what chance
    gives there."""
    from assay_catalogue.dictionaries import cell_measures as of

    rows = {
        name: of.logit_rows(CELLS[name][1], dictionary.W_dec[0], read)
        for name, dictionary in cell_dictionaries.items()
    }
    weight = features.square().mean(0)
    references = [rows[name] for name in OTHER if name in rows]
    references.append(
        of.like_rows(rows["logit"], s.seed, 1)
    )  # it knows the spread of the logit dictionary and nothing else
    agreements = [of.agreement(rows["act"], b, weight) for b in references]
    chance = [
        np.mean(
            [of.agreement(rows["act"], of.like_rows(b, s.seed, 2 + i), weight) for i in range(4)]
        )
        for b in references
    ]
    return {
        "found": ("run other", np.array([agreements]), "cosine"),
        "chance": ("run other", np.array([chance]), "cosine"),
    }
