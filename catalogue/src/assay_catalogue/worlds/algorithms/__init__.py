"""Algorithmic tasks for small transformers: how inputs are drawn, what the answer is, and models
that have the answer by construction."""
