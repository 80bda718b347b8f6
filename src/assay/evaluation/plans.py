"""What evaluating one dictionary on text will do: where it reads and writes, on which windows, and
what was assumed. Nothing is run."""

from __future__ import annotations

from dataclasses import dataclass

from assay.core.errors import DataError, ModelError
from assay.data.corpus import Corpus
from assay.dictionaries.dictionary import Dictionary
from assay.evaluation import file_statements
from assay.evaluation.setting import EvaluationSiteSpec, EvaluationTextSpec, Setting
from assay.evaluation.sources import Source
from assay.evaluation.text import check_context, most_tokens
from assay.subjects.folder import ModelFolder
from assay.subjects.site import Site

CONTEXT = 128


@dataclass(frozen=True, eq=False)
class Plan:
    """One dictionary with everything that is settled before the first pass."""

    source: Source
    site: EvaluationSiteSpec
    notes: tuple[str, ...]

    @property
    def text(self) -> EvaluationTextSpec:
        """The windows it is measured on."""
        assert self.site.of is not None
        return self.site.of


def plan(source: Source, setting: Setting, folder: ModelFolder, corpus: Corpus) -> Plan:
    """What evaluating this dictionary will do.

    Raises: DataError or ModelError where model and dictionary do not fit together, or it was
    trained on this text."""
    dictionary = source.dictionary
    reads, writes = sites(source.name, dictionary, setting, folder)
    stated_text = file_statements.of_text(dictionary.origin)
    usual = min(CONTEXT, most_tokens(folder))
    context, notes = setting.context or stated_text.get("context_size") or usual, []
    if setting.context is None and "context_size" not in stated_text:
        notes.append(f"its file does not say its context; {usual} tokens were used (--context)")
    bos, of_bos = file_statements.choose_bos(setting.bos, dictionary.origin, folder)
    check_context(folder, context, setting.context is not None)
    part, why = file_statements.choose(
        source.name,
        file_statements.get_training_text(dictionary.origin),
        corpus,
        setting.part,
        stated_text.get("dataset", ""),
    )
    text_spec = EvaluationTextSpec(
        seed=setting.seed,
        model=folder.fingerprint,
        corpus=corpus.fingerprint,
        part=part,
        tokens=setting.tokens,
        context=context,
        bos=bos,
    )
    site = EvaluationSiteSpec(
        seed=setting.seed,
        of=text_spec,
        site=str(reads),
        site_out=str(writes),
        dtype=setting.dtype,
        skip_first=setting.skip_first,
        outlier=setting.outlier,
        ablation_tokens=setting.ablation_tokens,
    )
    return Plan(source, site, (*notes, *of_bos, why))


def sites(
    name: str, dictionary: Dictionary, setting: Setting, folder: ModelFolder
) -> tuple[Site, Site]:
    """Where the dictionary reads and writes in this model: as the setting says, else as its file
    does.

    Raises: DataError or ModelError where neither says, the model has no such site, or its width is
    another."""
    site_names = (setting.site,) if setting.site else dictionary.sites
    if len(site_names) > 1:
        raise DataError(
            f"{name} reads {len(site_names)} sites at once ({', '.join(site_names)}); only "
            "dictionaries "
            "of one site are evaluated"
        )
    if not site_names:
        raise DataError(
            f"{name} does not say where its activations come from; say so with --site, such "
            "as blocks.9.hook_resid_post"
        )
    reads = file_statements.site(name, site_names[0])
    out = setting.site_out or next(iter(dictionary.sites_out), "")
    writes = file_statements.site(name, out) if out else reads
    for site, width, does in (
        (reads, dictionary.W_enc.shape[1], "reads"),
        (writes, dictionary.W_dec.shape[-1], "writes"),
    ):
        try:
            model_width = folder.width(site)
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from error
        if model_width != width:
            raise DataError(
                f"{name} {does} {width} numbers per token, {folder.name} has {model_width} at "
                f"{site}; is this its model and site?"
            )
    return reads, writes
