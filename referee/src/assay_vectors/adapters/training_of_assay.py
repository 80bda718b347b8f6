"""Assay's adapter, second part: training, files, held-out text, keys."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import protocol
import torch
from objectives_of_assay import Nested, dictionary
from torch import Tensor

from assay.core.bench import Unkept
from assay.core.errors import RunError
from assay.core.experiment import Arm, Experiment
from assay.core.fit import Group, fit
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.core.spec import Spec, key
from assay.data import corpus
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.formats.opening import load as read
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.training.losses import l1
from assay.dictionaries.training.train import Method, fit_dictionaries, group
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.train.rng import normal


class _Bench(Unkept):
    """A bench with one checkpoint, in memory."""

    def __init__(self, saved: tuple[int, dict[str, Tensor]] | None = None, stop: int = 0):
        self.saved, self.stop = saved, stop

    def restore(self) -> tuple[int, dict[str, Tensor]] | None:  # type: ignore[override]
        """The checkpoint, if there is one."""
        return self.saved

    def due(self) -> bool:
        """At every step."""
        return True

    def save(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Keep a copy; at the step to stop at, stop as a kill would."""
        self.saved = step, {name: value.clone() for name, value in tensors.items()}
        if step == self.stop:
            raise KeyboardInterrupt


def _method(lr: float = 1e-2, **more: Any) -> Method:
    return Method(
        ReLU(),
        l1,
        width=6,
        lr=np.array([lr]),
        penalty=np.array([0.1]),
        warm_up=0,
        penalty_warm_up=0,
        decay=0,
        **more,
    )


def _batches(x: Nested) -> Callable[[int], Tensor]:
    return lambda step: torch.tensor(x, dtype=torch.float32)


def second_step(x: Nested) -> dict[str, Any]:
    """Adam's first moment at β₁ = 0 is the gradient: after the second step over after the first, at
    rate 0."""
    g = group(Runs([Spec()]), _method(lr=0.0), d=len(x[0]), steps=2)
    norms = []
    for step in range(2):
        g.step_fn(g.state, torch.tensor(x, dtype=torch.float32), step)
        norms.append(g.state["adam.m.b_enc"].norm().item())
    return {"ratio": norms[1] / norms[0]}


def unit_decoder(x: Nested, lr: float) -> dict[str, Any]:
    """Lengths of decoder rows after one step."""
    g = group(Runs([Spec()]), _method(lr), d=len(x[0]), steps=1)
    g.step_fn(g.state, torch.tensor(x, dtype=torch.float32), 0)
    return {"norms_are_one": bool(((g.state["W_dec"].norm(dim=-1) - 1).abs() < 1e-4).all())}


def normalisation_recorded(x: Nested, steps: int) -> dict[str, Any]:
    """Train on centred, scaled rows; what was saved reads raw ones by the mean and scale that it
    holds."""
    raw = torch.tensor(x, dtype=torch.float32)
    mean, scale = raw.mean(0), 0.5
    trained = fit_dictionaries(
        [(Runs([Spec()]), _method())],
        lambda step: (raw - mean) * scale,
        d=2,
        steps=steps,
        bench=_Bench(),
        mean=mean,
        scale=scale,
    )
    with tempfile.TemporaryDirectory() as room:
        Dictionary.of(trained[0]).save(Path(room) / "d.safetensors")
        back = Dictionary.load(Path(room) / "d.safetensors")
    same = torch.allclose(back.encode(raw), back.normalised.encode((raw - mean) * scale))
    return {"recorded": same and back.scale is not None and float(back.scale[0]) == scale}


def checkpoint(x: Nested, steps: int) -> dict[str, Any]:
    """Train on rows as they are with a checkpoint after each step."""
    bench = _Bench()
    fit_dictionaries([(Runs([Spec()]), _method())], _batches(x), d=2, steps=steps, bench=bench)
    return {"written": bench.saved is not None and bench.saved[0] == steps}


def resume(steps: int, stop: int) -> dict[str, Any]:
    """Stop after some steps, go on from the checkpoint in a fresh group, compare with the training
    that was not stopped."""
    seeds = np.array([7])

    def train(bench: _Bench) -> dict[str, Tensor]:
        run_group = group(Runs([Spec(seed=7)]), _method(), d=3, steps=steps)
        return fit(
            [run_group],
            lambda step: torch.from_numpy(normal(seeds, "x", step, (8, 3))),
            steps=steps,
            bench=bench,
        )[0].tensors

    first = _Bench(stop=stop)
    try:
        train(first)
    except KeyboardInterrupt:
        resumed, whole = train(_Bench(first.saved)), train(_Bench())
        return {
            "identical": all(torch.equal(value, resumed[name]) for name, value in whole.items())
        }
    raise AssertionError("the training did not stop")


