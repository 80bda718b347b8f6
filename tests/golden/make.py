"""What the product says, as JSON: a file for each case, in this folder.

    python tests/golden/make.py                  make the files that are not there
    python tests/golden/make.py judge --again    make these, even if they are there
    python tests/golden/make.py --check          run all cases, and compare them with their files

The models are needed (assay fetch smollm2, assay fetch gemma3-270m). All cases take half an hour on
one core. --work FOLDER keeps the store, so that what was interrupted is not run twice.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from cases import CASES

HERE = Path(__file__).parent


def file_of(name: str) -> Path:
    return HERE / f"{name}.json"


def rounded(x: Any) -> Any:
    """Give plain values with numbers of twelve digits; what is not finite is None."""
    if isinstance(x, float):
        return float(f"{x:.12g}") if math.isfinite(x) else None
    if isinstance(x, dict):
        return {str(key): rounded(value) for key, value in x.items()}
    return [rounded(value) for value in x] if isinstance(x, list | tuple) else x


def said(name: str, work: Path) -> dict[str, Any]:
    """Run a case in a folder, and give what its file holds."""
    case = CASES[name]
    work.mkdir(parents=True, exist_ok=True)
    return {"of": case.of, "rtol": case.rtol, **rounded(case.say(work))}


def scale(x: dict[str, Any], outer: float) -> float:
    """Give the size of what is claimed, by which its numbers and those of its controls may differ:
    of an interval the farther end."""
    own = [abs(v) for k in ("estimate", "low", "high") if isinstance(v := x.get(k), float | int)]
    return max([outer, *own])


def differing(
    was: Any, now: Any, rtol: float, at: str = "", size: float = 0.0
) -> Iterator[tuple[str, Any, Any]]:
    """Go through what differs between two answers: where, what it was and what it is."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in {**was, **now}:
            inner = scale(was, size) if at else 0.0
            yield from differing(was.get(key), now.get(key), rtol, f"{at}/{key}", inner)
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for k, (a, b) in enumerate(zip(was, now, strict=True)):
            yield from differing(a, b, rtol, f"{at}/{k}", size)
    elif isinstance(was, float) and isinstance(now, float | int):
        if not abs(was - now) <= rtol * max(abs(was), size):
            yield at, was, now
    elif was != now:
        yield at, was, now


def compare(name: str, work: Path) -> list[tuple[str, Any, Any]]:
    """Run a case, and list what differs from its file."""
    was = json.loads(file_of(name).read_text())
    return list(differing(was, said(name, work), was["rtol"]))


def main() -> int:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *CASES])
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--work", type=Path)
    given, wrong = parser.parse_args(), 0
    with tempfile.TemporaryDirectory(prefix="golden-") as passing:
        for name in given.names or CASES:
            work, began = given.work or Path(passing), time.monotonic()
            if given.check:
                found = compare(name, work.resolve())
                wrong += bool(found)
                for at, was, now in found:
                    print(f"{name}{at}: {was} -> {now}")
            elif given.again or not file_of(name).exists():
                text = json.dumps(said(name, work.resolve()), indent=1, ensure_ascii=False)
                file_of(name).write_text(text + "\n")
            print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
