"""What should the dictionary of one MLP reconstruct: its activations, what it adds to the stream, or the logits?

Paper: Bricken et al. 2023, Towards Monosemanticity, set-up and dictionaries of MLP activations; no number of these claims is published
Claim: at equal L0 a dictionary trained on the MLP's update lowers the update's FVU by at least 0.003
Baselines: untrained models and isotropic directions of the same rank; same-target, another start; whole-stream; random and tenfold parts
Cost: 240 s on 2 cores, 420 CPU-seconds, 2.8 GB a process; full a guess of 30 GPU-hours, never run
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from assay.core import Arm, Claim, Cost, Experiment, Figure, Finding, Gate, Spec, grid, probes, summary
from assay.core.errors import SpecError
from assay.core.measures import by, measures
from assay.core.rng import normal
from assay.core.stats import mean, ratio
from assay.data import corpus as corpora
from assay.data.targets import Target, TargetSpec, targets
from assay.data.tiny import TinySpec, tiny
from assay.subjects import folder as models

SEED = "nostalgebraist, remarks on Towards Monosemanticity: activations are an implementation detail"
TABLE = "plan: set before any pilot"
PILOT = "pilot: seeds 0 and 1, each with its own model"
CELLS: dict[str, tuple[Target, Target]] = {
    "act": ("act", "act"), "again": ("act", "act"), "act-update": ("act", "update"), "update": ("update", "update"),
    "post": ("post", "post"), "logit": ("logit", "logit"), "act-logit": ("act", "logit"), "readable": ("act", "act"),
}  # fmt: skip
"""What each dictionary reads and what it reconstructs."""
OTHER = ("again", "act-update", "update", "post", "logit", "act-logit")
"""The cells among whose features those of `act` are looked for."""
TRAINED = ("act", "again", "act-update", "update", "post", "logit")
"""The cells of the presets."""
OUTLIER = 6.0
"""Activations longer than so many medians are left out of a model on disk, as harvests leave them out."""
SIZES = np.geomspace(0.01, 1.0, 9)
"""Edges of the sizes of a part over the stream, by which errors are shown."""


@dataclass(frozen=True, kw_only=True)
class WhichTarget(Spec):
    subject: str = "tiny"
    """"tiny": a one-block model that each seed trains for itself; "smollm2" or a local folder, or "untrained smollm2": its weights drawn anew."""
    layer: int = 0
    """The block of a tiny model; of a model on disk all blocks are measured."""
    model_steps: int = 600
    """Training steps of the tiny model."""
    d: int = 64
    """Width of its stream."""
    m: int = 256
    """Neurons of its MLP."""
    activation: Literal["gelu", "relu"] = "gelu"
    """Their non-linearity."""
    cells: tuple[str, ...] = ("act", "again", "act-update", "update", "post", "logit", "act-logit")
    """The dictionaries that are trained."""
    width: int = 512
    """Features in a dictionary."""
    k: int = 8
    """Features that TopK keeps: L0 is equal by construction."""
    corpus: str = corpora.STDLIB
    """The text: "stdlib" or a folder of text files."""
    windows: int = 4800
    """Training windows of `context` tokens."""
    per_file: int = 8
    """Test windows from one file, at most."""
    tested: int = 0
    """Test windows; 0: all there are."""
    context: int = 64
    """Tokens in a window."""
    batch: int = 512
    """Tokens a step."""
    steps: int = 1500
    """Training steps of the dictionaries."""
    lr: float = 4e-3
    """Adam's learning rate at its top."""
    products: Literal["bfloat16", "float32"] = "float32"
    """Precision of matrix products in training; parameters are float32. Many CPUs are far slower in bfloat16."""
    noise: float = 0.01
    """Variance of the noise in the control that holds what W_out reads, as a share of its own."""

    def check(self) -> None:
        for name in ("layer", "windows", "per_file"):
            if getattr(self, name) < 0:
                raise SpecError(f"WhichTarget.{name} must be at least 0, got {getattr(self, name)}")
        for name in ("model_steps", "d", "m", "width", "k", "context", "batch", "steps"):
            if getattr(self, name) < 1:
                raise SpecError(f"WhichTarget.{name} must be at least 1, got {getattr(self, name)}")
        if unknown := [c for c in self.cells if c not in CELLS]:
            raise SpecError(f"WhichTarget.cells names {unknown[0]!r}; cells: {', '.join(CELLS)}")

    def model(self):
        """The tiny model of this seed."""
        return TinySpec(seed=self.seed, d=self.d, m=self.m, activation=self.activation, context=self.context, corpus=self.corpus,
                        steps=self.model_steps)  # fmt: skip


# --- what is trained ---------------------------------------------------------------------------------------------------


def places(s, bench):
    """(training part, test part): the targets of this seed's model."""
    asked = TargetSpec(subject=str(tiny(s.model(), bench)), layer=s.layer, targets=("act", "update", "post", "logit"),
                       corpus=s.corpus, windows=s.windows, context=s.context, dtype="float32")  # fmt: skip
    train = targets(asked, bench)
    return train, targets(asked.replace(part="test", windows=s.tested, per_file=s.per_file), bench, like=train)


def readable(h, null, noise, draws):
    """Normalised activations without what W_out does not read, and a little noise so that the share is not 0 by arithmetic."""
    seen = h - h @ null
    return seen + (noise * seen.square().mean()).sqrt() * draws


