"""One training step of a dictionary, Assay's and its peers', on the same rows; and what a batch of
those rows costs each of them.

    python benchmarks/peers.py --peer saelens=PYTHON --peer dictionary_learning=PYTHON --peer
    sparsify=PYTHON [--case "TopK 4608" …] [--repeats 5] [--least]

PYTHON is the interpreter of an environment in which that peer is installed (sae-lens,
dictionary-learning, eai-sparsify); nothing of Assay needs to be there. Each contender is a process
of its own with one thread. They take turns, so that only one computes at a time and a busy machine
slows all alike: one step each, and sixteen of a small dictionary, whose steps follow each other in
a training and find in the caches what the last one left. For every contender glibc keeps freed
memory for the next step, as in Assay's workers. CPU time of a step, after two turns of warm-up;
medians, of batches means.

A step is forward, loss, backward, decoder constraint and Adam, as the peer's own trainer does it,
without logging. All use torch's fused Adam, which none of the peers does by itself. All start where
k features of a row are on (biases and thresholds are set so; see
`benchmarks/timed_steps.py`), with AuxK where a tenth of the latents are dead. bf16 is what
each has for it: products in bfloat16 here, autocast there. `data` is what a contender does to have
one batch from rows in memory: shuffle, gather, and what it always does besides; sparsify takes
batches as the model gives them, so it has none. Prints a JSON line for each contender, then a
table."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch

Step = Callable[[Any], float]
"""Takes one step on a batch; how many features were on in a row, NaN where that is fixed."""
LR, WARM, ROWS = 1e-6, 2, 16
TURN, SMALL = 16, 2**21
"""Steps of a turn, where rows times width are no more than SMALL; else one."""
MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**26), "MALLOC_TRIM_THRESHOLD_": str(2**28)}


# what each contender does, in a process of its own ------------------------------------------------


class Start:
    """The parameters that all start from: unit decoder rows, the encoder along them, biases by
    which k features are on."""

    def __init__(self, case: dict[str, Any]):
        self.__dict__.update(case)
        draw = torch.Generator().manual_seed(0)
        self.x = torch.randn(self.batch, self.d, generator=draw)
        W = torch.randn(self.width, self.d, generator=draw)
        self.W_dec = W / W.norm(dim=1, keepdim=True)
        self.W_enc = self.start * self.W_dec  # [f, d]
        self.bias = torch.full((self.width,), -self.quantile)
        self.dead_bias = torch.zeros(self.width)
        self.dead = torch.zeros(self.width, dtype=torch.bool)
        if self.name == "TopK + AuxK":
            self.dead[:: self.dead_share] = True
            self.dead_bias[self.dead] = self.dead_at

    def autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.dtype == "bf16")


def set_to(parameter: torch.Tensor, value: torch.Tensor | float) -> None:
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(value).expand_as(parameter))


def fused(optimiser: torch.optim.Optimizer) -> None:
    for group in optimiser.param_groups:
        group.update(fused=True, foreach=False)


def assay(s: Start) -> Step:
    import timed_steps as steps

    size = steps.Size(s.width, s.batch, s.k, s.d)
    take = steps.step(size, s.name, "bfloat16" if s.dtype == "bf16" else "float32")
    return lambda x: take(x) or float("nan")


def product(s: Start) -> Step:
    W = s.W_enc.T.contiguous().to(torch.bfloat16 if s.dtype == "bf16" else torch.float32)

    def multiply(x: torch.Tensor) -> float:
        x.to(W.dtype) @ W
        return float("nan")

    return multiply


def saelens(s: Start) -> Step:
    from sae_lens import saes
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "TopK": ("TopK", {"k": s.k}),
        "TopK + AuxK": ("TopK", {"k": s.k}),
        "ReLU": ("Standard", {"l1_coefficient": 0.01}),
        "Gated": ("Gated", {"l1_coefficient": 0.01}),
        "JumpReLU": ("JumpReLU", {"jumprelu_init_threshold": s.quantile, "l0_coefficient": 0.01}),
        "BatchTopK": ("BatchTopK", {"k": s.k}),
        "Matryoshka": ("MatryoshkaBatchTopK", {"k": s.k, "matryoshka_widths": s.prefixes}),
    }
    kind, own = kinds[s.name]
    sae = getattr(saes, f"{kind}TrainingSAE")(
        getattr(saes, f"{kind}TrainingSAEConfig")(d_in=s.d, d_sae=s.width, device="cpu", **own)
    )
    set_to(sae.W_dec, s.W_dec)
    set_to(sae.W_enc, s.W_enc.T)
    for name, parameter in sae.named_parameters():
        if name in ("b_enc", "b_gate", "b_mag"):
            set_to(parameter, s.bias if s.name in ("ReLU", "Gated") else s.dead_bias)
    config = SAETrainerConfig(
        total_training_samples=10**9,
        train_batch_size_samples=s.batch,
        lr=LR,
        lr_end=LR,
        autocast=s.dtype == "bf16",
        logger=LoggingConfig(log_to_wandb=False),
    )
    trainer = SAETrainer(config, sae, iter(()))
    fused(trainer.optimizer)

    def take(x: torch.Tensor) -> float:
        trainer.n_forward_passes_since_fired[s.dead] = 10**6
        out = trainer.step(x)
        trainer.n_training_steps += 1
        return float((out.feature_acts != 0).float().sum(-1).mean())

    return take


def dictionary_learning(s: Start) -> Step:
    from dictionary_learning.trainers import gdm, jumprelu, matryoshka_batch_top_k, standard
    from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
    from dictionary_learning.trainers.top_k import TopKTrainer

    common = {
        "steps": 10**7,
        "activation_dim": s.d,
        "dict_size": s.width,
        "layer": 0,
        "lm_name": "",
        "lr": LR,
        "device": "cpu",
        "seed": 0,
    }
    # — the last has none after it
    widths = [b - a for a, b in zip((0, *s.prefixes), s.prefixes)]  # noqa: B905
    fractions = [w / s.width for w in widths]
    kinds: dict[str, Callable[[], Any]] = {
        "TopK": lambda: TopKTrainer(**common, k=s.k),
        "TopK + AuxK": lambda: TopKTrainer(**common, k=s.k),
        "ReLU": lambda: standard.StandardTrainer(**common, l1_penalty=0.01),
        "Gated": lambda: gdm.GatedSAETrainer(**common, l1_penalty=0.01),
        "JumpReLU": lambda: jumprelu.JumpReluTrainer(**common, target_l0=s.k),
        "BatchTopK": lambda: BatchTopKTrainer(**common, k=s.k),
        "Matryoshka": lambda: matryoshka_batch_top_k.MatryoshkaBatchTopKTrainer(
            **common, k=s.k, group_fractions=fractions
        ),
    }
    trainer = kinds[s.name]()
    values = {
        "encoder.weight": s.W_enc,
        "decoder.weight": s.W_dec.T,
        "W_enc": s.W_enc.T,
        "W_dec": s.W_dec,
        "threshold": s.quantile,
        "encoder.bias": s.bias if s.name == "ReLU" else s.dead_bias,
        "gate_bias": s.bias,
        "mag_bias": s.bias,
    }
    for name, parameter in trainer.ae.named_parameters():
        if name in values:
            set_to(parameter, values[name])
    fused(trainer.optimizer)
    step = 5000  # past the step at which thresholds begin to be followed, and past warm-ups

    def take(x: torch.Tensor) -> float:
        nonlocal step
        step += 1
        if s.dead.any():
            trainer.num_tokens_since_fired[s.dead] = 10**8
        with s.autocast():
            trainer.update(step, x)
        return float("nan")

    return take


def sparsify(s: Start) -> Step:
    from sparsify import SparseCoder, SparseCoderConfig

    if s.name not in ("TopK", "TopK + AuxK"):
        raise LookupError("it trains TopK alone")
    made = SparseCoder(s.d, SparseCoderConfig(num_latents=s.width, k=s.k), dtype=torch.float32)
    set_to(made.W_dec, s.W_dec)
    set_to(made.encoder.weight, s.W_enc)
    set_to(made.encoder.bias, s.dead_bias)
    adam = torch.optim.Adam(made.parameters(), lr=LR, fused=True)
    mask = s.dead if s.dead.any() else None
    idle = torch.zeros(s.width, dtype=torch.long)

    def take(
        x: torch.Tensor,
    ) -> float:  # as its Trainer does: unit norm first, gradients without their part along the rows
        made.set_decoder_norm_to_unit_norm()
        fired = torch.zeros(s.width, dtype=torch.bool)
        with s.autocast():
            out = made(x, dead_mask=mask)
        fired[out.latent_indices.flatten()] = True
        (out.fvu + out.auxk_loss / 32).backward()
        made.remove_gradient_parallel_to_decoder_directions()
        adam.step()
        adam.zero_grad()
        idle.add_(len(x))[fired] = 0
        return float(out.latent_indices.shape[-1])

    return take


STEPS = {
    "assay": assay,
    "product": product,
    "saelens": saelens,
    "dictionary_learning": dictionary_learning,
    "sparsify": sparsify,
}


def data(name: str, s: Start) -> Callable[[], Any]:
    """What a contender does to have its next batch, from ROWS batches in memory. Raises:
    LookupError where it does nothing."""
    rows = torch.randn(ROWS * s.batch, s.d, generator=torch.Generator().manual_seed(2))
    if name == "assay":
        from assay.dictionaries.training.batches import batches  # as train_dictionary draws them

        drawn, step = batches(rows, s.batch, 0, 10**9), itertools.count()
        return lambda: drawn(next(step))
    if name == "saelens":
        from sae_lens.training.mixing_buffer import mixing_buffer

        def forever() -> Iterator[torch.Tensor]:
            while True:
                yield from rows.split(s.batch)

        batches = mixing_buffer(len(rows), s.batch, forever())
        return lambda: next(batches)
    if name == "dictionary_learning":
        from dictionary_learning.buffer import ActivationBuffer

        class Filled(ActivationBuffer):
            """One whose activations are at hand; refilled, as it always is, when half of it is
            read."""

            def __init__(self) -> None:
                self.activation_buffer_size, self.out_batch_size = len(rows), s.batch
                self.refresh()

            def refresh(self) -> None:
                self.activations, self.read = rows.clone(), torch.zeros(len(rows), dtype=torch.bool)

        buffer = Filled()
        return lambda: next(buffer)
    raise LookupError("it takes batches as the model gives them")


def version(name: str) -> str:
    """The installed version of a contender."""
    from importlib.metadata import version as installed

    package = {
        "assay": "interp-assay",
        "product": "torch",
        "saelens": "sae-lens",
        "sparsify": "eai-sparsify",
    }.get(name, name)
    return installed(package)


def serve(name: str) -> None:
    """Read one line of JSON after the other, do it, and answer with one: `case` makes a step ready,
    `go` takes it, `data` has a batch."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints is no answer
    torch.set_num_threads(1)
    work: Callable[[], float] = lambda: 0.0  # noqa: E731
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if "case" in asked:
                start = Start(asked["case"])
                if asked["what"] == "step":
                    step = STEPS[name](start)
                    work = lambda step=step, x=start.x: step(x)  # noqa: E731
                else:
                    batch = data(name, start)
                    work = lambda batch=batch: batch() is None  # noqa: E731
                told: dict[str, Any] = {"version": version(name), "torch": torch.__version__}
            else:
                began = time.process_time()
                on = [work() for _ in range(asked["turn"])][-1]
                ms = 1e3 * (time.process_time() - began) / asked["turn"]
                told = {"ms": ms, "on": on}
        except Exception as error:  # what a peer lacks or cannot do is a dash in the table
            told = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(told), file=out, flush=True)


