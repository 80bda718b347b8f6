"""The first ten minutes on a GPU: tests, training steps at two sizes, an ensemble, a harvest, and
experiments, each within a share of the time.

    python benchmarks/gpu.py [--device cuda] [--minutes 10] [--out gpu] [--least] [--ask]

Every part is a process of its own, so that one which breaks costs no other. Writes OUT.json, every
line of numbers and the end of what each part printed, and OUT.md, a table.

`--ask` spends the time on something else: prompts under edits in a model of eight billion weights
(asking_on_a_gpu.py). `--least` takes the least sizes: with `--device cpu` or `--device pretend`, an
accelerator that only its rules make one (tests/pretend.py), the script itself is tried
where there is no GPU."""

from __future__ import annotations

import argparse
import json
import os
import platform
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from steps import MEMORY

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests"
SMALL, LARGE = ("topk", "batchtopk", "relu", "gated", "jumprelu"), ("topk",)
EXPERIMENTS = ("gated-sae", "grokking-frequencies", "belief-states")


@dataclass(frozen=True)
class Part:
    """Something that is run, and its share of the minutes."""

    name: str
    words: Sequence[str]
    """Behind `python`."""
    share: float


def script(device: str, name: str, *words: str) -> list[str]:
    """The words behind `python` of another benchmark."""
    path = str(HERE / f"{name}.py")
    return [__file__, "--pretend", path, *words] if device == "pretend" else [path, *words]


def asking(device: str, least: bool) -> Iterator[Part]:
    """What is run with `--ask`."""
    words = ["--device", device, *(["--least", "--repeats", "1"] if least else [])]
    yield Part("prompts under edits", script(device, "asking_on_a_gpu", *words), 0.95)


def parts(device: str, least: bool, folder: Path) -> Iterator[Part]:
    """What is run without it, the most wanted first."""

    def steps(width: int, kinds: Sequence[str]) -> list[str]:
        cases = [f"{kind}-{512 if least else width}" for kind in kinds]
        repeats = "1" if least else "20"
        return script(device, "steps", "--device", device, "--repeats", repeats, "--case", *cases)

    yield Part("tests", ["-m", "pytest", "-q", str(TESTS / "devices")], 0.12)
    yield Part("steps at 24,576 latents", steps(24_576, SMALL), 0.11)
    yield Part("steps at 65,536 latents", steps(65_536, LARGE), 0.15)
    sizes = ("2", "2") if least else ("10", "64")
    yield Part("an ensemble of toys", script(device, "ensembles", *sizes, device), 0.11)
    model = ["--model", str(folder / "model"), "--windows", "2" if least else "200"]
    site = "blocks.1.hook_resid_pre"
    words = [*model, "--sites", site, "--repeats", "1" if least else "5", "--device", device]
    yield Part("a harvest", script(device, "harvest", *words), 0.06)
    if device != "pretend":  # which `assay` does not know
        for name in EXPERIMENTS:
            preset = "smoke" if least else "default"
            command = ["-m", "assay", "run", name, "--preset", preset, "--device", device]
            share = 0.15 if name == "gated-sae" else 0.07
            yield Part(f"{name}, {preset}", [*command, "--root", str(folder / "store")], share)


def write_model(folder: Path, least: bool) -> None:
    """Write a model of random weights, as large as GPT-2 unless the least is wanted."""
    sys.path.insert(0, str(TESTS))
    import tiny_models

    size = {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12}
    heads = {"num_attention_heads": 12, "num_key_value_heads": 12}
    changes = {} if least else size | heads
    tiny_models.make(folder, "llama", bos_token_id=3, max_position_embeddings=256, **changes)


def run(part: Part, seconds: float) -> dict[str, object]:
    """Run a part within so many seconds: how it ended, its lines of numbers, and its last words."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *part.words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | MEMORY,  # else steps.py would begin anew, without the pretend device
    )
    try:
        out, _ = process.communicate(timeout=seconds)
        ended = "finished" if process.returncode == 0 else f"exit code {process.returncode}"
    except subprocess.TimeoutExpired:
        process.terminate()
        out, _ = process.communicate()
        ended = "out of time"
    lines = [line for line in out.splitlines() if line.strip()]
    numbers = [json.loads(line) for line in lines if line.startswith("{")]
    return {
        "part": part.name,
        "ended": ended,
        "seconds": round(time.perf_counter() - began, 1),
        "numbers": numbers,
        "last": [line for line in lines if not line.startswith("{")][-30:],
    }


def machine(device: str) -> dict[str, str]:
    """Say which GPU it was, and which versions."""
    import torch

    card = torch.cuda.get_device_name() if device.startswith("cuda") else platform.processor()
    return {
        "device": device,
        "name": card or platform.machine(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "none",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def table(about: dict[str, str], results: Sequence[dict[str, object]]) -> str:
    """Write the parts as Markdown, a line each, and each one's last words below."""
    rows = [
        f"| {r['part']} | {r['ended']} | {r['seconds']} | {r['last'][-1] if r['last'] else ''} |"  # type: ignore[index]
        for r in results
    ]
    ends = [
        f"\n## {r['part']}\n\n```\n" + "\n".join(r["last"]) + "\n```"  # type: ignore[arg-type]
        for r in results
    ]
    head = ["# On " + ", ".join(f"{k} {v}" for k, v in about.items()), ""]
    head += ["| part | ended | seconds | last line |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, *ends, ""])


def pretended(words: Sequence[str]) -> None:
    """Run another benchmark in this process, which then has the pretend device."""
    sys.path[:0] = [str(TESTS), str(HERE)]
    import pretend

    pretend.install()
    sys.argv = [*words]
    runpy.run_path(words[0], run_name="__main__")


def main() -> None:
    """Run all parts, and write both files after each."""
    ask = argparse.ArgumentParser()
    ask.add_argument("--device", default="cuda")
    ask.add_argument("--minutes", type=float, default=10)
    ask.add_argument("--out", type=Path, default=Path("gpu"))
    ask.add_argument("--least", action="store_true")
    ask.add_argument("--ask", action="store_true")
    a = ask.parse_args()
    about, results = machine(a.device), []
    with tempfile.TemporaryDirectory() as folder:
        if a.ask:
            chosen = asking(a.device, a.least)
        else:
            write_model(Path(folder) / "model", a.least)
            chosen = parts(a.device, a.least, Path(folder))
        for part in chosen:
            results.append(run(part, 60 * a.minutes * part.share))
            print(*(results[-1][k] for k in ("part", "ended", "seconds")), sep=", ", flush=True)
            a.out.with_suffix(".json").write_text(json.dumps(about | {"parts": results}, indent=1))
            a.out.with_suffix(".md").write_text(table(about, results))
    if any(r["ended"] != "finished" for r in results):
        sys.exit(1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--pretend"]:
        pretended(sys.argv[2:])
    else:
        os.environ.setdefault("PYTHONUNBUFFERED", "1")
        main()
