"""Losses whose learning coefficient is known, and Langevin chains on them."""
