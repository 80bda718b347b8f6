"""Train-dictionary: one dictionary of a language model's activations, harvested while it trains:
the disk holds a few buffers of them, whatever the length of the text."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Annotated, Any

from assay.core.errors import AssayError
from assay.core.fit import SETTLING
from assay.data.harvest import HarvestSpec
from assay.data.text_stream import TextRows
from assay.dictionaries.kinds import known
from assay.dictionaries.sharded.training import MEASURED
from assay.lab.away.fleets.ray_driver import TIED
from assay.lab.store.store import Store
from assay.verbs.options import (
    AS_WRITTEN,
    HERE,
    Device,
    Flat,
    Model,
    Place,
    Text,
    Trust,
    device_here,
    writable,
)
from assay.verbs.train_lm import Desk
from assay.verbs.verb import Answer, Door, Line, Part, verb

ASKED, STREAM, FILE = "training.json", "stream", "dictionary.safetensors"
TELLS = 15.0
"""Seconds between lines on how far reading is."""
PIECES = 4
"""Shards of a buffer: what comes and goes at a time."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """The dictionary, and how it is trained."""

    kind: str = "TopK"
    """TopK, BatchTopK, ReLU, JumpReLU or Gated."""
    width: int = 4096
    """Features."""
    k: int | None = None
    """Features on at a token, of TopK and BatchTopK; 32 without it."""
    penalty: float | None = None
    """λ of the other kinds: the larger, the fewer features are on."""
    aux: int = 0
    """AuxK of TopK and BatchTopK: a latent is dead after so many rows without a firing; 0: none."""
    steps: int = 2000
    """Training steps."""
    batch: int = 4096
    """Vectors of a step."""
    lr: float = 2e-3
    """Adam's learning rate."""
    seed: int = 0
    """What draws the start, and the order of text and vectors."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is read, and how much of it lies where."""

    context: int = 128
    """Tokens in a window."""
    bos: bool | None = None
    """Whether each window starts with the model's BOS token; without it as its tokenizer has
    it."""
    tokens: int = 0
    """Tokens of the text's training part; 0: all. Where steps x batch is more, it is read again."""
    buffer: int = 2**18
    """Vectors that are shuffled together: one buffer and the next are in memory."""
    ahead: int = 3
    """Buffers on the disk, at most; more where the last 32 batches, read twice, need it."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """What trains it."""

    ranks: int = 1
    """Processes that train one dictionary, each on a share of its latents."""
    shards: int = 0
    """Shares of latents, of which the other ranks are replicas; 0: one a rank."""


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
    disk_mb: float
    """What the harvest may take on the disk at once."""
    fvu: float
    l0: float
    dead: int
    """Latents that were on in none of the rows that were measured."""
    rows: int
    found: bool
    """Whether it was trained before, and nothing was run now."""


AS_USUAL, FULLY, BY_ONE = Method(), Reading(), Ranks()


@verb("one dictionary that was trained on a model while it was harvested")
def command(
    model: Model,
    site: str,
    /,
    *,
    out: Path,
    text: Text = "stdlib",
    method: Annotated[Method, Flat] = AS_USUAL,
    reading: Annotated[Reading, Flat] = FULLY,
    by: Annotated[Ranks, Flat] = BY_ONE,
    device: Device = "cpu",
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
    door: Door,
) -> Answer[TrainedDictionary]:
    """Train a dictionary on a model's activations, harvested while it trains: the disk holds a few
    buffers, however long the text is.

    Parameters
    ----------
    site
        Where activations are taken, such as blocks.9.hook_resid_post.
    out
        The folder to write. The same command goes on there, or finds what is done.

    Examples
    --------
    assay train-dictionary smollm2 blocks.9.hook_resid_post --out my-sae
    """
    with trust.raised(), door.bar("train-dictionary", "steps") as bar:
        spec = HarvestSpec(subject=model, site=site, corpus=text, windows=0)
        device = device_here(device)
        trained = train(spec, out, method, reading, by, place.root, device, bar, door.aside)
    return Answer(trained, words(trained))


def words(trained: TrainedDictionary) -> Iterator[Part]:
    """Tell what came out, and what to type next."""
    yield (
        f"{trained.width:,} features of {trained.site} in {trained.model}, from "
        f"{trained.vectors:,} vectors of {trained.text} ({trained.times:.2g} times its length); at "
        f"most {trained.disk_mb:,.0f} MB of them lay on the disk"
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
    by: Ranks = BY_ONE,
    root: Path = Path("assay-store"),
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda text: None,
) -> TrainedDictionary:
    """Harvest in this process, train in others, and go on where an earlier call was interrupted.

    Raises: AssayError for what does not fit together, before anything is harvested."""
    from assay.dictionaries.sharded.__main__ import check

    spec = spec.replace(
        seed=method.seed,
        context=reading.context,
        windows=reading.tokens // reading.context,
        bos=reading.bos,
    )
    if min(reading.buffer, reading.ahead, by.ranks) < 1 or by.shards < 0:
        raise AssayError("--buffer, --ahead and --ranks are numbers from 1 up, --shards from 0 up")
    options = _options(method, by, device)
    check([str(out / STREAM), str(out), *options])
    request = {
        "spec": _said(json.loads(spec.to_json())),
        "method": asdict(method),
        "reading": _said(asdict(reading)),
        "by": asdict(by),
    }
    writable(out, "--out")
    if (before := _begun(out, request)) is not None:
        return TrainedDictionary(**{**before, "file": Path(before["file"]), "found": True})
    desk, read = Desk(Store(root), device, lambda done, total, unit: None), _Read(say)
    rows = TextRows(spec, desk, read)
    out.mkdir(parents=True, exist_ok=True)
    (out / ASKED).write_text(json.dumps(request, indent=1))
    sizes = sizes_of(method, reading)
    if not (out / MEASURED).exists():
        buffer = sizes["rows"] * sizes["window"]
        say(
            f"train-dictionary: reads {method.steps * method.batch:,} activations; the first step "
            f"comes after {buffer:,} of them (--buffer)"
        )
        read.first = rows.sample + buffer
        with _Trainer(out, options, by.ranks, progress) as trainer:
            rows.fill(out / STREAM, begun=trainer.begin, watch=lambda *_: trainer.check(), **sizes)
            trainer.wait()
    measured = json.loads((out / MEASURED).read_text())
    d = rows.folder.width(rows.site)
    result = TrainedDictionary(
        file=out / FILE,
        model=spec.subject,
        site=spec.site,
        text=spec.corpus,
        width=method.width,
        vectors=method.steps * method.batch,
        times=method.steps * method.batch / rows.rows,
        disk_mb=min(sizes["most"], sizes["shards"]) * sizes["rows"] * 2 * d / 1e6,
        found=False,
        **measured,
    )
    stored = {**asdict(result), "file": str(result.file)}
    (out / ASKED).write_text(json.dumps({**request, "result": stored}, indent=1))
    for folder in (out / STREAM, *out.glob("step-*")):
        shutil.rmtree(folder, ignore_errors=True)
    return result


class _Read:
    """Tells now and then how many tokens were read, until the first step can be made."""

    def __init__(self, say: Callable[[str], None]):
        self.first, self._say, self._tokens, self._told = 0, say, 0, time.monotonic()

    def __call__(self, tokens: int) -> None:
        self._tokens += tokens
        if self._tokens < self.first and time.monotonic() - self._told >= TELLS:
            self._told = time.monotonic()
            count = f"{self._tokens:,} of about {self.first:,} tokens"
            self._say(f"train-dictionary: {count} read before the first step")


def sizes_of(method: Method, reading: Reading) -> dict[str, int]:
    """Rows of a shard, shards in all, of a window, and on the disk at once."""
    total = method.steps * method.batch
    rows = -(-min(total, max(reading.buffer, method.batch)) // PIECES)
    # What training reads again in the end has to lie there too, and one buffer that is written.
    buffers = -(-SETTLING * method.batch // (PIECES * rows)) + 2
    most = PIECES * max(reading.ahead, buffers)
    return {"rows": rows, "shards": math.ceil(total / rows), "window": PIECES, "most": most}


def _options(method: Method, by: Ranks, device: str) -> list[str]:
    takes_k = "k" in known()[method.kind].__annotations__ if method.kind in known() else False
    k = method.k or 32 if takes_k else method.k
    values: Mapping[str, Any] = {**asdict(method), "k": k, "shards": by.shards}
    values = {**values, "device": device.partition(":")[0], "every": method.steps}
    pairs = [(f"--{name}", str(value)) for name, value in values.items() if value is not None]
    return ["--stream", *(word for pair in pairs for word in pair)]


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values without whether a BOS comes first, where nobody says so, as in older requests."""
    return {k: v for k, v in values.items() if k != "bos" or v is not None}


