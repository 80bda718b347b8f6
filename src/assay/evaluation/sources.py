"""Which dictionaries are meant: files and folders of any known format, stored runs, or Dictionary
values; each by the hash of its content."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from assay.core import cache, foreign
from assay.core.errors import (
    AssayError,
    DataError,
    ModelError,
    Operator,
    Piece,
    nearest,
    nearest_beside,
)
from assay.core.heavy import torch
from assay.core.spec import canonical_json
from assay.dictionaries import published
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.fitting import OBEYED, fitted, loaded_with
from assay.dictionaries.formats import saelens, sites
from assay.dictionaries.formats.format import known, read_with
from assay.dictionaries.formats.opening import load
from assay.dictionaries.formats.weights import header
from assay.dictionaries.training import showcase
from assay.lab.store.runs import PARAMS, Stored
from assay.lab.store.store import Store
from assay.subjects.folder import ModelFolder
from assay.subjects.folder import find as find_model

SHOWCASE = "gated-sae/showcase"
"""The stored run that is looked at when no dictionary is named."""
GENERIC = ("ae", "params", "sae", "sae_weights", "cfg", "dictionary")


@dataclass(frozen=True, eq=False)
class Source:
    """One dictionary that was asked for. Its weights are read when `dictionary` is, not before."""

    name: str
    """What to call it in tables."""
    sha256: str
    """Of the bytes it is made from, 64 hex digits."""
    read: Callable[[], Dictionary] = field(repr=False)

    @cached_property
    def dictionary(self) -> Dictionary:
        """The dictionary, run axis of length one. Raises: DataError for a file that cannot be read
        or that holds several."""
        loaded = self.read()
        if len(loaded) != 1:
            raise DataError(
                f"{self.name} holds {len(loaded)} dictionaries; take one: assay export … --run 0 "
                "--format assay --out one.safetensors, or in Python dictionary[0]"
            )
        return loaded

    @cached_property
    def bytes(self) -> int:
        """Bytes of its tensors."""
        return sum(t.numel() * t.element_size() for t in self.dictionary.tensors().values())

    def fitted(self, folder: ModelFolder) -> Source:
        """This dictionary as its file means it in a model."""
        return Source(self.name, self.sha256, lambda: fitted(self.name, self.read(), folder))

    def forget(self) -> None:
        """Let the weights go; they are read again when they are next asked for."""
        self.__dict__.pop("dictionary", None)


def bunches(sources: Sequence[Source], most: float) -> list[list[Source]]:
    """The sources in bunches whose tensors take at most so many bytes together, or one alone that
    takes more."""
    groups: list[list[Source]] = []
    size = most
    for source in sources:
        size += source.bytes
        if size > most:
            groups.append([])
            size = source.bytes
        groups[-1].append(source)
    return groups


def open_dictionary(
    name: str | Path, *, root: str | Path | None = None, **hints: str | float
) -> Dictionary:
    """Open a dictionary: a file or folder of any known library, a published one
    by its name once it was fetched, a stored run such as "gated-sae/showcase", or a showcase such
    as "showcase/smollm2".

    Args:
        name: its path or name; ~ is your home.
        root: the store in which runs are looked for; None: the one that ASSAY_ROOT names, else
            ./assay-store.
        **hints: what a file leaves open, as `assay export --hint` takes it: format, site, site_out,
            scale, architecture, k, threshold, context, bos.
    Raises: DataError, one line, for what is none, cannot be read, or has two readings.
    Example:
        >>> import tempfile, torch
        >>> import assay
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     assay.dictionaries.pca(torch.eye(3), 2)[0].save(f"{folder}/pca.safetensors")
        ...     assay.load(f"{folder}/pca.safetensors")
        <Dictionary of 2 features over 3 dimensions, Identity>
    """
    known_hints = [*inspect.signature(load).parameters][1:]
    for hint in hints:
        if hint not in known_hints:
            raise DataError(f"nothing is known of {hint}=; {nearest(hint, known_hints)}")
    path = Path(name).expanduser()
    if path.exists() and not _is_run(path):
        return load(path, **hints)  # type: ignore[arg-type]
    if not path.exists() and published.parse(str(name)):
        return load(str(name), **hints)  # type: ignore[arg-type]
    store = Store(root)
    if file := _shown(str(name), store):
        return load(file, **hints)  # type: ignore[arg-type]
    source = _run(_stored(path, store) if _is_run(path) else stored(str(name), store))
    if hints:
        raise DataError(
            f"{name} is a stored run, which leaves nothing open; omit {next(iter(hints))}="
        )
    return source.dictionary


def find(requested: Sequence[str | Path | Dictionary], store: Store) -> list[Source]:
    """The sources, in order, each name once.

    Raises: DataError for what is neither a file, a folder nor a stored run, saying what is stored.
    """
    source_list = [_locate_source(value, i, store) for i, value in enumerate(requested)]
    names = [source.name for source in source_list]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        longer = [
            _longer(value) if source.name in twice else source.name
            for source, value in zip(source_list, requested, strict=True)
        ]
        if len(set(longer)) < len(longer):
            raise DataError(f"{sorted(twice)[0]} was given twice; name each dictionary once")
        source_list = [
            Source(name, s.sha256, s.read) for name, s in zip(longer, source_list, strict=True)
        ]
    return source_list


def _locate_source(value: str | Path | Dictionary, place: int, store: Store) -> Source:
    if not isinstance(value, str | Path):
        return Source(f"dictionary {place + 1}", _of_tensors(value), lambda: value)
    path = Path(value).expanduser()
    if _is_run(path):
        return _run(_stored(path, store))
    if path.exists():
        return Source(_short(path), _of_path(path), lambda: _load(path))
    if name := published.parse(str(value)):
        file = published.find(name)
        short = str(value).partition(":")[2]
        return Source(short, _of_path(file), lambda: _load(file))
    if shown := _shown(str(value), store):
        return Source(str(value), _of_path(shown), lambda: _load(shown))
    return _run(stored(str(value), store))


def _load(path: Path) -> Dictionary:
    """Load a dictionary with the hash of its file; Assay's own format says none, or that of the
    file that it was made from."""
    loaded = load(path)
    if path.is_file() and path.suffix == ".safetensors":
        return replace(loaded, origin={**loaded.origin, "sha256": cache.sha256(path)})
    return loaded


def _shown(name: str, store: Store) -> Path | None:
    """The file of a showcase in the store; None where the name is none's. Raises: DataError for
    one that was not made."""
    if not name.startswith(showcase.PREFIX):
        return None
    model = name.removeprefix(showcase.PREFIX)
    path = store.built(showcase.artefact(showcase.recipe(model)))
    if path is None:
        raise DataError(
            f"no {name} in {store.root.absolute()} yet; to train it: assay train-dictionary "
            f"{model} --showcase"
        )
    return path / showcase.FILE


def _is_run(path: Path) -> bool:
    return (path / PARAMS).is_file() and (path / "status.json").is_file()


def _short(path: Path) -> str:
    """What a file or folder is called: its name without the ending; its folder's, where every file
    of a format has the same name."""
    if path.is_dir():
        return path.name or str(path)
    generic = path.stem in GENERIC and (path.stem != "sae" or path.with_name("cfg.json").exists())
    return path.absolute().parent.name if generic else path.stem


def _longer(value: str | Path | Dictionary) -> str:
    return "/".join(Path(value).parts[-3:]) if isinstance(value, str | Path) else "dictionary"


def _of_path(path: Path) -> str:
    """The hash of all that `formats.load` reads from a path: its files, the settings next to them,
    and what their names say about their place."""
    folder = path if path.is_dir() else foreign.regular(path, "a dictionary").absolute().parent
    if path.is_file() and path.suffix != ".json":
        files = [path, *(p for p in read_with(path.absolute()) if p.is_file())]
    else:
        weights = [folder / name for format in known().values() for name in format.files]
        visible = [p for p in folder.iterdir() if not p.name.startswith(".")]
        files = sorted(p for p in {*visible, *weights} if p.is_file())
    if not files:
        raise DataError(
            f"{path} is an empty folder; expected a dictionary: a weights file, or a folder "
            "with one"
        )
    lines = [f"{place}\n" for place in _places(path, folder)]
    lines += [f"{name}\n" for name in _asked(path, folder)]
    for file in files:
        lines.append(f"{'' if file == path else file.name}\0{cache.sha256(file)}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _asked(path: Path, folder: Path) -> list[str]:
    """What a file asks to be done to a model first, which older versions did not do: what they made
    of such a dictionary is not what it is now."""
    origin: Mapping[str, Any] = {}
    if (folder / saelens.CONFIG).is_file():
        origin = {"loaded_with": saelens.loading(folder)}
    elif path.is_file() and path.suffix == ".safetensors":
        with suppress(AssayError, ValueError, AttributeError):
            origin = json.loads(header(path).get("assay", "{}")).get("origin", {})
    return sorted({*loaded_with(origin)} & {*OBEYED})


def _places(path: Path, folder: Path) -> list[str]:
    """The sites that formats take from names in the path, where no file says them."""
    module = folder.absolute().name
    candidates = (
        *sites.of_gemma_path(folder / "params"),
        "",  # of a format that is no longer read: fingerprints of files stay as they were
        *sites.of_module(module, transcode=False),
    )
    return [place or "" for place in candidates]


def _of_tensors(dictionary: Dictionary) -> str:
    digest = hashlib.sha256(
        canonical_json(json.loads(json.dumps(dictionary.header(), default=str))).encode()
    )
    for name, tensor in sorted(dictionary.tensors().items()):
        digest.update(f"{name}{list(tensor.shape)}{tensor.dtype}".encode())
        whole = torch.clone(tensor.detach().cpu(), memory_format=torch.contiguous_format)
        digest.update(whole.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _run(stored: Stored) -> Source:
    name = f"{stored.experiment}/{stored.folder.name}"
    digest = hashlib.sha256(f"{stored.key} {stored.files[PARAMS][1]}".encode()).hexdigest()

    def read() -> Dictionary:
        trained = stored.trained()
        if trained.header.get("kind") != "dictionary":
            raise DataError(
                f"the run {name} did not train a dictionary; `assay list` names the "
                "experiments, gated-sae trains some"
            )
        dictionary = Dictionary.of(trained)
        origin = {
            "format": "assay",
            "file": name,
            "sha256": stored.files[PARAMS][1],
            "inferred": [],
            **dictionary.origin,
        }
        # experiments train on the train part, and measure on the others
        if stored.inputs.get("corpus"):
            origin = {
                "trained_on": {**stored.inputs, "part": "train", **_opening(stored)},
                **origin,
            }
        return replace(dictionary, origin=origin)

    return Source(name, digest, read)


def _opening(stored: Stored) -> dict[str, bool]:
    """Whether its harvests began with BOS: as the tokenizer of its model has it."""
    subject = json.loads(stored.spec_json).get("subject")
    try:
        return {"prepend_bos": bool(subject) and bool(find_model(subject).opening)}
    except ModelError:  # the model is not here, so this is unknown
        return {}


def _stored(folder: Path, store: Store) -> Stored:
    entry = store.at(folder)
    if not isinstance(entry, Stored):
        raise DataError(f"{folder} is a damaged run: {entry.reason}")
    return entry


def stored(text: str, store: Store) -> Stored:
    """The stored run of a name: EXPERIMENT/ARM where that has one run with parameters,
    EXPERIMENT/ARM-sSEED, EXPERIMENT/FOLDER, or its key's first digits."""
    with_params = [s for s in store.list() if s.has_params] if store.root.exists() else []
    experiment, _, folder_name = text.partition("/")
    matches = [
        s
        for s in with_params
        if s.experiment == experiment
        and folder_name in (s.arm, s.folder.name, s.folder.name.partition("-")[2])
    ]
    if re.fullmatch(r"[0-9a-f]{8,64}", text):
        matches = [s for s in with_params if s.key.startswith(text)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        examples = ", ".join(f"{experiment}/{s.folder.name}" for s in matches[:4])
        raise DataError(
            f"{text} has {len(matches)} stored dictionaries, name one of them: "
            f"{examples}{' …' if len(matches) > 4 else ''}"
        )
    if text == SHOWCASE:
        raise DataError(
            f"{text} is not in {store.root.absolute()} yet; assay run gated-sae trains it; for "
            "showcase/smollm2: assay train-dictionary smollm2 --showcase"
        )
    addresses = sorted({f"{s.experiment}/{s.arm}" for s in with_params})
    suggestion = nearest_beside(Path(text).expanduser())
    if suggestion:
        raise DataError(f"no file, folder or stored run {text!r}; {suggestion}")
    hints: tuple[Piece, ...] = (f"stored dictionaries in {store.root}: {nearest(text, addresses)}",)
    if not addresses:
        hints = (
            f"no dictionary is stored in {store.root.absolute()}",
            Operator("; name another store with --root FOLDER or ASSAY_ROOT"),
        )
    raise DataError(f"no file, folder or stored run {text!r}; ", *hints)
