"""Train-dictionary: one dictionary of a language model's activations, harvested while it trains:
two buffers of them are in memory and none on the disk, whatever the length of the text."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from assay.core.bench import Unkept
from assay.core.errors import AssayError, SpecError, nearest
from assay.core.fit import SETTLING
from assay.core.heavy import torch
from assay.data.harvest import HarvestSpec
from assay.data.shards import ShardReader
from assay.data.text_stream import TextRows
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.kinds import known
from assay.dictionaries.nonlinearity import Nonlinearity
from assay.dictionaries.training.losses import TopKAux
from assay.dictionaries.training.quick import check_settings, objective, train_dictionary
from assay.dictionaries.training.showcase import PREFIX, artefact, recipe
from assay.dictionaries.training.showcase import showcase as make
from assay.lab.store.store import Store
from assay.verbs.options import (
    AS_WRITTEN,
    HERE,
    Device,
    Flag,
    Flat,
    Model,
    More,
    Place,
    Text,
    Trust,
    device_here,
    writable,
)
from assay.verbs.verb import Answer, AnswerPart, Door, Line, verb

REQUEST, PLACE, FILE = "training.json", "harvest.json", "dictionary.safetensors"
CHECKPOINT = "training.safetensors"
INTERVAL = 15.0
"""Seconds between lines on how far reading is."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """The dictionary, and how it is trained."""

    kind: str = "TopK"
    """TopK, BatchTopK, ReLU, JumpReLU or Gated."""
    width: int = 4096
    """Features."""
    k: int | None = None
    """Active features per token, for TopK and BatchTopK; by default 32."""
    penalty: float | None = None
    """The sparsity penalty λ of the other kinds: the larger it is, the fewer features are on."""
    aux: Annotated[int, More] = 0
    """For the auxiliary loss (AuxK) of TopK and BatchTopK: a latent is dead after this many rows
    without a firing; 0: no such loss."""
    steps: int = 2000
    """Training steps."""
    batch: Annotated[int, More] = 4096
    """Activations per training step."""
    lr: Annotated[float, More] = 2e-3
    """Adam's learning rate."""
    seed: Annotated[int, More] = 0
    """The random seed of the initialisation, and of the order of texts and activations."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is read, and how much of it is in memory."""

    context: Annotated[int, More] = 128
    """Tokens in a window."""
    bos: Annotated[bool | None, More] = None
    """Whether each window starts with the model's BOS token; by default as its tokenizer does."""
    tokens: int = 0
    """The number of tokens from the training part of the text; 0: all. If steps x batch is larger,
    the text is read again."""
    buffer: Annotated[int, More] = 2**18
    """Activations that are shuffled together. Two such buffers are in memory."""


@dataclass(frozen=True, kw_only=True)
class TrainedDictionary:
    """The dictionary, and what it is worth on the vectors of the last 32 batches."""

    file: Path
    model: str
    site: str
    text: str
    width: int
    vectors: int
    """Vectors that it was trained on."""
    times: float
    """How often the text was gone through."""
    fvu: float
    l0: float
    dead: int
    """Latents that were on in none of the rows that were measured."""
    rows: int
    """Rows that were measured."""
    found: bool
    """Whether it was trained before, and nothing was run now."""


@dataclass(frozen=True, kw_only=True)
class Showcase:
    """The dictionary that shows a model best."""

    name: str
    """What `assay serve`, `evaluate` and `assay.load` take."""
    file: Path
    model: str
    site: str
    text: str
    width: int
    k: int
    tokens: int
    """Tokens of the text that it was trained on, many times over."""
    found: bool
    """Whether it was trained before, and nothing was run now."""


AS_USUAL, FULLY = Method(), Reading()


@verb("one dictionary that was trained on a model while it was harvested")
def command(
    model: Model,
    site: str = "",
    /,
    *,
    out: Path | None = None,
    showcase: Flag = False,
    text: Text = "stdlib",
    method: Annotated[Method, Flat] = AS_USUAL,
    reading: Annotated[Reading, Flat] = FULLY,
    device: Device = "cpu",
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
    door: Door,
) -> Answer[TrainedDictionary | Showcase]:
    """Train a dictionary on a model's activations, which are computed on the fly and never written
    to disk.

    Parameters
    ----------
    site
        The site of the activations, such as blocks.9.hook_resid_post.
    out
        The folder to write. If it exists, the same command resumes there.
    showcase
        Train the example dictionary of smollm2 or gemma3-270m, in five minutes on one core. It is
        called showcase/MODEL and takes no other settings.

    Examples
    --------
    assay train-dictionary smollm2 blocks.9.hook_resid_post --out my-sae
    assay train-dictionary smollm2 --showcase
    """
    if showcase:
        if (site, out, text, method, reading) != ("", None, "stdlib", AS_USUAL, FULLY):
            raise AssayError("--showcase has its own settings; leave the others out")
        with trust.raised():
            return shown(make_showcase(model, device_here(device), place, door), place)
    if not site or out is None:
        raise AssayError(
            "train-dictionary needs a site, such as blocks.9.hook_resid_post, and --out FOLDER; or "
            "--showcase"
        )
    with trust.raised(), door.bar("train-dictionary", "steps") as bar:
        spec = HarvestSpec(subject=model, site=site, corpus=text, windows=0)
        device = device_here(device)
        trained = train(spec, out, method, reading, place.root, device, bar, door.aside)
    return Answer(trained, words(trained))


