"""What should the dictionary of one MLP reconstruct: its activations, what it adds to the stream, or the logits?

Paper: Bricken et al. 2023, Towards Monosemanticity, set-up and dictionaries of MLP activations; no number of these claims is published
Claim: at equal L0 a dictionary trained on the MLP's update lowers the update's FVU by at least 0.003
Baselines: untrained models; isotropic directions of the same rank; another start; the whole stream; random, turned and tenfold parts
Cost: 280 s on 2 cores, 420 CPU-seconds, 1.7 GB a process; full a guess of 30 GPU-hours, never run
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from assay.core import Arm, Claim, Cost, Experiment, Figure, Finding, Gate, Spec, grid, probes, summary
from assay.core.errors import SpecError
from assay.core.figures import columns
from assay.core.measures import by, measures
from assay.core.rng import normal
from assay.core.stats import mean, ratio
from assay.data import corpus as corpora
from assay.data.targets import Target, TargetSpec, targets
from assay.data.tiny import TinySpec, tiny
from assay.subjects import folder as models

SEED = "nostalgebraist, remarks on Towards Monosemanticity: activations are an implementation detail"
TABLE = "plan: set before any pilot"
PILOT = "pilot: seeds 0 and 1 under the first design"
CELLS: dict[str, tuple[Target, Target]] = {
    "act": ("act", "act"), "again": ("act", "act"), "act-update": ("act", "update"), "update": ("update", "update"),
    "post": ("post", "post"), "logit": ("logit", "logit"), "act-logit": ("act", "logit"),
}  # fmt: skip
"""What each dictionary reads and what it reconstructs."""
OTHER = ("again", "act-update", "update", "post", "logit", "act-logit")
"""The cells among whose features those of `act` are looked for."""
TRAINED = ("act", "again", "act-update", "post", "logit")
"""The cells of the presets."""


@dataclass(frozen=True, kw_only=True)
class WhichTarget(Spec):
    subject: str = "tiny"
    """"tiny": a one-block model that each seed trains for itself; "smollm2" or a local folder; "untrained smollm2": its weights drawn anew."""
    layer: int = 0
    """The block of a tiny model; of a model on disk all blocks are measured."""
    model_steps: int = 480
    """Training steps of the tiny model."""
    d: int = 64
    """Width of its stream."""
    m: int = 256
    """Neurons of its MLP."""
    activation: Literal["gelu", "relu"] = "gelu"
    """Their non-linearity."""
    cells: tuple[str, ...] = TRAINED
    """The dictionaries that are trained."""
    width: int = 256
    """Features in a dictionary."""
    k: int = 8
    """Features that TopK keeps: L0 is equal by construction."""
    corpus: str = corpora.STDLIB
    """The text: "stdlib" or a folder of text files."""
    windows: int = 1800
    """Training windows of `context` tokens."""
    per_file: int = 4
    """Test windows from one file, at most."""
    tested: int = 0
    """Test windows; 0: all there are."""
    context: int = 64
    """Tokens in a window."""
    batch: int = 256
    """Tokens a step."""
    steps: int = 600
    """Training steps of the dictionaries."""
    lr: float = 8e-3
    """Adam's learning rate at its top."""
    products: Literal["bfloat16", "float32"] = "float32"
    """Precision of matrix products in training; parameters are float32. Many CPUs are far slower in bfloat16."""
    noise: float = 0.01
    """Variance of the noise added to what is planted as read by W_out, as a share of its own."""

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


def cells_of(s):
    from assay.dictionaries.training.cells import Cell

    return {name: Cell(*CELLS[name], replicate=int(name == "again")) for name in s.cells}


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
    return fit_cells(cells_of(s), runs, method, data, batches, steps=s.steps, bench=bench, probe_at=probes(s.steps, 20))


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
    at, raw = (torch.from_numpy(document), len(files)), test.raw(test.kept)
    coords: dict[str, Any] = {"document": [test.files[f] for f in files]}
    named: dict[str, Any] = {}
    if not s.cells or "post" in s.cells:  # the model itself, once for each
        named |= of_model(s, data, raw, at)
    if s.cells:
        found = dictionaries(trained)
        named |= of_dictionaries(s, found, raw, test, at)
        named["loss"] = ("run cell step", np.stack([trained.history[f"{name}:loss"] for name in found], 1), "1")
        coords |= {"cell": list(found), "other": [*(n for n in OTHER if n in found), "random"], "step": trained.steps.tolist()}
    return measures(runs, coords=coords, **named)


