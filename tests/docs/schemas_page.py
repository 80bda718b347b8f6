"""docs/schemas/*.json, made of the types of verbs' results. Write them again with: python
tests/docs/schemas_page.py"""

import json
import sys
from pathlib import Path

from assay.cli.schemas import VERBS, document, moved

FILES = Path(__file__).parents[2] / "docs/schemas"


def text(verb: str) -> str:
    """The file of one verb."""
    return json.dumps(document(verb), indent=1, ensure_ascii=False) + "\n"


def unsaid() -> list[str]:
    """The verbs whose schema changed under the version that is committed."""
    return [
        verb
        for verb in VERBS
        if (there := FILES / f"{verb}.json").exists()
        and moved(json.loads(there.read_text()), document(verb))
    ]


def main() -> None:
    """Write what changed. Raises: SystemExit where a schema changed and its version did not."""
    if left := unsaid():
        sys.exit(
            f"the schema of {', '.join(left)} changed: raise its version where it is declared, "
            "then write it again"
        )
    FILES.mkdir(exist_ok=True)
    for old in FILES.glob("*.json"):
        if old.stem not in VERBS:
            old.unlink()
    for verb in VERBS:
        (FILES / f"{verb}.json").write_text(text(verb))


if __name__ == "__main__":
    main()
