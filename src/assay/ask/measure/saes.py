"""Dictionaries that a study trains: on a model's activations at a site, for a text or prompts, with
the training code of all dictionaries. `wrong` finds impossible tables; `Learning.spec` identifies a
dictionary by the content of what it learns, `path` trains it, and `acts` gives its activations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast, get_args

import msgspec
import numpy as np
from jaxtyping import Float, Int

from assay.ask.measure import models
from assay.ask.measure.prompts import PromptRow, PromptSet
from assay.ask.measure.tokenized import prompt
from assay.ask.tables import Model, Train
from assay.core.bench import Bench
from assay.core.errors import AssayError, DataError, RunError, nearest
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.data import corpus as corpora
from assay.data.checkpoint import Alone
from assay.data.harvest import OUTLIER, Harvest, HarvestSpec, harvests
from assay.dictionaries.baselines.directions import random_directions
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import Nonlinearity, inference, to_json
from assay.dictionaries.training.batches import shuffled
from assay.dictionaries.training.freezing import Part, freeze
from assay.dictionaries.training.losses import L1Weighted, Loss, l1, mse, wants
from assay.dictionaries.training.quick import USUAL, objective
from assay.subjects.batches import ROWS, run_many
from assay.subjects.folder import ModelFolder, find
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.untrained import untrained

FILE = "dictionary.safetensors"
USUAL_K = 32
TEST, PER_FILE = 64, 2
"""Maximum windows of the test part on which a dictionary is measured, in total and of one file."""
REFITTED = 2**16
"""Maximum rows from which random directions get their decoder."""
SMALL = {"steps": 20, "tokens": 2048}
"""Limits of the smoke preset."""
KINDS = {kind.__name__.lower(): kind for kind in USUAL}


@dataclass(frozen=True, kw_only=True)
class SaeSpec(Spec):
    """What a dictionary was trained from, and how, by content; the seed draws the start and the
    order of the rows."""

    model: str
    """Hash of the model."""
    twin: str
    """The seed of the untrained twin, if it is trained on that."""
    text: str
    """Hash of the prompts or the text."""
    sites: tuple[str, ...]
    """Where it reads and, for a transcoder, where it writes."""
    kind: str
    """Its nonlinearity as JSON."""
    d_sae: int
    penalty: float
    tokens: int
    context: int
    steps: int
    batch: int
    lr: float
    frozen: str
    """What is not trained."""


@dataclass(frozen=True, kw_only=True)
class OtherwiseSaeSpec(SaeSpec):
    """What a dictionary was trained from, and how, with unusual settings."""

    decay: str
    """The weight decay as JSON: a number, or one for each parameter that has one."""
    warmup: int | None


@dataclass(frozen=True, kw_only=True)
class PairSpec(SaeSpec):
    """What a crosscoder of two models was trained from."""

    other: str
    """Hash of the second model."""
    shuffled: bool
    """Whether the change from the first model to the second is shuffled."""


@dataclass(frozen=True, kw_only=True)
class OtherwisePairSpec(OtherwiseSaeSpec, PairSpec):
    """What a crosscoder of two models was trained from, and how, with unusual settings."""


def _takes_k(table: Train) -> bool:
    return any(f.name == "k" for f in fields(KINDS[table.dictionary]))  # type: ignore[arg-type]


def method_of(table: Train) -> tuple[Nonlinearity, Loss, float]:
    """The nonlinearity of a table, its loss and its λ. Raises: SpecError."""
    cls = KINDS[table.dictionary]
    kind = cls(table.k or USUAL_K) if _takes_k(table) else cls()
    loss, penalty = objective(kind, None, table.penalty)
    return kind, loss, penalty


def wrong(table: Train) -> Iterator[tuple[str, str]]:
    """What is impossible in a table with defaults filled in: the field, and the problem."""
    name = table.name
    if table.dictionary not in KINDS:
        yield "dictionary", f"no dictionary is called so; {nearest(table.dictionary, KINDS)}"
        return
    if not table.site:
        how = "give site, such as blocks.15.hook_resid_post"
        yield "site", f"{name!r} is trained on activations somewhere: {how}"
        return
    cls, takes_k = KINDS[table.dictionary], _takes_k(table)
    if table.k and not takes_k:
        how = "penalty is its field: the larger, the fewer latents are on"
        yield "k", f"{table.dictionary} does not choose how many latents are on; {how}"
        return
    if table.penalty is not None and USUAL[cls] is mse:
        how = "k is its field"
        yield "penalty", f"{table.dictionary} chooses how many latents are on; {how}"
        return
    if table.penalty is None and USUAL[cls] is not mse:
        how = "the larger, the fewer latents are on; for example penalty = 0.1"
        yield "penalty", f"{table.dictionary} is sparse by its penalty: {how}"
        return
    if takes_k and (table.k or USUAL_K) > (table.d_sae or 0):
        field = "k" if table.k else "d_sae"
        yield field, f"{table.k or USUAL_K} of {table.d_sae} latents cannot be on; lower k"
    if table.frozen not in get_args(Part):
        yield "frozen", f"no half is called so; {nearest(table.frozen, get_args(Part)[1:])}"
    elif isinstance(table.decay, Mapping):
        yield from _wrong_decay(table, table.decay)
    for field, texts in (("site", reads_at(table)), ("site_out", (table.site_out,))):
        for text in filter(None, texts):
            try:
                Site.parse(text)
            except AssayError as e:
                yield field, str(e)
    if crosses(table) and len(set(reads_at(table))) < len(reads_at(table)):
        yield "site", f"{name!r} reads a site twice; name each once"
    if table.models and not isinstance(table.site, str):
        yield "site", f"{name!r} reads two models, each at one site; name one site"
    if table.models and table.of:
        yield "of", f"{name!r} reads the models under models, so leave out of"
    if crosses(table) and table.site_out:
        how = "leave site_out out, or read one site"
        yield "site_out", f"{name!r} reads several sites and writes them all; {how}"
    elif table.site_out and "y" not in wants(method_of(table)[1]):
        able = [k for k, c in KINDS.items() if "y" in wants(USUAL[c])]
        how = f"those that do are {', '.join(able)}"
        yield "dictionary", f"{table.dictionary} does not write at another site; {how}"


def _wrong_decay(table: Train, decay: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """The parameters with a decay that a table does not train."""
    kind = method_of(table)[0]
    parameters = ["W_enc", "W_dec", "b_enc", "b_dec", *kind.init(1, table.d_sae or 1)]
    parameters += getattr(kind, "encoders", ())
    for name in decay:
        if name not in parameters:
            hint = f"{table.dictionary} trains {', '.join(parameters)}; {nearest(name, parameters)}"
            yield "decay", f"there is no parameter {name!r}: {hint}"
        elif name == {"decoder": "W_dec", "encoder": "W_enc"}.get(table.frozen):
            yield "decay", f"{name} is frozen, so it cannot decay; remove {name} or frozen"


def reads_at(table: Train) -> tuple[str, ...]:
    """The sites that a dictionary reads."""
    return (table.site,) if isinstance(table.site, str) else table.site


def crosses(table: Train) -> bool:
    """Whether it is a crosscoder: of several sites, or of two models."""
    return len(reads_at(table)) > 1 or table.models is not None


def sites_of(table: Train) -> tuple[Site, ...]:
    """Where a dictionary reads and, for a transcoder, where it writes."""
    names = (*reads_at(table), *([table.site_out] if table.site_out else []))
    return tuple(map(Site.parse, names))


def sites_named(table: Train) -> tuple[str, ...]:
    """The sites in the file of a dictionary: for two models the site of each."""
    if table.models:
        return tuple(f"{table.site} of {model}" for model in table.models)
    return reads_at(table)


def check(table: Train, folder: ModelFolder) -> None:
    """Refuse a site that a model lacks, or without a vector for a token, and a window longer than
    the context. Raises: DataError, ModelError."""
    for site in sites_of(table):
        folder.shape(site)
    if table.text and (table.context or 0) > (limit := folder.most_tokens):
        raise DataError(f"{folder.name} reads at most {limit} tokens; write context = {limit}")


def remarks(table: Train) -> list[str]:
    """Remarks on a dictionary before it is trained."""
    if not table.models or table.dictionary not in ("relu", "gated"):
        return []
    reason = (
        "an L1 penalty shortens the decoder rows of a latent's weaker model, so some latents look"
    )
    return [
        f"{table.name}: {reason} like one model's alone although both have them (Minder et al. "
        '2025); dictionary = "batchtopk" has no such penalty'
    ]


def blank(table: Train, folder: ModelFolder) -> Dictionary:
    """A dictionary of the right shape with zeros that take no memory."""
    widths = [folder.width(site) for site in sites_of(table)]
    widths = [sum(widths) * len(table.models or "1")] if crosses(table) else widths
    assert table.d_sae
    zero = torch.zeros(())
    kind, _, _ = method_of(table)
    return Dictionary(
        zero.expand(1, widths[0], table.d_sae),
        zero.expand(1, table.d_sae),
        zero.expand(1, table.d_sae, widths[-1]),
        zero.expand(1, widths[-1]),
        kind,
        own=dict(kind.init(1, table.d_sae)),
        sites=sites_named(table),
        sites_out=(table.site_out,) if table.site_out else (),
        b_pre=zero.expand(1, widths[0]),
    )


@dataclass(frozen=True, eq=False)
class Acts:
    """Activations of many tokens, at one site or two, with the unit of each token."""

    rows: Callable[[Int[np.ndarray, " b"]], tuple[torch.Tensor, ...]]
    """Raw rows by their numbers, [b, d] of each site."""
    unit: Int[np.ndarray, " row"]
    names: tuple[str, ...]
    """The units by their numbers."""
    mean: tuple[Float[torch.Tensor, " d"], ...]
    """Of the rows that are learned from, at each site."""
    scale: tuple[float, ...]
    """The factor that makes E‖x − mean‖² = d."""
    about: Any = None
    """What a dictionary trained on them records about its text."""
    factor: Float[torch.Tensor, " d"] | None = None
    """For a crosscoder, the factor of each coordinate of the raw activations."""
    parts: tuple[int, ...] = ()
    """For a crosscoder, the widths of its sites."""

    def side_by_side(self) -> Acts:
        """Concatenate the sites, each scaled to the same mean length, so that none dominates."""
        sites = [*zip(self.mean, self.scale, strict=True)]
        mean = torch.cat([m * s for m, s in sites])
        factor = torch.cat([torch.full_like(m, s) for m, s in sites])
        return replace(
            self,
            rows=lambda rows: (torch.cat(self.rows(rows), -1) * factor,),
            mean=(mean,),
            scale=(1.0,),
            factor=factor,
            parts=tuple(map(len, self.mean)),
        )


@dataclass(frozen=True, eq=False)
class Learning:
    """The training of one dictionary."""

    table: Train
    """With defaults filled in, and the path of its text."""
    model: str
    """The name or the folder of the model."""
    digest: str
    """The hash of the model, also before it exists."""
    source: PromptSet | None
    seed: int
    untrained: bool = False
    frozen: Part = ""
    bos: bool | None = None
    """Whether texts begin with a BOS, if the study says so."""
    other: str = ""
    """For a crosscoder of two models, the name or the folder of the second."""
    other_digest: str = ""
    shuffled: bool = False
    """Whether the change from the first model to the second is shuffled."""

    @cached_property
    def spec(self) -> SaeSpec:
        """The spec of the dictionary. Raises: DataError if the text is not available."""
        t, (kind, _, penalty) = self.table, method_of(self.table)
        text = self.source.digest if self.source else corpora.load(t.text).fingerprint
        assert t.d_sae and t.tokens and t.context and t.steps and t.batch and t.lr
        usually = SaeSpec(
            seed=self.seed,
            model=self.digest + models.key_suffix(Model(bos=self.bos)),
            twin=str(t.seed) if self.untrained else "",
            text=text,
            sites=tuple(map(str, sites_of(t))),
            kind=json.dumps(to_json(kind)),
            d_sae=t.d_sae,
            penalty=penalty,
            tokens=0 if self.source else t.tokens,
            context=0 if self.source else t.context,
            steps=t.steps,
            batch=t.batch,
            lr=t.lr,
            frozen=self.frozen,
        )
        usual_fields = {f.name: getattr(usually, f.name) for f in fields(usually)}
        how: dict[str, Any] = {
            "decay": json.dumps(t.decay or 0.0, sort_keys=True),
            "warmup": t.warmup,
        }
        otherwise = bool(t.decay) or t.warmup is not None
        if t.models:
            pair: dict[str, Any] = {"other": self.other_digest, "shuffled": self.shuffled}
            if otherwise:
                return OtherwisePairSpec(**usual_fields, **pair, **how)
            return PairSpec(**usual_fields, **pair)
        return OtherwiseSaeSpec(**usual_fields, **how) if otherwise else usually

    def path(self, bench: Bench) -> Path:
        """The dictionary's file, trained if needed."""
        return bench.artefact(self.spec, lambda path: self._train(path, bench)) / FILE

    def dictionary(self, bench: Bench) -> Dictionary:
        """The dictionary, trained if needed."""
        return Dictionary.load(self.path(bench))

    def measured(self, bench: Bench) -> Dictionary:
        """The dictionary as it reads `acts`: those of a crosscoder are already scaled."""
        d = self.dictionary(bench)
        if not crosses(self.table):
            return d
        assert d.mean is not None and d.scale is not None
        return replace(d, mean=d.mean * d.scale, scale=None)

    def random(self, bench: Bench) -> Dictionary:
        """Random directions, each active as often, with the best fitting decoder."""
        acts = self.acts(bench)
        count = min(REFITTED, len(acts.unit))
        rows = acts.rows(np.linspace(0, len(acts.unit) - 1, count).astype(int))
        with torch.no_grad():
            target = rows[1] if rows[1:] else None
            return random_directions(self.measured(bench), rows[0], self.seed, target)

    def mean(self, bench: Bench) -> Dictionary:
        """The mean activation, as a dictionary with one latent that is never active."""
        acts = self.acts(bench)
        first, last = acts.mean[0], acts.mean[-1]
        zero = torch.zeros(1, 1)
        return Dictionary(
            first.new_zeros(1, len(first), 1),
            zero,
            first.new_zeros(1, 1, len(last)),
            last[None],
            inference(KINDS["relu"]()),
            b_pre=torch.zeros_like(first)[None],
        )

    def acts(self, bench: Bench, *, test: bool = False) -> Acts:
        """The activations that it learns from, or those on which it is measured."""
        acts = self._of_prompts(bench, test) if self.source else self._of_text(bench, test)
        return acts.side_by_side() if crosses(self.table) else acts

    def _train(self, path: Path, bench: Bench) -> None:
        """Train it, and write it to a folder. Raises: RunError if the loss does not stay finite."""
        from assay.dictionaries.training.train import Method, fit_dictionaries

        t, acts = self.table, self.acts(bench)
        kind, loss, penalty = method_of(t)
        assert t.d_sae and t.steps and t.batch and t.lr
        mean: torch.Tensor = acts.mean[0]
        scale: float | torch.Tensor = acts.scale[0]
        if acts.factor is not None:
            mean, scale = mean / acts.factor, acts.factor
            loss = L1Weighted(acts.parts) if loss is l1 else loss
        lr, strength = np.array([t.lr]), np.array([penalty])
        method = Method(kind, loss, t.d_sae, lr=lr, penalty=strength, weight_decay=t.decay or 0.0)
        if t.warmup is not None:
            method = replace(method, warm_up=t.warmup)
        method = freeze(method, self.frozen)
        order = shuffled(len(acts.unit), t.batch, self.seed)
        transcodes = len(acts.mean) > 1

        def batches(step: int) -> Any:
            rows = acts.rows(order(step).numpy())
            of_sites = zip(rows, acts.mean, acts.scale, strict=True)
            normal = tuple((x - mean) * scale for x, mean, scale in of_sites)
            return normal if transcodes else normal[0]

        out: dict[str, Any] = {}
        if transcodes:
            out = {"d_out": len(acts.mean[1]), "mean_out": acts.mean[1]}
            out |= {"scale_out": acts.scale[1], "sites_out": self.spec.sites[1:]}
        checkpoint = Alone(bench, path)
        [trained] = fit_dictionaries(
            [(Runs([Spec(seed=self.seed)]), method)],
            batches,
            d=len(acts.mean[0]),
            steps=t.steps,
            bench=checkpoint,
            mean=mean,
            scale=scale,
            sites=sites_named(t),
            trained_on=acts.about,
            **out,
        )
        if trained.diverged.any():
            raise RunError(f"the training of {t.name!r} diverged; lower lr")
        Dictionary.of(trained, inference(kind)).to("cpu").save(path / FILE)
        checkpoint.file.unlink(missing_ok=True)

    def _folders(self, bench: Bench) -> tuple[str, ...]:
        """The models that it reads; in controls with the untrained twin of the last one, or with
        the last one's shuffled change."""
        *others, last = (self.model, self.other) if self.table.models else (self.model,)
        if self.untrained:
            sites = sites_of(self.table)
            layers = [site.layer + 1 for site in sites if site.layer is not None]
            blocks = max(layers) if len(layers) == len(sites) else find(last).layers
            last = str(untrained(last, blocks, bench, seed=self.table.seed))
        if self.shuffled:
            spec = models.RewrittenSpec(
                seed=self.table.seed,
                model=f"{find(self.model).fingerprint} {find(last).fingerprint}",
                how="the change between two models, shuffled",
            )
            changed = partial(self._with_shuffled_change, last)
            last = models.rewritten(changed, spec, bench)
        return (*others, last)

    def _with_shuffled_change(self, other: str) -> Pretrained:
        first, second = (models.as_it_is(n, "cpu", Model()) for n in (self.model, other))
        return models.changed(first, second, self.table.seed)

    def _of_text(self, bench: Bench, test: bool) -> Acts:
        t, sites = self.table, sites_of(self.table)
        assert t.tokens and t.context
        usual = HarvestSpec(corpus=t.text, context=t.context, bos=self.bos)
        count = max(1, t.tokens // t.context)
        learned: list[Harvest] = []
        judged: list[Harvest] = []
        for name in self._folders(bench):
            specs = [usual.replace(subject=name, site=str(site)) for site in sites]
            base = _harvests([s.replace(windows=count) for s in specs], bench)
            learned += base
            part = {"part": "test", "windows": TEST, "per_file": PER_FILE}
            judged += _harvests([s.replace(**part) for s in specs], bench, base) if test else base
        if any(not np.array_equal(h.tokens, judged[0].tokens) for h in judged):
            raise DataError(f"the models of {t.name!r} cut the text into different tokens")
        kept_rows = np.flatnonzero(np.logical_and.reduce([h.keep for h in judged]))
        numbers, unit = np.unique(judged[0].document[kept_rows], return_inverse=True)
        return Acts(
            lambda rows: tuple(torch.from_numpy(h.gather(kept_rows[rows])) for h in judged),
            unit,
            tuple(judged[0].files[i] for i in numbers),
            tuple(torch.from_numpy(h.mean) for h in judged),
            tuple(h.scale for h in judged),
            learned[0].trained_on,
        )

    def _of_prompts(self, bench: Bench, test: bool) -> Acts:
        assert self.source is not None
        device = str(bench.device)
        learned, measured = self.source.halves()
        if self.table.models:
            model_table = Model(bos=self.bos)
            opened = [models.as_it_is(n, device, model_table) for n in self._folders(bench)]
        elif self.untrained:
            opened = [models.untrained(self.model, self.table.seed, device, bos=self.bos)]
        else:
            opened = [models.as_it_is(self.model, device, Model(bos=self.bos))]
        sites = sites_of(self.table)

        def read(numbers: list[int]) -> tuple[list[torch.Tensor], list[int]]:
            assert self.source is not None
            rows = [self.source.rows[i] for i in numbers]
            xs, places = zip(*(_rows_of(model, rows, sites) for model in opened), strict=True)
            return [x for of_model in xs for x in of_model], places[0]

        xs, place = read(learned)
        limits = [OUTLIER * float(x.norm(dim=1).median()) for x in xs]
        kept_rows = _short(xs, limits)
        moments = [_moments(x[kept_rows], self.table) for x in xs]
        numbers = learned
        if test:
            numbers = measured
            xs, place = read(measured)
            kept_rows = _short(xs, limits)
        xs = [x[kept_rows] for x in xs]
        units = self.source.units(numbers)
        names = tuple(dict.fromkeys(units))
        number = {unit: i for i, unit in enumerate(names)}
        return Acts(
            lambda rows: tuple(x[torch.from_numpy(rows)] for x in xs),
            np.array([number[units[i]] for i in place])[kept_rows.numpy()],
            names,
            tuple(mean for mean, _ in moments),
            tuple(scale for _, scale in moments),
        )


def _rows_of(
    model: Pretrained, rows: Sequence[PromptRow], sites: Sequence[Site]
) -> tuple[list[torch.Tensor], list[int]]:
    """The activations of each token of some prompts at each site, and the number of its prompt."""
    acts: list[list[torch.Tensor]] = [[] for _ in sites]
    place: list[int] = []
    prompts = [prompt(model.folder, row) for row in rows]
    for begin in range(0, len(prompts), ROWS):
        batch = prompts[begin : begin + ROWS]
        traces = run_many(
            model, [p.tokens for p in batch], capture=list(dict.fromkeys(sites)), logits=False
        )
        for i, (p, traced) in enumerate(zip(batch, traces, strict=True), begin):
            first = max(1, p.opening)  # whose activations are many times larger
            for part, site in zip(acts, sites, strict=True):
                part.append(traced[0].acts[site][0, first:].flatten(1).float().cpu())
            place += [i] * (len(p.tokens) - first)
    return [torch.cat(part) for part in acts], place


def _short(xs: list[torch.Tensor], limits: list[float]) -> torch.Tensor:
    return torch.stack([x.norm(dim=1) <= m for x, m in zip(xs, limits, strict=True)]).all(0)


def _moments(x: Float[torch.Tensor, "n d"], table: Train) -> tuple[torch.Tensor, float]:
    """Mean, and the factor that makes E‖x − mean‖² = d. Raises: DataError."""
    mean = x.double().mean(0)
    variance = float((x.double() - mean).square().sum(1).mean()) if len(x) > 1 else 0.0
    if not variance > 0:
        where = " and ".join(reads_at(table))
        raise DataError(f"the prompts of {table.name!r} have one activation at {where}")
    return mean.float(), (x.shape[1] / variance) ** 0.5


def _harvests(
    specs: list[HarvestSpec], bench: Bench, like: list[Harvest] | None = None
) -> list[Harvest]:
    """Harvests of several sites, with all available windows if there are fewer."""
    try:
        return harvests(specs, bench, like)
    except DataError as e:
        if "requested" not in str(e):
            raise
        return harvests([s.replace(windows=0) for s in specs], bench, like)


def smaller(table: Train) -> Train:
    """A table for the smoke preset."""
    least = {name: min(limit, getattr(table, name)) for name, limit in SMALL.items()}
    return msgspec.structs.replace(table, **least)


def frozen(table: Train) -> Part:
    """The half of a dictionary that is not trained."""
    return cast(Part, table.frozen)


def refuse_many(table: Train) -> None:
    """Refuse a name that means several dictionaries. Raises: DataError."""
    if table.per_seed:
        raise DataError(
            f"each seed trains its own {table.name!r}, with different latents; remove "
            "per_seed to train only one"
        )


def refuse_codes(table: Train) -> None:
    """Refuse a dictionary whose codes a probe of one site cannot read. Raises: DataError."""
    refuse_many(table)
    if crosses(table):
        inputs = "two models" if table.models else "several sites"
        raise DataError(f"{table.name!r} reads {inputs}, and a probe reads one")


def refuse_latent(table: Train, latent: int, *, writes: bool) -> None:
    """Refuse an unknown latent, and writing one of a transcoder. Raises: DataError."""
    refuse_many(table)
    last = (table.d_sae or 0) - 1
    if not 0 <= latent <= last:
        raise DataError(f"{table.name!r} has latents 0 to {last:,}, got {latent:,}")
    if crosses(table):
        inputs = "two models" if table.models else "several sites"
        raise DataError(
            f"{table.name!r} reads {inputs}, so a latent does not belong to any one of "
            "them; train a dictionary of one site"
        )
    if writes and table.site_out:
        raise DataError(
            f"{table.name!r} reads and writes at different sites, so one of its latents cannot be "
            "changed; read it, or train a dictionary without site_out"
        )
