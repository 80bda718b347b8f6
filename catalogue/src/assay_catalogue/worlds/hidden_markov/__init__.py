"""Tokens of a process with a hidden state: its exact Bayes filter, its prefixes, and what a belief
decides."""
