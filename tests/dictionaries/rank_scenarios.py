"""What ranks do in test_sharded.py: one interpreter imports once and forks every rank of every
scenario, one scenario after the other.

As a program it takes a folder; each rank leaves `SCENARIO-RANK.safetensors` there, and `ends.json`
says with which code every rank ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file

from assay.core.errors import AssayError
from assay.dictionaries.gates import Gated
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.sharded.part import Part
from assay.dictionaries.sharded.ranks import join_ranks
from assay.dictionaries.sharded.training import fit_sharded, train_sharded
from assay.dictionaries.training import losses
from assay.dictionaries.training.kernels.active import Codes, largest
from assay.dictionaries.training.kernels.choice import sparse_for
from assay.dictionaries.training.train import Method

AUX = losses.TopKAux(alpha=0.5, dead_after=50)
KINDS = {
    "topk": (TopK(3), losses.mse),
    "topk_aux": (TopK(3), AUX),
    "batchtopk": (BatchTopK(2), losses.mse),
    "batchtopk_aux": (BatchTopK(2), AUX),
    "matryoshka": (BatchTopK(2), losses.Matryoshka((5, 9, 26), alpha=0.5, dead_after=50)),
    "relu": (ReLU(), losses.l1),
    "weighted": (ReLU(), losses.l1_weighted),
    "p_anneal": (ReLU(), losses.PAnneal(to=0.5)),
    "jumprelu": (JumpReLU(0.25, 0.25), losses.jumprelu),
    "gated": (Gated(), losses.gated),
}
WIDTH, D, ROWS = 26, 7, 9
PARTS = {"even": (5, 4), "none": (9, 0)}
"""How the rows of a batch may lie on two replicas."""
TRAINED = {
    "topk": (TopK(3), None, losses.TopKAux(dead_after=300)),
    "batch": (BatchTopK(3), None, None),
    "jump": (JumpReLU(), 0.01, None),
    "relu": (ReLU(), 0.1, None),
    "gated": (Gated(), 0.1, None),
}
TRAINING = {"width": 37, "steps": 30, "batch": 101}
CUT = {**TRAINING, "loss": losses.TopKAux(dead_after=300)}


def world(kind: str) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    """Parameters of one run as training stores them, in float64, rows, and idle counters that make
    a third of the latents dead."""
    g = torch.Generator().manual_seed(len(kind))

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    params = {
        "W_enc": draw(1, WIDTH, D),
        "b_enc": draw(1, WIDTH) / 2,
        "W_dec": draw(1, WIDTH, D),
        "b_dec": draw(1, D) / 2,
    }
    own = {
        name: value.double() + draw(*value.shape).abs() / 5
        for name, value in KINDS[kind][0].init(1, WIDTH).items()
    }
    return params | own, draw(ROWS, D), torch.arange(WIDTH)[None] % 3 * 40


def divisions(replicas: int) -> dict[str, tuple[int, ...]]:
    """How rows lie on so many replicas."""
    return PARTS if replicas == 2 else {"all": (ROWS,)}


def tied(seed: int) -> torch.Tensor:
    """A batch of few different numbers, [rows, width]; of seed 3, of numbers close to 1, of which
    some pairs are equal in bfloat16."""
    g = torch.Generator().manual_seed(seed)
    if seed == 3:
        return 1 + torch.randn(ROWS, WIDTH, generator=g) / 2**7
    return torch.randint(-3, 4, (ROWS, WIDTH), generator=g).float() / 4


def steps(shards: int) -> dict[str, torch.Tensor]:
    """One step of every kind, and choices among many equal numbers, with rows divided in each
    way."""
    found = {}
    with join_ranks(shards, timeout=60) as ranks:
        part = Part(ranks, WIDTH)
        for name, counts in divisions(ranks.rows.size).items():
            mine = torch.arange(ROWS).split(counts)[ranks.rows.place]
            for kind, (nonlinearity, loss) in KINDS.items():
                params, x, idle = world(kind)
                its = {
                    key: value if key == "b_dec" else value[:, part.mine]
                    for key, value in params.items()
                }
                more = (
                    {"idle": idle[:, part.mine]}
                    if "idle" in losses.wants(loss)
                    else {"progress": 0.5}
                    if kind == "p_anneal"
                    else {}
                )
                kernel = replace(sparse_for(loss, nonlinearity), whole=part)
                penalty = torch.full((1,), 0.3, dtype=torch.float64)
                noted = [learner for learner in (nonlinearity,) if hasattr(learner, "note_codes")]

                def note(codes: Codes, noted: list = noted) -> dict[str, torch.Tensor]:
                    return {"fired": codes.fired()} | (noted[0].note_codes(codes) if noted else {})

                series, grads = kernel(
                    loss, its, x[mine], nonlinearity, penalty, torch.float64, more, note
                )
                found |= {
                    f"{name}/{kind}/{key}": value for key, value in {**series, **grads}.items()
                }
            for seed in range(4):
                batch = tied(seed)[mine][:, part.mine].contiguous()
                b, f = batch.shape
                row = part.kept(largest(batch, min(4, f)), batch, 4)
                found[f"{name}/row{seed}"] = on(row, batch)
                for key, its in (("batch", batch), ("half", batch.bfloat16())):
                    chosen = largest(its.view(1, b * f), min(4 * ROWS, b * f))
                    chosen = part.kept_together(chosen, its, 4 * ROWS)
                    found[f"{name}/{key}{seed}"] = on(chosen, its)
                found[f"{name}/strong{seed}"] = part.strongest(batch.relu(), 4) > 0
    return found


def on(places: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
    """Places as a mask."""
    return torch.zeros(batch.numel(), dtype=torch.bool).index_fill_(0, places, True).view_as(batch)


def rounds(shards: int) -> dict[str, torch.Tensor]:
    """Collectives in one step of every kind in float32, and in a choice among equal numbers."""
    calls = []

    def counted(collective: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **settings: object) -> object:
            calls.append(collective)
            return collective(*args, **settings)

        return call

    dist.all_reduce, dist.all_gather = counted(dist.all_reduce), counted(dist.all_gather)
    found = {}
    with join_ranks(shards, timeout=60) as ranks:
        part = Part(ranks, WIDTH)
        mine = slice(ranks.rows.place, None, ranks.rows.size)
        for kind, (nonlinearity, loss) in KINDS.items():
            params, x, _ = world(kind)
            its = {
                key: (value if key == "b_dec" else value[:, part.mine]).float()
                for key, value in params.items()
            }
            more = {"idle": torch.zeros(1, len(its["b_enc"][0]), dtype=torch.int64)}
            kernel = replace(sparse_for(loss, nonlinearity), whole=part)
            calls.clear()
            kernel(loss, its, x[mine].float(), nonlinearity, torch.ones(1), torch.float32, more)
            found[kind] = torch.tensor(len(calls))
        batch = tied(0)[mine][:, part.mine].contiguous()
        places = largest(batch.view(1, -1), min(4 * ROWS, batch.numel()))
        calls.clear()
        part.kept_together(places, batch, 4 * ROWS)
        found["ties"] = torch.tensor(len(calls))
    return found


def waited(shards: int) -> dict[str, torch.Tensor]:
    """The second rank gives its part once the first has started its sum and gone on, and dies
    before the next."""
    with join_ranks(shards, timeout=20) as ranks:
        gone_on = Path("gone-on")
        deadline = time.monotonic() + 30
        while ranks.rank == 1 and not gone_on.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        parts = torch.full((3, 2), 0.5 + ranks.rank), torch.tensor([2**40 + ranks.rank])
        sums = ranks.every.start_sum(*parts)
        gone_on.touch()
        numbers, count = sums.wait()
        if ranks.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        save_file({"numbers": numbers.clone(), "count": count.clone()}, "sums.safetensors")
        ranks.every.start_sum(torch.ones(1)).wait()
    return {}


def trainings(shards: int) -> dict[str, torch.Tensor]:
    """Every training of TRAINED, or without replicas two, in a folder of its own; what was
    measured."""
    found = {}
    with join_ranks(shards, timeout=60) as ranks:
        for name in TRAINED if ranks.rows.size == 2 else ("topk", "batch"):
            nonlinearity, penalty, loss = TRAINED[name]
            got = train_sharded(
                ranks,
                nonlinearity,
                Path("acts.npy"),
                Path(f"{name}-{ranks.size}-{shards}"),
                penalty=penalty,
                loss=loss,
                **TRAINING,
            )
            found[name] = torch.tensor([got.fvu, got.l0, got.dead, got.rows], dtype=torch.float64)
    return found


def cut_short(shards: int) -> dict[str, torch.Tensor]:
    """Train until the first rank dies at step 25 of 30."""
    with join_ranks(shards, timeout=60) as ranks:

        def die(done: int, total: int, loss: float) -> None:
            if done == 25:
                os.kill(os.getpid(), signal.SIGKILL)

        train_sharded(
            ranks, BatchTopK(3), Path("acts.npy"), Path("cut"), report=die, every=10, **CUT
        )
    return {}


def gone_on(shards: int) -> dict[str, torch.Tensor]:
    """Go on from a copy of what was cut short; how many steps were left to do."""
    taken = []
    with join_ranks(shards, timeout=60) as ranks:
        folder = Path(f"cut-{ranks.size}-{shards}")
        if ranks.rank == 0:
            shutil.copytree("cut", folder)
        ranks.every.barrier()
        train_sharded(
            ranks,
            BatchTopK(3),
            Path("acts.npy"),
            folder,
            report=lambda done, total, loss: taken.append(done),
            every=10,
            **CUT,
        )
    return {"taken": torch.tensor(taken)}


def hang() -> None:
    """Do nothing until the first rank has given up."""
    deadline = time.monotonic() + 120
    while not Path("hanging-0.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def stopped(how: Callable[[], None], timeout: float) -> Callable[[int], dict[str, torch.Tensor]]:
    """A training in which the last rank comes no further than its third step."""

    def scenario(shards: int) -> dict[str, torch.Tensor]:
        with join_ranks(shards, timeout=timeout) as ranks:

            def batches(step: int) -> torch.Tensor:
                if step == 2 and ranks.rank == ranks.size - 1:
                    how()
                return torch.ones(4, D)

            method = Method(
                TopK(2), losses.mse, WIDTH, lr=np.array([1e-3]), penalty=np.array([0.0])
            )
            fit_sharded(Part(ranks, WIDTH), method, batches, d=D, steps=100)
        return {}

    return scenario


SCENARIOS: dict[str, tuple[int, int, Callable[[int], dict[str, torch.Tensor]]]] = {
    "steps-2-2": (2, 2, steps),
    "steps-3-3": (3, 3, steps),
    "steps-4-2": (4, 2, steps),
    "steps-4-4": (4, 4, steps),
    "rounds-2-2": (2, 2, rounds),
    "rounds-4-2": (4, 2, rounds),
    "waited": (2, 2, waited),
    "trainings-2-2": (2, 2, trainings),
    "trainings-4-2": (4, 2, trainings),
    "cut": (2, 2, cut_short),
    "gone-on-1": (1, 1, gone_on),
    "gone-on-3": (3, 3, gone_on),
    "gone-on-4": (4, 4, gone_on),
    "killed": (4, 2, stopped(lambda: os.kill(os.getpid(), signal.SIGKILL), timeout=60)),
    "hanging": (2, 2, stopped(hang, timeout=10)),
}
"""Ranks, shards, and what each rank does."""


def rank(name: str, number: int, size: int, shards: int, port: int) -> int:
    """Be one rank of a scenario; give its exit code."""
    os.environ |= {
        "RANK": str(number),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": str(number),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    try:
        save_file(
            {key: value.clone() for key, value in SCENARIOS[name][2](shards).items()},
            f"{name}-{number}.safetensors",
        )
        return 0
    except AssayError as error:
        Path(f"{name}-{number}.txt").write_text(str(error))
        return error.exit_code
    except BaseException:
        traceback.print_exc()
        return 1


def main(folder: str) -> None:
    """Run every scenario."""
    os.chdir(folder)
    ends = {}
    for name, (size, shards, _) in SCENARIOS.items():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        ranks = []
        for number in range(size):
            pid = os.fork()
            if pid == 0:
                sys.exit(rank(name, number, size, shards, port))
            ranks.append(pid)
        ends[name] = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in ranks]
    Path("ends.json").write_text(json.dumps(ends))


if __name__ == "__main__":
    main(sys.argv[1])
