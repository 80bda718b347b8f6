"""What `assay serve --api` prints: where it answers, or a new token."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from assay.cli.printing import emit, say, tell
from assay.core.errors import AssayError

if TYPE_CHECKING:
    from pathlib import Path

    from assay.api.serving import Served
    from assay.cli.options import Api, Place


def serve(asked: Api, host: str, port: int | None, place: Place) -> None:
    """Answer programs until interrupted, or print a new token."""
    if not asked.api:
        raise AssayError(
            "--token-file, --new-token, --workspace, --allow-code, --job-seconds, "
            "--job-memory and --jobs go with --api"
        )
    if asked.new_token is not None:
        return token(asked.new_token, place.json, asked.token_file)
    from assay.api import serving
    from assay.jobs.bounds import Bounds
    from assay.jobs.work import Limits

    if asked.jobs < 1 or asked.job_seconds <= 0 or asked.job_memory <= 0:
        raise AssayError("--jobs, --job-seconds and --job-memory are numbers above 0")
    bounds = Bounds(workspace=asked.workspace, code=asked.allow_code)
    limits = Limits(seconds=asked.job_seconds, memory=int(asked.job_memory * 2**30))
    serving.serve(
        place.root,
        host,
        port,
        asked.token_file,
        bounds,
        limits,
        width=asked.jobs,
        ready=lambda served: told(served, place.json),
    )
    return None


def told(served: Served, as_json: bool) -> None:
    """Print where it answers, and what a program asks for first."""
    emit(served) if as_json else tell(served.address)
    sys.stdout.flush()


def token(name: str, as_json: bool, file: Path | None) -> None:
    """Print a new token, which is shown only here, and the lines that let it in."""
    from assay.api.tokens import new

    made = new(name)
    if as_json:
        emit(made)
        return
    say(f"The token of {name}, shown only once: {made.token}")
    say(f"Add this to {file or 'the file that --token-file names'}:")
    tell("")
    tell(made.lines)