def make_showcase(model: str, device: str, place: Place, door: Door) -> Showcase:
    """Train the dictionary that shows a model best, or find it. Raises: DataError for a model
    without a recipe."""
    spec, store = recipe(model), Store(place.root)
    found = store.built(artefact(spec)) is not None
    with ExitStack() as bars:
        begun: dict[str, Any] = {}

        def tell(done: int, total: int, unit: str) -> None:
            if unit not in begun:
                bars.close()
                begun[unit] = bars.enter_context(door.bar("train-dictionary", unit))
            begun[unit](done, total)

        file = make(spec, Desk(store, device, tell))
    text = spec.text("train")
    return Showcase(
        name=f"{PREFIX}{model}",
        file=file,
        model=model,
        site=text.site,
        text=spec.corpus,
        width=spec.width,
        k=spec.k,
        tokens=text.windows * text.context,
        found=found,
    )


def shown(made: Showcase, place: Place) -> Answer[TrainedDictionary | Showcase]:
    """Report what there is, and what to type next."""
    more = f"{made.name} --model {made.model} --text {made.text}{place.options}"
    words: list[AnswerPart] = [
        f"{made.width:,} features of {made.site} in {made.model}, {made.k} on at a token, from "
        f"{made.tokens:,} tokens of {made.text}",
        *(["trained before: nothing was run"] if made.found else []),
        Line(f"assay serve {more} --open"),
        Line(f"assay evaluate {more}"),
    ]
    return Answer(made, words)


def words(trained: TrainedDictionary) -> Iterator[AnswerPart]:
    """Report what came out, and what to type next."""
    yield (
        f"{trained.width:,} features of {trained.site} in {trained.model}, from "
        f"{trained.vectors:,} vectors of {trained.text} ({trained.times:.2g} times its length)"
    )
    yield (
        f"On the last {trained.rows:,}: FVU {trained.fvu:.4f}, L0 {trained.l0:.2f}, "
        f"{trained.dead:,} latents never on"
    )
    if trained.found:
        yield "trained before: nothing was run"
    yield Line(f"assay evaluate {trained.file} --model {trained.model} --text {trained.text}")


def train(
    spec: HarvestSpec,
    out: Path,
    method: Method = AS_USUAL,
    reading: Reading = FULLY,
    root: Path = Path("assay-store"),
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda text: None,
) -> TrainedDictionary:
    """Harvest and train in this process, and resume where an earlier call was interrupted.

    Raises: AssayError for what does not fit together, before anything is harvested."""
    spec = spec.replace(
        seed=method.seed,
        context=reading.context,
        windows=reading.tokens // reading.context,
        bos=reading.bos,
    )
    if reading.buffer < 1:
        raise AssayError("--buffer is a number of at least 1")
    kind = _kind(method)
    loss = TopKAux(dead_after=method.aux) if method.aux else None
    objective(kind, loss, method.penalty)
    settings: dict[str, Any] = {
        "steps": method.steps,
        "batch": method.batch,
        "lr": method.lr,
        "seed": method.seed,
        "width": method.width,
    }
    check_settings(**settings)
    request = {
        "spec": _said(json.loads(spec.to_json())),
        "method": asdict(method),
        "reading": _said(asdict(reading)),
    }
    writable(out, "--out")
    if (before := _finished(out, request)) is not None:
        return TrainedDictionary(**{**before, "file": Path(before["file"]), "found": True})
    desk, read = Desk(Store(root), device, lambda done, total, unit: None), _Read(say)
    rows = TextRows(spec, desk, read)
    out.mkdir(parents=True, exist_ok=True)
    (out / REQUEST).write_text(json.dumps(request, indent=1))
    lengths = lengths_of(method, reading)
    if not (out / CHECKPOINT).exists():
        say(
            f"train-dictionary: reads {sum(lengths):,} activations; the first step comes after "
            f"{lengths[0]:,} of them (--buffer)"
        )
        read.first = rows.sample + lengths[0]
    try:
        reader = ShardReader(rows.shards(lengths, out / PLACE), method.batch, method.seed)
        dictionary = train_dictionary(
            kind,
            reader,
            penalty=method.penalty,
            loss=loss,
            device=device,
            keep=out,
            progress=progress,
            **settings,
        )
        steps = range(max(0, method.steps - SETTLING), method.steps)
        measured = measure(dictionary.to(device), map(reader, steps))
    finally:
        rows.close()
    dictionary.save(out / FILE)
    result = TrainedDictionary(
        file=out / FILE,
        model=spec.subject,
        site=spec.site,
        text=spec.corpus,
        width=method.width,
        vectors=sum(lengths),
        times=sum(lengths) / rows.rows,
        found=False,
        **measured,
    )
    stored = {**asdict(result), "file": str(result.file)}
    (out / REQUEST).write_text(json.dumps({**request, "result": stored}, indent=1))
    for name in (PLACE, CHECKPOINT):
        (out / name).unlink(missing_ok=True)
    return result


