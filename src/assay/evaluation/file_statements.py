"""What a dictionary's file says of its place, its model and its text, and where that is not what it
is measured on.

Whether a dictionary may be evaluated on a text: what is known of its training text, and which
documents are left."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from assay.core.errors import DataError, ModelError
from assay.data.corpus import DOCS, STDLIB, Corpus, load
from assay.dictionaries.dictionary import Dictionary
from assay.evaluation.setting import ReadingSetting
from assay.subjects import fetch
from assay.subjects.folder import ModelFolder, opening_in_words
from assay.subjects.site import Site

_MODULE = re.compile(
    r"(?:[\w.]+\.)?(?:layers|h|blocks)\.(\d+)(?:\.(mlp|attn|self_attn|attention))?"
)
_PARTS = {
    None: "resid_post",
    "mlp": "mlp_out",
    "attn": "attn_out",
    "self_attn": "attn_out",
    "attention": "attn_out",
}
_MODELS = ("model_name", "lm_name", "model_id", "base_model")
"""What libraries call the model's name in their settings."""
BOS_UNKNOWN = "its file does not say whether windows began with a BOS in training"
"""How the note on an assumed BOS begins."""
_LONGEST = 80
"""Characters that are shown of a name in a user's file."""


def of_text(origin: Mapping[str, Any]) -> dict[str, Any]:
    """What a dictionary's file says about its text: `context_size`, `prepend_bos`, its name,
    `dataset`, and the `part` of it, where it does."""
    statements: dict[str, Any] = {}
    for place in (origin.get("config"), origin.get("trained_on")):
        if isinstance(place, Mapping):
            statements |= {
                k: place[k] for k in ("context_size", "prepend_bos") if place.get(k) is not None
            }
            if isinstance(place.get("dataset_path"), str):
                statements["dataset"] = place["dataset_path"][:_LONGEST]
            if place.get("dataset_part") in ("train", "validation", "test"):
                statements["part"] = place["dataset_part"]
    if not isinstance(statements.get("context_size"), int) or statements.get("context_size", 0) < 2:
        statements.pop("context_size", None)
    return statements


def choose_bos(
    said: bool | None, origin: Mapping[str, Any], folder: ModelFolder
) -> tuple[bool, list[str]]:
    """Decide whether each text begins with the model's BOS token: as `said`, else as the
    dictionary's file says, else as its model's tokenizer does; with a note where neither said.

    Raises: ModelError when a BOS is wanted and the model has none."""
    stated, notes = of_text(origin).get("prepend_bos"), []
    silent = said is None and stated is None
    bos = bool(folder.beginning()) if silent else bool(stated if said is None else said)
    try:
        opening = folder.beginning(bos)
    except ModelError as error:
        if said is not None:
            raise
        raise ModelError(
            f"the dictionary's file says that a BOS comes first (prepend_bos: true), but {error}"
        ) from error
    if silent and bos:
        notes.append(
            f"{BOS_UNKNOWN}; they do here, {opening_in_words(folder, opening)}, as in the model's "
            "tokenizer; if they did not, add --no-bos, as the FVU would be too high"
        )
    elif silent and origin.get("format", "assay") != "assay" and _has_bos(folder):
        notes.append(
            f"{BOS_UNKNOWN}; they do not here; if they did, add --bos, as the FVU would be too high"
        )
    return bos, notes


def _has_bos(folder: ModelFolder) -> bool:
    try:
        return bool(folder.beginning(True))
    except ModelError:
        return False


def unread(origin: Mapping[str, Any]) -> list[str]:
    """Name the keys of a file's settings that Assay neither uses nor knows to change nothing."""
    names = [str(name)[:_LONGEST] for name in origin.get("unread", ())]
    if not names:
        return []
    return [f"its settings have fields that Assay neither uses nor knows: {', '.join(names)}"]


def of_place(dictionary: Dictionary) -> dict[str, str]:
    """What a dictionary's file says about its place and model: `site`, `site_out`, `model` by name,
    `model_sha256`; "" where it does not."""
    origin = dictionary.origin
    config, trained = (
        value if isinstance(value, Mapping) else {}
        for value in (origin.get("config"), origin.get("trained_on"))
    )
    trainer = config.get("trainer")
    settings = (config, trainer if isinstance(trainer, Mapping) else {})
    model_names = [
        value
        for place in settings
        for name in _MODELS
        if isinstance(value := place.get(name), str) and value.strip()
    ]
    digest = trained.get("model")
    return {
        "site": ", ".join(dictionary.sites)[:_LONGEST],
        "site_out": ", ".join(dictionary.sites_out)[:_LONGEST],
        "model": model_names[0].strip()[:_LONGEST] if model_names else "",
        "model_sha256": digest
        if isinstance(digest, str) and re.fullmatch(r"[0-9a-f]{64}", digest)
        else "",
    }