def with_control(s, data, x, index):
    """A batch with the activations that a control is trained on, where it is trained."""
    import torch

    if "readable" not in s.cells:
        return x
    draws = torch.from_numpy(normal(np.array([s.seed]), "targets.noise", index, tuple(x["act"].shape))[0])
    return {**x, "readable": readable(x["act"], data.readout.null, s.noise, draws)}


def cells_of(s):
    from assay.dictionaries.training.cells import Cell

    return {
        name: Cell(*CELLS[name], replicate=int(name == "again"), changed="readable" if name == "readable" else "")
        for name in s.cells
    }


def train(runs, bench):
    """Every cell's dictionary of this seed, on the same batches."""
    from assay.dictionaries.nonlinearity import TopK
    from assay.dictionaries.training import losses
    from assay.dictionaries.training.cells import fit_cells
    from assay.dictionaries.training.train import Method

    (s,) = runs.specs  # a seed has a model of its own, so it is a group of its own
    data, _ = places(s, bench)
    batches = data.batches(runs.seeds, s.batch)
    method = Method(TopK(s.k), losses.mse, s.width, lr=np.array([s.lr]), penalty=np.zeros(1), betas=(0.9, 0.999),
                    encoder_scale=1.0, products=s.products)  # fmt: skip
    return fit_cells(cells_of(s), runs, method, data, lambda step: with_control(s, data, batches(step), step), steps=s.steps,
                     bench=bench, probe_at=probes(s.steps, 20))  # fmt: skip


def no_training(runs, bench):
    """Nothing: the model is measured as it is."""
    from assay.core.fit import Trained

    return Trained({}, {"kind": "none"}, {}, np.zeros(0, np.int64), np.zeros(len(runs), bool))


# --- what is measured --------------------------------------------------------------------------------------------------


def measure(runs, trained, bench):
    import torch

    from assay.dictionaries.training.cells import dictionaries

    (s,) = runs.specs
    if s.subject != "tiny":
        return of_blocks(runs, s, bench)
    data, test = places(s, bench)
    files, document = np.unique(test.document[test.kept], return_inverse=True)
    at = torch.from_numpy(document), len(files)
    raw, found = test.raw(test.kept), dictionaries(trained) if s.cells else {}
    named: dict[str, Any] = {}
    coords = {"document": [test.files[f] for f in files]}
    if not found or "post" in found:  # the model itself, once for each
        named |= of_model(s, data, raw, at)
    if "readable" in found:
        seen, _ = without_unread(s, data, raw)
        named |= spending(s, found["readable"], found["readable"].encode(seen)[0], data.readout, at)
    elif found:
        more, levels = of_dictionaries(s, found, raw, test, at)
        named, coords = named | more, coords | levels
        coords["step"] = trained.steps.tolist()
        named["loss"] = ("run cell step", np.stack([trained.history[f"{name}:loss"] for name in found], 1), "1")
    return measures(runs, coords=coords, **named)


def without_unread(s, data, raw):
    """([b, m], [b, m]): normalised activations without what W_out does not read, with a little noise; and the activations."""
    import torch

    h = data.normalise("act", raw["act"])
    draws = torch.from_numpy(normal(np.array([s.seed]), "targets.noise.test", 0, tuple(h.shape))[0])
    return readable(h, data.readout.null, s.noise, draws), h


def of_model(s, data, raw, at):
    """Measures of the model alone: variance that W_out does not read, and what each neuron is worth to the logits."""
    import torch

    from assay.dictionaries.measuring.cell_measures import by_document

    read, named, (seen, h) = data.readout, {}, without_unread(s, data, raw)
    m, d = read.W_out.shape
    drawn = torch.linalg.qr(torch.from_numpy(normal(np.array([s.seed]), "targets.subspace", 0, (m, d))[0]))[0]
    parts = {"null": h @ read.null, "total": h, "random_null": h - h @ drawn @ drawn.T,
             "readable_null": seen @ read.null, "readable_total": seen, "raw_null": raw["act"] @ read.null, "raw_total": raw["act"]}  # fmt: skip
    for name, x in parts.items():
        named[name] = ("run document", by_document(x.square().sum(1), *at)[None], "squared activation")
    for name in ("", "readable_"):
        named[name + "isotropic"] = ("run document", (1 - d / m) * named[name + "total"][1], "squared activation")
    worth = read.importance * h.var(0) / data.scale("act") ** 2
    named["importance"] = ("run neuron", worth[None], "squared logit")
    named["uneven"] = ("run neuron", np.exp(normal(np.array([s.seed]), "targets.uneven", 0, tuple(worth.shape))), "1")
    return named