def measure(dictionary: Dictionary, batches: Iterator[torch.Tensor]) -> dict[str, Any]:
    """Measure FVU, L0 and dead latents on batches of raw rows."""
    fired = torch.zeros(dictionary.width, dtype=torch.bool)
    total, squares, error, on, rows = torch.zeros(1, dtype=torch.float64), 0.0, 0.0, 0, 0
    for batch in batches:
        x = batch.to(dictionary.W_dec.device)
        features = dictionary.encode(x)
        left = (dictionary.decode(features)[0] - x).double()
        fired |= (features[0] != 0).any(0).cpu()
        total = total + x.double().sum(0).cpu()
        squares += float(x.double().square().sum())
        error += float(left.square().sum())
        on, rows = on + int(features.count_nonzero()), rows + len(x)
    variance = squares - float(total.square().sum()) / rows
    return {
        "fvu": error / variance,
        "l0": on / rows,
        "dead": int((~fired).sum()),
        "rows": rows,
    }


class _Read:
    """Reports now and then how many tokens were read, until the first step can be made."""

    def __init__(self, say: Callable[[str], None]):
        self.first, self._say, self._tokens, self._reported = 0, say, 0, time.monotonic()

    def __call__(self, tokens: int) -> None:
        self._tokens += tokens
        if self._tokens < self.first and time.monotonic() - self._reported >= INTERVAL:
            self._reported = time.monotonic()
            count = f"{self._tokens:,} of about {self.first:,} tokens"
            self._say(f"train-dictionary: {count} read before the first step")


def lengths_of(method: Method, reading: Reading) -> list[int]:
    """Count the vectors of each buffer."""
    total, size = method.steps * method.batch, max(reading.buffer, method.batch)
    return [size] * (total // size) + [total % size] * (total % size > 0)


def _kind(method: Method) -> Nonlinearity:
    """Make the nonlinearity of a kind's name. Raises: SpecError."""
    if method.kind not in known():
        raise SpecError(f"there is no kind {method.kind!r}; {nearest(method.kind, known())}")
    takes_k = "k" in known()[method.kind].__annotations__
    if method.k is not None and not takes_k:
        raise SpecError("--k is for TopK and BatchTopK; other kinds take --penalty")
    return known()[method.kind](**({"k": method.k or 32} if takes_k else {}))


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out whether a BOS comes first where nobody says so, as older requests do."""
    return {k: v for k, v in values.items() if k != "bos" or v is not None}


def _finished(out: Path, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an earlier call left there when it was done. Raises: AssayError where the folder has
    something else in it."""
    try:
        stored = json.loads((out / REQUEST).read_text()) if out.exists() else {}
    except (OSError, ValueError) as error:
        if any(out.iterdir()):
            raise AssayError(
                f"{out} has other files in it; name another folder with --out"
            ) from error
        return None
    result: dict[str, Any] | None = stored.pop("result", None)
    if stored and stored != json.loads(json.dumps(request)):
        raise AssayError(f"{out} has another training run; name another folder with --out")
    return result if result is not None and (out / FILE).exists() else None


class Desk(Unkept):
    """A bench that builds in a store, on a device, and reports how far it is."""

    def __init__(self, store: Store, device: str, progress: Callable[[int, int, str], None]):
        self.root, self._device, self._progress = store.root, device, progress
        self.artefact, self.artefacts = store.artefact, store.artefacts  # type: ignore[method-assign]

    @property
    def device(self) -> torch.device:
        """Where it trains."""
        return torch.device(self._device)

    def report(self, done: int, total: int, unit: str = "steps", **numbers: float) -> None:
        """Pass on how far it is."""
        self._progress(done, total, unit)
