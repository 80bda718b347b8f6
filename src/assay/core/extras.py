"""Extras: which packages are optional, and the one line for whoever lacks one."""

from __future__ import annotations

from importlib.util import find_spec

from assay.core.errors import AssayError

EXTRAS = ("report", "train", "models", "explore", "agents", "ray", "slurm")
"""Each brings what those before it bring, but for the last two, which stand alone."""
EXTRA = {
    "vl_convert": "report",
    "torch": "train",
    "transformers": "models",
    "tokenizers": "models",
    "gguf": "models",
    "huggingface_hub": "models",
    "sklearn": "models",
    "yaml": "models",
    "duckdb": "explore",
    "pyarrow": "explore",
    "starlette": "explore",
    "uvicorn": "explore",
    "mcp": "agents",
    "ray": "ray",
    "grpc": "ray",
    "submitit": "slurm",
}
"""Module of an optional package → the smallest extra that brings it."""


def need(error: ModuleNotFoundError, extra: str = "train") -> str:
    """Say what to install, at least this extra, where a module of an optional package was not
    found; "" where it is no optional one."""
    module = (error.name or "").partition(".")[0]
    return (
        _line(module, max(extra, EXTRA[module], key=EXTRAS.index))
        if module in EXTRA and missing(module)
        else ""
    )


def missing(module: str) -> str:
    """Say what to install where this optional module is not installed; "" where it is."""
    return _line(module, EXTRA[module]) if find_spec(module) is None else ""


def require(module: str) -> None:
    """Refuse to go on without this optional module. Raises: AssayError."""
    if message := missing(module):
        raise AssayError(message)


def _line(module: str, extra: str) -> str:
    return f"needs {module}: pip install 'interp-assay[{extra}]'"
