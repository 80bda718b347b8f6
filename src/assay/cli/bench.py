"""`assay bench`: what this machine was measured to take, as a table."""

from __future__ import annotations

from assay.cli import printing
from assay.verbs.bench import Benched


def show(benchmark: Benched) -> None:
    """Print every piece of work with its times, then which machine that is of, and when it was
    measured."""
    numbers = ("median, ms", "fastest, ms", "× product")
    table = printing.grid("piece of work", *numbers, right=numbers)
    for row in benchmark.rows:
        table.add_row(
            row.name, f"{row.median_ms:.4g}", f"{row.min_ms:.4g}", f"{row.ratio_to_gemm:.3g}"
        )
    printing.draw(table)
    print()
    threads = "one thread" if benchmark.threads == 1 else f"{benchmark.threads} threads"
    took = "" if benchmark.seconds is None else f", in {benchmark.seconds:.0f} seconds"
    printing.say(
        f"{benchmark.cpu}, torch {benchmark.torch}: CPU-milliseconds of {threads}, measured "
        f"{benchmark.measured}{took}."
    )
    printing.say(
        "× product: over the encoder product of the same width and precision; of what is no "
        "dictionary's, over the large one in fp32."
    )
    printing.tell("assay plan goes by it. Measure once more: assay bench --again")