def of_blocks(runs, s, bench):
    """Measures of a model on disk: what each block's W_out reads, and what the last block's neurons and update do to the logits."""
    import torch

    from assay.dictionaries.measuring.cell_measures import by_document, gini
    from assay.subjects.readout import readout
    from assay.subjects.site import Site

    model = opened(s, bench)
    text = corpora.load(s.corpus)
    cut = text.windows(model.encode, "test", context=s.context, count=s.tested, per_file=s.per_file)
    files, document = np.unique(cut.document, return_inverse=True)
    last = Site("resid_mid", model.layers - 1)
    sites = [Site("mlp_post", i) for i in range(model.layers)]
    reads = [torch.linalg.qr(written(model, i))[0] for i in range(model.layers)]
    m, d = reads[0].shape
    drawn = [
        torch.linalg.qr(torch.from_numpy(normal(np.array([s.seed]), "targets.subspace", i, (m, d))[0]))[0]
        for i in range(model.layers)
    ]
    sums = {name: np.zeros((model.layers, len(files))) for name in ("square", "read", "drawn", "tokens")}
    vectors, kept = np.zeros((model.layers, len(files), m)), []
    for a in range(0, len(cut.tokens), 8):
        acts = model.run(torch.from_numpy(cut.tokens[a : a + 8].astype(np.int64)), capture=[*sites, last], logits=False).acts
        of = torch.from_numpy(document[a : a + 8])[:, None].expand(-1, s.context - 1).flatten()
        for i, site in enumerate(sites):
            h = acts[site][:, 1:].float().flatten(0, 1)
            size = torch.linalg.vector_norm(h, dim=1)
            keep = size <= OUTLIER * size.median()
            at, h = (of[keep], len(files)), h[keep]
            for name, x in (("square", h), ("read", h @ reads[i]), ("drawn", h @ drawn[i]), ("tokens", torch.ones(len(h), 1))):
                sums[name][i] += by_document(x.square().sum(1), *at)
            vectors[i] += by_document(h, *at)
        kept.append((h, acts[last][:, 1:].float().flatten(0, 1)[keep], of[keep]))
    found = {name: np.zeros((model.layers, len(files))) for name in ("total", "null", "random_null")}
    for i in range(model.layers):  # all about the mean over the kept tokens of the block
        middle, n = vectors[i].sum(0) / sums["tokens"][i].sum(), sums["tokens"][i]
        found["total"][i] = sums["square"][i] - 2 * vectors[i] @ middle + n * (middle @ middle)
        for name, which, Q in (("null", "read", reads[i]), ("random_null", "drawn", drawn[i])):
            seen, at_middle = vectors[i] @ Q.double().numpy(), middle @ Q.double().numpy()
            found[name][i] = found["total"][i] - (sums[which][i] - 2 * seen @ at_middle + n * (at_middle @ at_middle))
    found["isotropic"] = (1 - d / m) * found["total"]
    named = {name: ("run block document", x[None], "squared activation") for name, x in found.items()}
    h, mid, of = (torch.cat(x) for x in zip(*kept, strict=True))
    read, at = readout(model, model.layers - 1), (of, len(files))
    apart = by_document((h - h.mean(0)).square(), *at) * read.importance.numpy()  # [document, neuron]
    named["importance"] = ("run neuron", apart.sum(0)[None] / len(h), "squared logit")
    named["gini"] = ("run document", np.array([[gini(row) for row in apart]]), "Gini coefficient")
    if s.subject == "smollm2":
        update = read.update(h)
        parts, row = principal_parts(update)
        named |= linear(s, parts, row, mid + update, read, at)
    coords = {"document": [text.documents[f].path for f in files], "block": list(range(model.layers))}
    return measures(runs, coords=coords, **named)


def opened(s, bench):
    """The model on disk; "untrained …": with matrices drawn as before its training."""
    import torch

    from assay.subjects.pretrained import fast_dtype, load

    name = s.subject.removeprefix("untrained ")
    model = load(name, bench.device, fast_dtype())
    if name != s.subject:
        draw = torch.Generator().manual_seed(s.seed)
        for weight in model.model.parameters():
            if weight.ndim == 2:
                weight.data.copy_(torch.empty(weight.shape).normal_(0, model.model.config.initializer_range, generator=draw))
            else:
                weight.data.fill_(1)
    return model


def written(model, layer):
    """[m, d]: what each neuron of a gated MLP adds to the stream, float32."""
    return model.blocks[layer].get_submodule("mlp.down_proj").weight.detach().float().cpu().T


def of_dictionaries(s, found, raw, test, at):
    """Measures of the trained dictionaries, and the levels of their axes."""
    from assay.dictionaries.measuring import cell_measures as of

    cells, read, act = cells_of(s), test.readout, found["act"]
    rows = {name: of.cell_sums(cells[name], one, raw, read, *at) for name, one in found.items()}
    named = {"tokens": ("run document", of.by_document(raw["act"][:, 0] ** 0, *at)[None], "tokens")}
    for space, sums in of.variances(raw, test, *at).items():
        named[f"variance_{space}"] = ("run document", sums[None], f"squared {space}")
    for key in ("active", *(f"error_{space}" for space in of.SPACES)):
        named[key] = ("run cell document", np.stack([r[key] for r in rows.values()])[None], key.replace("error_", "squared "))
    levels = {"cell": list(found)}
    if "logit" in found:
        features = act.encode(raw["act"])[0]
        named |= alike(s, found, features, read)
        levels["other"] = [name for name in OTHER if name in found] + ["random"]
    if "post" in found:
        named |= spending(s, act, features, read, at)
        named["null_of_feature"] = ("run feature", (act.W_dec[0] @ read.null).square().sum(1)[None], "share")
        token, feature = features.nonzero(as_tuple=True)
        parts = features[token, feature][:, None] * (act.W_dec[0] @ read.W_out)[feature] / act.scale[0]
        named |= linear(s, parts, token, raw["post"], read, at)
    return named, levels


