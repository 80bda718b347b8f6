"""One training step of a dictionary, ours against an idiomatic PyTorch module with fused Adam, on
the same rows.

    python benchmarks/steps.py [--case topk-4608 …] [--repeats 7] [--device cuda]

One process, one thread, contenders interleaved, CPU time (on another device its own time), two
warm-ups; a step is forward, loss,
backward, decoder constraint and Adam. Prints one JSON line per contender and a table. The ratios
are medians over the repeats of the idiomatic step's time over this contender's: the idiomatic step
in the same precision, and the one in float32.

Sparse steps cost as much as is on, so dictionaries stand where training has brought them: latents
fire at rates that are spread over two orders of magnitude around L0 / width (`l0`), a tenth of them
are dead where the loss is AuxK's, and the learning rate is too low to move them. For every
contender glibc keeps freed memory for the next step, as in Assay's workers."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.dictionaries.gates import Gated
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Nonlinearity, ReLU
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.train import Method, group


@dataclass(frozen=True)
class Case:
    """One size and architecture; `runs` dictionaries are stepped, ours as one group, the module's
    one by one."""

    nonlinearity: Nonlinearity
    loss: losses.Loss
    width: int
    batch: int
    l0: int
    runs: int = 1
    d: int = 576


def cases(width: int, batch: int, k: int, l0: int, runs: int, d: int = 576) -> dict[str, Case]:
    """Every architecture at one size."""
    prefixes = (width // 16, width // 4, width)
    kinds: dict[str, tuple[Nonlinearity, losses.Loss, int]] = {
        "topk": (TopK(k), losses.mse, k),
        "topk-aux": (TopK(k), losses.TopKAux(), k),
        "batchtopk": (BatchTopK(k), losses.mse, k),
        "matryoshka": (BatchTopK(k), losses.Matryoshka(prefixes), k),
        "relu": (ReLU(), losses.l1, l0),
        "gated": (Gated(), losses.gated, l0),
        "gated-no-aux": (Gated(), losses.gated_no_aux, l0),
        "jumprelu": (JumpReLU(), losses.jumprelu, l0),
    }
    return {
        f"{name}-{width}": Case(kind, loss, width, batch, on, runs, d)
        for name, (kind, loss, on) in kinds.items()
    }


CASES = cases(4608, 2048, k=32, l0=45, runs=1) | cases(512, 256, k=12, l0=24, runs=3)
LARGE = cases(24_576, 8192, k=32, l0=45, runs=1, d=768) | cases(
    65_536, 8192, k=64, l0=80, runs=1, d=2304
)
"""For a GPU: they run where they are named."""
PENALTY, LR, DEAD = 0.1, 1e-6, 0.1
MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**26), "MALLOC_TRIM_THRESHOLD_": str(2**28)}


def rates(case: Case, seed: int = 0) -> torch.Tensor:
    """How often each latent fires, log-normal, l0 in sum."""
    spread = torch.randn(case.width, generator=torch.Generator().manual_seed(seed)).exp()
    return (spread * case.l0 / spread.sum()).clamp_max(0.5)


class Idiomatic(nn.Module):
    """A sparse autoencoder as it is usually written: linear layers, dense products, autograd."""

    def __init__(self, case: Case):
        super().__init__()
        self.case = case
        self.b_dec = nn.Parameter(torch.zeros(case.d))
        self.encoder = nn.Linear(case.d, case.width)
        self.decoder = nn.Linear(case.width, case.d, bias=False)
        nn.init.zeros_(self.encoder.bias)
        with torch.no_grad():
            self.decoder.weight.copy_(
                nn.functional.normalize(torch.randn(case.d, case.width), dim=0)
            )
            self.encoder.weight.copy_(0.3 * self.decoder.weight.T)
        if isinstance(case.nonlinearity, Gated):
            self.r_mag, self.b_mag = (
                nn.Parameter(torch.zeros(case.width)),
                nn.Parameter(torch.zeros(case.width)),
            )
        if isinstance(case.nonlinearity, JumpReLU):
            self.threshold = nn.Parameter(torch.full((case.width,), case.nonlinearity.start))

    def loss(self, x: torch.Tensor) -> torch.Tensor:
        """The same objective as ours, one number."""
        case, root, kind = self.case, self.case.d**0.5, self.case.nonlinearity
        pre = self.encoder(x - self.b_dec)
        if isinstance(kind, TopK | BatchTopK):
            flat, count = (
                (pre, kind.k) if isinstance(kind, TopK) else (pre.flatten(), kind.k * len(x))
            )
            values, index = flat.topk(count, dim=-1)
            features = torch.zeros_like(flat).scatter(-1, index, values.relu()).view_as(pre)
            if isinstance(case.loss, losses.Matryoshka):
                x_hat, loss, begin = self.b_dec, x.new_zeros(()), 0
                for end in case.loss.prefixes:
                    x_hat = x_hat + features[:, begin:end] @ self.decoder.weight[:, begin:end].T
                    loss, begin = loss + (x_hat - x).square().mean(), end
                return loss
            error = x - self.decoder(features) - self.b_dec
            loss = error.square().mean()
            if isinstance(case.loss, losses.TopKAux):
                dead = torch.arange(case.width, device=x.device) < DEAD * case.width
                values, index = torch.where(dead, pre, -torch.inf).topk(
                    min(case.d // 2, int(dead.sum())), dim=-1
                )
                again = torch.zeros_like(pre).scatter(-1, index, values.relu().to(pre.dtype))
                left = error.detach()
                loss = loss + (self.decoder(again) - left).square().mean() / (32 * left.var())
            return loss
        if isinstance(kind, JumpReLU):
            on = Jump.apply(pre, self.threshold, kind.bandwidth)
            error = (self.decoder(pre * on) + self.b_dec - x).square().mean()
            return error + PENALTY * on.sum(-1).mean()
        gate = pre.relu()
        features = gate
        if isinstance(kind, Gated):
            magnitude = (self.r_mag.exp() * (pre - self.encoder.bias) + self.b_mag).relu()
            features = magnitude * (pre > 0)
        loss = (self.decoder(features) + self.b_dec - x).square().mean() + PENALTY * gate.sum(
            -1
        ).mean() / root
        if case.loss is losses.gated:
            aux = nn.functional.linear(gate, self.decoder.weight.detach()) + self.b_dec.detach()
            loss = loss + (aux - x).square().mean()
        return loss


class Jump(torch.autograd.Function):
    """Whether a pre-activation is above its threshold, with the rectangle's gradient in the
    threshold."""

    @staticmethod
    def forward(ctx, pre, threshold, bandwidth):
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return (pre > threshold).to(pre.dtype)

    @staticmethod
    def backward(ctx, grad):
        pre, threshold = ctx.saved_tensors
        near = (pre - threshold).abs() <= ctx.bandwidth / 2
        return None, -(near * grad).sum(0) / ctx.bandwidth, None


def idiomatic(
    case: Case, dtype: torch.dtype, device: torch.device
) -> Callable[[torch.Tensor], None]:
    """One step of each of the case's runs, one module after the other."""
    modules = [Idiomatic(case).to(device) for _ in range(case.runs)]
    fused = device.type in ("cpu", "cuda")  # the pretend device has neither this nor autocast
    optimisers = [torch.optim.Adam(m.parameters(), lr=LR, fused=fused) for m in modules]
    autocast = partial(torch.autocast, device.type, dtype=torch.bfloat16)
    lowered = autocast if fused and dtype == torch.bfloat16 else nullcontext

    def step(x: torch.Tensor) -> None:
        for module, adam in zip(modules, optimisers, strict=True):
            adam.zero_grad()
            with lowered():
                loss = module.loss(x)
            loss.backward()
            with torch.no_grad():
                W = module.decoder.weight
                W.grad -= (W.grad * W).sum(0) * W
                adam.step()
                W /= W.norm(dim=0)

    return step


