"""How results look in a notebook: figures as pictures, results and judged claims as tables. Registered when `assay` is imported in one."""

from __future__ import annotations

import sys
from typing import Any


def register() -> bool:
    """True when an IPython shell runs and now shows Figure, Result, Judged and Evaluation; nothing of ours is imported before it is shown."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None:
        return False
    html = shell.display_formatter.formatters["text/html"]
    html.for_type_by_name("assay.core.figures", "Figure", figure)
    html.for_type_by_name("assay.lab.result", "Result", result)
    html.for_type_by_name("assay.core.claims", "Judged", judged)
    html.for_type_by_name("assay.evaluation.result", "Evaluation", evaluation)
    return True


def figure(shown: Any) -> str:
    """The figure as inline SVG."""
    from assay.report.draw import svg

    return svg(shown)


def result(shown: Any) -> str:
    """The verdict table, and below it the figures."""
    return _table(shown.to_json()) + "".join(map(figure, shown.figures))


def judged(shown: Any) -> str:
    """The verdict table of one claim."""
    return _table({"verdicts": [shown.to_json()], "exact": [], "findings": []})


def evaluation(shown: Any) -> str:
    """The measures of every dictionary side by side, and below them the trade-off."""
    from assay.report.evaluations import markdown
    from assay.report.pages import prose

    return str(prose(markdown(shown.to_json()))) + figure(shown.figure)


def _table(data: dict[str, Any]) -> str:
    from assay.report.pages import prose
    from assay.report.tables import markdown

    return str(prose(markdown(data)))