def spending(s, dictionary, features, read, at):
    """Measures of what a dictionary of activations writes, and the share that nothing reads: of its rows, and of isotropic ones."""
    import torch

    from assay.dictionaries.measuring.cell_measures import spent

    rows = dictionary.W_dec[0]
    drawn = torch.from_numpy(normal(np.array([s.seed]), "targets.rows", 0, tuple(rows.shape))[0])
    drawn = torch.nn.functional.normalize(drawn, dim=-1) * torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    own, isotropic = (spent(features, D, read.null, *at) for D in (rows, drawn))
    named = {"unread": own["unread"], "written": own["written"], "random_unread": isotropic["unread"]}
    return {name: ("run document", values[None], "squared feature") for name, values in named.items()}


def principal_parts(update, count=24):
    """([n, d], [n]): what each of the strongest principal directions of an update is in each row, and the row it is from."""
    import torch

    centred = update - update.mean(0)
    _, axes = torch.linalg.eigh((centred.T @ centred).double())
    top = axes[:, -count:].float().T
    return ((centred @ top.T)[..., None] * top).flatten(0, 1), torch.arange(len(update)).repeat_interleave(count)


def tenfold(parts, x, draws):
    """Parts ten times as long."""
    return 10 * parts


def turned(parts, x, draws):
    """Parts as long, turned half-way towards the stream they are in."""
    from torch.nn.functional import normalize

    return normalize(normalize(parts, dim=-1) + normalize(x, dim=-1), dim=-1) * parts.norm(dim=-1, keepdim=True)


def scattered(parts, x, draws):
    """Parts as long, in random directions."""
    return draws / draws.norm(dim=-1, keepdim=True) * parts.norm(dim=-1, keepdim=True)


CHANGED = {"tenfold_": tenfold, "turned_": turned, "random_": scattered}


def linear(s, parts, row, post, read, at):
    """Measures of how far linearised effects are from exact ones: counts per document and bin of ε, and medians by size.

    Changed parts, for controls, are made of every fourth part.
    """
    import torch

    from assay.dictionaries.measuring import cell_measures as of

    (document, n), out = at, {}
    some, among = parts[::4], row[::4]
    draws = torch.from_numpy(normal(np.array([s.seed]), "targets.parts", 0, tuple(some.shape))[0])
    asked = {"": (parts, row)} | {name: (change(some, post[among], draws), among) for name, change in CHANGED.items()}
    for name, (pieces, rows) in asked.items():
        found = [of.linear_errors(p, post[r], read) for p, r in zip(pieces.split(32768), rows.split(32768), strict=True)]
        for kind in ("frozen", "jacobian"):
            error = torch.cat([one[kind] for one in found])
            out[name + kind] = ("run document bin", of.binned(error, document[rows], n)[None], "pairs")
            if not name:
                size = np.digitize(torch.linalg.vector_norm(parts, dim=1) / torch.linalg.vector_norm(post, dim=1)[row], SIZES)
                there = [error.numpy()[size == i] for i in range(1, len(SIZES))]
                medians = [np.nanmedian(e) if len(e) > 20 else np.nan for e in there]
                out[f"{kind}_by_size"] = ("run size", np.array([medians]), "1")
    return out


def alike(s, found, features, read):
    """Measures of how well features of `act` are found among those of other cells, and what chance gives there."""
    from assay.dictionaries.measuring import cell_measures as of

    rows = {name: of.logit_rows(CELLS[name][1], one.W_dec[0], read) for name, one in found.items()}
    weight = features.square().mean(0)
    others = [rows[name] for name in OTHER if name in rows]
    others.append(of.like_rows(rows["logit"], s.seed, 1))  # it knows the spread of the logit dictionary and nothing else
    here = [of.agreement(rows["act"], b, weight) for b in others]
    chance = [np.mean([of.agreement(rows["act"], of.like_rows(b, s.seed, 2 + i), weight) for i in range(4)]) for b in others]
    return {"found": ("run other", np.array([here]), "cosine"), "chance": ("run other", np.array([chance]), "cosine")}


def inputs(spec):
    """Corpus, and the model where it is one on disk; a tiny model follows from corpus and spec."""
    read = {"corpus": corpora.load(spec.corpus).fingerprint}
    return read if spec.subject == "tiny" else read | {"model": models.fingerprint(spec.subject.removeprefix("untrained "))}


def cost(runs):
    """The disk that harvests take; seconds come from the record."""
    s = runs.shared
    return Cost(bytes=s.windows * s.context * (2 * (s.m + s.d) + 8) if s.subject == "tiny" else 0)


# --- what is compared ---------------------------------------------------------------------------------------------------


def unread(arm, arms):
    """Terms: variance that W_out does not read, what it would not read of isotropic activations, and all of it."""
    return {name: by(arm)[name] for name in ("null", "isotropic", "total")}


def spends(arm, arms):
    """The same of what a dictionary writes."""
    data, share = by(arm), 1 - arm.attrs["d"] / arm.attrs["m"]
    return {"null": data.unread, "isotropic": share * data.written, "total": data.written}


def below_isotropic(m):
    """By how much the unread share lies below that of isotropic directions of the same rank, 1 − d/m."""
    return (m["isotropic"] - m["null"]) / m["total"]


def here(terms):
    """The same terms of the only run of an arm: a model on disk. Raises: ValueError for an arm of several runs."""
    return lambda arm, arms: {name: x.squeeze("seed", drop=True) for name, x in terms(arm, arms).items()}


def within_files(arm, arms):
    """Term: Gini coefficient of what neurons are worth within each document."""
    return {"gini": by(arm).gini}


