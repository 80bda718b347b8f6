"""Test cases with known answers for interpretability libraries, and the code that runs
them.

A vector is data: a question, its inputs, the right answer and where that comes from
(`vectors`). Answers come from your own functions (`functions`), or from a library
through an adapter that runs in the library's environment (`adapters`, `runner`).
`outcomes` compares them with the right answers. `pytest -p assay_vectors` loads the
pytest plugin."""

__version__ = "0.3.0"
pytest_plugins = ["assay_vectors.plugin"]
