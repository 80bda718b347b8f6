"""What a language model makes of the texts of the concepts: activations token by token, and its
answers when asked in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core import hashes
from assay.core.bench import Bench
from assay.core.heavy import torch
from assay.core.spec import Spec
from assay.data import concepts
from assay.data.concepts import CONCEPTS, Concept, Texts
from assay.data.harvest import Harvest
from assay.subjects.asking import yes_or_no
from assay.subjects.folder import find
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site

OPENING = "\n"
"""What every text begins with: the first position of a window is an outlier, and left out."""


@dataclass(frozen=True, kw_only=True)
class ConceptSpec(Spec):
    """The texts of one concept, as a model reads them at a site."""

    model: str
    site: str
    dtype: str
    concepts: str
    """Hash of the list of concepts."""
    concept: str
    sizes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TextsSpec(Spec):
    """The texts of one concept, matched in the tokens of one tokenizer."""

    tokenizer: str
    concepts: str
    concept: str
    sizes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class AnswersSpec(Spec):
    """What a model answers about the first texts of some parts of one concept."""

    model: str
    dtype: str
    concepts: str
    concept: str
    sizes: tuple[int, ...]
    asked: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ConceptActs:
    """Texts of several questions with raw activations, filled up on the right; the opening token is
    left out."""

    names: tuple[str, ...]
    acts: Float[np.ndarray, "q row s d"]
    tokens: Int[np.ndarray, "q row s"]
    """−1 where a text has ended."""
    label: Bool[np.ndarray, "q row"]
    part: Int[np.ndarray, "q row"]

    @property
    def there(self) -> Bool[np.ndarray, "q row s"]:
        """Where there is a token."""
        return self.tokens >= 0


def texts_for(subject: str, concept: str, sizes: Sequence[int], bench: Bench) -> Texts:
    """The frozen texts of a concept, matched in the number of this model's tokens; kept for all
    models with the same tokenizer."""
    folder = find(subject)
    tokenizer = hashes.sha256(folder.path / "tokenizer.json")
    spec = TextsSpec(
        tokenizer=tokenizer, concepts=concepts.fingerprint(), concept=concept, sizes=tuple(sizes)
    )

    def build(path: Path) -> None:
        texts = concepts.texts(
            _find_concept(concept), sizes, length=lambda text: len(folder.tokenizer.encode(text))
        )
        np.savez(path / "texts.npz", text=np.array(texts.text), label=texts.label, part=texts.part)

    arrays = np.load(bench.artefact(spec, build) / "texts.npz")
    return Texts(tuple(arrays["text"].tolist()), arrays["label"], arrays["part"])


def concept_folders(harvest: Harvest, sizes: Sequence[int], bench: Bench) -> tuple[Path, ...]:
    """The folders with the activations of all concepts' texts, by the model and at the site of a
    harvest, one for each; made where missing."""
    site = Site.parse(harvest.spec.site)
    model_hash = harvest.trained_on["model"]
    specs = [
        ConceptSpec(
            model=model_hash,
            site=harvest.spec.site,
            dtype=harvest.dtype,
            concepts=concepts.fingerprint(),
            concept=c.name,
            sizes=tuple(sizes),
        )
        for c in CONCEPTS
    ]

    def build(spec: Spec, path: Path) -> None:
        assert isinstance(spec, ConceptSpec)
        model = harvest.model(bench.device)
        texts = texts_for(harvest.spec.subject, spec.concept, spec.sizes, bench)
        first = [*model.folder.opening, *model.encode(OPENING)]
        ids = [first + model.encode(text) for text in texts.text]
        np.savez(
            path / "texts.npz",
            acts=_run(model, ids, site, len(first)),
            tokens=_filled(ids)[:, len(first) :],
            label=texts.label,
            part=texts.part,
        )

    return tuple(bench.artefacts(specs, build))  # type: ignore[arg-type]


def concept_acts(folders: Sequence[Path]) -> ConceptActs:
    """What lies in such folders."""
    concept_arrays = [dict(np.load(path / "texts.npz")) for path in folders]
    longest = max(arrays["tokens"].shape[1] for arrays in concept_arrays)

    def stacked(name: str, fill: float = 0) -> np.ndarray:
        pads = [
            [(0, 0), (0, longest - arrays[name].shape[1]), *[(0, 0)] * (arrays[name].ndim - 2)]
            for arrays in concept_arrays
        ]
        return np.stack(
            [
                np.pad(arrays[name], pad, constant_values=fill)
                for arrays, pad in zip(concept_arrays, pads, strict=True)
            ]
        )

    label, part = (
        np.stack([arrays[name] for arrays in concept_arrays]) for name in ("label", "part")
    )
    return ConceptActs(
        tuple(c.name for c in CONCEPTS), stacked("acts"), stacked("tokens", -1), label, part
    )


def answers(
    harvest: Harvest, sizes: Sequence[int], counts: Sequence[int], bench: Bench
) -> Float[np.ndarray, "q row"]:
    """The log-odds of yes for every concept's first `asked` texts of each part, in the order of the
    texts; NaN for the others."""
    shared_fields = {
        "model": harvest.trained_on["model"],
        "dtype": harvest.dtype,
        "concepts": concepts.fingerprint(),
        "sizes": tuple(sizes),
    }
    specs = [AnswersSpec(concept=c.name, asked=tuple(counts), **shared_fields) for c in CONCEPTS]

    def build(spec: AnswersSpec, path: Path) -> None:
        model, concept = harvest.model(bench.device), _find_concept(spec.concept)
        texts = texts_for(harvest.spec.subject, spec.concept, spec.sizes, bench)
        first = np.concatenate(
            [np.flatnonzero(texts.part == p)[:count] for p, count in enumerate(spec.asked)]
        )
        odds = np.full(len(texts.text), np.nan)
        if len(first):
            odds[first] = yes_or_no(model, concept.question, [texts.text[i] for i in first])
        np.save(path / "odds.npy", odds)

    return np.stack([np.load(path / "odds.npy") for path in bench.artefacts(specs, build)])  # type: ignore[arg-type]


def _find_concept(name: str) -> Concept:
    return next(c for c in CONCEPTS if c.name == name)


def _filled(ids: Sequence[Sequence[int]]) -> Int[np.ndarray, "row s"]:
    longest = max(map(len, ids))
    return np.array([[*row, *[-1] * (longest - len(row))] for row in ids], np.int32)


def _run(
    model: Pretrained, ids: Sequence[Sequence[int]], site: Site, first: int = 1, batch: int = 64
) -> Float[np.ndarray, "row s d"]:
    """Activations after the `first` tokens, float16, or float32 where they are too large for it;
    what stands behind a text's end means nothing and is 0."""
    tokens = torch.from_numpy(_filled(ids).astype(np.int64))
    order = torch.tensor(
        sorted(range(len(ids)), key=lambda i: len(ids[i]))
    )  # texts of a length together: little is filled up
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for rows in order.split(batch):
        longest = max(len(ids[i]) for i in rows)
        part = tokens[rows, :longest]
        x = model.run(part.clamp_min(0), capture=[site], logits=False).acts[site]
        x = torch.where((part >= 0).to(x.device)[..., None], x, 0)[:, first:]
        fits = bool((x.abs() <= torch.finfo(torch.float16).max).all())
        parts.append((rows.numpy(), x.to(torch.float16 if fits else torch.float32).cpu().numpy()))
    dtype = np.result_type(*(x for _, x in parts))
    acts = np.zeros((len(ids), tokens.shape[1] - first, parts[0][1].shape[-1]), dtype)
    for rows_of, x_of in parts:
        acts[rows_of, : x_of.shape[1]] = x_of
    return acts