def explained(space, a, b):
    """Terms: squared errors of two cells in one space, and its variance."""

    def terms(arm, arms):
        data = by(arm)
        errors = data[f"error_{space}"]
        return {"a": errors.sel(cell=a, drop=True), "b": errors.sel(cell=b, drop=True), "variance": data[f"variance_{space}"]}

    return terms


def lead(m):
    """By how much the FVU of b lies below that of a."""
    return (m["a"] - m["b"]) / m["variance"]


def pairs(kind):
    """Term: how many pairs of feature and token have a relative error in each bin."""
    return lambda arm, arms: {"count": by(arm)[kind]}


def median_error(m):
    """The median relative error."""
    from assay.dictionaries.measuring.cell_measures import binned_median

    return binned_median(m["count"])


def likeness(other):
    """Terms: agreement of `act` with another cell and with its own replicate, each with what chance gives."""

    def terms(arm, arms):
        data, sides = by(arm), (("cross", other), ("within", "again"))
        return {f"{name}_{at}": data[name].sel(other=o, drop=True) for name in ("found", "chance") for at, o in sides}

    return terms


def similarity(m):
    """Agreement above chance across targets, as a share of that between two starts of one target."""
    return ((m["found_cross"] - m["chance_cross"]) / (1 - m["chance_cross"])) / (
        (m["found_within"] - m["chance_within"]) / (1 - m["chance_within"])
    )


def inequality(arm, arms):
    """[seed]: Gini coefficient of what neurons are worth."""
    from assay.dictionaries.measuring.cell_measures import gini

    worth = by(arm).importance
    return xr.DataArray([gini(w) for w in worth.values], dims="seed", coords={"seed": worth.seed})


def equal_l0(arm):
    """Whether all dictionaries have the same L0 to 2 %."""
    l0 = (arm.active.sum("document") / arm.tokens.sum("document")).sel(
        cell=[c for c in ("act", "act-update", "logit") if c in arm.cell]
    )
    return bool(l0.max() <= 1.02 * l0.min())


# --- arms, claims, figures -----------------------------------------------------------------------------------------------


