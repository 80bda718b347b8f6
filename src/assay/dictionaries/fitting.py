"""Fitting: a dictionary as its file means it in a model: where the names of places that its library
uses lie in this family, and what its settings ask to be done to the model first. Obeyed, or
refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from assay.core.errors import DataError, ModelError
from assay.dictionaries.dictionary import Dictionary
from assay.subjects.folder import ModelFolder
from assay.subjects.site import Site

LOADED_WITH = "model_from_pretrained_kwargs"
"""What SAELens' settings say of how TransformerLens loads the model."""
STREAM = ("embed", "pos_embed", "resid_pre", "resid_mid", "resid_post")
WRITES = ("attn_out", "mlp_out", "result")
CHANGED: Mapping[str, tuple[str, ...]] = {
    "refactor_factored_attn_matrices": ("q", "k", "v", "rot_q", "rot_k", "z"),
    "fold_value_biases": ("v", "z"),
}
"""What changes activations at these kinds of site, by weights that no file of a dictionary has."""
OBEYED = ("center_writing_weights", "fold_ln", *CHANGED)
"""What is obeyed or refused of what settings ask to be done to the model."""


def loaded_with(origin: Mapping[str, Any]) -> dict[str, Any]:
    """What the settings of a dictionary ask to be done to the model first, where they ask for
    something."""
    config = origin.get("config")
    stated = config.get(LOADED_WITH) if isinstance(config, Mapping) else None
    asked = stated if isinstance(stated, Mapping) else origin.get("loaded_with", {})
    return {name: value for name, value in asked.items() if value not in (None, False)}


def fitted(name: str, dictionary: Dictionary, folder: ModelFolder) -> Dictionary:
    """The dictionary as its file means it in this model: its sites by Assay's names, activations
    less their own mean where the file asks for centred writing weights.

    Args:
        name: what it is called in a refusal.
        dictionary: as its file has it.
        folder: the model's.
    Raises: DataError where this model, or the dictionary's place, does not allow what the file
        asks for.
    """
    asked, config = loaded_with(dictionary.origin), dictionary.origin.get("config")
    if isinstance(config, Mapping) and config.get("hook_head_index") is not None:
        raise DataError(
            f"{name}: hook_head_index {config['hook_head_index']}: it is of one head alone, and "
            "Assay has no site of one head"
        )
    try:
        reads = tuple(_placed(s, dictionary, folder, asked, out=False) for s in dictionary.sites)
        writes = tuple(
            _placed(s, dictionary, folder, asked, out=True) for s in dictionary.sites_out
        )
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    fit = replace(dictionary, sites=reads, sites_out=writes)
    if not asked.get("center_writing_weights") or not folder.architecture.layer_norm:
        return fit  # TransformerLens centres nothing where norms do not take out the mean
    kinds = [site.kind for text in (*reads, *writes) if (site := _parsed(text)) is not None]
    if not set(kinds) & {*STREAM, *WRITES}:
        return fit
    if writes or "result" in kinds or dictionary.per_token == "length":
        raise DataError(
            f"{name}: its file requires center_writing_weights, which Assay supports for "
            f"dictionaries that reconstruct one site of the stream, not for {' and '.join(kinds)}"
        )
    return fit if dictionary.per_token else replace(fit, per_token="mean")


def _parsed(text: str) -> Site | None:
    try:
        return Site.parse(text)
    except ModelError:  # refused where the place is asked for
        return None


def _placed(
    text: str, dictionary: Dictionary, folder: ModelFolder, asked: Mapping[str, Any], *, out: bool
) -> str:
    """The site that a name in a file means in this model. Raises: DataError."""
    site, origin, family = _parsed(text), dictionary.origin, folder.architecture
    if site is None:
        return text
    kind, form = site.kind, origin.get("format")
    if _of_module(origin, out=out):
        if kind == "ln2_normalized":  # as imported by versions that took both places for one
            kind = "mlp_in"
        if kind in ("mlp_out", "attn_out") and f"{_NORMED[kind]}_post_scale" in family.kinds:
            raise DataError(
                f"it is of what the module itself returns, and {family.name} norms that before it "
                f"is added; Assay has the normed one alone, {site}"
            )
    elif form == "saelens":  # its places have TransformerLens' names, and mean what they mean there
        kind = _of_lens(kind, site, folder, asked)
    return str(site if kind == site.kind else Site(kind, site.layer))


_NORMED = {"attn_out": "ln1", "mlp_out": "ln2"}


def _of_module(origin: Mapping[str, Any], *, out: bool) -> bool:
    """Whether a file means what a module reads or returns, and no place of TransformerLens."""
    if origin.get("architecture") == "gemma-scope-2":  # whose target is behind the last norm
        return not out
    return origin.get("format") == "sparsify"


def _of_lens(kind: str, site: Site, folder: ModelFolder, asked: Mapping[str, Any]) -> str:
    """The kind of site that TransformerLens means by this one. Raises: DataError."""
    folded, after = bool(asked.get("fold_ln")), folder.architecture.layer_norm
    if kind == "ln2_normalized" and after and not folded:
        return "mlp_in"  # its LayerNorm has the hook behind weight and bias
    if kind == "mlp_in" and folded:
        return "ln2_normalized"
    if kind == "final_norm" and (folded or not after):
        raise DataError(
            f"{site} lies before the norm's weight in TransformerLens, and behind it in Assay"
        )
    for name, kinds in CHANGED.items():
        if asked.get(name) and kind in kinds and (name != "fold_value_biases" or _biased(folder)):
            raise DataError(f"its file asks for {name}, which changes {site}; Assay does not")
    return kind


def _biased(folder: ModelFolder) -> bool:
    ends = ("v_proj.bias", "c_attn.bias", "query_key_value.bias", "qkv_proj.bias")
    return any(name.endswith(ends) for name in folder.shapes())
