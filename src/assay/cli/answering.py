"""What `assay serve --api` prints: where it answers, or a new token."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from assay.api import serving
from assay.api.serving import Served
from assay.cli.elsewhere import site
from assay.cli.printing import emit, say, tell
from assay.core.errors import AssayError
from assay.http.tokens import new
from assay.jobs.bounds import Bounds
from assay.jobs.work import Limits

if TYPE_CHECKING:
    from assay.cli.options import Agents, Api, Place


def serve(api: Api, host: str, port: int | None, place: Place) -> None:
    """Answer programs until interrupted, or print a new token."""
    if not api.api:
        raise AssayError(
            "--token-file, --new-token, --workspace, --allow-code, --job-seconds, "
            "--job-memory, --jobs and --on go with --api"
        )
    if api.new_token is not None:
        return token(api.new_token, place.json, api.token_file)

    bounds = Bounds(workspace=api.workspace, code=api.allow_code)
    serving.serve(
        place.root,
        host,
        port,
        api.token_file,
        bounds,
        limits(api),
        width=api.jobs,
        site=site(api.on),
        ready=lambda served: print_address(served, place.json),
    )
    return None


def limits(door: Api | Agents) -> Limits:
    """Read what one job may take. Raises: AssayError."""
    if door.job_seconds <= 0 or door.job_memory <= 0:
        raise AssayError("--job-seconds and --job-memory are numbers above 0")
    return Limits(seconds=door.job_seconds, memory=int(door.job_memory * 2**30))


def print_address(served: Served, as_json: bool) -> None:
    """Print where it answers, and what a program asks for first."""
    emit(served) if as_json else tell(served.address)
    sys.stdout.flush()


def token(name: str, as_json: bool, file: Path | None) -> None:
    """Print a new token, which is shown only here, and the lines that let it in."""
    new_token = new(name)
    if as_json:
        emit(new_token)
        return
    say(f"The token of {name}, shown only once: {new_token.token}")
    say(f"Add this to {file or 'the file that --token-file names'}:")
    tell("")
    tell(new_token.lines)
