"""Train small language models, several seeds or settings as one ensemble, each an ordinary Hugging
Face model folder."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from assay.core.bench import Unkept
from assay.core.errors import AssayError
from assay.core.fit import Trained
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.data import corpus as corpora
from assay.data.checkpoint import Alone
from assay.data.corpus import Corpus
from assay.data.lm import HELD_OUT, LmSpec, shape_of, train_lms
from assay.data.lm_text import batches, held_out, tokens_of
from assay.data.lm_text import words as words_of
from assay.lab.store.store import Store
from assay.subjects.decoder import Params, Shape
from assay.subjects.decoder_files import family, write
from assay.verbs.options import (
    AS_WRITTEN,
    HERE,
    Flag,
    Flat,
    Place,
    Trust,
    device_here,
    writable,
)
from assay.verbs.verb import Answer, Door, Part, Table, verb
from assay_catalogue.analysis.evaluations import due_steps

TrainedOn = Annotated[str, Parameter(help="Where they train: cpu, cuda, cuda:1.")]
ASKED = "training.json"
"""What was asked for, and, once it is done, what came out."""
WINDOWS = 256
"""Held-out windows, at most."""
VARIED = ("seed", "lr", "decay", "std")
"""What may differ between runs, in the order in which folders are named."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """The model, and the text it reads."""

    layers: int = 1
    """Blocks."""
    d: int = 64
    """Width of the residual stream."""
    heads: int = 4
    """Attention heads in a block."""
    m: int = 256
    """Neurons in a block's MLP."""
    norm: Literal["layer", "rms"] = "layer"
    """layer, with positions learned and no gate, is a GPT-2; rms, with positions rotary and a gate,
    a Llama."""
    positions: Literal["learned", "rotary"] = "learned"
    """Added to the stream and learned, or turning queries and keys."""
    gated: bool = False
    """Whether the MLP's neurons are multiplied by a second projection."""
    activation: Literal["gelu", "gelu_new", "relu", "silu"] | None = None
    """The MLP's non-linearity; gelu without it, silu with a gate."""
    tied: bool = False
    """Whether the unembedding is the embedding."""
    context: int = 64
    """Tokens in a window, and the most that the model reads."""
    vocab: int = 512
    """Tokens of its byte-level BPE, trained on the text; 256 of them are the bytes."""
    text: str = "stdlib"
    """stdlib, or a folder of text files; its training part is read, its validation part held
    out."""
    repeats: float = 0.0
    """Share of windows replaced by random tokens, their first half twice: what teaches a model to
    copy."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How it is trained. Of the last four there may be several: each combination is a run, all
    trained together."""

    steps: int = 1000
    """Training steps."""
    batch: int = 64
    """Windows a step."""
    warm: int = 50
    """Steps of warm-up; the rate falls to 0 over the last four fifths of all steps."""
    seed: tuple[int, ...] = (0,)
    """What draws the start and the order of the text."""
    lr: tuple[float, ...] = (3e-3,)
    """Adam's learning rate at its top."""
    decay: tuple[float, ...] = (0.0,)
    """Weight decay of AdamW: each step takes the share rate × decay off every matrix."""
    std: tuple[float, ...] = (0.02,)
    """Standard deviation of matrices at the start."""


@dataclass(frozen=True, kw_only=True)
class TrainedLm:
    """One run: its folder, what differs between runs, and its losses in nats a token."""

    folder: str
    seed: int
    lr: float
    decay: float
    std: float
    parameters: int
    loss: float | None
    """On training text, the mean over the last twentieth of the steps at most."""
    held_out: float | None
    """On held-out text; None where the text is too small to have any."""
    diverged: bool
    """Whether its loss was once not finite: its weights mean nothing, and no folder is written."""
    curve: tuple[Mapping[str, Any], ...]
    """step, tokens, loss, held_out at each evaluation."""


@dataclass(frozen=True, kw_only=True)
class TrainedLms:
    """What was trained, and what to know of it."""

    runs: tuple[TrainedLm, ...]
    vocab: int
    windows: int
    """Held-out windows."""
    found: bool
    """Whether it was trained before, and nothing was run now."""
    notes: tuple[str, ...]


AS_USUAL, ONCE = Design(), Training()


@verb("small language models that were trained")
def command(
    *,
    out: Path,
    design: Annotated[Design, Flat] = AS_USUAL,
    training: Annotated[Training, Flat] = ONCE,
    ratio: float = 4.0,
    checkpoints: Flag = False,
    device: TrainedOn = "cpu",
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
    door: Door,
) -> Answer[TrainedLms]:
    """Train small language models on a text, several at once, each an ordinary Hugging Face folder
    that every other verb reads.

    Parameters
    ----------
    out
        The folder to write: a model folder in it for each run. The same command goes on there, or
        finds what is done.
    ratio
        Evaluated on held-out text whenever compute has grown so many times, and at the end.
    checkpoints
        Keep each model at each evaluation as well.

    Examples
    --------
    assay train-lm --out my-lms --layers 2 --steps 300 --seed 0 --seed 1
    """
    with trust.raised(), door.bar("train-lm", "steps") as bar:
        trained = train_lm(
            out,
            design,
            training,
            ratio=ratio,
            checkpoints=checkpoints,
            root=place.root,
            device=device_here(device),
            progress=bar,
        )
    return Answer(trained, words(trained))