def like(seeds=None, halved=False, **fields):
    """The preset's (first so many) seeds with these fields; `halved`: half the steps, with a whole schedule of their own."""

    def specs(main):
        base = main[0].replace(**fields)
        base = base.replace(steps=base.steps // 2) if halved else base
        return grid(base, seed=sorted({s.seed for s in main})[:seeds])

    return specs


def only(data, *names):
    """These measures of an arm, so that a derived arm answers for nothing that it does not change."""
    return data[[*names, *(["diverged"] if "diverged" in data else [])]]


def instead(of, **measured):
    """A control made from an arm's measures: some of them in the place of others."""
    return lambda arms: only(arms[of].assign({name: arms[of][other].rename() for name, other in measured.items()}), *measured)


def same_target(of):
    """An arm with the other start of `act` where the dictionary trained on the update stands."""

    def derive(arms):
        data = arms[of]
        swapped = data.error_update.where(data.cell != "act-update", data.error_update.sel(cell="again", drop=True))
        return only(data.assign(error_update=swapped), "error_update", "variance_update")

    return derive


def whole_stream(arms):
    """The arm `main` with the dictionary of the whole stream where that of the activations stands."""
    data = arms["main"]
    swapped = data.error_logit.where(data.cell != "act", data.error_logit.sel(cell="post", drop=True))
    return only(data.assign(error_logit=swapped), "error_logit", "variance_logit")


def rows_of(other):
    """The arm `main` with other rows where the logit dictionary's features stand."""

    def derive(arms):
        data = arms["main"]
        swapped = {n: data[n].where(data.other != "logit", data[n].sel(other=other, drop=True)) for n in ("found", "chance")}
        return only(data.assign(swapped), "found", "chance")

    return derive


def effects_of(of, change):
    """An arm's linearised effects, of changed parts."""
    return instead(of, frozen=f"{change}_frozen", jacobian=f"{change}_jacobian")


SMOL = {"layer": 29, "cells": (), "windows": 16, "per_file": 1, "context": 128}
ISOTROPIC = {"null": "random_null", "isotropic": "isotropic", "total": "total"}
READ = {"null": "readable_null", "isotropic": "readable_isotropic", "total": "readable_total"}
BARE = ("act", "again", "act-update")
ARMS = {
    "main": Arm(train, note="a one-block model per seed, and a dictionary for each target"),
    "half": Arm(train, specs=like(3, halved=True, cells=(*BARE, "logit")), note="half as many steps, with their own decay"),
    "narrow": Arm(train, specs=like(cells=BARE, width=256), note="dictionaries of half as many features"),
    "narrow-half": Arm(train, specs=like(3, halved=True, cells=BARE, width=256), note="these, with half as many steps"),
    "readable": Arm(train, specs=like(cells=("readable",), steps=300), note="a dictionary of what W_out reads of the activations, and 1 % noise"),
    "untrained": Arm(no_training, specs=like(cells=(), model_steps=1, windows=64), note="the same models after one step: as they were drawn"),
    "smollm2": Arm(no_training, specs=like(1, subject="smollm2", **SMOL), note="all blocks of SmolLM2, without a dictionary"),
    "smollm2-untrained": Arm(no_training, specs=like(1, subject="untrained smollm2", **SMOL), note="SmolLM2 with weights drawn at random"),
    "isotropic": Arm(derive=instead("main", **ISOTROPIC), note="what a random subspace of W_out's rank does not read of the same activations"),
    "readable-acts": Arm(derive=instead("main", **READ), note="activations without what W_out does not read, and 1 % noise"),
    "isotropic-rows": Arm(derive=instead("main", unread="random_unread", written="written"), note="isotropic rows of the same lengths and use"),
    "same-target": Arm(derive=same_target("main"), note="another start of act in the place of act-update: no effect"),
    "narrow-same-target": Arm(derive=same_target("narrow"), note="the same for the narrow dictionaries"),
    "whole-stream": Arm(derive=whole_stream, note="the dictionary of the stream in the place of act: another target, and not a similar one"),
    "stream-rows": Arm(derive=rows_of("post"), note="rows of the dictionary of the stream, in the place of the logit dictionary's"),
    "random-rows": Arm(derive=rows_of("random"), note="random rows spread as the logit dictionary's, in its place"),
    "tenfold": Arm(derive=effects_of("main", "tenfold"), note="features' contributions made ten times as long"),
    "turned": Arm(derive=effects_of("main", "turned"), note="features' contributions turned half-way towards the stream they are in"),
    "random-parts": Arm(derive=effects_of("main", "random"), note="random directions, as long as features' contributions"),
    "uneven": Arm(derive=instead("main", importance="uneven"), note="equal worth times lognormal factors, σ = 1: Gini .52 in the mean"),
    "smollm2-isotropic": Arm(derive=instead("smollm2", **ISOTROPIC), note="a random subspace of the same rank for each block of SmolLM2"),
    "smollm2-tenfold": Arm(derive=effects_of("smollm2", "tenfold"), note="tenfold for SmolLM2's principal directions"),
    "smollm2-turned": Arm(derive=effects_of("smollm2", "turned"), note="turned for SmolLM2's principal directions"),
    "smollm2-random": Arm(derive=effects_of("smollm2", "random"), note="random directions as long as SmolLM2's principal ones"),
}  # fmt: skip

CROSSED, L0 = ("seed", "document"), (Gate("equal L0", equal_l0),)
HALF = {"main": "half"}
ISO = "what rank and architecture give without training"
CLAIMS = (
    Claim(
        text="Training turns a model's activations towards what is read: their unread share lies at least 0.10 below that of isotropic ones",
        value=unread, statistic=below_isotropic, units=CROSSED, low=0.10, unit="share of variance",
        must_fail=("untrained", "isotropic"), near={"untrained": ISO, "isotropic": "what any subspace of W_out's rank would read"},
        must_hold=("readable-acts",), threshold_from=f"{PILOT}: .55 is unread where isotropic activations have .75",
        published="new", source=f"{SEED}; footnote on the null space of W_out",
    ),
    Claim(
        text="In SmolLM2 too: over its 30 MLPs the unread share of the activations lies at least 0.10 below that of isotropic ones",
        of="smollm2", value=here(unread), statistic=below_isotropic, units=("block", "document"), low=0.10, unit="share of variance",
        must_fail=("smollm2-untrained", "smollm2-isotropic"),
        near={"smollm2-untrained": ISO, "smollm2-isotropic": "what any subspace of W_out's rank would read"},
        threshold_from="plan: the margin of the claim before it, fixed before any block but the last was measured",
        published="new", source=f"{SEED}; footnote on the null space of W_out",
    ),
    Claim(
        text="A dictionary of activations spends at least 0.10 less of what it writes on what nothing reads than isotropic rows would",
        value=spends, statistic=below_isotropic, units=CROSSED, low=0.10, unit="share of squared features",
        must_fail=("isotropic-rows",), near={"isotropic-rows": "rows of the same lengths and use in any directions"},
        must_hold=("readable",), threshold_from=f"{PILOT}: .55 is spent there where isotropic rows spend .75", published="new", source=SEED,
    ),
    *(
        Claim(
            text=f"Reading the activations, training on the update lowers the update's FVU by at least 0.003 at equal L0 ({features} features)",
            of=arm, value=explained("update", "act", "act-update"), statistic=lead, units=CROSSED, low=0.003, unit="FVU",
            must_fail=(control,), near={control: "another start of the same dictionary"}, also={other: "the same comparison at another width"},
            gates=L0, half={arm: half}, threshold_from=origin, published="new", source=SEED,
        )
        for features, arm, half, control, other, origin in (
            (512, "main", "half", "same-target", "narrow",
             f"{PILOT}: .011 [.009, .013], after half the steps .006; the control .000 [−.002, .001]"),
            (256, "narrow", "narrow-half", "narrow-same-target", "main",
             "plan: the margin of the claim before it, fixed before this width was tried"),
        )
    ),
    Claim(
        text="Training on activations costs little in logits: its FVU there is at most 1.2 times that of training on logits",
        value=explained("logit", "act", "logit"), statistic=ratio("a", "b"), units=CROSSED, high=1.2, unit="ratio of FVU",
        must_fail=("whole-stream",), near={"whole-stream": "a dictionary of what is mostly not the MLP's doing"},
        gates=L0, half=HALF, threshold_from=TABLE, published="new", source=f"{SEED}; footnote on L2",
    ),
    Claim(
        text="Features are similar in practice: above chance, those of activations and of logits agree at least 0.8 times as well as "
        "two starts of one target",
        value=likeness("logit"), statistic=similarity, units=("seed",), low=0.8, unit="share of agreement",
        must_fail=("stream-rows", "random-rows"), near={"stream-rows": "any dictionary of the same tokens"},
        half=HALF, threshold_from=TABLE, published="new", source=f"{SEED}; footnote on L2",
    ),
    *(
        Claim(
            text=f"{what} is off by at most 0.10: median relative error {of}",
            of=arm, value=value(pairs(kind)), statistic=median_error, units=units, high=0.10, unit="relative error",
            must_fail=tuple(f"{prefix}{c}" for c in controls), near={f"{prefix}{c}": why for c, why in near.items()},
            also={f"{prefix}{c}": why for c, why in also.items()}, threshold_from=TABLE, published="new", source=f"{SEED}; footnote on layer norm",
        )
        for arm, prefix, value, units, of, random in (
            ("main", "", lambda terms: terms, CROSSED, "of a feature's effect on the logits", "random-parts"),
            ("smollm2", "smollm2-", here, ("document",), "over the 24 principal directions of SmolLM2's last update", "random"),
        )
        for what, kind, controls, near, also in (
            ("Holding the final norm's divisor fixed", "frozen", (random, "turned"),
             {random: "high dimension: random directions are nearly at right angles to the stream", "turned": "shortness alone"},
             {"tenfold": "what is missed is a matter of direction, not of length"}),
            ("The final norm's Jacobian", "jacobian", ("tenfold",), {"tenfold": "that it is right for parts of any length"},
             {random: "just as short", "turned": "just as short"}),
        )
    ),
    Claim(
        text="Training makes neurons worth nearly the same to the logits: Gini coefficient at most 0.3",
        value=inequality, statistic=mean, units=("seed",), high=0.3, unit="Gini coefficient", must_fail=("untrained", "uneven"),
        near={"untrained": "that they are so before any training"}, threshold_from=TABLE, published="new", source=f"{SEED}; footnote on L2",
    ),
    Claim(
        text="The neurons of SmolLM2's last MLP are worth nearly the same to the logits within a file: Gini coefficient at most 0.3",
        of="smollm2", value=here(within_files), statistic=mean, units=("document",), high=0.3, unit="Gini coefficient",
        must_fail=("smollm2-untrained",), near={"smollm2-untrained": "that they are so before any training"},
        threshold_from=TABLE, published="new", source=f"{SEED}; footnote on L2",
    ),
    Finding(
        text="Unread share of the variance of the one-block models' activations (isotropic: 0.75)",
        value=lambda arms: unread(arms["main"], arms), statistic=ratio("null", "total"), units=CROSSED, unit="share",
    ),
    Finding(
        text="Unread share of the variance over SmolLM2's MLPs (isotropic: 0.625)",
        value=lambda arms: here(unread)(arms["smollm2"], arms), statistic=ratio("null", "total"), units=("block", "document"), unit="share",
    ),
    Finding(
        text="FVU of the update by which training on the update, and reading it, lies below training on activations (it changes the input too)",
        value=lambda arms: explained("update", "act", "update")(arms["main"], arms), statistic=lead, units=CROSSED, unit="FVU",
    ),
    Finding(
        text="Features of activations and of the update, both read from activations: share of the agreement between two starts",
        value=lambda arms: likeness("act-update")(arms["main"], arms), statistic=similarity, units=("seed",), unit="share of agreement",
    ),
    Finding(
        text="Unread share of the activations' mean square, the mean included",
        value=lambda arms: {"null": by(arms["main"]).raw_null, "total": by(arms["main"]).raw_total}, statistic=ratio("null", "total"),
        units=CROSSED, unit="share",
    ),
)  # fmt: skip


def figures(arms):
    if "main" not in arms:
        return []
    data, drawn = by(arms["main"]), []
    columns: dict[str, list] = {"cell": [], "space": [], "mean": [], "low": [], "high": []}
    for space in ("act", "update", "logit"):
        share = data[f"error_{space}"].sum("document", skipna=False) / data[f"variance_{space}"].sum("document")
        for cell in data.cell.values.tolist():
            values = share.sel(cell=cell).values
            if not np.isnan(values).all():
                add(columns, ARROWS[cell], f"FVU of the {SPOKEN[space]}", *summary(values))
    drawn.append(Figure("What each dictionary leaves unexplained, in three spaces", columns, "bars", x="cell", y="mean", facet="space",
                        band=("low", "high"), x_title="reads → reconstructs", y_title="FVU",
                        note="Mean and 95 % t interval over seeds."))  # fmt: skip
    nu = data.null_of_feature.values.ravel().tolist()
    m, d = arms["main"].attrs["m"], arms["main"].attrs["d"]
    p = 1 - d / m
    spread = (2 * p * (1 - p) / (m + 2)) ** 0.5
    drawn.append(Figure("How much of each feature of activations nothing reads", {"share": nu, "count": [1] * len(nu)}, "histogram", x="share",
                        y="count", x_title="unread share of a decoder row", y_title="features",
                        note=f"A random direction has {p:.3f} ± {spread:.3f} (Beta)."))  # fmt: skip
    columns = {"block": [], "share": [], "low": [], "high": [], "model": []}
    for label, arm in (("SmolLM2", "smollm2"), ("untrained", "smollm2-untrained"), ("random subspaces", "smollm2-isotropic")):
        for i in range(arms[arm].sizes["block"] if arm in arms else 0):
            block = by(arms[arm]).isel(seed=0, block=i)
            value, low, high = summary((block.null / block.total).values)
            add(columns, i, value, low, high, label)
    drawn.append(Figure("What the MLPs of SmolLM2 write and nothing reads", columns, "line", x="block", y="share", color="model",
                        band=("low", "high"), x_title="block", y_title="unread share of the activations' variance",
                        note="Mean and 95 % t interval over documents."))  # fmt: skip
    middle = np.sqrt(SIZES[1:] * SIZES[:-1])
    columns = {"size": [], "error": [], "kind": [], "low": [], "high": []}
    for label, arm in (("", "main"), (", SmolLM2", "smollm2")):
        for kind in ("frozen", "jacobian"):
            for i, size in enumerate(middle.tolist() if arm in arms else []):
                values = summary(by(arms[arm])[f"{kind}_by_size"].values[:, i])
                if not np.isnan(values[0]):
                    add(columns, size, values[0], kind + label, *values[1:])
    drawn.append(Figure("Linearised effects on the logits against exact ones", columns, "line", x="size", y="error", color="kind",
                        band=("low", "high"), x_log=True, y_log=True, x_title="length of the contribution over that of the stream",
                        y_title="median relative error", rules=((0.1, "10 %"),)))  # fmt: skip
    columns = {"rank": [], "share": [], "of": []}
    for label, arm in (("one-block model", "main"), ("SmolLM2, last block", "smollm2"), ("lognormal, σ = 1", "uneven")):
        if arm in arms:
            worth = np.sort(by(arms[arm]).importance.values[0])
            for q in np.linspace(0, 1, 65):
                add(columns, q, worth[: round(q * len(worth))].sum() / worth.sum(), label)
    drawn.append(Figure("How evenly neurons share what they are worth to the logits", columns, "line", x="rank", y="share", color="of",
                        x_title="share of neurons, least first", y_title="share of worth"))  # fmt: skip
    columns = {"cell": [], "what": [], "mean": [], "low": [], "high": []}
    for other in data.other.values.tolist():
        for what in ("found", "chance"):
            add(columns, ARROWS.get(other, other), what, *summary(data[what].sel(other=other).values))
    drawn.append(Figure("How well features of activations are found among those of another dictionary", columns, "bars", x="cell", y="mean",
                        facet="what", band=("low", "high"), x_title="other dictionary", y_title="mean best |cosine| in logits"))  # fmt: skip
    return drawn


SPOKEN = {"act": "activations", "update": "update", "logit": "logits"}
ARROWS = {
    "act": "h → h", "again": "h → h again", "act-update": "h → o", "update": "o → o", "post": "x → x", "logit": "z → z", "act-logit": "h → z",
    "random": "random rows",
}  # fmt: skip


def add(columns, *row):
    for column, value in zip(columns.values(), row, strict=True):
        column.append(value)


DEFAULT = WhichTarget(cells=TRAINED)
SMALL = WhichTarget(
    cells=TRAINED, model_steps=20, d=16, m=32, width=64, k=4, windows=60, per_file=1, tested=6, steps=20, batch=128
)

PAGE = """
**The question.** A dictionary of an MLP is usually trained to reconstruct its activations h. The rest of the network never sees h, only
o = W_out h, which the MLP adds to the residual stream; and of the last MLP's o only what it does to the logits matters. With four times as
many neurons as dimensions, three quarters of the directions of h are read by nothing. So what should be reconstructed: h, o, the stream
x after it, or o in logits, z? And if it should be something else, does it matter in practice?

**How it is judged.** A dictionary is named by what it reads and what it makes: h → h, h → o, o → o, x → x, z → z, h → z. All have 512
features of which TopK keeps 8, so that L0 is equal by construction, and all of a seed see the same tokens. z has as many numbers as the
stream, and the squared error of z is that of the centred logits: a Cholesky factor of the unembedding's Gram matrix stands for the
vocabulary. Errors of h → h are pushed through W_out and on to the logits before they are compared. Each seed trains a model of its own as
well; intervals resample seeds and held-out documents together.

**Read this before you quote it.** The models have one block of width 64 and read source code for 2.5 million tokens. Dictionaries that read
h and make something else need most training, and the verdict about them turned with the learning rate in exploration: at 600 steps of
1,024 tokens h → o lay .005 *behind* h → h in the FVU of o at a rate of 2e-3, .004 ahead at 4e-3 and .007 at 8e-3. Claims about FVU and about
similarity therefore have to survive moving them by the change from half to full training. No number in the literature is about these
claims. What is unread is compared with isotropic directions of the same rank, of which three quarters are unread by arithmetic, and with
the same models untrained. SmolLM2 is 4-bit and instruction-tuned; no dictionary is trained on it here, parts of its update along 24 principal
directions stand for features, and its 30 blocks are blocks of one model.
"""

experiment = Experiment(
    page=PAGE.strip(), arms=ARMS, measure=measure, claims=CLAIMS, figures=figures, inputs=inputs, cost=cost, seeds_per_group=1, measured=2,
    scope="one-block GELU models of width 64 trained by Assay on Python's standard library, and SmolLM2 where named",
    smoke=grid(SMALL, seed=range(3000, 3002)),
    default=grid(DEFAULT, seed=range(3000, 3006)),
    full=grid(DEFAULT.replace(d=128, m=512, activation="relu", model_steps=100_000, width=4096, k=32, windows=0, batch=8192,
                              steps=100_000), seed=range(3000, 3008)),
)  # fmt: skip
