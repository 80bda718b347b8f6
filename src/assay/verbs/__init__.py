"""Verbs: what a person can ask of Assay, a function each, with typed results; whoever prints them decides nothing."""
