"""Train one dictionary over ranks that `assay.dictionaries.sharded.launch` or torchrun starts."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from assay.core.errors import AssayError, SpecError, nearest
from assay.data.shards import WINDOW, ShardReader, open_shards
from assay.data.stream import HEADER, open_stream, read_header
from assay.dictionaries.kinds import known
from assay.dictionaries.nonlinearity import Nonlinearity
from assay.dictionaries.sharded.ranks import TIMEOUT, join_ranks
from assay.dictionaries.sharded.rows import matrix
from assay.dictionaries.sharded.training import train_sharded
from assay.dictionaries.training.losses import TopKAux
from assay.dictionaries.training.quick import check_settings, objective


def main(words: list[str]) -> int:
    """Train, print one line of what came out on the first rank, and give the exit code."""
    args = _parser().parse_args(words)
    try:
        with join_ranks(args.shards, device=args.device, timeout=args.timeout) as ranks:
            measurements = train_sharded(
                ranks,
                _kind(args),
                _rows(args, ranks.rank),
                args.folder,
                width=args.width,
                penalty=args.penalty,
                steps=args.steps,
                lr=args.lr,
                loss=TopKAux(dead_after=args.aux) if args.aux else None,
                batch=args.batch,
                seed=args.seed,
                every=args.every,
                report=_tell,
            )
            if ranks.rank == 0:
                worth = (
                    f"FVU {measurements.fvu:.4f}, L0 {measurements.l0:.2f}, {measurements.dead} "
                    f"of {args.width} "
                    f"latents dead on {measurements.rows} rows"
                )
                print(
                    f"{args.folder / 'dictionary.safetensors'}: {worth}; {ranks.size} ranks, "
                    f"{ranks.latents.size} shards"
                )
    except AssayError as error:
        if (
            not isinstance(error, SpecError) or os.environ.get("LOCAL_RANK", "0") == "0"
        ):  # settings are the same on all ranks
            print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0


def check(words: list[str]) -> None:
    """Refuse what no rank could train on. Raises: SpecError, DataError."""
    args = _parser().parse_args(words)
    objective(_kind(args), TopKAux(dead_after=args.aux) if args.aux else None, args.penalty)
    check_settings(
        lr=args.lr,
        seed=args.seed,
        width=args.width,
        steps=args.steps,
        batch=args.batch,
        every=args.every,
    )
    if not _streams(args):
        _rows(args, 1)


def _rows(args: argparse.Namespace, rank: int) -> Path | ShardReader:
    """The array, or a reader of the shards or the stream that are meant; of a stream the first rank
    says for all what is read."""
    folder = Path(args.acts)
    if _streams(args):
        shards = open_stream(folder, args.folder.absolute().name if rank == 0 else None)
        return ShardReader(shards, args.batch, args.seed, read_header(folder).window)
    if folder.is_file():
        matrix(folder)
        return folder
    return ShardReader(open_shards(args.acts), args.batch, args.seed, args.window)


def _streams(args: argparse.Namespace) -> bool:
    return args.stream or Path(args.acts, HEADER).exists()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m assay.dictionaries.sharded.launch --nproc-per-node N", description=__doc__
    )
    parser.add_argument(
        "acts",
        help="what every rank can read: activations [n, d], a .npy file; a folder, pattern or "
        "URL of such files; or with --stream the folder of a stream",
    )
    parser.add_argument(
        "--stream", action="store_true", help="wait for rows that another process harvests"
    )
    parser.add_argument(
        "folder",
        type=Path,
        help="where checkpoints and the dictionary go; every rank must see the same",
    )
    parser.add_argument("--kind", default="TopK", help="ReLU, Gated, JumpReLU, TopK or BatchTopK")
    parser.add_argument("--k", type=int, help="features on in a row, for TopK and BatchTopK")
    parser.add_argument(
        "--aux",
        type=int,
        default=0,
        metavar="ROWS",
        help="AuxK: a latent is dead after so many rows without a firing",
    )
    parser.add_argument("--penalty", type=float, help="λ, for the other kinds")
    parser.add_argument("--width", type=int, required=True, help="latents of the dictionary")
    parser.add_argument(
        "--shards",
        type=int,
        default=0,
        help="stretches of latents; the ranks over them are replicas (default: one a rank)",
    )
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=512, help="rows of a step, over all replicas")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--every", type=int, default=500, help="steps from one checkpoint to the next"
    )
    parser.add_argument(
        "--window", type=int, default=WINDOW, help="files whose rows are shuffled together"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT, help="seconds to wait for the other ranks"
    )
    return parser


def _kind(args: argparse.Namespace) -> Nonlinearity:
    if args.kind not in known():
        raise SpecError(f"there is no kind {args.kind!r}; {nearest(args.kind, known())}")
    if ("k" in known()[args.kind].__annotations__) != (args.k is not None):
        raise SpecError(
            "TopK and BatchTopK need --k, the number of features on in a row; other kinds "
            "take --penalty"
        )
    return known()[args.kind](**({} if args.k is None else {"k": args.k}))


def _tell(step: int, total: int, loss: float) -> None:
    if step * 20 // total > (step - max(1, total // 200)) * 20 // total:  # twenty lines in all
        print(f"step {step} of {total}: loss {loss:.4g}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    if code := main(sys.argv[1:]):
        sys.stdout.flush()
        # Where a rank is lost, torch's own threads may abort an interpreter that is being taken
        # down, and with it the exit code.
        os._exit(code)
