"""Rating: features of several dictionaries drawn to be rated blindly, on one text, and the folder
in which answers are kept.

A dictionary of random directions, each on as often as a feature of another dictionary on the
same text: what a rating compares with."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from assay.core import rng
from assay.core.errors import AssayError, DataError
from assay.core.heavy import torch
from assay.core.spec import Spec, canonical_json
from assay.data import corpus as corpora
from assay.data.corpus import Corpus
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.measuring.positions import select_positions
from assay.evaluation import indexing
from assay.evaluation.indexing import LIMIT_WINDOWS, IndexPlaceSpec, IndexSpec
from assay.evaluation.text import windows
from assay.features.index.firings import limits
from assay.features.index.reader import Index
from assay.features.rating import Answers, Item, chosen, matched, shuffled
from assay.lab.store.store import Store
from assay.subjects.folder import ModelFolder, find
from assay.subjects.pretrained import DType, load
from assay.subjects.site import Site

TRAINED, RANDOM, AGAIN = "trained", "random", "random-again"
PLAN = "plan.json"
Progress = Callable[[str, int, int], None]
Plan = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Rating:
    """The items of a folder in their blinded order, and one rater's answers."""

    folder: Path
    plan: Plan
    items: tuple[Item, ...]
    answers: Answers

    @property
    def left(self) -> list[int]:
        """Places of the items that have no answer yet."""
        return [i for i, item in enumerate(self.items) if item.hash not in self.answers.answers]

    def following(self, place: int) -> int:
        """The place of the item that is asked about after this one: the next without an answer, or
        the first; their number where none is left."""
        unanswered = self.left
        return next(
            (i for i in (*(i for i in unanswered if i > place), *unanswered)), len(self.items)
        )

    def fresh(self) -> Rating:
        """This rating with the answers that the rater's file has by now."""
        return replace(
            self, answers=Answers(self.answers.path, _hash(self.plan), self.answers.rater)
        )

    @property
    def others_go_on(self) -> bool:
        """Whether another rater of the folder has items left, who must not learn the arms."""
        hashes = {item.hash for item in self.items}
        other_sheets = (
            candidate
            for candidate in sheets(self.folder, self.plan)
            if candidate.rater != self.answers.rater
        )
        return any(
            not (sheet.fault or sheet.shown) and hashes - set(sheet.answers)
            for sheet in other_sheets
        )


def begin(
    dictionary: str,
    rater: str,
    folder: Path,
    *,
    against: Sequence[str] = (),
    features: int = 30,
    contexts: int = 8,
    seed: int = 0,
    model: str = "smollm2",
    text: str = "stdlib",
    root: Path = Path("assay-store"),
    device: str = "cpu",
    progress: Progress | None = None,
) -> Rating:
    """Draw what is to be rated, or go on with what the folder has. Indexes that are missing are
    made first.

    Raises: AssayError for what does not fit together.
    """
    _check_name(rater)
    if features < 6 or contexts < 2:
        raise AssayError(
            "--features is at least 6, without which nothing can be judged, and --contexts at "
            "least 2"
        )
    request = {
        "dictionary": dictionary,
        "features": features,
        "contexts": contexts,
        "seed": seed,
        "against": list(against),
    }
    store, path = Store(root), folder / PLAN
    if path.exists():
        plan = plan_of(folder)
        if different := [name for name in request if plan["asked"][name] != request[name]]:
            was = ", ".join(f"{name} {plan['asked'][name]}" for name in different)
            raise AssayError(
                f"{folder} has a rating with {was}; say the same, or name another --folder"
            )
    else:
        arms = _arms(request, store, model, text, device, progress)
        plan = {
            "format": 1,
            "asked": request,
            "arms": {name: index.folder.name for name, index in arms.items()},
        }
        plan["items"] = [item.hash for item in _draw(plan, arms)]
        folder.mkdir(exist_ok=True)
        path.write_text(json.dumps(plan, indent=1))
    return go_on(rater, folder, store)


def go_on(rater: str, folder: Path, store: Store) -> Rating:
    """Take up what is rated in a folder. Raises: AssayError where there is nothing, or where this
    rater's answers no longer count."""
    _check_name(rater)
    plan = plan_of(folder)
    rating = Rating(
        folder, plan, items_of(plan, store), Answers(folder / f"{rater}.jsonl", _hash(plan), rater)
    )
    if (fault := rating.answers.fault) or (rating.answers.shown and rating.left):
        raise DataError(
            f"{rating.answers.path}: {fault or 'the arms were shown'}; answers no longer "
            "count. Name another --folder or --rater"
        )
    return rating


