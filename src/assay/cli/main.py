"""The `assay` command: reads the words that were typed, has the verb answer, and turns what went
wrong into one line and an exit code.

A verb is a file of `assay.verbs`, loaded when it is typed or its help is asked for; `assay --help`
reads their files as text. Nothing is decided here.

Exit codes: 0 measured, whatever the verdict; 1 a difference (`verify`, `doctor`); 2 wrong usage,
one line on standard error; 3 a run crashed; 130 interrupted, and the same command resumes."""

from __future__ import annotations

import inspect
import io
import os
import shlex
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from typing import Any, ClassVar, get_args, get_type_hints

from attrs import evolve
from cyclopts import App, CycloptsError, Group
from cyclopts.exceptions import (
    CoercionError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
    ValidationError,
)
from cyclopts.help import DefaultFormatter, HelpPanel, PanelSpec
from rich.box import Box
from rich.console import Console, ConsoleOptions

import assay
from assay import verbs
from assay.cli.terminal import answer, emit, meant, placed, tell
from assay.core import heavy
from assay.core.nouns import counted
from assay.core.plain import plain
from assay.core.schema import schema
from assay.errors import AssayError
from assay.verbs.verb import MORE, Call, Described

START = (
    "Start with assay run superposition (half a minute).\nassay COMMAND --help lists the main "
    "options of a command, with an example; --help-all lists all."
)
BRINGS = {
    "evaluate": "models",
    "features": "models",
    "export": "explore",
    "serve": "explore",
    "train-dictionary": "models",
}
"""Verb → the extra that has everything it needs, where the one missing package does not show
which."""


