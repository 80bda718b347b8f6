"""`assay evaluate` beside SAELens' `run_evals`: the same dictionary, model and tokens; do they
agree, what does each cost?

Agreement: L0, FVU, cross-entropy and the share of dead features, over every position. Cost:
CPU-seconds with the model loaded (Assay loads it once more and resamples for its intervals), one
thread, and peak memory, each contender in a process of its own; then six dictionaries, which Assay
measures together and SAELens one after the other, so that its cost is six times one. Prints a JSON
line for each. Needs SAELens in the same environment: pip install sae-lens. The dictionary is a
folder that SAELens reads, such as `assay export` writes.
Run: python benchmarks/evaluate_against_saelens.py FOLDER [--tokens 2048] [--model smollm2] [--text
stdlib] [--six]"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

CONTEXT = 128
MEASURES = ("l0", "fvu", "ce_clean", "ce_spliced", "dead")
"""What both define alike. KL is paid for by both, but SAELens also counts the last position of a
window, which predicts nothing."""


def assay(
    folders: list[Path], a: argparse.Namespace, windows: Path
) -> tuple[dict[str, float], float]:
    """Measure the folders together, and leave the windows for the other contender. Gives the first
    one's measures, and CPU-seconds."""
    from assay.evaluation import evaluate
    from assay.subjects import pretrained

    pretrained.load(a.model)
    with tempfile.TemporaryDirectory() as root:
        began = time.process_time()
        found = evaluate(
            *folders,
            model=a.model,
            text=a.text,
            root=root,
            tokens=a.tokens,
            context=CONTEXT,
            skip_first=0,
            outlier=0.0,
            bos=False,
            part="all" if a.all else "auto",
            ablation_tokens=a.tokens // 8,
        )
        spent = time.process_time() - began
        np.save(windows, np.load(next(Path(root).glob("artefacts/evaluation-text/*/tokens.npy"))))
    entry = found.dictionaries[0]
    return {name: entry["measures"][name]["estimate"] for name in MEASURES} | {
        "tokens": entry["tokens"]
    }, spent


def saelens(
    folders: list[Path], a: argparse.Namespace, windows: Path
) -> tuple[dict[str, float], float]:
    """Measure one folder on the same windows with everything that `assay evaluate` also has."""
    import torch
    import transformers
    from datasets import Dataset
    from sae_lens import SAE
    from sae_lens.evals import EvalConfig, run_evals
    from sae_lens.load_model import HookedProxyLM
    from sae_lens.training.activation_scaler import ActivationScaler
    from sae_lens.training.activations_store import ActivationsStore

    from assay.subjects.folder import find
    from assay.subjects.site import Site

    tokens = np.load(windows)
    inner = transformers.AutoModelForCausalLM.from_pretrained(
        find(a.model).path, dtype=torch.float32, local_files_only=True
    ).eval()
    began = time.process_time()
    sae = SAE.load_from_disk(folders[0])
    site = Site.parse(sae.cfg.metadata.hook_name)
    if site.kind not in ("resid_pre", "resid_post") or site.layer is None:
        raise SystemExit(f"{site}: this benchmark hooks the residual stream alone")
    # a block's input is the output of the one before
    module = f"model.layers.{site.layer - (site.kind == 'resid_pre')}"
    sae.cfg.metadata.hook_name = module
    model = HookedProxyLM(inner, None, hook_names=[module])
    store = ActivationsStore(
        model=model,
        dataset=Dataset.from_dict({"tokens": tokens.tolist()}),
        streaming=False,
        hook_name=module,
        hook_head_index=None,
        context_size=CONTEXT,
        d_in=sae.cfg.d_in,
        n_batches_in_buffer=2,
        total_training_tokens=tokens.size,
        store_batch_size_prompts=16,
        train_batch_size_tokens=2048,
        prepend_bos=False,
        normalize_activations="none",
        device=torch.device("cpu"),
        dtype="float32",
        sequence_separator_token=None,
    )
    batches = len(tokens) // 16
    config = EvalConfig(
        batch_size_prompts=16,
        n_eval_reconstruction_batches=batches,
        n_eval_sparsity_variance_batches=batches,
        compute_kl=True,
        compute_ce_loss=True,
        compute_l2_norms=True,
        compute_sparsity_metrics=True,
        compute_variance_metrics=True,
        compute_featurewise_density_statistics=True,
    )
    found, features = run_evals(
        sae, store, model, ActivationScaler(), config, exclude_special_tokens=False
    )
    spent = time.process_time() - began
    kept = found["model_performance_preservation"]
    return {
        "l0": found["sparsity"]["l0"],
        "fvu": 1 - found["reconstruction_quality"]["explained_variance"],
        "ce_clean": kept["ce_loss_without_sae"],
        "ce_spliced": kept["ce_loss_with_sae"],
        "dead": float(np.mean(np.array(features["feature_density"]) == 0)),
        "tokens": int(tokens.size),
    }, spent


