"""Models that only experiments need: Mamba, and the parts of small transformers by name."""
