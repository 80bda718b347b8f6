"""Tokens of a process with a hidden state: its exact Bayes filter, its prefixes, and what a belief decides."""

from assay.core.lazy import modules

__getattr__, __dir__ = modules(__name__, __path__)