def warnings(stated: Mapping[str, str], setting: ReadingSetting, folder: ModelFolder) -> list[str]:
    """Say where a site that was given by hand, or the model, is not the one in the dictionary's
    file."""
    messages = []
    for name, option in (("site", "--site"), ("site_out", "--site-out")):
        requested_site, stated_site = getattr(setting, name), stated[name]
        if (
            requested_site
            and stated_site not in ("", "unknown")
            and _same(requested_site) != _same(stated_site)
        ):
            messages.append(
                f"{requested_site} was given ({option}), but its file says {stated_site}; it is "
                f"measured at {requested_site}"
            )
    if folder.fingerprint == stated["model_sha256"]:
        return messages
    if digest := stated["model_sha256"]:
        messages.append(
            f"it was trained on a model with another hash ({digest[:12]}…) than it is measured on, "
            f"{folder.provenance} ({folder.fingerprint[:12]}…)"
        )
    elif how := differs(stated["model"], folder) if stated["model"] else "":
        messages.append(
            f"its file names {stated['model']}, but it is measured on {folder.provenance}: {how}"
        )
    return messages


def unknown(stated: Mapping[str, str], folder: ModelFolder) -> list[str]:
    """Say that the named model and this one cannot be compared, where the folder does not tell
    which model it holds."""
    if (
        not stated["model"]
        or stated["model_sha256"]
        or differs(stated["model"], folder) is not None
    ):
        return []
    return [
        f"its file names the model {stated['model']}; it cannot be checked whether "
        f"{folder.provenance} is this model"
    ]


def site(name: str, text: str) -> Site:
    """Read a site by TransformerLens' name, or by that of a module, whose output it is: `layers.9`
    is the stream after block 9."""
    module = _MODULE.fullmatch(text)
    if module:
        return Site(_PARTS[module[2]], int(module[1]))
    try:
        return Site.parse(text)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error


def _same(text: str) -> Site | str:
    """One name for a place that has several: the stream after a block is the stream before the
    next."""
    try:
        parsed = site("", text)
    except ModelError:
        return text
    if parsed.kind == "resid_post" and parsed.layer is not None:
        return Site("resid_pre", parsed.layer + 1)
    return parsed


Part = Literal["all", "train", "validation", "test"]


def choose(
    name: str,
    trained_on: Mapping[str, Any] | None,
    corpus: Corpus,
    requested_part: Part | Literal["auto"],
    text_name: str = "",
    text_part: str = "",
) -> tuple[Part, str]:
    """The part of the corpus to evaluate on, and a sentence about why: what is known, or what
    cannot be.

    `trained_on` is what the dictionary's origin or run says: `corpus` (fingerprint), `part`, and
    `documents` (the first 12 hex digits of each one's hash) where it lists them. `text_name` and
    `text_part` are what else the file says of its text: of one by the same name the test part is
    read, or, where that was trained on, the validation part.

    Raises: DataError where documents of that part were trained on, naming one.
    """
    listed = (trained_on or {}).get("documents")
    documents = [str(d) for d in listed] if isinstance(listed, list | tuple) else []
    if not trained_on or not ("corpus" in trained_on or documents):
        return _by_name(name, corpus, requested_part, text_name, text_part)
    same = trained_on.get("corpus") == corpus.fingerprint
    part_then = str(trained_on.get("part", "all"))
    part: Part = requested_part if requested_part != "auto" else "test" if same else "all"
    if same and not documents and part_then == "all":
        raise DataError(
            f"{name} was trained on this text, all of it as far as is known; evaluate it on a "
            "text that it has not seen"
        )
    if same and not documents and part in ("all", part_then):
        raise DataError(
            f"{name} was trained on the {part_then} part of this text, so --part {part} "
            "would evaluate it on its training data; use --part "
            f"{'test' if part_then != 'test' else 'validation'}, or leave it out"
        )
    if overlapping := overlap(documents, corpus, part):
        chosen = len(corpus.part(part))
        raise DataError(
            f"{name} was trained on {len(overlapping)} of the {chosen} documents of this text "
            f"(such as {overlapping[0]}); take them out, or use --part test if that is the text "
            "it was trained on"
        )
    if same:
        return part, f"trained on the {part_then} part of this text; evaluated on the {part} part"
    if documents:
        return part, "trained on another text, with no document that is the same byte for byte"
    why = "which documents that had is not recorded, so some may be the same"
    return part, f"trained on another text; {why}"


