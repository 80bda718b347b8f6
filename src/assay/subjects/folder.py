"""ModelFolder: a language model on disk, its identity, sizes and how its texts begin, without
loading its weights."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from assay.core import cache, foreign
from assay.core.errors import ModelError, nearest
from assay.subjects import adapters, chats, fetch, hub, live, sizes
from assay.subjects import tokenizer as tokenizers
from assay.subjects import writing as written_by
from assay.subjects.architectures import Architecture
from assay.subjects.site import AFTER, BEFORE, Site
from assay.subjects.sizes import architecture_of, told_of_a_model
from assay.subjects.tokenizer import Tokenizer
from assay.subjects.writing import Writing

INDEX = "model.safetensors.index.json"
_SPOKEN = {
    "Q4_0": "4-bit Q4_0",
    "Q4_1": "4-bit Q4_1",
    "Q5_0": "5-bit Q5_0",
    "Q5_1": "5-bit Q5_1",
    "Q8_0": "8-bit Q8_0",
}


def find(name: str, bos: bool | None = None) -> ModelFolder:
    """The model folder for a name ("smollm2"), a path, or a hub's OWNER/NAME[@REVISION] that was
    fetched; its texts begin with a BOS or not as is said, else as its tokenizer has it. An adapter
    next to whole weights changes those, whatever base it names. Raises: ModelError when it is
    absent, incomplete or of another shape."""
    if name in live.STANDING:
        return _of_live(name, live.STANDING[name], bos)
    packaged = fetch.MODELS.get(name)
    folder = packaged.find() if packaged else Path(name).expanduser()
    named, between, base = name.partition(adapters.BETWEEN)
    if between and not folder.is_dir():
        return _adapted(name, Path(named).expanduser(), base, bos)
    if (folder / adapters.FILE).exists() and not (folder / "config.json").exists():
        return _adapted(name, folder, adapters.base_of(folder), bos)
    if not folder.is_dir():
        if folder.is_file():
            raise ModelError(f"{folder} is a file; give the model's folder, {folder.parent}")
        if (hub_name := hub.parse(name)) is None:
            near = nearest(name, fetch.MODELS)
            near = f"{near} You can also give" if near.startswith("did you mean") else "give"
            others = ", ".join(m for m in fetch.MODELS if f" {m}?" not in near)
            raise ModelError(
                f"no model {name!r}; {near} {others}, a folder with config.json, tokenizer.json "
                "and *.safetensors, or OWNER/NAME on a hub"
            )
        folder = hub.find(hub_name)
    lacking = [f for f in ("config.json", "tokenizer.json") if not (folder / f).is_file()]
    weights = _weights(folder)
    if lacking or not weights:
        pickled = not lacking and next(folder.glob("*.bin"), next(folder.glob("*.pt"), None))
        raise ModelError(
            f"model folder {folder} lacks {', '.join(lacking or ['*.safetensors'])}"
            + (f"; it has {pickled.name}, and Assay reads no pickled weights" if pickled else "")
        )
    config = _json(folder / "config.json")
    sizes.check(config, folder / "config.json")
    about = _json(folder / "assay.json") if (folder / "assay.json").exists() else {}
    whole = ModelFolder(name, folder, weights, config, about, bos)
    has_adapter = (folder / adapters.FILE).exists()
    return replace(whole, adapter=adapters.read(folder, whole)) if has_adapter else whole


def _weights(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a folder, without those of an adapter next to them."""
    own = {adapters.WEIGHTS} if (folder / adapters.FILE).exists() else set()
    return tuple(path for path in sorted(folder.glob("*.safetensors")) if path.name not in own)


def _adapted(name: str, path: Path, base: str, bos: bool | None) -> ModelFolder:
    """The folder of a model that an adapter's folder changes. Raises: ModelError."""
    if not path.is_dir() and (hub_name := hub.parse(str(path))) is not None:
        path = hub.find(hub_name)
    if not (path / adapters.FILE).is_file():
        raise ModelError(f"{path} is not an adapter: it has no {adapters.FILE}, so it has no base")
    try:
        whole = find(base, bos)
    except ModelError as error:
        raise ModelError(
            f'the adapter {path} changes {base}, which is not here ({error}); write base = "…" '
            f'in [[model]], or the name as "{path}{adapters.BETWEEN}BASE"'
        ) from error
    if whole.adapter is not None:
        raise ModelError(
            f"the adapter {path} changes {base}, which has an adapter itself; merge that with peft "
            "(merge_and_unload)"
        )
    return replace(whole, name=name, adapter=adapters.read(path, whole))


