"""The options that verbs share, and what they stand for: a store, an experiment with its preset, an
executor."""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from assay.core import foreign
from assay.core.errors import AssayError, nearest
from assay.core.experiment import Experiment
from assay.core.heavy import torch
from assay.lab import catalogue

if TYPE_CHECKING:
    from assay.lab.engines import Executor
    from assay.lab.lab import Lab
    from assay.lab.plan.preset import Preset

Bare = Parameter(
    negative="", show_default=False
)  # no --no-… and --empty-… twins, no [default: False]
Flat = Parameter(name="*")  # the fields of a dataclass as options, each by its own name
MORE = Group("More options", sort_key=50)
"""Options that --help leaves out and --help-all shows."""
More = Parameter(group=MORE)
Flag = Annotated[bool, Bare]
Several = Annotated[tuple[str, ...], Bare]
Name = Annotated[
    str,
    Parameter(
        help="The name of an experiment (`assay list`), or the path of a study (.toml or .md) or "
        "of an experiment (.py)."
    ),
]
Outcome = Literal["holds", "fails", "unspecific", "undecided"]
Expected = Annotated[
    Outcome | None, Parameter(help="Exit with 1 unless every claim has this outcome.")
]
Arm = Annotated[str, Parameter(help="Judge this arm as if it were the method.")]
Device = Annotated[str, Parameter(help="Where the model runs: cpu, cuda, cuda:1.")]
A_MODEL = "smollm2, gemma3-270m, a model's folder, or a hub's OWNER/NAME (assay fetch)"
A_TEXT = "stdlib, docs (docstrings), or a folder of text files"
Model = Annotated[str, Parameter(help=f"{A_MODEL}.")]
Text = Annotated[str, Parameter(help=f"{A_TEXT}.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Output:
    """How a verb prints."""

    json: Flag = False
    """Print one JSON object on standard output, and progress on standard error."""
    schema: Annotated[Flag, More] = False
    """Print the JSON schema of that object, and run nothing."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Place:
    """Where results are kept."""

    root: Annotated[Path, Parameter(env_var="ASSAY_ROOT")] = Path("assay-store")
    """The folder of the store, which keeps runs, results and artefacts."""

    @property
    def options(self) -> str:
        """What to type after a verb to use the same store, with a space before it; "" where it is
        the usual one."""
        usual = Path(os.environ.get("ASSAY_ROOT") or "assay-store")
        return "" if self.root == usual else f" --root {shlex.quote(str(self.root))}"

    def lab(self) -> Lab:
        """Make a lab on the store, for reading."""
        from assay.lab.engines import Inline
        from assay.lab.lab import Lab

        return Lab(self.root, Inline())


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Trust:
    """How far files that somebody else wrote are trusted."""

    limits: Annotated[int, Parameter(env_var="ASSAY_LIMITS", group=MORE)] = 1
    """If a file is refused as too large: how many times larger than usual it may be. Only for files
    that you trust."""

    def raised(self) -> AbstractContextManager[None]:
        """Read within these limits."""
        return foreign.limits(self.limits)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a text is read for an index; what is not given comes from the dictionary's own file."""

    tokens: int = 32_768
    """For an index: the number of tokens to read, at most. A larger number later reads only the new
    ones."""
    context: Annotated[int | None, More] = None
    """Tokens in a window, including a BOS; 128 if the file does not say."""
    bos: Annotated[bool | None, More] = None
    """Whether each window starts with the model's BOS token. By default as in the dictionary's
    file, or as the model's tokenizer does."""
    skip_first: Annotated[int, More] = 1
    """Positions at the start of each window that are left out."""
    outlier: Annotated[float, More] = 6.0
    """Activations longer than this many times the median do not count either; 0: all count."""
    part: Annotated[Literal["auto", "all", "train", "validation", "test"], More] = "auto"
    """The part of the text; files are split by the hash of their path. auto: what the dictionary
    was not trained on, if that is known."""
    site: Annotated[str, More] = ""
    """Where activations are read, such as blocks.9.hook_resid_post."""
    site_out: Annotated[str, More] = ""
    """The site that a transcoder reconstructs."""
    dtype: Annotated[Literal["float32", "bfloat16"], More] = "float32"
    """The number format in which the model computes."""
    gradients: Annotated[bool, More] = True
    """Also run a backward pass, for the first-order effect of every firing on the loss; this
    doubles the time."""
    ablate: Annotated[int, More] = 32
    """The number of features to ablate on a sample, of all densities; 0: none."""
    ablate_windows: Annotated[int, More] = 16
    """Windows on which each of them is ablated."""

    @property
    def given(self) -> dict[str, Any]:
        """What differs from what is usual."""
        return {n: v for n, v in vars(self).items() if v != getattr(Reading, n)}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which runs are meant."""

    preset: str = "default"
    """smoke: seconds, to check that everything works; default: minutes on two cores. Some
    experiments have more presets, such as docs: the same claims on another text."""
    set: Several = ()
    """field=value: change a field. The result is stored next to the default one. Repeatable. Some
    fields take several values (penalty=0.1,0.3) or a range (seed=1000:1016); assay list NAME shows
    the fields. without=ARM leaves out an arm that no claim names."""
    each: Annotated[Flag, More] = False
    """Judge each claim of a study by itself. By default, if several claims ask for the same
    quantity along a sweep, their intervals hold for all of them at once."""

    def of(self, name: str) -> tuple[Experiment, Preset]:
        """Find the experiment of this name or file, and its preset with the fields that were
        set."""
        from assay.lab.plan.preset import override

        experiment = catalogue.find(name)
        if self.each:
            from assay.lab.judge import families

            experiment = families.each(experiment)
        preset = override(experiment, self.preset, self.set)
        return experiment.sized(preset.specs), preset


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Machine:
    """On what it runs; none of these changes a number's meaning."""

    executor: Annotated[str, More] = "workers"
    """workers: single-threaded processes, one for each free core; inline: this process, one group
    after the other; or another engine of assay.lab.engines."""
    threads: int | None = None
    """Threads of each worker, or of this process if inline. By default 1, as more only help a
    single large dictionary; on a GPU, one worker has all threads."""
    device: str = "cpu"
    """The device to compute on: cpu, cuda, cuda:1."""

    def lab(self, root: Path) -> Lab:
        """Make a lab that trains on this machine."""
        from assay.lab.lab import Lab

        return Lab(root, self.engine(root), self.device, together=self.is_here)

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine."""
        return True

    def engine(self, root: Path) -> Executor:
        """Make what trains the groups of a store. Raises: AssayError."""
        from assay.lab import engines
        from assay.lab.store.provenance import cores

        self.check_threads()
        if self.executor not in engines.known():
            raise AssayError(
                f"no executor {self.executor!r}; {nearest(self.executor, engines.known())}"
            )
        threads = self.threads or (1 if device_here(self.device) == "cpu" else cores())
        return engines.known()[self.executor](threads=threads)

    def check_threads(self) -> None:
        """Refuse a number of threads that is none. Raises: AssayError."""
        if self.threads is not None and self.threads < 1:
            raise AssayError(f"--threads is a number of threads, at least 1, got {self.threads}")


def device_here(name: str) -> str:
    """Give the device's name back, where torch has it on this machine. Raises: AssayError."""
    if name == "cpu":
        return name

    gpus = (
        [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    if name not in [*gpus, *(["cuda"] if gpus else [])]:
        raise AssayError(
            f"--device {name} is not here; this machine has {', '.join(['cpu', *gpus])}"
        )
    return name


HERE, DEFAULT, CPU, AS_WRITTEN, USUAL = Place(), Choice(), Machine(), Trust(), Reading()
"""What verbs go by where nothing was typed."""


def writable(folder: Path, option: str) -> None:
    """Check, before anything is measured, that files can be written into a folder, which may still
    have to be made; nothing is left there.

    Raises: AssayError naming the option.
    """
    missing_folders = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as e:
        raise AssayError(
            f"cannot write into the folder {folder}: {e.strerror}; name another one with {option}"
        ) from e
    finally:
        for path in missing_folders:
            with contextlib.suppress(OSError):
                path.rmdir()


def writable_file(path: Path, option: str) -> None:
    """Check the same for a file that is to be written. Raises: AssayError naming the option."""
    if path.is_dir():
        raise AssayError(f"{path} is a folder; {option} names a file")
    writable(path.parent, option)