def _check_name(rater: str) -> None:
    if not re.fullmatch(r"[\w.-]{1,40}", rater):
        raise AssayError(f"--rater is a name of letters, digits, . _ and -, got {rater!r}")


def plan_of(folder: Path) -> dict[str, Any]:
    """What is rated in a folder. Raises: DataError."""
    try:
        plan: dict[str, Any] = json.loads((folder / PLAN).read_text())
        _ = plan["asked"]["against"], plan["arms"][TRAINED], plan["items"]
        return plan
    except FileNotFoundError as error:
        raise DataError(
            f"{folder} has no rating; begin one with: assay rate DICTIONARY --folder "
            f"{shlex.quote(str(folder))}"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / PLAN} is damaged; begin again in another --folder") from error


def _hash(plan: Plan) -> str:
    return hashlib.sha256(canonical_json(plan).encode()).hexdigest()


def sheets(folder: Path, plan: Plan) -> list[Answers]:
    """The answers of every rater of a folder."""
    return [Answers(path, _hash(plan), path.stem) for path in sorted(folder.glob("*.jsonl"))]


def items_of(plan: Plan, store: Store) -> tuple[Item, ...]:
    """The items of a plan, drawn again: which arm each is of stands in no file. Raises: DataError
    where they are others."""
    items = _draw(
        plan,
        {
            name: Index(store.root / "artefacts" / "index" / key)
            for name, key in plan["arms"].items()
        },
    )
    if [item.hash for item in items] != plan["items"]:
        raise DataError(
            "the indexes or the plan of this rating were changed, so that its items are no "
            "longer those that were drawn"
        )
    return items


def _draw(plan: Plan, arms: Mapping[str, Index]) -> tuple[Item, ...]:
    request = plan["asked"]
    numbers = {TRAINED: chosen(arms[TRAINED], request["features"], request["seed"])}
    density = arms[TRAINED].columns(("density",))["density"][numbers[TRAINED]]
    # two halves of one dictionary, in the order of the features they were made for
    for place, name in enumerate((RANDOM, AGAIN)):
        if name in arms:
            numbers[name] = list(
                range(place * request["features"], (place + 1) * request["features"])
            )
    for name, index in arms.items():
        if name not in numbers:
            numbers[name] = matched(index, density)
    return shuffled(
        {name: (index, numbers[name]) for name, index in arms.items()},
        request["contexts"],
        request["seed"],
    )


def _arms(
    request: Plan, store: Store, model: str, text: str, device: str, progress: Progress | None
) -> dict[str, Index]:
    """The indexes of all arms, made where they are missing; random directions last of ours, and
    first to be compared with."""
    dictionary, count, seed = request["dictionary"], request["features"], request["seed"]
    rivals = _parse_rivals(request["against"])
    trained = indexing.known(dictionary, store)
    folder, corpus = find(model), corpora.load(text)
    if trained is None:
        trained = indexing.index(
            dictionary, model=model, text=text, root=store.root, device=device, progress=progress
        )
    for what, ours, theirs in (
        ("model", folder.fingerprint, trained.about.model_sha256),
        ("text", corpus.fingerprint, trained.about.corpus_sha256),
    ):
        if ours != theirs:
            was = trained.about.model if what == "model" else trained.about.corpus
            raise AssayError(
                f"{trained.about.address} was indexed on another {what} ({was}); say --{what}"
            )
    spec = indexing.spec_of(trained)
    same = _reading(spec)

    def build_index(source: str | Path) -> Index:
        return indexing.index(
            source,
            model=model,
            text=text,
            root=store.root,
            device=device,
            progress=progress,
            **same,
        )

    firings = trained.columns(("firings",))["firings"][chosen(trained, count, seed)]
    random_spec = RandomDirectionsSpec(
        seed=seed,
        of=spec.of,
        windows=spec.windows,
        firings=(*map(int, firings), *map(int, firings)),
    )
    random = build_index(random_directions(store, random_spec, folder, corpus, device))
    arms = {TRAINED: trained, RANDOM: random, AGAIN: random}
    for name, other in rivals.items():
        arms[name] = indexing.known(other, store, like=trained) or build_index(other)
        if arms[name].about.corpus_sha256 != corpus.fingerprint:
            raise AssayError(
                f"{other} was indexed on another text ({arms[name].about.corpus}), by which "
                f"it would be known; index it on {text}"
            )
    if len({index.folder for index in arms.values()}) < len(arms) - 1:
        raise AssayError("two names stand for one dictionary; name each once")
    return arms