class Help(DefaultFormatter):
    """Help in which the options that few need are counted, unless all are wanted."""

    whole: ClassVar[bool] = False

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        if panel.title == MORE.name and not self.whole:
            console.print(f"    {counted(len(panel.entries), 'more option')}: --help-all")
        else:
            entries = [evolve(e, default=None) if e.default == '""' else e for e in panel.entries]
            super().__call__(console, options, panel.copy(entries=entries))

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Print how a verb is typed, with the names that its arguments have below."""
        line, several = str(usage).strip(), "..." if "ARGS..." in str(usage) else ""
        if "[ARGS" in line:
            every = app[line.split()[1]].assemble_argument_collection()
            names = (a.name for a in every if a.name[0].isalpha() and not a.required)
            line = line.partition("[ARGS")[0] + " ".join(f"[{name}{several}]" for name in names)
        console.print(f"Usage: {line}\n", markup=False, highlight=False)


OPTIONS = Group("Options", sort_key=100)
app = App(
    name="assay",
    version=lambda: metadata.version("interp-assay"),
    version_flags=("--version", "-V"),
    help="Test claims about the internals of models, with controls and confidence intervals.",
    help_formatter=Help.with_newline_metadata(
        panel_spec=PanelSpec(box=Box("    \n" * 8), padding=(0, 2))
    ),
    suppress_keyboard_interrupt=False,
)
app.register_install_completion_command()
for flag in ("--help", "--version", "--install-completion"):
    app[flag].group = (OPTIONS,)
for i, (heading, places) in enumerate({**verbs.HEADINGS, **verbs.others()}.items()):
    group = Group(heading, sort_key=i)
    for j, (word, place) in enumerate(places.items()):
        app.command(place, name=word, help=verbs.purpose(place), group=group, sort_key=j)


def main(words: Sequence[str] | None = None) -> int:
    """Run these words (those of the command line when None), and give the exit code."""
    words = list(sys.argv[1:] if words is None else words)
    _speak()
    if odd := next((w for w in words if any("\ud800" <= c <= "\udfff" for c in w)), None):
        return refuse(
            f"the argument {plain(odd)} is not UTF-8 text; rename the file, or write it as UTF-8"
        )
    Help.whole = "--help-all" in words
    words = ["--help" if word == "--help-all" else word for word in words]
    if words and words[0].startswith("-"):  # `assay --root STORE serve`: options may come first
        at = next((i for i, word in enumerate(words) if word in app), 0)
        words = [*words[at : at + 1], *words[:at], *words[at + 1 :]]
    try:
        if "--schema" in words and words[0] in app:
            emit(schema_of(words[0]))
            return 0
        call = app(
            words,
            exit_on_error=False,
            print_error=False,
            verbose=False,
            result_action="return_value",
        )
        code = answer(call) if isinstance(call, Call) else 0
        if not words or {"--help", "-h"} & set(words):
            tell(example(words[0]) if words and words[0] in app else START)
        sys.stdout.flush()
        return code
    except CycloptsError as error:
        return refuse(misread(error, words))
    except AssayError as error:
        for line in meant([str(error), *getattr(error, "others", ())], words):
            refuse(placed(line, words), error.exit_code)
        return error.exit_code
    except ModuleNotFoundError as error:
        if lacks := heavy.need(error, BRINGS.get(words[0], "train") if words else "train"):
            return refuse(f"assay {words[0]} {lacks}" if words else lacks)
        raise
    except BrokenPipeError:  # `assay list | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (MemoryError, RuntimeError) as error:
        from assay.lab.work import memory  # which most commands do not need

        if not memory.lacked(error):
            raise
        return refuse(
            "there is not enough memory; everything stored so far is intact: free some "
            "memory, or raise the limit, and run the same command again",
            3,
        )
    except OSError as error:
        return refuse(
            f"cannot use {error.filename or 'a file'}: {error.strerror}; name another place, "
            "or make room there"
        )
    except KeyboardInterrupt:
        return refuse(
            (f"interrupted; what is finished is stored; to resume: assay {shlex.join(words)}"), 130
        )


def misread(error: CycloptsError, words: Sequence[str]) -> str:
    """Say in a line what of these words cannot be read, and what was meant, where that is known."""
    if isinstance(error, UnusedCliTokensError):
        return surplus((error.unused_tokens or ["?"])[0], words)
    if isinstance(error, MissingArgumentError):
        return lacking(error)
    numbers = {int: "a whole number", float: "a number"}
    if isinstance(error, CoercionError) and error.token and error.target_type in numbers:
        name = error.token.keyword or "the argument"
        return f"{name} must be {numbers[error.target_type]}, got {error.token.value!r}"
    if isinstance(error, ValidationError) and error.argument is not None:
        return f"{error.argument.name} {error.exception_message}"
    function = words[0].replace("-", "_") if words else ""
    if isinstance(error, UnknownCommandError) and function in dir(assay):
        return f"{words[0]} is no command, but a function of Python: assay.{function}"
    if words and words[0].startswith("-"):
        return f"{words[0]} needs a command; assay --help lists the commands"
    if isinstance(error, UnknownOptionError):
        option = (error.token.keyword or error.token.value).partition("=")[0]
        return unknown(option, [n for a in error.argument_collection for n in a.names], words)
    try:
        typed, listed, _ = str(error).partition(". Available commands:")
        return meant([f"{typed}; assay --help lists all" if listed else typed], words)[0]
    except ImportError:  # it reads every command for one that is not there; some need packages
        return f'Unknown command "{words[0]}".'


def unknown(option: str, names: Sequence[str], words: Sequence[str]) -> str:
    """Say that a verb has no such option, and type the command with the one that was misspelt."""
    text = f"Unknown option: {option}."
    near = min(names, key=lambda name: (letters_apart(option, name), len(name) != len(option)))
    if option in ("--root", "--store"):
        if "--root" not in names:
            return f"{words[0]} reads and writes no store, so it takes no {option}; leave it out"
        near, text = "--root", f"{text} The store is named by --root or by ASSAY_ROOT."
    elif letters_apart(option, near) > 1 + (len(option) > len("--") + 5):
        return f"{text} Type: assay {words[0]} --help"
    right = [near + w[len(option) :] if w.partition("=")[0] == option else w for w in words]
    return f"{text} Did you mean {near}? Type: assay {shlex.join(right)}"


@cache
def letters_apart(a: str, b: str) -> int:
    """Count the letters to insert, delete, replace or swap with the next until two words are
    equal."""
    if not a or not b or a[0] == b[0]:
        return letters_apart(a[1:], b[1:]) if a and b else len(a) + len(b)
    ways = [(a[1:], b), (a, b[1:]), (a[1:], b[1:])]
    ways += [(a[2:], b[2:])] * (a[:2] == b[1::-1])
    return 1 + min(letters_apart(*way) for way in ways)


def described(verb: str) -> Described:
    """Find what a verb of the command line answers, and the function that does it. Raises: KeyError
    for no verb."""
    description: Described = app[verb].default_command.described  # type: ignore[union-attr]
    return description


def schema_of(verb: str) -> dict[str, Any]:
    """Give the JSON schema of what `assay VERB --json` prints. Raises: KeyError for no verb."""
    return document(verb, described(verb))


def surplus(word: str, words: Sequence[str]) -> str:
    """Say what a surplus word meant, where that is clear."""
    write = f"see assay {words[0]} --help"
    if len(words) == 3 and list(words[:2]) == ["new", "study"]:
        write = f"a study is written by: assay new {words[2]} --study"
    option, first = (words[words.index(word) - 2 :] if word in words[3:] else ["", ""])[:2]
    every = app[words[0]].assemble_argument_collection() if option.startswith("--") else ()
    if any(a.name == option and a.token_count()[1] for a in every):
        write = f"write {option} {shlex.quote(first)} {option} {shlex.quote(word)}"
    return f"{word!r} is one word too many; {write}"


def lacking(error: MissingArgumentError) -> str:
    """Say what an argument that was not typed means, in the words of its help; or that an option
    lacks its value."""
    argument, verb = error.argument, " ".join(error.command_chain or ())
    if argument is not None and argument.name == "--set":
        return "--set needs field=value; assay list NAME lists the fields"
    if argument is not None and (count := argument.token_count()[0]) > 1:
        example = " ".join(map(str, range(count)))
        return f"{argument.name} needs {count} numbers, as in {argument.name} {example}"
    if argument is None or argument.tokens or error.keyword is not None:
        return str(error)
    documented = app[verb].assemble_argument_collection(parse_docstring=True)
    help_text = (documented[argument.name].parameter.help or "").rstrip(".")
    name = (
        f"{argument.name} {argument.name[2:].upper()}"
        if argument.name.startswith("--")
        else argument.name
    )
    return f"{verb} needs {name}" + (
        f": {help_text[0].lower()}{help_text[1:]}" if help_text else f"; see assay {verb} --help"
    )


def example(verb: str) -> str:
    """Give the lines of a verb's example, under a heading; they run unchanged after
    `make demo`."""
    _, _, lines = (inspect.getdoc(app[verb].default_command) or "").partition(
        "Examples\n--------\n"
    )
    return "\n".join(["Example", *(f"  {line}" for line in lines.splitlines())]) if lines else ""


def refuse(text: str, code: int = 2) -> int:
    """Print the text as one line on standard error, a crash of an experiment with its lines, and
    give the exit code."""
    print(plain(text if code == 3 else " ".join(text.split())), file=sys.stderr)
    return code


def _speak() -> None:
    """Make every text printable: a character that the terminal's encoding lacks is printed as ?,
    and a closed output takes anything."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the parent process
            # — for as long as the process lives
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


DIALECT = "https://json-schema.org/draft/2020-12/schema"
VERBS = tuple(sorted(word for places in verbs.HEADINGS.values() for word in places))
"""The verbs of the command line."""


def document(verb: str, description: Described) -> dict[str, Any]:
    """Give the JSON schema of what `assay VERB --json` prints, with its name, dialect and the
    version of Assay."""
    types = (
        description.results()
        if description.results
        else get_args(get_type_hints(description.function)["return"])[0]
    )
    return {
        "$schema": DIALECT,
        "$id": f"urn:assay:{verb}:{metadata.version('interp-assay')}",
        "title": f"assay {verb}",
        "description": description.answers,
        **schema(types),
    }