def variants(folder: Path, count: int, place: Path) -> list[Path]:
    """So many folders whose dictionaries cost the same: the given one, and it with another bias."""
    from assay.dictionaries.formats import load, write

    one = load(folder)
    made = [folder]
    for i in range(1, count):
        write(
            dataclasses.replace(one, b_dec=one.b_dec + 1e-3 * i), place / f"variant-{i}", "saelens"
        )
        made.append(place / f"variant-{i}")
    return made


def child(a: argparse.Namespace) -> None:
    """Be one contender, and print what it found and what it took."""
    with tempfile.TemporaryDirectory() as place:
        folders = variants(a.folder, a.count, Path(place))
        found, spent = {"assay": assay, "saelens": saelens}[a.child](folders, a, a.windows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    told = {
        "contender": a.child,
        "dictionaries": a.count,
        "cpu_seconds": round(spent, 1),
        "peak_gb": round(peak, 2),
        **found,
    }
    print("found " + json.dumps(told), flush=True)


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("folder", type=Path)
    ask.add_argument("--tokens", type=int, default=2048, help="a multiple of 2048")
    ask.add_argument("--model", default="smollm2")
    ask.add_argument("--text", default="stdlib")
    ask.add_argument(
        "--all", action="store_true", help="the whole text, where nothing of it was trained on"
    )
    ask.add_argument("--six", action="store_true", help="six dictionaries together as well")
    ask.add_argument("--child", choices=("assay", "saelens"), help=argparse.SUPPRESS)
    ask.add_argument("--count", type=int, default=1, help=argparse.SUPPRESS)
    ask.add_argument("--windows", type=Path, help=argparse.SUPPRESS)
    a = ask.parse_args()
    if a.child:
        return child(a)
    told: dict[tuple[str, int], dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as place:
        asked = [*sys.argv[1:], "--windows", str(Path(place) / "windows.npy")]
        for name, count in (("assay", 1), ("saelens", 1), *((("assay", 6),) if a.six else ())):
            command = [sys.executable, __file__, *asked, "--child", name, "--count", str(count)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            line = next(
                line for line in done.stdout.splitlines() if line.startswith("found ")
            ).removeprefix("found ")
            print(line, flush=True)
            told[name, count] = json.loads(line)
    ours, theirs = told["assay", 1], told["saelens", 1]
    apart = {
        name: abs(ours[name] - theirs[name]) / max(abs(theirs[name]), 1e-12)
        for name in MEASURES
        if ours[name] != theirs[name]
    }
    print(
        f"largest relative difference: {max(apart.values(), default=0.0):.1e}; by measure "
        f"{json.dumps({k: f'{v:.1e}' for k, v in apart.items()})}"
    )
    print(
        f"CPU time {ours['cpu_seconds'] / theirs['cpu_seconds']:.2f} times SAELens', memory "
        f"{ours['peak_gb']} against {theirs['peak_gb']} GB"
    )
    if a.six:
        six = told["assay", 6]
        print(
            f"six at once: {6 * theirs['cpu_seconds'] / six['cpu_seconds']:.1f} times cheaper "
            f"than six of its runs; {six['peak_gb']} GB"
        )
    return None


if __name__ == "__main__":
    main()