def _by_name(
    name: str,
    corpus: Corpus,
    requested_part: Part | Literal["auto"],
    text_name: str,
    text_part: str,
) -> tuple[Part, str]:
    """The part of the corpus where the file says no more of its text than a name, if that. Raises:
    DataError."""
    named = f"its file names “{text_name}” as its text" if text_name else ""
    if text_name != corpus.name:
        unsaid = named or "its file does not say which text it was trained on"
        why = f"{unsaid}, so overlap with this text cannot be ruled out"
        return "all" if requested_part == "auto" else requested_part, why
    usual: Part = "validation" if text_part == "test" else "test"
    part = usual if requested_part == "auto" else requested_part
    if not text_part:
        of = f"its file says that it was trained on {text_name}, but not on which part"
        overlap = "on all of which" if part == "all" else f"if that included the {part} part, where"
        return part, f"{of}; {overlap} it is evaluated, the numbers are too good: use another text"
    if part in ("all", text_part):
        raise DataError(
            f"{name} was trained on the {text_part} part of this text, as its file says; use "
            f"--part {usual}, or leave it out"
        )
    read = f"trained on the {text_part} part of this text, as its file says"
    return part, f"{read}; evaluated on the {part} part"


_OTHER = re.compile(r"trained on (another text)[,;]|its file names (.+) as its text, so overlap")


def other_text(notes: Sequence[str]) -> str:
    """Name the text of a dictionary's training, where the sentence of `choose` is among these notes
    and says that it was another than it is read on; otherwise empty."""
    found = next((match for note in notes if (match := _OTHER.match(note))), None)
    return "" if found is None else found[1] or found[2]


def overlap(documents: Sequence[str], corpus: Corpus, part: Part) -> list[str]:
    """Paths of the documents of a part whose content was trained on."""
    known_documents = set(documents)
    return [
        corpus.documents[i].path
        for i in corpus.part(part)
        if corpus.documents[i].sha256[:12] in known_documents
    ]


def get_training_text(origin: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a dictionary's origin says about its training text; None: nothing."""
    trained_on = origin.get("trained_on")
    return trained_on if isinstance(trained_on, Mapping) else None


def training_text(origin: Mapping[str, Any]) -> str:
    """Name the text on which a dictionary was trained, if its file says that it is stdlib or docs;
    otherwise stdlib."""
    learned, named = get_training_text(origin) or {}, of_text(origin).get("dataset")
    same = "corpus" in learned and learned["corpus"] == load(DOCS).fingerprint
    return DOCS if same or named == DOCS else STDLIB


_UNSAID = re.compile(r"[-_. ](gguf|base|pt|hf|f16|f32|bf16|fp16|fp32)$", re.IGNORECASE)
"""Ends of names that say nothing of the model."""
_UNQUANTISED = ("F16", "F32", "BF16", "F64")
_ALIASES = {"gpt2-small": "gpt2"}
"""Other names that TransformerLens gives."""
_CACHED = re.compile(r"models--[^/]+?--([^/]+)")
"""A repository's folder in the cache of huggingface_hub."""


def plain_name(text: str) -> str:
    """A model's name in lower case, without whose it is and what says nothing of the model."""
    name = text.strip().rstrip("/").rpartition("/")[2].lower()
    while match := _UNSAID.search(name):
        name = name[: match.start()]
    return _ALIASES.get(name, name)


def differs(expected_name: str, folder: ModelFolder) -> str | None:
    """Say how this model differs from the one of that name, going by names; "" where it does not,
    None where the folder has no name.

    A folder may be called anything: its name can show that it is that model, but never that it is
    another."""
    stated = _stated(folder)
    # a bare name may be that of a model, and of a folder with another
    is_place = "/" in expected_name or not stated
    if is_place and expected_name.rstrip("/") == folder.name.rstrip("/"):
        return ""
    if packaged := fetch.MODELS.get(expected_name):
        if folder.about.get("gguf_sha256") == packaged.gguf_sha256:
            return ""
        expected_name = packaged.model
    names, expected = [*map(plain_name, stated or _called(folder))], plain_name(expected_name)
    quantised = _quantisation(folder)
    if quantised and f"{names[0]}-{quantised}" == expected:
        return ""
    if expected in names:
        return "a quantised version of it, by its name" if quantised else ""
    return "another model or another version of it, by its name" if stated else None


def _quantisation(folder: ModelFolder) -> str:
    """How the folder's files say that it is quantised; "" where it is not."""
    kind = str(folder.about.get("quantisation", ""))
    settings: Any = folder.config.get("quantization_config")
    if isinstance(settings, dict):
        return str(settings.get("quant_method", "quantised")).lower()
    return "" if kind in _UNQUANTISED else kind.lower()


def _stated(folder: ModelFolder) -> list[str]:
    """What the folder's files call the model; nothing where they do not."""
    origin = folder.config.get("_name_or_path")
    about_names = [str(folder.about["name"])] if folder.about.get("name") else []
    return about_names or (
        [origin]
        if isinstance(origin, str) and origin and not origin.startswith((".", "/", "~"))
        else []
    )


def _called(folder: ModelFolder) -> list[str]:
    """What the folder and those above it are called."""
    path = folder.path.absolute()
    cached = _CACHED.search(str(path))
    return [path.name, *([cached[1]] if cached else [])]
