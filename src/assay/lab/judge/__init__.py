"""Verdicts on what is stored, what was frozen before, and what was looked at when."""