def _parse_rivals(against: Sequence[str]) -> dict[str, str]:
    rivals: dict[str, str] = {}
    for entry in against:
        name, sign, source = entry.partition("=")
        if (
            not sign
            or not source
            or not re.fullmatch(r"[a-z][a-z0-9-]*", name)
            or name in (TRAINED, RANDOM, AGAIN, *rivals)
        ):
            raise AssayError(
                "--against is NAME=DICTIONARY with a name of its own, in lower case, such as "
                f"frozen=FILE; got {entry!r}"
            )
        rivals[name] = source
    return rivals


def _reading(spec: IndexSpec) -> dict[str, Any]:
    """The fields of an index's setting with which another dictionary is read on the same windows,
    as quickly as can be."""
    place, words = spec.of, spec.of.of
    return {
        "tokens": spec.windows * words.context,
        "context": words.context,
        "bos": words.bos,
        "part": words.part,
        "skip_first": place.skip_first,
        "outlier": place.outlier,
        "dtype": place.dtype,
        "gradients": False,
        "ablate": 0,
        "site": place.site,
    }


FILE = "random.safetensors"
WINDOWS = 16
"""Windows that the model reads at once."""


@dataclass(frozen=True, kw_only=True)
class RandomDirectionsSpec(Spec):
    """As many directions as numbers of firings, at the place of an index, on its first windows."""

    of: IndexPlaceSpec
    windows: int
    firings: tuple[int, ...]


def random_directions(
    store: Store,
    spec: RandomDirectionsSpec,
    folder: ModelFolder,
    corpus: Corpus,
    device: str = "cpu",
) -> Path:
    """Make the dictionary, or find it in the store. Directions are drawn evenly from the sphere by
    the spec's seed.

    Formula: f_j = p_j · 1[p_j > θ_j] with p_j = ⟨u_j, x − x̄⟩, x̄ the mean of the text's
    activations, and θ_j halfway between the n_j-th largest p_j of the text and the next one, at
    least 0"""

    def build(path: Path) -> None:
        x = _activations(spec, folder, corpus, device)
        mean = x.mean(0)
        draw = rng.generator(spec.seed, "rating/directions").standard_normal(
            (len(spec.firings), x.shape[1])
        )
        directions = torch.from_numpy(
            (draw / np.linalg.norm(draw, axis=1, keepdims=True)).astype(np.float32)
        ).to(x.device)
        threshold = []
        for direction, n in zip(directions, spec.firings, strict=True):
            largest = ((x - mean) @ direction).topk(min(n + 1, len(x))).values
            threshold.append(max(0.0, float(largest[-2:].mean())))
        Dictionary(
            W_enc=directions.T[None].cpu().contiguous(),
            b_enc=-(directions @ mean)[None].cpu(),
            W_dec=directions[None].cpu(),
            b_dec=mean[None].cpu(),
            b_pre=torch.zeros_like(mean)[None].cpu(),
            nonlinearity=JumpReLU(),
            own={"threshold": torch.tensor([threshold])},
            sites=(spec.of.site,),
            origin={"made": "random directions", "firings": list(spec.firings)},
        ).save(path / FILE)

    return store.artefact(spec, build) / FILE


def _activations(
    spec: RandomDirectionsSpec, folder: ModelFolder, corpus: Corpus, device: str
) -> Float[torch.Tensor, "b d"]:
    """The activations that count, where the index read them."""
    subject, site = (
        load(folder.name, device, cast("DType", spec.of.dtype)),
        Site.parse(spec.of.site),
    )
    tokens = windows(corpus, folder, spec.of.of, spec.windows).tokens.astype(np.int64)
    bounds = limits(
        subject, site, site, tokens[:LIMIT_WINDOWS], spec.of.skip_first, spec.of.outlier
    )
    rows = []
    for some in torch.from_numpy(tokens).split(WINDOWS):
        trace = subject.run(some.to(subject.device), capture=[site], logits=False)
        acts = trace.acts[site].flatten(2).float()
        rows.append(acts[select_positions(acts, acts, bounds, spec.of.skip_first)])
    return torch.cat(rows)
