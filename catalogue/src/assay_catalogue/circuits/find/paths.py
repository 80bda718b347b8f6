"""Path patching: what the number loses when one path alone carries the other writing, and
everything beside it stays as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jaxtyping import Float

from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.decoder import Params
from assay_catalogue.circuits.find.question import Question
from assay_catalogue.subjects.parts import Apart, Part, Reader, earlier, readers, run_by_parts


@dataclass(frozen=True, order=True)
class Path:
    """A part and the readers that its writing passes, such as `a0.0 → a1.0.k → logits`; `str()` and
    `parse` are inverse.

    Each reader's part writes anew, and the next reader alone is shown that. What ends at the logits
    is a direct path. What ends elsewhere is the whole effect through its last edge: all that comes
    after goes on from there."""

    start: Part
    through: tuple[Reader, ...]

    def __str__(self) -> str:
        return " → ".join(map(str, (self.start, *self.through)))

    @classmethod
    def parse(cls, text: str) -> Path:
        """The path that a text names. Raises: ModelError."""
        start, *through = (name.strip() for name in text.split("→"))
        if not through:
            raise ModelError(
                f"no path {text!r}; a path is a part and readers, such as a0.0 → a1.0.k → logits"
            )
        return cls(Part.parse(start), tuple(map(Reader.parse, through)))


def paths(params: Params, start: Part) -> tuple[Path, ...]:
    """Give every path from a part to the logits."""

    def onward(part: Part, gone: tuple[Reader, ...]) -> Iterator[Path]:
        for reader in readers(params):
            # A part is read by later readers alone, so that every path ends.
            if part not in earlier(params, reader):
                continue
            if (next_part := reader.of) is None:
                yield Path(start, (*gone, reader))
            else:
                yield from onward(next_part, (*gone, reader))

    return tuple(onward(start, ()))


def path_effects(q: Question, path_list: Sequence[Path]) -> Float[torch.Tensor, "run path b"]:
    """Give what the number of each input loses when one path carries the donor's writing.

    Beginnings that paths share are worked out once. Raises: ModelError for a path with an edge that
    is not there.
    Source: Wang et al. 2022 (arXiv 2211.00593); Goldowsky-Dill et al. 2023 (arXiv 2304.05969).
    """
    carried: dict[Path, torch.Tensor] = {}

    def changed(path: Path) -> Float[torch.Tensor, "run b s d"]:
        """What the last part of a path writes anew; of a path of one edge its start is given the
        donor's writing."""
        if path not in carried:
            last = path.through[-1].of
            assert last is not None  # logits end a path
            # Of that pass this one part's writing alone is used: what other parts made of the
            # change belongs to other paths.
            carried[path] = run_path(path).wrote[last]
        return carried[path]

    def run_path(path: Path) -> Apart:
        """The pass in which the last reader of a path is shown what the path carries."""
        *before, last = path.through
        if any(reader.of is None for reader in before):
            raise ModelError(f"nothing reads the logits, and {path} goes on from there")
        start = before[-1].of if before else path.start
        assert start is not None
        # Recursive: what a path carries to its last reader is what its beginning makes the part
        # before write anew.
        new = changed(Path(path.start, tuple(before))) if before else q.donor[start]
        return run_by_parts(q.params, q.tokens, q.activation, read={(start, last): new})

    with torch.no_grad():
        return torch.stack([q.full - q.measured(run_path(path).logits) for path in path_list], 1)