def _begun(out: Path, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an earlier call left there when it was done. Raises: AssayError where the folder has
    something else in it."""
    try:
        stored = json.loads((out / ASKED).read_text()) if out.exists() else {}
    except (OSError, ValueError) as error:
        if any(out.iterdir()):
            raise AssayError(
                f"{out} has other files in it; name another folder with --out"
            ) from error
        return None
    result: dict[str, Any] | None = stored.pop("result", None)
    if stored and stored != json.loads(json.dumps(request)):
        raise AssayError(f"{out} has another training; name another folder with --out")
    return result if result is not None and (out / FILE).exists() else None


class _Trainer:
    """The processes that train, begun once there is something to read, and ended with this one."""

    def __init__(
        self, out: Path, options: list[str], ranks: int, progress: Callable[[int, int], None]
    ):
        module = ["-m", "assay.dictionaries.sharded"]
        if ranks > 1:
            module = ["-m", "assay.dictionaries.sharded.launch", "--nproc-per-node", str(ranks)]
        self._words = [sys.executable, *module, str(out / STREAM), str(out), *options]
        self._progress, self._error = progress, ""
        self._process: subprocess.Popen[str] | None = None
        self._pump: threading.Thread | None = None

    def begin(self) -> None:
        """Start it."""
        path = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", TIED, str(os.getpid()), *self._words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for this process, which ends it
        )
        self._pump = threading.Thread(
            target=self._listen, args=(self._process.stderr,), daemon=True
        )
        self._pump.start()

    def check(self) -> None:
        """Raise AssayError where it has failed."""
        if self._process is not None and self._process.poll():
            self.wait()

    def wait(self) -> None:
        """Wait until it ends. Raises: AssayError in its own words."""
        if self._process is None or self._pump is None:
            return
        code = self._process.wait()
        self._pump.join()
        if code:
            error = AssayError(
                self._error or f"the training ended with {code}; the same command goes on with it"
            )
            error.exit_code = code if code > 0 else 3
            raise error

    def _listen(self, lines: IO[str]) -> None:
        for line in lines:
            if match := re.match(r"step (\d+) of (\d+)", line):
                self._progress(int(match[1]), int(match[2]))
            elif line.startswith("error: "):
                self._error = line.removeprefix("error: ").strip()

    def __enter__(self) -> _Trainer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
            self._process.kill()