def _of_live(name: str, model: live.Live, bos: bool | None) -> ModelFolder:
    """The folder of a model in memory: what says how its texts are cut, and no weights."""
    config = _json(model.path / "config.json")
    sizes.check(config, model.path / "config.json")
    return ModelFolder(name, model.path, (), config, {}, bos, live=model)


def fingerprint(name: str) -> str:
    """SHA-256 that identifies a model; that of one with a name is its GGUF file's and needs no file
    at all."""
    packaged = fetch.MODELS.get(name)
    return packaged.gguf_sha256 if packaged else find(name).fingerprint


def copy_beside(folder: ModelFolder, path: Path) -> None:
    """Copy to a model made from this one the files that say how its texts are cut, begin and
    end."""
    for name in (tokenizers.FILE, *tokenizers.SETTINGS, written_by.FILE, chats.FILE):
        source = folder.path if name == written_by.FILE else folder.texts
        if (source / name).exists():
            shutil.copy(source / name, path / name)


def opening_in_words(folder: ModelFolder, opening: Sequence[int]) -> str:
    """Say what a text begins with: "with <s>", or "without a BOS"."""
    return f"with {folder.tokenizer.decode(opening)}" if opening else "without a BOS"


@dataclass(frozen=True, eq=False)
class ModelFolder:
    """What a folder says about its model: sizes, sites, tokenizer and where the weights came
    from.

    Example:
        >>> from pathlib import Path
        >>> from assay.subjects import ModelFolder, Site
        >>> config = {"model_type": "gpt2", "n_embd": 8, "n_layer": 2, "n_head": 4}
        >>> folder = ModelFolder("toy", Path("toy"), weights=(), config=config, about={})
        >>> folder.layers, folder.width(Site("resid_pre", 1)), folder.shape(Site("z", 1))
        (2, 8, (4, 2))
    """

    name: str
    """What it was asked for by: a name such as "smollm2", a path or a hub's name."""
    path: Path
    weights: tuple[Path, ...]
    """Its safetensors files."""
    config: dict[str, Any] = field(repr=False)
    about: dict[str, Any] = field(repr=False)
    """Its assay.json; empty where there is none."""
    bos: bool | None = None
    """Whether its texts begin with a BOS, where the user says so; None: as its tokenizer has
    it."""
    adapter: adapters.Adapter | None = None
    """What is added to the weights when they are loaded."""
    live: live.Live | None = None
    """The model in memory that it represents."""

    @property
    def texts(self) -> Path:
        """Where the files lie that say how its texts are cut: with an adapter that brings some, its
        own."""
        has_own = self.adapter is not None and (self.adapter.path / tokenizers.FILE).exists()
        return self.adapter.path if has_own and self.adapter else self.path

    @property
    def architecture(self) -> Architecture:
        """What Assay knows of models of this type: sizes, modules, sites."""
        return architecture_of(self.config)

    @cached_property
    def opening(self) -> tuple[int, ...]:
        """What its texts begin with: as `bos` says, else what its tokenizer puts there. Raises:
        ModelError where the tokenizer also puts something behind a text."""
        if self.bos is None and self.tokenizer.closing:
            words = self.tokenizer.decode(self.tokenizer.closing)
            raise ModelError(
                f"{self.path / tokenizers.FILE}: its post_processor puts {words!r} after every "
                "text, where Assay reads what follows; set bos = true or false to leave it out"
            )
        return self.beginning(self.bos)

    def beginning(self, bos: bool | None = None) -> tuple[int, ...]:
        """What a text begins with, with or without a BOS; None: what its tokenizer puts there.
        Those that Assay made of a GGUF file put nothing there, so that it is what such models need.
        Raises: ModelError where one is wanted and the model has none, or two."""
        opening = self.tokenizer.opening or (self._needed if self.made_here else ())
        if bos is None or (bos and opening):
            return opening
        return (_bos_token(self),) if bos else ()

    @property
    def made_here(self) -> bool:
        """Whether Assay made it, of a GGUF file."""
        return bool(self.about) and "commit" not in self.about

    @property
    def _needed(self) -> tuple[int, ...]:
        """The BOS token of families that need one, by config.json."""
        token = self.config.get("bos_token_id")
        return (token,) if self.architecture.bos and isinstance(token, int) else ()

    @cached_property
    def writing(self) -> Writing:
        """How it writes. Raises: ModelError."""
        return written_by.read(self.path, self.config)

    @property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end a text, as transformers takes them: those of generation_config.json
        or, where there is none, of config.json."""
        return self.writing.ends

    @cached_property
    def most_tokens(self) -> int:
        """How many positions the model reads at once, by its config.json."""
        limit = self.config.get("max_position_embeddings") or self.config.get("n_positions")
        return limit if isinstance(limit, int) else 2**31

    @property
    def layers(self) -> int:
        """Number of blocks."""
        return sizes.read_sizes(self.config)["layers"]

    def shape(self, site: Site) -> tuple[int, ...]:
        """Sizes of a site's axes after batch and sequence: (d,), (m,) or (h, e). Raises: ModelError
        for an absent site."""
        self.check(site)
        _, positions, *axes = site.dims.split()
        if positions != "s":
            raise ModelError(
                f"{site} has a number for each pair of positions, no vector for a token"
            )
        widths = sizes.read_sizes(self.config)
        if absent := [axis for axis in axes if not axis.isdigit() and axis not in widths]:
            raise ModelError(
                f"{site}: config.json of {self.name} does not say "
                f"{self.architecture.sizes.get(absent[0], absent[0])}"
            )
        return tuple(int(axis) if axis.isdigit() else widths[axis] for axis in axes)

    def width(self, site: Site) -> int:
        """Numbers per token at a site."""
        out = 1
        for size in self.shape(site):
            out *= size
        return out

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every site, in the order in which a forward pass meets them."""
        blocks = tuple(
            Site(kind, layer) for layer in range(self.layers) for kind in self.architecture.sites
        )
        before = BEFORE if self.architecture.pos_embed else BEFORE[:1]
        return (*map(Site, before), *blocks, *map(Site, AFTER))

    def check(self, site: Site) -> None:
        """Refuse a site that this model's blocks do not have, or whose layer is beyond the last
        block. Raises: ModelError."""
        _check_site(self, site)

    @property
    def mend(self) -> str:
        """What to do about a damaged folder."""
        if packaged := fetch.MODELS.get(self.name):
            return f"run `{packaged.command}` again"
        if "commit" in self.about and hub.parse(self.name):
            return f"run `assay fetch {self.name}` again"
        return "copy the folder again"

    def check_weights(self) -> None:
        """Raise ModelError where a file is missing or not whole, or where the weights are not those
        that config.json claims.

        Headers and settings are read, no weight; those of a model in memory are whole.
        """
        if self.live is not None:
            return
        if self.config.get("attn_implementation") not in (
            None,
            "eager",
            "sdpa",
        ):  # others may be code that transformers would download
            raise ModelError(
                f"{self.path / 'config.json'}: attn_implementation must be eager or sdpa, or absent"
            )
        self.writing.ends  # noqa: B018 (refused where they are no tokens)
        shapes = self.shapes()
        _check_shards(self)
        sizes.check_stored(self.config, shapes, self.path, self.mend)

    def shapes(self) -> dict[str, Sequence[int]]:
        """Read the shape of each stored tensor, from the files' headers. Raises: ModelError where a
        file is not whole."""
        shapes: dict[str, Sequence[int]] = {}
        for path in self.weights:
            try:
                with told_of_a_model(), safe_open(foreign.tensors(path), framework="numpy") as file:
                    shapes |= {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
            except (SafetensorError, OSError) as error:
                raise ModelError(
                    f"{path} is not a complete safetensors file ({str(error)[:80]}); {self.mend}"
                ) from error
        return shapes

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer. Raises: ModelError when tokenizer.json is damaged, or of a model
        with more tokens."""
        tokenizer, most = tokenizers.read(self.texts), sizes.read_sizes(self.config).get("v", 2**31)
        # tokens that were added later need no embedding: Gemma's of an image has none
        if (size := tokenizer.inner.get_vocab_size(with_added_tokens=False)) > most:
            raise ModelError(
                f"{self.texts / tokenizers.FILE} is another model's tokenizer: it has {size:,} "
                f"tokens, {self.name} reads {most:,}"
            )
        return tokenizer

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 that identifies the model: that of the GGUF file of one with a name, or one over
        config, tokenizer and weights; of one in memory that of what it holds now."""
        if self.live is not None:
            return self.live.fingerprint
        if self.adapter is not None:
            return self._adapted(self.adapter, self.adapter.base.fingerprint)
        if (
            self.name in fetch.MODELS and "gguf_sha256" in self.about
        ):  # of any other folder the weights may be others by now
            return str(self.about["gguf_sha256"])
        self.check_weights()  # before anything is planned with a broken model
        return self.content

    @property
    def content(self) -> str:
        """SHA-256 over config, tokenizer and weights as the files are now, whatever the model's
        name and its folder's path."""
        if self.live is not None:
            return self.live.fingerprint
        if self.adapter is not None:
            return self._adapted(self.adapter, self.adapter.base.content)
        parts = _hashes((self.path / "config.json", self.path / "tokenizer.json", *self.weights))
        parts += [json.dumps(more, sort_keys=True)] if (more := _more(self)) else []
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()

    @property
    def weights_content(self) -> str:
        """SHA-256 over the weights alone, as the files are now."""
        if self.live is not None:
            return self.live.fingerprint
        files = [*self.weights, *(self.adapter.files if self.adapter is not None else ())]
        return hashlib.sha256(" ".join(sorted(_hashes(files))).encode()).hexdigest()

    def _adapted(self, adapter: adapters.Adapter, base: str) -> str:
        """SHA-256 over the base's, by this hash, and the adapter's."""
        files = [*adapter.files]
        if self.texts != self.path:
            names = (tokenizers.FILE, *tokenizers.SETTINGS)
            files += [p for name in names if (p := self.texts / name).exists()]
        return hashlib.sha256(" ".join([base, *_hashes(files)]).encode()).hexdigest()

    @property
    def provenance(self) -> str:
        """What to call the model in a report, quantisation included: "SmolLM2-135M-Instruct, 4-bit
        Q4_1"."""
        return _provenance(self)


def _bos_token(folder: ModelFolder) -> int:
    token, named = folder.config.get("bos_token_id"), folder.tokenizer.bos
    if isinstance(token, int) and named not in (None, token):
        raise ModelError(
            f"{folder.name} has two BOS tokens: {token} in its config.json, {named} in its "
            "tokenizer_config.json; make them one"
        )
    bos = token if named is None else named
    if not isinstance(bos, int):
        raise ModelError(
            f"{folder.name} has no BOS token (bos_token_id in its config.json); read "
            "texts without one: --no-bos, in Python bos=False"
        )
    return bos


def _check_site(folder: ModelFolder, site: Site) -> None:
    if site.kind == "pos_embed" and not folder.architecture.pos_embed:
        raise ModelError(f"{site} does not exist: {folder.name} learned no positions")
    if site.layer is not None and site.kind not in folder.architecture.sites:
        why = folder.architecture.absent.get(site.kind)
        raise ModelError(
            f"{site} does not exist: "
            + (f"{why}; " if why else "")
            + f"blocks of {folder.architecture.name} have {', '.join(folder.architecture.sites)}"
        )
    if site.layer is not None and not 0 <= site.layer < folder.layers:
        raise ModelError(
            f"{site} does not exist: {folder.name} has {folder.layers} blocks, 0 to "
            f"{folder.layers - 1}"
        )


def _check_shards(folder: ModelFolder) -> None:
    """Refuse an index that leads out of the folder: transformers would follow it."""
    if not (index := folder.path / INDEX).exists():
        return
    parts = _json(index).get("weight_map")
    present_names = {path.name for path in folder.weights}
    if not isinstance(parts, dict) or not all(isinstance(part, str) for part in parts.values()):
        raise ModelError(f"{index} must name a file for each tensor in weight_map; {folder.mend}")
    if missing := sorted(set(parts.values()) - present_names):
        raise ModelError(
            f"{index} names {missing[0][:80]!r}, which is not a file of its folder; {folder.mend}"
        )


def _more(folder: ModelFolder) -> dict[str, Any]:
    """What changes its numbers in addition to these three files: nothing for most models, whose
    hashes are as they always were."""
    opening, writing = folder.beginning(), folder.writing
    settings_hash = folder.tokenizer.settings_hash
    ends = Writing("config.json", folder.config).ends
    return {
        **({"opening": opening} if opening != folder._needed else {}),
        **({"tokenizer": settings_hash} if settings_hash else {}),
        **({"ends": writing.ends} if writing.ends != ends else {}),
        **({"writing": writing.changes} if writing.changes else {}),
    }


def _provenance(folder: ModelFolder) -> str:
    if folder.live is not None:
        return folder.live.provenance
    if folder.adapter is not None:
        return f"{folder.adapter.base.provenance} with the adapter {folder.adapter.path.name}"
    if "commit" in folder.about:
        return f"{folder.about.get('name')}, commit {str(folder.about['commit'])[:12]}"
    if "quantisation" not in folder.about:
        return str(
            folder.about.get("name")
            or f"{folder.path.name} ({folder.architecture.name}, local folder)"
        )
    return (
        f"{folder.about['name']}, "
        f"{_SPOKEN.get(folder.about['quantisation'], folder.about['quantisation'])}"
    )


def _hashes(paths: Iterable[Path]) -> list[str]:
    """SHA-256 of each file; all files are noted as read, also where a hash is remembered."""
    return [_hash(foreign.regular(path), path.stat().st_mtime_ns) for path in paths]


@lru_cache(maxsize=64)
def _hash(path: Path, modified: int) -> str:
    return cache.sha256(path)


def _json(path: Path) -> dict[str, Any]:
    with told_of_a_model():
        return foreign.json_object(path)


COMPARED = 1000
"""Texts, at most, that are compared."""


def otherwise(folder: ModelFolder, texts: Sequence[str]) -> str:
    """Say which texts AutoTokenizer would cut otherwise, and that Assay goes by the file; "" where
    it would cut none, or cannot read the folder.

    Args:
        folder: a model's. Of one that Assay made of a GGUF file, and of one in memory, nothing is
            asked: there is no other reading of it.
        texts: those that are read, of which the first `COMPARED` are looked at.
    """
    if folder.made_here or folder.live is not None:
        return ""
    files = sorted(p for p in folder.texts.glob("*.json") if p.is_file())
    theirs = _auto(folder.texts, *((p.name, p.stat().st_mtime_ns) for p in files))
    if theirs is None:
        return ""
    lead = [] if folder.bos is not None else [*folder.tokenizer.opening]
    tried = [text for text in texts[:COMPARED] if text]
    try:
        ids = theirs(tried, add_special_tokens=folder.bos is None)["input_ids"] if tried else []
    except Exception:  # whatever a user's class raises: it tokenizes no text
        return ""
    differ = [
        text
        for text, cut in zip(tried, ids, strict=True)
        if cut != [*lead, *folder.tokenizer.encode(text)]
    ]
    if not differ:
        return ""
    first = differ[0] if len(differ[0]) <= 40 else differ[0][:39] + "…"
    return (
        f"transformers' AutoTokenizer ({type(theirs).__name__}) cuts {len(differ)} of {len(tried)} "
        f"texts otherwise than {tokenizers.FILE}, such as {first!r}; here they are cut as the file "
        "says"
    )


@lru_cache(maxsize=4)
def _auto(folder: Path, *files: tuple[str, int]) -> Any:
    """What AutoTokenizer makes of a folder as its files are now; None where it cannot."""
    from transformers import AutoTokenizer

    with tokenizers.silent():
        try:
            return AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # where Rust panics it is no Exception
            return None
