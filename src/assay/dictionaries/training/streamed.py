"""Streamed: one dictionary of a language model's activations, harvested while it trains: two
buffers of them are in memory and none on the disk, whatever the length of the text."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from assay.core import rng
from assay.core.bench import Bench
from assay.core.errors import AssayError, DataError, RunError, SpecError, StoreError, nearest
from assay.core.fit import SETTLING
from assay.core.heavy import torch
from assay.core.inputs import unnoted
from assay.data.harvest import (
    BATCH_TOKENS,
    F16_MAX,
    OUTLIER,
    HarvestSpec,
    cut_text,
    dtype_of,
    model_in,
    trained_on,
    windows_in,
)
from assay.data.shards import ShardReader, Shards
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.kinds import known
from assay.dictionaries.nonlinearity import Nonlinearity
from assay.dictionaries.training.losses import TopKAux
from assay.dictionaries.training.quick import check_settings, objective, train_dictionary
from assay.subjects import folder as models
from assay.subjects.site import Site

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


SAMPLE = 2**15
"""Tokens at the beginning of which mean, scale and the limit of outliers are taken."""


class TextRows:
    """The activations of a text as blocks of rows, each from one pass of the model.

    Position 0 of each window and vectors longer than 6 medians are left out, as from the batches of
    a harvest; median, mean and scale are those of the first 2¹⁵ tokens. A text that is through
    begins again, its passes in another order."""

    def __init__(
        self, spec: HarvestSpec, bench: Bench, passed: Callable[[int], None] = lambda tokens: None
    ):
        """Cut the text; `passed` hears how many tokens each pass of the model read. Raises:
        DataError, ModelError."""
        self.spec, self.bench, self.passed = spec, bench, passed
        self.folder = models.find(spec.subject, spec.bos)
        self.site = Site.parse(spec.site)
        self.folder.check(self.site)
        self.windows = windows_in(cut_text(spec, bench)[1])
        self.dtype = dtype_of(spec, bench)
        self.per_pass = max(1, BATCH_TOKENS // spec.context)
        self.passes = -(-len(self.windows.tokens) // self.per_pass)
        self._place, self._noted = Path(), dict[str, Any]()
        self._last: tuple[int, Float[np.ndarray, "n d"]] = -1, np.zeros((0, 0), np.float16)
        self._lock, self._closed = Lock(), False

    @property
    def about(self) -> Mapping[str, Any]:
        """What a dictionary that is trained on this should carry."""
        return {
            "sites": [str(self.site)],
            "trained_on": dict(trained_on(self.spec, self.windows)),
        }

    @property
    def rows(self) -> int:
        """Vectors of the whole text, outliers among them."""
        return int(len(self.windows.tokens) * (self.spec.context - 1))

    def shards(self, lengths: Sequence[int], place: Path) -> Shards:
        """The rows cut into shards of these lengths, each harvested when it is read.

        Args:
            lengths: rows of each shard.
            place: a JSON file that says where shards begin in the text, so that a later process
                need not read it from the start.
        Raises: DataError; StoreError for a file of other rows.
        """
        self._place, noted = place, _read(place)
        if not noted:
            mean, scale, limit = self.statistics()
            noted = {
                "mean": mean.tolist(),
                "scale": scale,
                "limit": limit,
                "starts": [[0, 0]],
                "about": self.about,
            }
            _write(place, noted)
        if noted["about"] != json.loads(json.dumps(self.about)):
            raise StoreError(
                f"{place} is about activations of another model or text; name another folder, or "
                "remove it"
            )
        self._noted = noted
        return Shards(
            lengths,
            lambda shard, out: self._read(shard, lengths, out),
            np.array(noted["mean"], np.float32),
            noted["scale"],
            self.about,
        )

    def close(self) -> None:
        """Stop a harvest in another thread, and wait until it has stopped."""
        self._closed = True
        with self._lock:
            pass

    def _read(self, shard: int, lengths: Sequence[int], out: Float[np.ndarray, "n d"]) -> None:
        """Fill an array with the rows of a shard, after those before it whose ends are unknown."""
        with self._lock:
            starts = self._noted["starts"]
            for number in range(min(shard, len(starts) - 1), shard):
                self._fill(number, np.empty((lengths[number], self._width), np.float16))
            self._fill(shard, out)

    def _fill(self, shard: int, out: Float[np.ndarray, "n d"]) -> None:
        starts, ready, empty = self._noted["starts"], 0, 0
        block, skipped = starts[shard]
        while ready < len(out):
            if self._last[0] != block:
                self._last = block, self.block(block, self._noted["limit"])
            rows = self._last[1]
            its = rows[skipped : skipped + len(out) - ready]
            out[ready : ready + len(its)] = its
            ready, skipped = ready + len(its), skipped + len(its)
            empty = 0 if len(its) else empty + 1
            if empty > self.passes:
                raise DataError(f"the text has no activation at {self.spec.site} to train on")
            if skipped >= len(rows):
                block, skipped = block + 1, 0
        if shard + 1 == len(starts):
            starts.append([block, skipped])
            _write(self._place, self._noted)

    @property
    def _width(self) -> int:
        return len(self._noted["mean"])

    @property
    def sample(self) -> int:
        """Tokens of which median, mean and scale are."""
        return min(self.passes, -(-SAMPLE // self._per_pass_tokens)) * self._per_pass_tokens

    @property
    def _per_pass_tokens(self) -> int:
        return self.per_pass * self.spec.context

    def block(self, number: int, limit: float) -> Float[np.ndarray, "n d"]:
        """The rows of a pass that are kept, float16, the same whenever they are asked for.

        Args:
            number: from 0, without end.
            limit: length from which a vector is left out.
        """
        acts, norms = self._pass(number)
        its = acts[_kept_rows(norms, limit)]
        if len(its) and float(its.abs().amax()) > F16_MAX:
            raise DataError(
                f"activations at {self.spec.site} are too large for float16; harvest another site"
            )
        return its.half().numpy()

    def statistics(self) -> tuple[Float[np.ndarray, " d"], float, float]:
        """Mean, scale, and the length from which vectors are left out."""
        count = self.sample // self._per_pass_tokens
        sample = [(acts.half(), norms) for acts, norms in map(self._pass, range(count))]
        limit = OUTLIER * float(np.median(np.concatenate([norms[:, 1:] for _, norms in sample])))
        total, squares, n = np.zeros(1), 0.0, 0
        for acts, norms in sample:
            its = acts[_kept_rows(norms, limit)].double().numpy()
            total, squares, n = total + its.sum(0), squares + float((its * its).sum()), n + len(its)
        mean = total / n
        variance = squares / n - float((mean * mean).sum())
        if not variance > 0:
            raise DataError(
                f"the activations at {self.spec.site} are all the same vector, so there is nothing "
                "to learn from them"
            )
        return mean.astype(np.float32), float(np.sqrt(len(mean) / variance)), limit

    def _pass(self, number: int) -> tuple[torch.Tensor, Float[np.ndarray, "w s"]]:
        """The activations of a pass [w, s, d], on the CPU, and their lengths."""
        if self._closed:
            raise RunError(f"the harvest of {self.spec.site} was stopped")
        repeat, i = divmod(number, self.passes)
        if repeat:
            i = int(
                rng.permutation(np.array([self.spec.seed]), "stream.pass", repeat, self.passes)[0][
                    i
                ]
            )
        tokens = self.windows.tokens[i * self.per_pass : (i + 1) * self.per_pass]
        with unnoted():
            model = model_in(
                self.spec.subject, str(self.bench.device), self.dtype, self.folder.fingerprint
            )
        batch = torch.from_numpy(tokens.astype(np.int64))
        acts = model.run(batch, capture=[self.site], logits=False).acts[self.site].flatten(2)
        acts = acts.float().cpu()
        norms = torch.linalg.vector_norm(acts.double(), dim=-1).numpy()
        if not np.isfinite(norms).all():
            raise DataError(f"activations at {self.spec.site} are not finite")
        self.passed(tokens.size)
        return acts, norms


def _read(place: Path) -> dict[str, Any]:
    """What an earlier process noted; empty where there is nothing. Raises: StoreError."""
    try:
        noted: dict[str, Any] = json.loads(place.read_text()) if place.exists() else {}
    except (OSError, ValueError) as error:
        raise StoreError(f"{place} cannot be read ({error}); remove it") from error
    return noted


def _write(place: Path, noted: Mapping[str, Any]) -> None:
    """Replace what was noted, whole."""
    partial = place.with_suffix(".new")
    try:
        with partial.open("w") as file:
            json.dump(noted, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(place)
    except OSError as error:
        raise StoreError(f"{place} cannot be written: {error}") from error


def _kept_rows(norms: Float[np.ndarray, "w s"], limit: float) -> Bool[torch.Tensor, "w s"]:
    keep = norms <= limit
    keep[:, 0] = False
    return torch.from_numpy(keep)