def ours(
    case: Case, dtype: torch.dtype, device: torch.device
) -> tuple[Callable[[torch.Tensor], None], list[torch.Tensor]]:
    """One step of all of the case's runs in one group, and a list that gets the first run's L0 at
    each."""
    runs = Runs([Spec(seed=s) for s in range(case.runs)])
    each = np.ones(case.runs)
    products = "bfloat16" if dtype == torch.bfloat16 else "float32"
    method = Method(
        case.nonlinearity,
        case.loss,
        case.width,
        LR * each,
        PENALTY * each,
        (0.0, 0.999),
        products=products,
        penalty_warm_up=0,
    )
    made, count = group(runs, method, d=case.d, steps=10**6), iter(range(10**6))
    l0: list[torch.Tensor] = []
    if not isinstance(case.nonlinearity, TopK | BatchTopK):
        # inputs are normal, so projections have the length of their row as standard deviation
        bound = made.state["W_enc"].norm(dim=-1) * torch.distributions.Normal(0, 1).icdf(
            1 - rates(case)
        )
        if "threshold" in made.state:
            made.state["threshold"].copy_(bound.clamp_min(0))
        else:
            made.state["b_enc"].copy_(-bound)
        if "b_mag" in made.state:
            made.state["b_mag"].copy_(-bound)
    if "idle.rows" in made.state:
        dead = int(DEAD * case.width)
        made.state["idle.rows"][:, :dead] = 10**6
        made.state["W_enc"][:, :dead] *= (
            0.01  # half of them above 0 in a row, but never among the largest
        )

    for name, tensor in made.state.items():
        made.state[name] = tensor.detach().to(device)

    def step(x: torch.Tensor) -> None:
        _, more = made.step_fn(made.state, x, next(count))  # type: ignore[misc]
        l0.append(more["l0"][0])  # a number would wait for the device

    return step, l0


