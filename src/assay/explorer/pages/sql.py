"""SQL: a question in the reader's own words to the tables of one index, with every column
explained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import QueryParams

from assay.core.errors import DataError
from assay.explorer.library import Library
from assay.explorer.query_args import link
from assay.explorer.render import Shown
from assay.features.index import sql
from assay.features.index.about import Damaged
from assay.features.index.reader import Index
from assay.features.index.schema import TABLES

EXAMPLES = {
    (
        "rare features that help"
    ): "SELECT feature, density, importance, importance_low FROM features\nWHERE importance_low "
    "> 0 AND density < 0.01\n"
    "ORDER BY importance DESC",
    (
        "features of one token"
    ): "SELECT f.feature, t.text, f.token_share, f.density FROM features f JOIN tokens t USING "
    "(token)\n"
    "WHERE f.token_share > 0.9 ORDER BY f.firings DESC",
    (
        "promotes what it fires on"
    ): "SELECT f.feature, t.text, l.logit FROM features f JOIN logits l ON l.feature = f.feature "
    "AND l.token = f.token\n"
    "JOIN tokens t ON t.token = f.token WHERE l.sign = 1 ORDER BY l.logit DESC",
    ("features in few documents"): (
        "SELECT feature, documents, firings FROM features WHERE firings >= 20 ORDER BY documents, "
        "firings DESC"
    ),
}


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown:
    """Answer a question, or say in one line why not, and show what can be asked."""
    index = library.index(path_params["model"], path_params["dictionary"])
    base, question = f"{path_params['model']}/{path_params['dictionary']}", query.get("q", "")
    answer, error = None, ""
    if question.strip():
        try:
            answer = sql.ask(index.folder, question)
        except Damaged:
            raise
        except DataError as refused:
            error = str(refused)
    values: dict[str, Any] = {
        "dictionary": base,
        "about": index.about,
        "q": question,
        "answer": answer,
        "error": error,
        "limits": {"rows": sql.ROWS, "seconds": sql.SECONDS, "memory": sql.MEMORY},
    }
    examples = [
        (name, text, link(f"/{base}/sql", [("q", text)])) for name, text in EXAMPLES.items()
    ]
    links = answer.columns.index("feature") if answer and "feature" in answer.columns else -1
    drawings = {"tables": TABLES, "examples": examples, "links": links}
    return Shown("sql.html", values, drawings | {"texts": _texts(index, answer)})


def _texts(index: Index, answer: sql.Answer | None) -> dict[int, dict[Any, list[str]]]:
    """What the cells in columns of token ids say, by the column's place."""
    texts: dict[int, dict[Any, list[str]]] = {}
    for i, name in enumerate(answer.columns if answer else ()):
        if answer is not None and name in ("token", "tokens"):
            cells = {
                row[i]: [int(n) for n in re.findall(r"\d+", str(row[i]))] for row in answer.rows
            }
            words = index.words({n for ids in cells.values() for n in ids})
            texts[i] = {cell: [words[n] for n in ids] for cell, ids in cells.items()}
    return texts
