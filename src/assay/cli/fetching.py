"""Downloads under a bar, for `assay fetch` and for the verbs that have --download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from assay.cli import printing
from assay.cli.options import Bare

if TYPE_CHECKING:
    from assay.verbs.fetch import Fetched


def fetch(name: str, accept_terms: bool, as_json: bool) -> Fetched:
    """Download a model or a dictionary; asks for its terms of use where somebody can answer."""
    from assay.cli.bar import Bar
    from assay.verbs import fetch as verb

    with Bar("fetch", "MB") as bar:
        return verb.fetch(
            name,
            progress=bar.say,
            bar=lambda done, total: bar(done // 10**6, total // 10**6),
            accept_terms=accept_terms or (not as_json and printing.accepted(verb.terms(name))),
        )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Network:
    """Whether anything is downloaded."""

    download: Annotated[bool, Bare] = False
    """Fetch first what is named and not here, the model and dictionaries, as `assay fetch` does."""

    def bring(self, as_json: bool, model: str | None, *dictionaries: str | None) -> None:
        """Download what is absent, if that is wanted."""
        if self.download:
            from assay.verbs.fetch import absent

            for name in absent(model, dictionaries):
                fetch(name, False, as_json)


OFFLINE = Network()