def measure(
    contenders: dict[str, Callable[[torch.Tensor], None]], x: torch.Tensor, repeats: int
) -> dict[str, list[float]]:
    """Milliseconds of each repeat, contenders interleaved: of the CPU, and elsewhere until the
    device is done."""

    def now() -> float:
        if x.device.type == "cpu":
            return time.process_time()
        if x.device.type == "cuda":
            torch.cuda.synchronize(x.device)
        return time.perf_counter()

    times: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(repeats + 2):
        for name, step in contenders.items():
            start = now()
            step(x)
            if repeat >= 2:
                times[name].append((now() - start) * 1e3)
    return times


def main() -> None:
    """Print the JSON lines and the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", nargs="*", choices=list(CASES | LARGE), default=list(CASES))
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    if not MEMORY.items() <= os.environ.items():  # read when a process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MEMORY})
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = []
    for name in arguments.case:
        case, device = (CASES | LARGE)[name], arguments.device
        x = torch.randn(case.batch, case.d).to(device)
        dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16}
        contenders = {
            f"idiomatic {label}": idiomatic(case, dtype, device) for label, dtype in dtypes.items()
        }
        own = {f"ours {label}": ours(case, dtype, device) for label, dtype in dtypes.items()}
        contenders |= {name: step for name, (step, _) in own.items()}
        encoder = torch.randn(case.d, case.width).to(device)
        low = encoder.bfloat16()
        contenders["encoder product fp32"] = lambda x, W=encoder, n=case.runs: (
            [x @ W for _ in range(n)] and None
        )
        contenders["encoder product bf16"] = lambda x, W=low, n=case.runs: (
            [x.bfloat16() @ W for _ in range(n)] and None
        )
        times = measure(contenders, x, arguments.repeats)
        for contender, found in times.items():
            same = [a / b for a, b in zip(times[f"idiomatic {contender[-4:]}"], found, strict=True)]
            plain = [a / b for a, b in zip(times["idiomatic fp32"], found, strict=True)]
            product = [
                b / a
                for a, b in zip(times[f"encoder product {contender[-4:]}"], found, strict=True)
            ]
            rows.append(
                {
                    "case": name,
                    "runs": case.runs,
                    "contender": contender,
                    "ms_min": round(min(found) / case.runs, 2),
                    "ms_median": round(statistics.median(found) / case.runs, 2),
                    "ratio_same_dtype": round(statistics.median(same), 2),
                    "ratio_to_fp32": round(statistics.median(plain), 2),
                    "l0": round(float(own[contender][1][-1]), 1) if contender in own else None,
                    "to_product": round(statistics.median(product), 2),
                    "repeats": arguments.repeats,
                    "torch": torch.__version__,
                    "device": str(device),
                    "machine": platform.machine(),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    print(
        "\n"
        f"{'case':18}{'contender':24}{'ms a run':>10}{'median':>10}{'to product':>12}{'same dtype':>12}{'idiomatic fp32':>16}{'L0':>7}"  # noqa: E501
    )
    for r in rows:
        print(
            f"{r['case']:18}{r['contender']:24}{r['ms_min']:10.2f}{r['ms_median']:10.2f}{r['to_product']:11.2f}×"
            f"{r['ratio_same_dtype']:11.2f}×{r['ratio_to_fp32']:15.2f}×{r['l0'] or '':>7}"
        )


if __name__ == "__main__":
    main()
