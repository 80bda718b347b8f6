"""Streamed: one dictionary of a language model's activations, harvested while it trains: two
buffers of them are in memory and none on the disk, whatever the length of the text."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assay.core.bench import Bench
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

Settings = Mapping[str, Any]
REQUEST, PLACE, FILE = "training.json", "harvest.json", "dictionary.safetensors"
CHECKPOINT = "training.safetensors"
INTERVAL = 15.0
"""Seconds between lines on how far reading is."""


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


def train(
    spec: HarvestSpec,
    out: Path,
    method: Settings,
    reading: Settings,
    desk: Bench,
    progress: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda text: None,
) -> TrainedDictionary:
    """Harvest and train in this process, and resume where an earlier call was interrupted; `method`
    and `reading` are the options of `assay train-dictionary` by name, and `desk` builds artefacts.

    Raises: AssayError for what does not fit together, before anything is harvested."""
    spec = _as_read(spec, method, reading)
    kind = _kind(method)
    loss = TopKAux(dead_after=method["aux"]) if method["aux"] else None
    objective(kind, loss, method["penalty"])
    settings: dict[str, Any] = {n: method[n] for n in ("steps", "batch", "lr", "seed", "width")}
    check_settings(**settings)
    request = {
        "spec": _said(json.loads(spec.to_json())),
        "method": dict(method),
        "reading": _said(reading),
    }
    if (before := _finished(out, request)) is not None:
        return TrainedDictionary(**{**before, "file": Path(before["file"]), "found": True})
    read = _Read(say)
    rows = TextRows(spec, desk, read)
    out.mkdir(parents=True, exist_ok=True)
    (out / REQUEST).write_text(json.dumps(request, indent=1))
    lengths = lengths_of(method, reading)
    if not (out / CHECKPOINT).exists():
        read.begin(lengths, rows.sample)
    try:
        reader = ShardReader(rows.shards(lengths, out / PLACE), method["batch"], method["seed"])
        dictionary = train_dictionary(
            kind,
            reader,
            penalty=method["penalty"],
            loss=loss,
            device=str(desk.device),
            keep=out,
            progress=progress,
            **settings,
        )
        steps = range(max(0, method["steps"] - SETTLING), method["steps"])
        measured = measure(dictionary.to(desk.device), map(reader, steps))
    finally:
        rows.close()
    dictionary.save(out / FILE)
    result = TrainedDictionary(
        file=out / FILE,
        model=spec.subject,
        site=spec.site,
        text=spec.corpus,
        width=method["width"],
        vectors=sum(lengths),
        times=sum(lengths) / rows.rows,
        found=False,
        **measured,
    )
    _finish(out, request, result)
    return result


def _as_read(spec: HarvestSpec, method: Settings, reading: Settings) -> HarvestSpec:
    """Set the windows of the text as the options say. Raises: AssayError for an empty buffer."""
    if reading["buffer"] < 1:
        raise AssayError("--buffer is a number of at least 1")
    return spec.replace(
        seed=method["seed"],
        context=reading["context"],
        windows=reading["tokens"] // reading["context"],
        bos=reading["bos"],
    )


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

    def begin(self, lengths: list[int], sample: int) -> None:
        """Say how much is read, and how much of it before the first step."""
        self._say(
            f"train-dictionary: reads {sum(lengths):,} activations; the first step comes after "
            f"{lengths[0]:,} of them (--buffer)"
        )
        self.first = sample + lengths[0]

    def __call__(self, tokens: int) -> None:
        self._tokens += tokens
        if self._tokens < self.first and time.monotonic() - self._reported >= INTERVAL:
            self._reported = time.monotonic()
            count = f"{self._tokens:,} of about {self.first:,} tokens"
            self._say(f"train-dictionary: {count} read before the first step")


def lengths_of(method: Settings, reading: Settings) -> list[int]:
    """Count the vectors of each buffer."""
    total, size = method["steps"] * method["batch"], max(reading["buffer"], method["batch"])
    return [size] * (total // size) + [total % size] * (total % size > 0)


def _kind(method: Settings) -> Nonlinearity:
    """Make the nonlinearity of a kind's name. Raises: SpecError."""
    name = method["kind"]
    if name not in known():
        raise SpecError(f"there is no kind {name!r}; {nearest(name, known())}")
    takes_k = "k" in known()[name].__annotations__
    if method["k"] is not None and not takes_k:
        raise SpecError("--k is for TopK and BatchTopK; other kinds take --penalty")
    return known()[name](**({"k": method["k"] or 32} if takes_k else {}))


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out whether a BOS comes first where nobody says so, as older requests do."""
    return {k: v for k, v in values.items() if k != "bos" or v is not None}


def _finish(out: Path, request: Mapping[str, Any], result: TrainedDictionary) -> None:
    """Write the result with its request, and remove what a later call would resume from."""
    stored = {**asdict(result), "file": str(result.file)}
    (out / REQUEST).write_text(json.dumps({**request, "result": stored}, indent=1))
    for name in (PLACE, CHECKPOINT):
        (out / name).unlink(missing_ok=True)


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
