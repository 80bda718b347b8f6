"""New: a commented experiment or study, copied from a template under the user's own name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from assay.core.errors import AssayError, ExperimentError
from assay.core.experiment import ALL
from assay.lab import catalogue
from assay.verbs.parts import Line
from assay.verbs.verb import Answer, Flag, verb

TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class New:
    """The file of a new experiment or study."""

    path: Path


@verb("the file of a new experiment or study")
def new(name: str, /, *, ask: Flag = False, study: Flag = False, loop: Flag = False) -> Answer[New]:
    """Write a commented template of an experiment or a study, which runs unchanged.

    Parameters
    ----------
    name
        The name, my-question for my-question.toml; a Python file is called as in my_claim.py.
    ask
        Write a study that asks a language model, my-question.toml, with prompts that you replace.
    study
        Write a study of an experiment of the catalogue, my-study.toml: other fields, and your own
        claims.
    loop
        Write an experiment for your own training loop: a function that returns numbers.

    Examples
    --------
    assay new my_claim
    assay run my_claim.py --preset smoke
    assay new my-question --ask
    assay new my-study --study
    assay new my_loop --loop
    """
    kinds = [k for k, wanted in (("ask", ask), ("study", study), ("loop", loop)) if wanted]
    if len(kinds) > 1:
        raise AssayError(f"--{kinds[0]} and --{kinds[1]} are two kinds of file; leave one out")
    if kinds:
        ending = ".py" if loop else ".toml"
        file = write_template(name, Path(), f"{kinds[0]}.txt", ending)
    else:
        file = write_experiment(name, Path())
    stem, wanted = file.path.stem, name.strip().removesuffix(file.path.suffix)
    why = "since a name has no spaces" if kinds and not loop else "which Python cannot import"
    other = f" in place of {wanted}, {why}" if stem != wanted else ""
    return Answer(file, [Line(f"{file.path} is written{other}. Next: assay run {file.path}")])


def write_experiment(name: str, folder: Path) -> New:
    """Write an experiment file called `name`, or its snake case, into a folder.

    Raises: ExperimentError when the name is no Python name or taken, or the file is already there.
    """
    path = _free(name, folder, ".py")
    text = (TEMPLATES / "experiment.txt").read_text()
    title = "".join(part.capitalize() for part in path.stem.split("_"))
    if re.search(rf"\b{title}\b", text.replace("MyClaim", "")):
        title += "Spec"  # `assay new claim` must not define a second Claim
    path.write_text(text.replace("THIS_FILE", path.name).replace("MyClaim", title))
    return New(path)


def write_template(name: str, folder: Path, template: str, ending: str) -> New:
    """Write a template into a file called `name`, or its snake case, into a folder. Raises:
    ExperimentError as `write_experiment`."""
    path = _free(name, folder, ending)
    path.write_text((TEMPLATES / template).read_text().replace("THIS_FILE", path.name))
    return New(path)


def _free(name: str, folder: Path, ending: str) -> Path:
    """The file to write. Raises: ExperimentError when the name is no Python name or taken, or the
    file is already there."""
    stem = name.strip().removesuffix(ending)
    snake = re.sub(r"[\s-]+", "_", stem).lower()
    if not snake.isidentifier():
        raise ExperimentError(
            "an experiment is called by letters, digits and underscores and starts with a "
            f"letter, got {name!r}; try my_claim"
        )
    as_typed = stem.replace("-", "_") if ending == ".toml" else stem
    stem = stem if as_typed.isidentifier() else snake
    path = folder / f"{stem}{ending}"
    if (taken := snake.replace("_", "-")) in {entry.name for entry in catalogue.entries()}:
        raise ExperimentError(f"{taken} is an experiment already; choose another name")
    if stem == ALL:
        raise ExperimentError(f"{ALL!r} means all experiments together; choose another name")
    if path.exists():
        raise ExperimentError(
            f"{path} is already there and stays as it is; choose another name or move it away"
        )
    return path
