"""The command `assay-vectors`: run functions or a library on test cases with known
answers."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

from assay_vectors import __version__, functions, runner, sarif, text
from assay_vectors.adapters.protocol import NO_FUNCTION
from assay_vectors.errors import VectorsError
from assay_vectors.outcomes import SIGNS, count
from assay_vectors.runner import Run
from assay_vectors.vectors import LATEST, Vector, select

ASSAY = "assay"
"""The one library whose wrong answers count as a failure: the others are not ours to
fix."""


@dataclass(frozen=True)
class Result:
    """The outcomes of a run."""

    run: Run
    vectors: tuple[Vector, ...]
    failed: bool
    written: Path | None = None
    """The file that now has the outcomes."""


class Parser(ArgumentParser):
    """Reports a wrong option in one line, as every other error."""

    def error(self, message: str) -> NoReturn:
        """Raise VectorsError."""
        raise VectorsError(f"{message}; see assay-vectors --help")


def parser() -> Parser:
    """Describe the command's arguments."""
    out = Parser(
        "assay-vectors",
        allow_abbrev=False,
        formatter_class=RawDescriptionHelpFormatter,
        description=(
            "Run test cases with known answers. Exits with 1 on a wrong answer, except\n"
            "for third-party libraries. Without --against, the answers are computed by\n"
            "the lines of NumPy that come with the vectors."
        ),
        epilog=f"libraries that have an adapter:\n  {', '.join(runner.libraries())}",
    )
    add = out.add_argument
    add("ids", nargs="*", metavar="ID", help="run and explain these vectors only")
    add(
        "--against",
        metavar="WHAT",
        help="your functions as module:name, a library, or your adapter as a path",
    )
    add(
        "--python",
        metavar="PATH",
        help="interpreter of an environment that has the library (default: this one)",
    )
    add("--record", action="store_true", help="write the outcomes to results/")
    add("--sarif", type=Path, metavar="FILE", help="write wrong answers as SARIF")
    add("--json", action="store_true", help="print the outcomes as JSON")
    add("--vectors", default=LATEST, metavar="SET", help="frozen set (default: latest)")
    add("--names", action="store_true", help="list what functions may be named")
    add("--version", action="version", version=__version__)
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    if isinstance(sys.stdout, TextIOWrapper):  # it may not be able to print "●"
        sys.stdout.reconfigure(errors="replace")
    try:
        options = parser().parse_args(arguments)
        code = names(options) if options.names else check(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except VectorsError as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}"
    print(f"assay-vectors: {message}", file=sys.stderr)
    return 2


def names(options: Namespace) -> int:
    """Print the operations that functions may be named after."""
    known = functions.names()
    if options.json:
        _print_json([asdict(name) for name in known])
        return 0
    for name in known:
        print(", ".join((name.operation, *name.common)))
        print(f"    called with  {', '.join(name.inputs)}")
        print(f"    gives        {', '.join(name.quantities)}")
        print(f"    vectors      {' '.join(name.ids)}")
    return 0


def check(options: Namespace) -> int:
    """Run the vectors and print their outcomes."""
    result = _run(options)
    if options.json:
        _print_json(
            {
                "peer": result.run.peer,
                "version": result.run.version,
                "vectors": options.vectors,
                "outcomes": [asdict(outcome) for outcome in result.run.outcomes],
                "failed": result.failed,
            }
        )
    else:
        print("\n".join(_lines(result, explained=bool(options.ids))))
    return int(result.failed)


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=1))


def _lines(result: Result, explained: bool) -> Iterator[str]:
    """Show every outcome, and how many there are of each kind. Without explanations,
    operations for which there is no function are only counted."""
    for vector, outcome in zip(result.vectors, result.run.outcomes, strict=True):
        if explained:
            yield f"{SIGNS[outcome.outcome]} {text.report(vector, outcome)}\n"
        elif outcome.why != NO_FUNCTION:
            yield from text.summary(vector, outcome)
    if not explained:
        yield ""
    library = f"{result.run.peer} {result.run.version}".strip()
    yield f"{library}: {count(result.run.outcomes)}"
    if result.written is not None:
        yield f"written: {result.written}"


def _run(options: Namespace) -> Result:
    """Run the vectors as the options say. Raises: VectorsError for options that do not
    go together."""
    vectors = select(options.ids, options.vectors)
    what = options.against or ""
    if ":" in what and not what.endswith(".py"):
        _refuse(options, f"{what} runs in this process and is not recorded")
        return _run_functions(options, vectors)
    if options.sarif is not None:
        raise VectorsError("--sarif is about functions of yours: name them, --against module:name")
    if not what:
        _refuse(options, "NumPy runs in this process; a library needs --against")
        run = runner.run_reference(vectors)
        wrong = any(outcome.outcome == "wrong" for outcome in run.outcomes)
        return Result(run, vectors, wrong)
    return _run_library(options, vectors)


def _refuse(options: Namespace, why: str) -> None:
    for name in ("python", "record"):
        if getattr(options, name):
            raise VectorsError(f"{why}: leave out --{name}")


def _run_library(options: Namespace, vectors: tuple[Vector, ...]) -> Result:
    what = options.against
    if options.record:
        if options.ids:
            raise VectorsError("--record keeps a whole run; leave out the ids")
        if what == ASSAY:
            raise VectorsError("Assay is run whenever it is needed; leave out --record")
        runner.require_checkout()
    run = runner.run_library(what, vectors, options.python or sys.executable)
    written = runner.write_result(run, what) if options.record else None
    passed = all(outcome.passed for outcome in run.outcomes)
    return Result(run, vectors, what == ASSAY and not passed, written)


def _run_functions(options: Namespace, vectors: tuple[Vector, ...]) -> Result:
    """Run functions; without ids, only on the vectors that one of them answers."""
    library = functions.imported(options.against)
    vectors = tuple(v for v in vectors if options.ids or library.serving(v))
    run = runner.run_functions(library, vectors)
    if options.sarif is not None:
        results = []
        for vector, outcome in zip(vectors, run.outcomes, strict=True):
            file, line = library.location(vector) or (Path("conftest.py"), 1)
            inside = file.is_relative_to(Path.cwd())
            name = str(file.relative_to(Path.cwd())) if inside else file.name
            message = text.report(vector, outcome)
            results.append(sarif.Result(vector.id, outcome.outcome, message, (name, line)))
        options.sarif.write_text(sarif.page(results, options.vectors), encoding="utf-8")
    failed = any(outcome.outcome == "wrong" for outcome in run.outcomes)
    return Result(run, vectors, failed, options.sarif)


if __name__ == "__main__":
    sys.exit(main())
