"""Section: what the catalogue adds to the explorer, a page for each small model. Importing it loads
none of them."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import QueryParams

from assay.explorer.library import Library
from assay.explorer.render import Shown
from assay.explorer.sections import Address, Section


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown:
    """List the small models of a store."""
    from assay_catalogue.pages import circuits

    return circuits.page(library, path_params, query)


def show_circuit(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown:
    """Show one small model."""
    from assay_catalogue.pages import circuits

    return circuits.show_circuit(library, path_params, query)


def style() -> str:
    """Show of all inputs and heads those that are chosen, without a script."""
    from assay_catalogue.circuits.picture.maps import EXAMPLES, HEADS

    inputs = (
        f"#attention:has(#input-{i}:checked) .input:not(.i{i}){{display:none}}"
        for i in range(EXAMPLES + 1)
    )
    heads = (
        f"#attention:has(#head-{i}:checked) .head:not(.h{i}){{display:none}}"
        for i in range(1, HEADS + 1)
    )
    return "".join((*inputs, *heads))


section = Section(
    "/circuits",
    "small models",
    (Address("/circuits", page), Address("/circuits/{name}", show_circuit, live=True)),
    style,
)