def drawn(s, purpose, *shape, index=0):
    """Standard normal numbers of this seed, for one purpose."""
    import torch

    return torch.from_numpy(normal(np.array([s.seed]), f"targets.{purpose}", index, shape)[0])


def readable(s, x, null, purpose):
    """Rows without what W_out does not read of them, and a little noise so that the share is not 0 by arithmetic."""
    seen = x - x @ null
    return seen + (s.noise * seen.square().mean()).sqrt() * drawn(s, purpose, *x.shape)


def of_model(s, data, raw, at):
    """Measures of the model alone: variance that W_out does not read, and what each neuron is worth to the logits."""
    import torch

    from assay.dictionaries.measuring.cell_measures import by_document

    read, h, named = data.readout, data.normalise("act", raw["act"]), {}
    m, d = read.W_out.shape
    any_subspace, _ = torch.linalg.qr(drawn(s, "subspace", m, d))
    seen = readable(s, h, read.null, "noise")
    parts = {"null": h @ read.null, "total": h, "random_null": h - h @ any_subspace @ any_subspace.T,
             "readable_null": seen @ read.null, "readable_total": seen, "raw_null": raw["act"] @ read.null, "raw_total": raw["act"]}  # fmt: skip
    for name, x in parts.items():
        named[name] = ("run document", by_document(x.square().sum(1), *at)[None], "squared activation")
    for name in ("", "readable_"):
        named[name + "isotropic"] = ("run document", (1 - d / m) * named[name + "total"][1], "squared activation")
    worth = read.importance * h.var(0) / data.scale("act") ** 2
    named["importance"] = ("run neuron", worth[None], "squared logit")
    named["uneven"] = ("run neuron", drawn(s, "uneven", m).exp()[None], "1")
    return named


def of_blocks(runs, s, bench):
    """Measures of a model on disk: what each block's W_out reads, and what the last block's neurons and update do to the logits."""
    from assay.dictionaries.measuring.cell_measures import by_document, gini
    from assay.dictionaries.measuring.linear_effects import effect_errors, principal_parts
    from assay.subjects.pretrained import fast_dtype, load
    from assay.subjects.readout import readout
    from assay.subjects.unread import unread as unread_of
    from assay.subjects.untrained import redrawn

    name, text = s.subject.removeprefix("untrained "), corpora.load(s.corpus)
    model = load(name, bench.device, fast_dtype())
    model = model if name == s.subject else redrawn(model, s.seed)
    cut = text.windows(model.encode, "test", context=s.context, count=s.tested, per_file=s.per_file, seed=s.seed)
    files, document = np.unique(cut.document, return_inverse=True)
    found, read = unread_of(model, cut.tokens, document, s.seed), readout(model, model.layers - 1)
    (m, d), at = read.W_out.shape, (found.document, len(files))
    sums = {"total": found.total, "null": found.null, "random_null": found.random_null, "isotropic": (1 - d / m) * found.total}
    named = {name: ("run block document", x[None], "squared activation") for name, x in sums.items()}
    worth = by_document((found.h - found.h.mean(0)).square(), *at) * read.importance.numpy()  # [document, neuron]
    named["importance"] = ("run neuron", worth.sum(0)[None] / len(found.h), "squared logit")
    named["gini"] = ("run document", np.array([[gini(row) for row in worth]]), "Gini coefficient")
    if name == s.subject:
        update = read.update(found.h)
        parts, row = principal_parts(update)
        named |= effect_errors(parts, row, found.mid + update, read, found.document, len(files), s.seed)
    coords = {"document": [text.documents[f].path for f in files], "block": list(range(model.layers))}
    return measures(runs, coords=coords, **named)


