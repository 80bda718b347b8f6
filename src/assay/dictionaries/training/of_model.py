"""of_model: one dictionary of a language model's activations at a site, which are harvested into a
store first; the training is kept in the folder of the dictionary, from which the same call resumes.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assay.core.bench import Bench
from assay.core.errors import AssayError, RunError, SpecError, nearest
from assay.core.fit import SETTLING, probes
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.data.checkpoint import Alone
from assay.data.harvest import HarvestSpec, harvest, inputs
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import Nonlinearity, known
from assay.dictionaries.training.losses import TopKAux
from assay.dictionaries.training.quick import check_settings, objective

Settings = Mapping[str, Any]
REQUEST, FILE = "training.json", "dictionary.safetensors"


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


def train(spec: HarvestSpec, out: Path, method: Settings, bench: Bench) -> TrainedDictionary:
    """Harvest and train, and resume where an earlier call was interrupted.

    Args:
        spec: which activations.
        out: the folder of the dictionary.
        method: the options of `assay train-dictionary` about the dictionary, by name.
        bench: where activations are kept, and what hears how far it is.
    Raises: AssayError for what does not fit together, before anything is harvested.
    """
    from assay.dictionaries.training.train import Method, fit_dictionaries

    kind = _kind(method)
    chosen = TopKAux(dead_after=method["aux"]) if method["aux"] else None
    loss, strength = objective(kind, chosen, method["penalty"])
    check_settings(**{name: method[name] for name in ("steps", "batch", "lr", "seed", "width")})
    request = {"spec": json.loads(spec.to_json()), "method": dict(method), "inputs": inputs(spec)}
    if (finished := _finished(out, request)) is not None:
        return TrainedDictionary(**{**finished, "file": Path(finished["file"]), "found": True})
    data, runs, steps = harvest(spec, bench), Runs([Spec(seed=method["seed"])]), method["steps"]
    batches = data.batches(runs.seeds, method["batch"])
    out.mkdir(parents=True, exist_ok=True)
    (out / REQUEST).write_text(json.dumps(request, indent=1))
    checkpoint, penalty = Alone(bench, out), np.array([strength])
    how = Method(kind, loss, method["width"], lr=np.array([method["lr"]]), penalty=penalty)
    (trained,) = fit_dictionaries(
        [(runs, how)],
        batches,
        d=data.d,
        steps=steps,
        bench=checkpoint,
        mean=data.mean,
        scale=data.scale,
        sites=(spec.site,),
        probe_at=probes(steps),
        trained_on=data.trained_on,
    )
    if trained.diverged.any():
        raise RunError(f"the loss did not stay finite at lr={method['lr']:g}; lower lr")
    dictionary = Dictionary.of(trained)
    last = (data.restore(batches(step)) for step in range(max(0, steps - SETTLING), steps))
    measured = measure(dictionary, last)
    dictionary.to(torch.device("cpu")).save(out / FILE)
    result = TrainedDictionary(
        file=out / FILE,
        model=spec.subject,
        site=spec.site,
        text=spec.corpus,
        width=method["width"],
        vectors=steps * method["batch"],
        times=steps * method["batch"] / len(data.kept),
        found=False,
        **measured,
    )
    stored = {**asdict(result), "file": str(result.file)}
    (out / REQUEST).write_text(json.dumps({**request, "result": stored}, indent=1))
    checkpoint.file.unlink(missing_ok=True)
    return result


def measure(dictionary: Dictionary, batches: Iterable[torch.Tensor]) -> dict[str, Any]:
    """Measure FVU, L0 and dead latents on batches of raw rows."""
    fired = torch.zeros(dictionary.width, dtype=torch.bool)
    total, squares, error, on, rows = torch.zeros(1, dtype=torch.float64), 0.0, 0.0, 0, 0
    for batch in batches:
        x = batch.to(dictionary.W_dec.device)
        features = dictionary.encode(x)
        left = (dictionary.decode(features) - x).double()
        fired |= (features != 0).any(0).cpu()
        total = total + x.double().sum(0).cpu()
        squares += float(x.double().square().sum())
        error += float(left.square().sum())
        on, rows = on + int(features.count_nonzero()), rows + len(x)
    variance = squares - float(total.square().sum()) / rows
    dead = int((~fired).sum())
    return {"fvu": error / variance, "l0": on / rows, "dead": dead, "rows": rows}


def _kind(method: Settings) -> Nonlinearity:
    """Make the nonlinearity of a kind's name. Raises: SpecError."""
    name = method["kind"]
    if name not in known():
        raise SpecError(f"there is no kind {name!r}; {nearest(name, known())}")
    takes_k = "k" in inspect.signature(known()[name]).parameters
    if method["k"] is not None and not takes_k:
        raise SpecError("--k is for TopK and BatchTopK; other kinds take --penalty")
    return known()[name](**({"k": method["k"] or 32} if takes_k else {}))


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
