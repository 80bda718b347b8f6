"""An index next to SAEDashboard: features of the same dictionary on the same tokens; do they
agree, what does each cost?

Agreement: how often each feature is on, and its largest activation. Cost: CPU-seconds with the
model loaded, one thread, and peak memory, each contender in a process of its own. SAEDashboard
makes the first FEATURES features in batches of 256 and reads the text once for each batch. Assay
makes all features of the dictionary, without effects on the loss as SAEDashboard does; with
--effects once more with them. SAEDashboard wants older packages than Assay, so it runs in an
environment of its own: pip install sae-dashboard. The dictionary is a folder that SAELens reads, as
`assay export` writes.
Run: python benchmarks/index_against_saedashboard.py FOLDER --peer PYTHON [--tokens 8192]
[--features 512]"""

from __future__ import annotations

import argparse
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


def assay(a: argparse.Namespace, *, effects: bool) -> tuple[dict[str, list[float]], float]:
    """Index every feature, and leave the tokens for the other contender."""
    from assay.evaluation.indexing import index
    from assay.subjects import pretrained

    pretrained.load(a.model)
    with tempfile.TemporaryDirectory() as root:
        began = time.process_time()
        made = index(
            str(a.folder),
            model=a.model,
            text=a.text,
            root=root,
            tokens=a.tokens,
            context=CONTEXT,
            skip_first=0,
            outlier=0.0,
            bos=False,
            part="all",
            gradients=effects,
            ablate=32 if effects else 0,
        )
        spent = time.process_time() - began
        np.save(a.windows, np.load(made.folder / "windows.npy")[:, :CONTEXT])
        table = made.query(
            "SELECT density, maximum FROM features WHERE feature < ? ORDER BY feature", [a.features]
        )
    return {
        "density": [row["density"] or 0.0 for row in table],
        "max": [row["maximum"] or 0.0 for row in table],
    }, spent


def saedashboard(a: argparse.Namespace) -> tuple[dict[str, list[float]], float]:
    """Make the first features' dashboards on the same tokens."""
    import torch
    import transformers
    from sae_dashboard.sae_vis_data import SaeVisConfig
    from sae_dashboard.sae_vis_runner import SaeVisRunner
    from sae_lens import SAE, HookedSAETransformer
    from transformer_lens import HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_llama_weights

    inner = transformers.AutoModelForCausalLM.from_pretrained(
        a.peer_model, dtype=torch.float32, local_files_only=True
    ).eval()
    given = inner.config
    theta = (getattr(given, "rope_parameters", None) or {}).get(
        "rope_theta", given.rope_theta
    )  # newer files, older files
    config = HookedTransformerConfig(
        n_layers=given.num_hidden_layers,
        d_model=given.hidden_size,
        d_head=given.hidden_size // given.num_attention_heads,
        n_heads=given.num_attention_heads,
        n_key_value_heads=given.num_key_value_heads,
        d_mlp=given.intermediate_size,
        d_vocab=given.vocab_size,
        n_ctx=CONTEXT,
        act_fn=given.hidden_act,
        normalization_type="RMS",
        eps=given.rms_norm_eps,
        positional_embedding_type="rotary",
        rotary_base=int(theta),
        rotary_adjacent_pairs=False,
        rotary_dim=given.hidden_size // given.num_attention_heads,
        final_rms=True,
        gated_mlp=True,
        original_architecture="LlamaForCausalLM",
    )
    model = HookedSAETransformer(config)
    model.tokenizer = transformers.AutoTokenizer.from_pretrained(
        a.peer_model, local_files_only=True
    )
    model.tokenizer.pad_token, model.tokenizer.padding_side = (
        model.tokenizer.eos_token,
        "right",
    )  # TransformerLens compares with it
    model.load_state_dict(convert_llama_weights(inner, config), strict=False)
    sae = SAE.load_from_disk(a.folder)
    sae.fold_W_dec_norm = lambda: (
        None
    )  # refused for TopK; rows of one length, as here, leave the choice as it is
    tokens = torch.from_numpy(np.load(a.windows).astype(np.int64))
    began = time.process_time()
    settings = SaeVisConfig(
        hook_point=sae.cfg.metadata.hook_name,
        features=list(range(a.features)),
        minibatch_size_features=256,
    )
    made = SaeVisRunner(settings).run(encoder=sae, model=model, tokens=tokens)
    spent = time.process_time() - began
    found = made.feature_stats
    return {
        "density": [float(v) for v in found.frac_nonzero],
        "max": [float(v) for v in found.max],
    }, spent


def child(a: argparse.Namespace) -> None:
    """Be one contender, and print what it found and what it took."""
    found, spent = (
        saedashboard(a)
        if a.child == "saedashboard"
        else assay(a, effects=a.child == "assay-effects")
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    made = a.features if a.child == "saedashboard" else "all"
    print(
        "found "
        + json.dumps(
            {
                "contender": a.child,
                "features": made,
                "cpu_seconds": round(spent, 1),
                "peak_gb": round(peak, 2),
                **found,
            }
        )
    )


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("folder", type=Path)
    ask.add_argument("--peer", default=sys.executable, help="the Python that has SAEDashboard")
    ask.add_argument("--tokens", type=int, default=8192)
    ask.add_argument("--features", type=int, default=512)
    ask.add_argument("--model", default="smollm2")
    ask.add_argument("--text", default="stdlib")
    ask.add_argument(
        "--effects", action="store_true", help="Assay's index with effects on the loss as well"
    )
    ask.add_argument(
        "--child", choices=("assay", "assay-effects", "saedashboard"), help=argparse.SUPPRESS
    )
    ask.add_argument("--peer-model", help=argparse.SUPPRESS)
    ask.add_argument("--windows", type=Path, help=argparse.SUPPRESS)
    a = ask.parse_args()
    if a.child:
        return child(a)
    from assay.subjects.folder import find

    told = {}
    with tempfile.TemporaryDirectory() as place:
        asked = [
            *sys.argv[1:],
            "--windows",
            str(Path(place) / "windows.npy"),
            "--peer-model",
            str(find(a.model).path),
        ]
        for name in ("assay", *(("assay-effects",) if a.effects else ()), "saedashboard"):
            python = a.peer if name == "saedashboard" else sys.executable
            environment = (
                {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
                if python == a.peer
                else None
            )
            command = [python, __file__, *asked, "--child", name]
            done = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, check=True, env=environment
            )
            line = next(
                line for line in done.stdout.splitlines() if line.startswith("found ")
            ).removeprefix("found ")
            told[name] = json.loads(line)
            print({k: v for k, v in told[name].items() if k not in ("density", "max")}, flush=True)
    ours, theirs = told["assay"], told["saedashboard"]
    for name in ("density", "max"):
        one, other = np.array(ours[name]), np.array(theirs[name])
        print(
            f"{name}: largest difference {np.abs(one - other).max():.2g} where the largest is "
            f"{np.abs(other).max():.3g}"
        )
    print(
        f"CPU time {ours['cpu_seconds'] / theirs['cpu_seconds']:.2f} times SAEDashboard's, "
        f"memory {ours['peak_gb']} against {theirs['peak_gb']} GB"
    )
    return None


if __name__ == "__main__":
    main()
