"""Start the ranks of one sharded training as torchrun does, and fail as a command does.

    python -m assay.dictionaries.sharded.launch --nproc-per-node 2 ACTS.npy FOLDER …

Options before ACTS.npy are torchrun's. Where ranks fail, torchrun itself ends in a traceback of its
own and exit code 1; this ends with the line of the rank that failed, and its exit code. What no
rank could train on is refused before any is started.
"""

from __future__ import annotations

import logging
import sys

from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from assay.core.errors import AssayError
from assay.dictionaries.sharded.__main__ import check

TRAINING = "assay.dictionaries.sharded"


def main(words: list[str]) -> int:
    """Start the ranks, wait for them, and give the exit code of the first that failed, or 0."""
    args = torchrun.parse_args(words)
    training = [args.training_script, *args.training_script_args]
    args.module, args.training_script, args.training_script_args = True, TRAINING, training
    try:
        check(training)
        logging.getLogger("torch.distributed.elastic").setLevel(
            logging.CRITICAL
        )  # it logs an exit code and the place of Python
        torchrun.run(args)
    except AssayError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code  # as a shell tells a signal
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