def save_load(
    architecture: str, weights: Mapping[str, Any], centred: bool, x: Nested
) -> dict[str, Any]:
    """Features and reconstruction after a file in between."""
    with tempfile.TemporaryDirectory() as room:
        dictionary(architecture, weights, centred).save(Path(room) / "d.safetensors")
        back = Dictionary.load(Path(room) / "d.safetensors")
    rows = torch.tensor(x, dtype=torch.float64)
    return {"features": back.encode(rows), "x_hat": back.reconstruct(rows)}


def load(
    format: str, config: Mapping[str, Any], tensors: Mapping[str, Nested], x: Nested
) -> dict[str, Any]:
    """A peer's folder by `assay.dictionaries.formats.load`."""
    from safetensors.torch import save_file

    if format != "sparsify":
        raise protocol.NotOffered(f"this adapter writes sparsify's files, not {format}'s")
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room) / "layers.0"
        folder.mkdir()
        (folder / "cfg.json").write_text(json.dumps(config))
        save_file(
            {name: torch.tensor(value, dtype=torch.float32) for name, value in tensors.items()},
            folder / "sae.safetensors",
        )
        d = read(folder)
    rows = torch.tensor(x, dtype=torch.float32)
    return {"latents": d.width, "features": d.encode(rows), "x_hat": d.reconstruct(rows)}


def evaluation_documents(documents: int, train: int, evaluate: int) -> dict[str, Any]:
    """Windows of the training and test parts of a folder of text, drawn twice."""
    with tempfile.TemporaryDirectory() as room:
        for i in range(documents):
            (Path(room) / f"{i}.txt").write_text(f"document {i} " * 4)
        text = corpus.load(room)

        def read_documents(part: corpus.Part, count: int) -> list[int]:
            return sorted(
                text.windows(
                    lambda s: list(s.encode()), part, context=8, count=count
                ).document.tolist()
            )

        first, trained, second = (
            read_documents("test", evaluate),
            read_documents("train", train),
            read_documents("test", evaluate),
        )
    return {"shared": len(set(trained) & set(first)), "same_each_time": first == second}


def data_keys(a: Nested, b: Nested) -> dict[str, Any]:
    """Fingerprints of two corpora, one file for each row."""
    prints = []
    for rows in (a, b):
        with tempfile.TemporaryDirectory() as room:
            for i, row in enumerate(rows):
                (Path(room) / f"{i}.txt").write_text(" ".join(map(str, row)))
            prints.append(corpus.load(room).fingerprint)
    return {"differ": prints[0] != prints[1]}


@dataclass(frozen=True, kw_only=True)
class _Config(Spec):
    lr: float = 0.5
    steps: int = 10
    tags: tuple[str, ...] = ()


def cache_keys(fields: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of specs with these fields, as classes by first appearance."""
    keys = [key("vectors", 1, "main", _Config(**values)) for values in fields]
    return {"class": [list(dict.fromkeys(keys)).index(k) for k in keys]}


def failed_run() -> dict[str, Any]:
    """A run that raises the first time, asked for twice."""
    calls = []

    def train(runs: Any, bench: Any) -> Any:
        calls.append(len(runs))
        if len(calls) == 1:
            raise ZeroDivisionError("the first time")
        state = {"x": torch.zeros(len(runs))}
        return fit(
            [Group(runs, state, lambda state, batch, step: state["x"])],
            lambda step: None,
            steps=1,
            bench=bench,
        )[0]

    experiment = Experiment(
        arms={"main": Arm(train)},
        measure=lambda runs, trained, bench: measures(runs, x=("run", trained.tensors["x"], "1")),
        claims=(),
        smoke=(_Config(),),
        default=(_Config(),),
        full=(_Config(),),
        name="failed-once",
    )
    with tempfile.TemporaryDirectory() as room:
        try:
            Lab(Path(room), Inline()).run(experiment)
        except RunError:
            Lab(Path(room), Inline()).run(experiment)
    return {"ran_again": len(calls) == 2}


OPERATIONS: protocol.Operations = {
    "second_step": second_step,
    "unit_decoder": unit_decoder,
    "normalisation_recorded": normalisation_recorded,
    "checkpoint": checkpoint,
    "resume": resume,
    "save_load": save_load,
    "load": load,
    "evaluation_documents": evaluation_documents,
    "data_keys": data_keys,
    "cache_keys": cache_keys,
    "failed_run": failed_run,
}
