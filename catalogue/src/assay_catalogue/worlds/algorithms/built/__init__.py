"""Transformers whose weights are written down, not trained: what they do, and through which parts,
is known."""