def of_dictionaries(s, found, raw, test, at):
    """Measures of the trained dictionaries: errors in each space, likeness, and what the dictionary of activations writes."""
    import torch

    from assay.dictionaries.measuring import cell_measures as of
    from assay.dictionaries.measuring.linear_effects import effect_errors

    cells, read, act = cells_of(s), test.readout, found["act"]
    rows = {name: of.cell_sums(cells[name], one, raw, read, *at) for name, one in found.items()}
    named = {"tokens": ("run document", of.by_document(raw["act"][:, 0] ** 0, *at)[None], "tokens")}
    for space, sums in of.variances(raw, test, *at).items():
        named[f"variance_{space}"] = ("run document", sums[None], f"squared {space}")
    for key in ("active", *(f"error_{space}" for space in of.SPACES)):
        named[key] = ("run cell document", np.stack([r[key] for r in rows.values()])[None], key.replace("error_", "squared "))
    features, D = act.encode(raw["act"])[0], act.W_dec[0]
    if "logit" in found:
        named |= alike(s, found, features, read)
    if "post" in found:
        isotropic = torch.nn.functional.normalize(drawn(s, "rows", *D.shape), dim=-1) * D.norm(dim=-1, keepdim=True)
        for change, W in (("", D), ("random_", isotropic), ("readable_", readable(s, D, read.null, "noise.rows"))):
            for name, sums in of.spent(features, W, read.null, *at).items():
                named[change + name] = ("run document", sums[None], "squared feature")
        named["null_of_feature"] = ("run feature", (D @ read.null).square().sum(1)[None], "share")
        token, feature = features.nonzero(as_tuple=True)
        parts = features[token, feature][:, None] * (D @ read.W_out)[feature] / act.scale[0]
        document, n = at
        named |= effect_errors(parts, token, raw["post"], read, document, n, s.seed)
    return named


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


def each_block(arm, arms):
    """The terms of `unread`, every block of a model on disk scaled to the same variance: the last ones have hundreds of times more."""
    terms = here(unread)(arm, arms)
    return {name: x / terms["total"].mean("document") for name, x in terms.items()}


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


def same_target(arms):
    """The arm `main` with the other start of `act` where the dictionary trained on the update stands."""
    data = arms["main"]
    swapped = data.error_update.where(data.cell != "act-update", data.error_update.sel(cell="again", drop=True))
    return only(data.assign(error_update=swapped), "error_update", "variance_update")


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


def language_model(subject):
    """One run of a model on disk, on one window of each of 24 files, or of the preset's fewer."""
    return lambda main: [main[0].replace(subject=subject, cells=(), per_file=1, tested=min(24, main[0].tested or 24))]