# the table ----------------------------------------------------------------------------------------


class Contender:
    """A process that takes steps when it is told to."""

    def __init__(self, name: str, python: str):
        self.name = name
        words = [python, str(Path(__file__).resolve()), "--serve", name]
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **MEMORY},
        )

    def ask(self, **what: Any) -> dict[str, Any]:
        """Its answer to one line."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(what), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        return json.loads(answer) if answer else {"error": "it ended"}


def interleaved(
    contenders: list[Contender], what: str, case: dict[str, Any], repeats: int
) -> list[dict[str, Any]]:
    """Median milliseconds of each contender, of batches the mean, that can do it; why not of the
    others."""
    ready = {c.name: c.ask(what=what, case=case) for c in contenders}
    turn = TURN if what == "step" and case["batch"] * case["width"] <= SMALL else 1
    times: dict[str, list[float]] = {c.name: [] for c in contenders if "error" not in ready[c.name]}
    on: dict[str, float] = {}
    for repeat in range(repeats + WARM):
        for c in contenders:
            if c.name not in times:
                continue
            answer = c.ask(turn=turn)
            if "error" in answer:
                ready[c.name] = answer
                del times[c.name]
                continue
            on[c.name] = answer["on"]
            if repeat >= WARM:
                times[c.name].append(answer["ms"])
    rows = []
    for c in contenders:
        row = {
            "what": what,
            "case": f"{case['name']} {case['width']}",
            "dtype": case["dtype"],
            "contender": c.name,
            **ready[c.name],
        }
        if c.name in times:
            middle = (
                statistics.median if what == "step" else statistics.fmean
            )  # a buffer is filled once in many batches
            row |= {"ms": round(middle(times[c.name]), 3), "ms_min": round(min(times[c.name]), 3)}
            if what == "step" and on[c.name] == on[c.name]:
                row["features_on"] = round(on[c.name], 1)
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def table(rows: list[dict[str, Any]], names: list[str]) -> str:
    """Milliseconds of Assay's step, and every other contender's over it, as Markdown."""
    others = [n for n in names if n != "assay"]
    lines = [
        f"| case | dtype | Assay, ms | {' | '.join(others)} |",
        f"|---|---|{'---|' * (len(others) + 1)}",
    ]
    for case, dtype in dict.fromkeys((r["case"], r["dtype"]) for r in rows):
        ms = {r["contender"]: r.get("ms") for r in rows if (r["case"], r["dtype"]) == (case, dtype)}
        ours = ms.get("assay")
        ratios = [f"{ms[n] / ours:.2f}" if ours and ms.get(n) is not None else "–" for n in others]
        lines.append(
            f"| {case} | {dtype} | "
            f"{'–' if ours is None else f'{ours:.0f}' if ours >= 100 else f'{ours:.3g}'} | "
            f"{' | '.join(ratios)} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the lines and both tables."""
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=PYTHON",
        help=f"{', '.join(list(STEPS)[2:])}; may be repeated",
    )
    ask.add_argument("--case", nargs="*", help='such as "TopK 4608"; all without it')
    ask.add_argument("--dtype", nargs="*", default=["fp32", "bf16"], choices=("fp32", "bf16"))
    ask.add_argument("--repeats", type=int, default=5)
    ask.add_argument("--least", action="store_true", help="at a size at which nothing takes time")
    ask.add_argument("--serve", choices=list(STEPS), help=argparse.SUPPRESS)
    a = ask.parse_args()
    if a.serve:
        return serve(a.serve)
    import timed_steps as steps

    from assay.lab.store.provenance import machine

    peers = dict(pair.split("=", 1) for pair in a.peer)
    if unknown := sorted(peers.keys() - STEPS.keys()):
        ask.error(f"no peer {', '.join(unknown)}; known are {', '.join(list(STEPS)[2:])}")
    contenders = [
        Contender(name, python)
        for name, python in {"assay": sys.executable, "product": sys.executable, **peers}.items()
    ]
    cases = [
        {
            "name": name,
            "width": size.width,
            "batch": size.batch,
            "k": size.k,
            "d": size.d,
            "dtype": dtype,
            "quantile": size.quantile,
            "start": steps.START,
            "dead_share": steps.DEAD_SHARE,
            "dead_at": steps.DEAD_BIAS,
            "prefixes": [size.width // 16, size.width // 4, size.width],
        }
        for size in ([steps.Size(64, 32, 4, 16)] if a.least else steps.SIZES)
        for name in steps.architectures(size)
        for dtype in a.dtype
        if not a.case or f"{name} {size.width}" in a.case
    ]
    rows = [row for case in cases for row in interleaved(contenders, "step", case, a.repeats)]
    drawn = {case["width"]: {**case, "name": "a batch", "dtype": "fp32"} for case in cases}
    servers = [c for c in contenders if c.name != "product"]
    batches = [
        row for case in drawn.values() for row in interleaved(servers, "data", case, 4 * ROWS)
    ]
    for c in contenders:
        assert c.process.stdin is not None
        c.process.stdin.close()
        c.process.wait()
    if wrong := [r for r in (*rows, *batches) if r["contender"] == "assay" and "error" in r]:
        raise SystemExit(f"{wrong[0]['case']}, {wrong[0]['what']}: {wrong[0]['error']}")
    names = [c.name for c in contenders]
    known = [r for r in rows if r.get("version") and r["contender"] != "product"]
    told = ", ".join(
        dict.fromkeys(f"{r['contender']} {r['version']} (torch {r['torch']})" for r in known)
    )
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {machine()['cpu']}, load {os.getloadavg()[0]:.1f}: {told}"
    )
    print(f"\nA step: Assay's milliseconds, and every other's over them\n\n{table(rows, names)}")
    print(
        "\nA batch of rows in memory: the same\n\n"
        f"{table(batches, [n for n in names if n != 'product'])}"
    )
    return None


if __name__ == "__main__":
    main()
