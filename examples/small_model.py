"""Train small language models on a folder of text, each a model folder that `assay` can name.

    python examples/small_model.py OUT [TEXT] [--steps N] [--seeds N] [--llama]
    assay train-dictionary OUT/seed-0 blocks.0.hook_resid_post --text TEXT --out my-sae

TEXT is stdlib, or a folder of text files. All seeds train at once. The same command resumes after
it was stopped. Change the fields of `LmSpec` for other sizes: `assay.data.lm` describes them.
"""

import argparse
import json
import sys
from pathlib import Path

from assay.core.errors import AssayError
from assay.data.lm import LmSpec, train_folders

LLAMA = {"norm": "rms", "positions": "rotary", "gated": True, "activation": "silu", "tied": True}


def main() -> int:
    """Train, and print where the models are and their losses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("text", nargs="?", default="stdlib")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--llama", action="store_true", help="a Llama in place of a GPT-2")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    try:
        size = {"layers": 2, "d": 64, "heads": 4, "m": 256, "context": 64, "vocab": 512}
        kind = LLAMA if asked.llama else {}
        one = LmSpec(corpus=asked.text, steps=asked.steps, **size, **kind)
        specs = [one.replace(seed=seed) for seed in range(asked.seeds)]
        folders = train_folders(specs, asked.out, device=asked.device, progress=report)
    except AssayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for folder in folders:
        about = json.loads((folder / "assay.json").read_text())
        held_out = about["held_out"]
        more = "" if held_out is None else f", held out {held_out:.3f}"
        print(f"{folder}: {about['loss']:.3f} nats a token{more}")
    return 0


def report(done: int, total: int) -> None:
    """Print how far the training is, on one line."""
    print(f"\r{done:,} of {total:,} steps", end="\n" if done == total else "", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