ISOTROPIC = {"null": "random_null", "isotropic": "isotropic", "total": "total"}
READ = {"null": "readable_null", "isotropic": "readable_isotropic", "total": "readable_total"}
ARMS = {
    "main": Arm(train, note="a one-block model per seed, and a dictionary for each target"),
    "half": Arm(train, specs=like(3, halved=True, cells=("act", "again", "act-update", "logit")), note="half as many steps, with their own decay"),
    "untrained": Arm(no_training, specs=like(cells=(), model_steps=1, windows=64), note="the same models after one warm-up step: as they were drawn"),
    "smollm2": Arm(no_training, specs=language_model("smollm2"), note="all blocks of SmolLM2, without a dictionary"),
    "smollm2-untrained": Arm(no_training, specs=language_model("untrained smollm2"), note="SmolLM2 with weights drawn as before its training"),
    "isotropic": Arm(derive=instead("main", **ISOTROPIC), note="what a random subspace of W_out's rank does not read of the same activations"),
    "readable-acts": Arm(derive=instead("main", **READ), note="activations without what W_out does not read, and 1 % noise"),
    "isotropic-rows": Arm(derive=instead("main", unread="random_unread", written="written"),
                          note="isotropic decoder rows of the same lengths and use"),
    "readable-rows": Arm(derive=instead("main", unread="readable_unread", written="readable_written"),
                         note="the dictionary's rows without what W_out does not read, and 1 % noise"),
    "same-target": Arm(derive=same_target, note="another start of act in the place of act-update: no effect"),
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
        text="In SmolLM2 too: on average over its 30 MLPs the unread share lies at least 0.10 below that of isotropic activations",
        of="smollm2", value=each_block, statistic=below_isotropic, units=("block", "document"), low=0.10, unit="share of variance",
        must_fail=("smollm2-untrained", "smollm2-isotropic"),
        near={"smollm2-untrained": ISO, "smollm2-isotropic": "what any subspace of W_out's rank would read"},
        threshold_from="plan: the margin of the claim before it, fixed before any block but the last was measured",
        published="new", source=f"{SEED}; footnote on the null space of W_out",
    ),
    Claim(
        text="A dictionary of activations spends at least 0.10 less of what it writes on what nothing reads than isotropic rows would",
        value=spends, statistic=below_isotropic, units=CROSSED, low=0.10, unit="share of squared features",
        must_fail=("isotropic-rows",), near={"isotropic-rows": "rows of the same lengths and use in any directions"},
        must_hold=("readable-rows",), threshold_from=f"{PILOT}: .55 is spent there where isotropic rows spend .75", published="new", source=SEED,
    ),
    Claim(
        text="Reading the activations, training on the update lowers the update's FVU by at least 0.003 at equal L0",
        value=explained("update", "act", "act-update"), statistic=lead, units=CROSSED, low=0.003, unit="FVU",
        must_fail=("same-target",), near={"same-target": "another start of the same dictionary"}, gates=L0, half=HALF,
        threshold_from=f"{PILOT}, with 512 features: .011 [.009, .013], half as long .006, control .000 [−.002, .001]; and seeds 7–10 with 256",
        published="new", source=SEED,
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
        text="Unread share of the variance, on average over SmolLM2's MLPs (isotropic: 0.625)",
        value=lambda arms: each_block(arms["smollm2"], arms), statistic=ratio("null", "total"), units=("block", "document"), unit="share",
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
    from assay.dictionaries.measuring.linear_effects import KINDS, SIZES

    data, m, d = by(arms["main"]), arms["main"].attrs["m"], arms["main"].attrs["d"]
    rows = []
    for space, label in SPOKEN.items():
        share = data[f"error_{space}"].sum("document", skipna=False) / data[f"variance_{space}"].sum("document")
        known = [cell for cell in data.cell.values.tolist() if not share.sel(cell=cell).isnull().all()]
        rows += [(ARROWS[cell], label, *summary(share.sel(cell=cell).values)) for cell in known]
    left = Figure("What each dictionary leaves unexplained, in three spaces", columns(("cell", "space", "mean", "low", "high"), rows), "bars",
                  x="cell", y="mean", facet="space", band=("low", "high"), x_title="reads → reconstructs", y_title="FVU",
                  note="Mean and 95 % t interval over seeds.")  # fmt: skip
    nu, p = data.null_of_feature.values.ravel().tolist(), 1 - d / m
    features = Figure("How much of each feature of activations nothing reads", {"share": nu, "count": [1] * len(nu)}, "histogram", x="share",
                      y="count", x_title="unread share of a decoder row", y_title="features",
                      note=f"A random direction has {p:.3f} ± {(2 * p * (1 - p) / (m + 2)) ** 0.5:.3f} (Beta).")  # fmt: skip
    rows = []
    for label, arm in (("SmolLM2", "smollm2"), ("untrained", "smollm2-untrained"), ("random subspaces", "smollm2-isotropic")):
        for i in range(arms[arm].sizes["block"] if arm in arms else 0):
            block = by(arms[arm]).isel(seed=0, block=i)
            rows.append((i, *summary((block.null / block.total).values), label))
    blocks = Figure("What the MLPs of SmolLM2 write and nothing reads", columns(("block", "share", "low", "high", "model"), rows), "line",
                    x="block", y="share", color="model", band=("low", "high"), x_title="block",
                    y_title="unread share of the activations' variance", note="Mean and 95 % t interval over documents.")  # fmt: skip
    rows, middle = [], np.sqrt(SIZES[1:] * SIZES[:-1]).tolist()
    for label, arm in (("", "main"), (", SmolLM2", "smollm2")):
        for kind in KINDS if arm in arms else ():
            told = [
                (size, *summary(by(arms[arm])[f"{kind}_by_size"].values[:, i]), kind + label) for i, size in enumerate(middle)
            ]
            rows += [row for row in told if not np.isnan(row[1])]
    linear = Figure("Linearised effects on the logits against exact ones", columns(("size", "error", "low", "high", "kind"), rows), "line",
                    x="size", y="error", color="kind", band=("low", "high"), x_log=True, y_log=True, rules=((0.1, "10 %"),),
                    x_title="length of the contribution over that of the stream", y_title="median relative error")  # fmt: skip
    rows = []
    for label, arm in (("one-block model", "main"), ("SmolLM2, last block", "smollm2"), ("lognormal, σ = 1", "uneven")):
        if arm in arms:
            worth = np.sort(by(arms[arm]).importance.values[0])
            rows += [(q, worth[: round(q * len(worth))].sum() / worth.sum(), label) for q in np.linspace(0, 1, 65)]
    even = Figure("How evenly neurons share what they are worth to the logits", columns(("rank", "share", "of"), rows), "line", x="rank",
                  y="share", color="of", x_title="share of neurons, least first", y_title="share of worth")  # fmt: skip
    return [left, features, blocks, linear, even]


SPOKEN = {"act": "activations", "update": "update", "logit": "logits"}
ARROWS = {
    "act": "h → h", "again": "h → h again", "act-update": "h → o", "update": "o → o", "post": "x → x", "logit": "z → z", "act-logit": "h → z",
}  # fmt: skip
SMALL = WhichTarget(model_steps=20, d=16, m=32, width=64, k=4, windows=60, per_file=1, tested=6, steps=20, batch=128)

PAGE = """
**The question.** A dictionary of an MLP is usually trained to reconstruct its activations h. The rest of the network never sees h, only
o = W_out h, which the MLP adds to the residual stream; and of the last MLP's o only what it does to the logits matters. With four times as
many neurons as dimensions, three quarters of the directions of h are read by nothing. So what should be reconstructed: h, o, the stream
x after it, or o in logits, z? And if it should be something else, does it matter in practice?

**How it is judged.** A dictionary is named by what it reads and what it makes: h → h, h → o, x → x, z → z. All have 256 features of which
TopK keeps 8, so that L0 is equal by construction, and all of a seed see the same tokens. z has as many numbers as the stream, and the
squared error of z is that of the centred logits: a Cholesky factor of the unembedding's Gram matrix stands for the vocabulary. Errors of
h → h are pushed through W_out and on to the logits before they are compared. Each seed trains a model of its own as well; intervals
resample seeds and held-out documents together.

**Read this before you quote it.** The models have one block of width 64 and read source code for 2 million tokens; the dictionaries read
150,000. How long each is trained moves the numbers, also where it does not turn a verdict: in the pilot .36 of the activations' variance
was unread after 1 million tokens and .52 after 2.5 million, and with it grew what training on the update gains. Claims about FVU and about
similarity have to survive moving them by the change from half to full training of the dictionaries, not of the models. One width, 256, is
judged: as many features as neurons. No number in the literature is about these claims. What is unread is compared with isotropic
directions of the same rank, of which three quarters are unread by arithmetic, and with the same models untrained. SmolLM2 is 4-bit and
instruction-tuned; no dictionary is trained on it here, parts of its update along 24 principal directions stand for features, and its 30
blocks are blocks of one model.
"""

experiment = Experiment(
    page=PAGE.strip(), arms=ARMS, measure=measure, claims=CLAIMS, figures=figures, inputs=inputs, cost=cost, seeds_per_group=1, measured=3,
    scope="one-block GELU models of width 64 trained by Assay on Python's standard library, and SmolLM2 where named",
    smoke=grid(SMALL, seed=range(2)),
    default=grid(WhichTarget(), seed=range(4000, 4008)),
    full=grid(WhichTarget(d=128, m=512, activation="relu", model_steps=100_000, width=4096, k=32, windows=0, batch=8192,
                          steps=100_000, lr=4e-3), seed=range(4000, 4008)),
)  # fmt: skip
