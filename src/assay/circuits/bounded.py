"""Functions that somebody else wrote, called so that what goes wrong is one line that names the
place."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from assay.core.errors import AssayError, SpecError

SECONDS = 20.0
"""How long one call may compute: on a busy machine more time passes."""


class _LateError(BaseException):
    """No Exception, so that a function that catches these does not catch it."""


def call(
    what: str, function: Callable[..., Any], *args: Any, seconds: float = SECONDS, **kwargs: Any
) -> Any:
    """Call a function; `what` is what it is called in an error. Time is only kept in the main
    thread, where it can be interrupted, and one that waits without computing is waited for.

    Raises: SpecError where it raises, leaves the program, or computes longer.
    """
    try:
        with _alarm(seconds):
            return function(*args, **kwargs)
    except _LateError:
        raise SpecError(f"{what} did not end within {seconds:g} seconds of computing") from None
    except AssayError:
        raise
    except (Exception, SystemExit) as e:
        message = next(iter(str(e).splitlines()), "")
        raise SpecError(
            f"{what} raised {type(e).__name__}{': ' + message[:160] if message else ''}"
        ) from e


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or not hasattr(
        signal, "setitimer"
    ):
        yield
        return

    def late(*_: object) -> None:
        raise _LateError

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
