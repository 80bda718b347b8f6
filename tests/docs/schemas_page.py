"""docs/schemas/*.json and docs/schemas.md, made of the types of verbs' results. Write them again
with: python tests/docs/schemas_page.py"""

import json
import sys
from pathlib import Path

from assay.verbs.schemas import VERBS, document, moved

PAGE = Path(__file__).parents[2] / "docs/schemas.md"
FILES = PAGE.with_suffix("")
HEAD = """# What verbs give: types and schemas

Every verb of the command line is a function with a typed result. `assay VERB --json` prints that result and nothing else. Its JSON schema is a file
here, so that a program can check what it reads and make types of it.

```bash
assay plan superposition --preset smoke --json > planned.json
```

```python
import json
from pathlib import Path

from jsonschema import Draft202012Validator

from assay.verbs.schemas import document

planned = json.loads(Path("planned.json").read_text())
Draft202012Validator(document("plan")).validate(planned)
```

## The same in a notebook

A notebook calls the functions themselves. What is asked for is found by its name, as the command line does; a result has fields, and `to_json` gives
what `--json` prints.

```python
from assay.core.schema import to_json
from assay.lab.catalogue import find
from assay.lab.lab import Lab
from assay.lab.preset import override
from assay.verbs.plan import plan

lab = Lab("assay-store")
experiment = find("superposition")
preset = override(experiment, "smoke", ["steps=10"])
found = plan(lab, experiment, preset)
assert found.missing == 14
assert to_json(found)["experiment"] == "superposition"
```

`assay.verbs.verdicts.run(lab, experiment, preset)` trains and judges, and `show` judges what is stored; both give plain values whose keys are typed
(`assay.core.told.ToldResult`).

## The verbs

Files are written by `python tests/docs/schemas_page.py`. The `$id` of each ends with its version. A schema that changes gets another version, in
`src/assay/verbs/schemas.py`: the script refuses to write it otherwise, and a test fails.

| verb | what it answers | functions | schema | version |
|---|---|---|---|---|
"""  # noqa: E501


def page() -> str:
    """The whole page."""
    rows = []
    for verb, one in VERBS.items():
        functions = ", ".join(
            f"`{name if name.startswith('assay.') else f'assay.verbs.{name}'}`"
            for name in one.functions
        )
        rows.append(
            f"| `{verb}` | {one.answers} | {functions} | [{verb}.json](schemas/{verb}.json) | "
            f"{one.version} |"
        )
    return HEAD + "\n".join(rows) + "\n"


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
            f"the schema of {', '.join(left)} changed: raise its version in "
            "src/assay/verbs/schemas.py, then write it again"
        )
    FILES.mkdir(exist_ok=True)
    for old in FILES.glob("*.json"):
        if old.stem not in VERBS:
            old.unlink()
    for verb in VERBS:
        (FILES / f"{verb}.json").write_text(text(verb))
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