def words(trained: TrainedLms) -> Iterator[Part]:
    """Tell the losses of each run and where it lies; what differs between runs has a column."""
    differ = differing(trained.runs)
    numbers = ("seed", *differ, "parameters", "training loss", "held-out loss")
    rows = [
        (
            run.folder,
            str(run.seed),
            *(f"{getattr(run, name):g}" for name in differ),
            f"{run.parameters:,}",
            nats(run.loss),
            nats(run.held_out),
        )
        for run in trained.runs
    ]
    yield Table(("folder", *numbers), rows, right=numbers)
    yield ""
    if trained.windows:
        curve = trained.runs[0].curve
        points = [(r["step"], r["held_out"]) for r in curve if r["held_out"] is not None]
        steps = ", ".join(f"{step:,}: {loss:.2f}" for step, loss in points)
        yield (
            f"Losses in nats a token of {trained.vocab:,}; held out: {trained.windows:,} windows "
            "of the validation part."
        ) + (f" The first run's by step: {steps}." if points else "")
    yield from trained.notes
    if trained.found:
        yield "trained before: nothing was run"


def nats(loss: float | None) -> str:
    """Write a loss; a dash where there is none."""
    return "–" if loss is None else f"{loss:.3f}"


def train_lm(
    out: Path,
    design: Design = AS_USUAL,
    training: Training = ONCE,
    *,
    ratio: float = 4.0,
    checkpoints: bool = False,
    root: Path = Path("assay-store"),
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TrainedLms:
    """Train small language models, a folder of `out` for each run; the same call goes on where it
    was interrupted, or finds what is done.

    Models are evaluated on held-out text whenever compute has grown `ratio` times, and at the end;
    with `checkpoints` each is also kept as a model folder then. Raises: AssayError for what does
    not fit together, before anything is trained."""
    specs = make_specs(design, training)
    family(
        shape_of(specs[0], specs[0].vocab)
    )  # what no folder can hold is refused before anything is read
    evaluation_steps = tuple(sorted({*due_steps(training.steps, ratio=ratio), training.steps}))
    text = corpora.load(design.text)
    request = {
        "asked": [json.loads(s.to_json()) for s in specs],
        "text": text.fingerprint,
        "ratio": ratio,
        "checkpoints": checkpoints,
    }
    if (before := _begun(out, request)) is not None:
        return _read(before)
    return _trained(
        Runs(specs),
        evaluation_steps,
        text,
        out,
        request,
        checkpoints,
        Desk(Store(root), device, lambda done, total, unit: progress(done, total)),
    )


def make_specs(design: Design, training: Training) -> tuple[LmSpec, ...]:
    """Make a spec for each combination of seeds, rates, decays and starts. Raises: SpecError for
    what cannot be; AssayError for none."""
    fields = asdict(design) | {
        "steps": training.steps,
        "batch": training.batch,
        "warm": training.warm,
    }
    fields["corpus"], fields["activation"] = (
        fields.pop("text"),
        design.activation or ("silu" if design.gated else "gelu"),
    )
    values = [tuple(dict.fromkeys(getattr(training, name))) for name in VARIED]
    specs = [
        LmSpec(**fields, **dict(zip(VARIED, these, strict=True)))
        for these in itertools.product(*values)
    ]
    if not specs:
        raise AssayError(
            "a training needs at least one seed, learning rate, decay and standard deviation"
        )
    return tuple(
        sorted(specs, key=lambda s: (s.lr, s.decay, s.std, s.seed))
    )  # neighbours of one rate are stepped in one call


def name_of(spec: LmSpec, specs: Sequence[LmSpec]) -> str:
    """The name of a run's folder: its seed, and what else differs between the runs."""
    differ = [f"{name}-{getattr(spec, name):g}" for name in differing(specs)]
    return "-".join([f"seed-{spec.seed}", *differ])


def differing(runs: Sequence[Any]) -> list[str]:
    """Name what differs between runs, seeds apart."""
    return [name for name in VARIED[1:] if len({getattr(run, name) for run in runs}) > 1]


def _begun(out: Path, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an earlier call left there when it was done. Raises: AssayError where the folder has
    something else in it."""
    writable(out, "--out")
    try:
        stored_request = json.loads((out / ASKED).read_text()) if out.exists() else {}
    except (OSError, ValueError):
        stored_request = {}
    if not stored_request and out.exists() and any(out.iterdir()):
        raise AssayError(
            f"{out} is not empty, and holds no training; name another folder with --out"
        )
    if stored_request and any(stored_request.get(name) != value for name, value in request.items()):
        raise AssayError(
            f"{out} holds another training, as {out / ASKED} tells; name another folder with --out"
        )
    return stored_request if "result" in stored_request else None


def _trained(
    runs: Runs[LmSpec],
    evaluation_steps: tuple[int, ...],
    text: Corpus,
    out: Path,
    request: Mapping[str, Any],
    checkpoints: bool,
    desk: Desk,
) -> TrainedLms:
    s = runs.shared
    words_folder = words_of(text, s.vocab, s.context, desk)
    tokens, vocab = tokens_of(words_folder)
    held_out_windows = held_out(text, s.vocab, s.context, WINDOWS, desk)
    shape = shape_of(runs.specs[0], vocab)
    draw = batches(runs.seeds, tokens, vocab, s.batch, s.repeats)
    out.mkdir(parents=True, exist_ok=True)
    (out / ASKED).write_text(json.dumps(request, indent=1))
    checkpoint = Alone(desk, out)

    kind = {"gpt2": "GPT-2", "llama": "Llama"}[family(shape)]

    def write_run(folder: Path, params: Params, run: int, step: int, **about: Any) -> None:
        spec = runs.specs[run]
        size = f"{spec.layers}-block {kind} of width {spec.d}"
        name = f"{size} (Assay, {step:,} steps, seed {spec.seed})"
        write(folder, params, shape, words_folder / "tokenizer.json", {"name": name, **about}, run)

    def keep(step: int, params: Params) -> None:
        for run, spec in enumerate(runs):
            folder = out / name_of(spec, runs.specs) / "checkpoints" / f"step-{step:06}"
            write_run(folder, params, run, step)

    trained = train_lms(
        runs,
        shape,
        draw,
        checkpoint,
        evaluate_at=evaluation_steps,
        held_out=held_out_windows,
        on_evaluation=keep if checkpoints else None,
    )
    results = [
        _result(trained, i, spec, runs, evaluation_steps, shape, out) for i, spec in enumerate(runs)
    ]
    notes = []
    if not len(held_out_windows):
        notes.append(
            f"{text.name} is too small to hold any text out: its validation part has no "
            f"{s.context} tokens in one file"
        )
    for run, one in enumerate(results):
        if one.diverged:
            notes.append(f"{one.folder} diverged: lower the learning rate")
            continue
        about = {"loss": one.loss, "held_out": one.held_out, "evaluations": list(one.curve)}
        write_run(Path(one.folder), trained.tensors, run, s.steps, **about)
    result = TrainedLms(
        runs=tuple(results),
        vocab=vocab,
        windows=len(held_out_windows),
        found=False,
        notes=tuple(notes),
    )
    _curves(out / "curves.csv", results)
    (out / ASKED).write_text(json.dumps({**request, "result": asdict(result)}, indent=1))
    checkpoint.file.unlink()
    return result


def _result(
    trained: Trained,
    run: int,
    spec: LmSpec,
    runs: Runs[LmSpec],
    evaluation_steps: tuple[int, ...],
    shape: Shape,
    out: Path,
) -> TrainedLm:
    losses = dict(zip(trained.steps.tolist(), trained.history["loss"][run].tolist(), strict=True))
    held_out_losses = (
        trained.tensors[HELD_OUT][run].tolist()
        if HELD_OUT in trained.tensors
        else [None] * len(evaluation_steps)
    )
    window = spec.batch * spec.context
    rows = [
        {"step": n, "tokens": n * window, "loss": losses[n], "held_out": o}
        for n, o in zip(evaluation_steps, held_out_losses, strict=True)
    ]
    curve = tuple(
        {
            name: value if value is None or math.isfinite(value) else None
            for name, value in row.items()
        }
        for row in rows
    )
    parameters = sum(
        value[run].numel() for name, value in trained.tensors.items() if name in shape.parameters()
    )
    return TrainedLm(
        folder=str(out / name_of(spec, runs.specs)),
        seed=spec.seed,
        lr=spec.lr,
        decay=spec.decay,
        std=spec.std,
        parameters=parameters,
        loss=curve[-1]["loss"],
        held_out=curve[-1]["held_out"],
        diverged=bool(trained.diverged[run]),
        curve=curve,
    )


def _curves(path: Path, runs: Sequence[TrainedLm]) -> None:
    """Write a row for each run and evaluation."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*VARIED, "step", "tokens", "loss", "held_out"])
        for run in runs:
            table.writerows(
                [*(getattr(run, name) for name in VARIED), *point.values()] for point in run.curve
            )


def _read(before: Mapping[str, Any]) -> TrainedLms:
    fields = {**before["result"], "found": True}
    runs = tuple(TrainedLm(**{**run, "curve": tuple(run["curve"])}) for run in fields.pop("runs"))
    return TrainedLms(runs=runs, **{**fields, "notes": tuple(fields["notes"])})


class Desk(Unkept):
    """A bench that builds in a store, on a device, and tells how far it is."""

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
