"""One training step of a dictionary, ours against an idiomatic PyTorch module with fused Adam, on the same rows.

    python benchmarks/steps.py [--case topk-4608 …] [--repeats 7]

One process, one thread, contenders interleaved, CPU time, two warm-ups; a step is forward, loss, backward, decoder
constraint and Adam. Prints one JSON line per contender and a table. The ratios are medians over the repeats of the idiomatic
step's time over this contender's: the idiomatic step in the same precision, and the one in float32.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.dictionaries.gates import Gated
from assay.dictionaries.nonlinearity import Nonlinearity, ReLU
from assay.dictionaries.selection import TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.train import Method, group


@dataclass(frozen=True)
class Case:
    """One size and architecture; `runs` dictionaries are stepped, ours as one group, the module's one by one."""

    nonlinearity: Nonlinearity
    loss: losses.Loss
    width: int
    batch: int
    runs: int = 1
    d: int = 576


CASES = {
    "topk-4608": Case(TopK(32), losses.mse, 4608, 2048),
    "relu-4608": Case(ReLU(), losses.l1, 4608, 2048),
    "gated-4608": Case(Gated(), losses.gated, 4608, 2048),
    "topk-512": Case(TopK(12), losses.mse, 512, 256, 3),
    "relu-512": Case(ReLU(), losses.l1, 512, 256, 3),
    "relu-768": Case(ReLU(), losses.l1, 768, 256, 3),
    "gated-512": Case(Gated(), losses.gated, 512, 256, 3),
    "gated-no-aux-512": Case(Gated(), losses.gated_no_aux, 512, 256, 3),
}
PENALTY, LR = 0.1, 1e-3


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
            self.decoder.weight.copy_(nn.functional.normalize(torch.randn(case.d, case.width), dim=0))
            self.encoder.weight.copy_(0.3 * self.decoder.weight.T)
        if isinstance(case.nonlinearity, Gated):
            self.r_mag, self.b_mag = nn.Parameter(torch.zeros(case.width)), nn.Parameter(torch.zeros(case.width))

    def loss(self, x: torch.Tensor) -> torch.Tensor:
        """The same objective as ours, one number."""
        case, root = self.case, self.case.d**0.5
        pre = self.encoder(x - self.b_dec)
        if isinstance(case.nonlinearity, TopK):
            values, index = pre.topk(case.nonlinearity.k, dim=-1)
            features = torch.zeros_like(pre).scatter(-1, index, values.relu())
            return (self.decoder(features) + self.b_dec - x).square().mean()
        gate = pre.relu()
        features = gate
        if isinstance(case.nonlinearity, Gated):
            magnitude = (self.r_mag.exp() * (pre - self.encoder.bias) + self.b_mag).relu()
            features = magnitude * (pre > 0)
        loss = (self.decoder(features) + self.b_dec - x).square().mean() + PENALTY * gate.sum(-1).mean() / root
        if case.loss is losses.gated:
            aux = nn.functional.linear(gate, self.decoder.weight.detach()) + self.b_dec.detach()
            loss = loss + (aux - x).square().mean()
        return loss


def idiomatic(case: Case, dtype: torch.dtype) -> Callable[[torch.Tensor], None]:
    """One step of each of the case's runs, one module after the other."""
    modules = [Idiomatic(case) for _ in range(case.runs)]
    optimisers = [torch.optim.Adam(m.parameters(), lr=LR, fused=True) for m in modules]

    def step(x: torch.Tensor) -> None:
        for module, adam in zip(modules, optimisers, strict=True):
            adam.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                loss = module.loss(x)
            loss.backward()
            with torch.no_grad():
                W = module.decoder.weight
                W.grad -= (W.grad * W).sum(0) * W
                adam.step()
                W /= W.norm(dim=0)

    return step


def ours(case: Case, dtype: torch.dtype) -> Callable[[torch.Tensor], None]:
    """One step of all of the case's runs in one group."""
    runs = Runs([Spec(seed=s) for s in range(case.runs)])
    each = np.ones(case.runs)
    products = "bfloat16" if dtype == torch.bfloat16 else "float32"
    method = Method(case.nonlinearity, case.loss, case.width, LR * each, PENALTY * each, (0.9, 0.999), products=products)
    made, count = group(runs, method, d=case.d, steps=10**6), iter(range(10**6))
    return lambda x: made.step_fn(made.state, x, next(count)) and None


def measure(contenders: dict[str, Callable[[torch.Tensor], None]], x: torch.Tensor, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of CPU of each repeat, contenders interleaved."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(repeats + 2):
        for name, step in contenders.items():
            start = time.process_time()
            step(x)
            if repeat >= 2:
                times[name].append((time.process_time() - start) * 1e3)
    return times


def main() -> None:
    """Print the JSON lines and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = []
    for name in arguments.case:
        case = CASES[name]
        x = torch.randn(case.batch, case.d)
        dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16}
        contenders = {f"idiomatic {label}": idiomatic(case, dtype) for label, dtype in dtypes.items()}
        contenders |= {f"ours {label}": ours(case, dtype) for label, dtype in dtypes.items()}
        encoder, low = torch.randn(case.d, case.width), torch.randn(case.d, case.width).bfloat16()
        contenders["encoder product fp32"] = lambda x, W=encoder, n=case.runs: [x @ W for _ in range(n)] and None
        contenders["encoder product bf16"] = lambda x, W=low, n=case.runs: [x.bfloat16() @ W for _ in range(n)] and None
        times = measure(contenders, x, arguments.repeats)
        for contender, found in times.items():
            same = [a / b for a, b in zip(times[f"idiomatic {contender[-4:]}"], found, strict=True)]
            plain = [a / b for a, b in zip(times["idiomatic fp32"], found, strict=True)]
            rows.append(
                {
                    "case": name, "runs": case.runs, "contender": contender, "ms_min": round(min(found) / case.runs, 2),
                    "ms_median": round(statistics.median(found) / case.runs, 2),
                    "ratio_same_dtype": round(statistics.median(same), 2), "ratio_to_fp32": round(statistics.median(plain), 2),
                    "repeats": arguments.repeats, "torch": torch.__version__, "machine": platform.machine(),
                }
            )  # fmt: skip
            print(json.dumps(rows[-1]), flush=True)
    print(f"\n{'case':18}{'contender':24}{'ms a run':>10}{'median':>10}{'same dtype':>12}{'idiomatic fp32':>16}")
    for r in rows:
        print(
            f"{r['case']:18}{r['contender']:24}{r['ms_min']:10.2f}{r['ms_median']:10.2f}{r['ratio_same_dtype']:11.2f}×{r['ratio_to_fp32']:15.2f}×"
        )


if __name__ == "__main__":
    main()
