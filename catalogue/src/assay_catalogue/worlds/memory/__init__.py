"""Corpora in which it is planted what has to be memorised: subsets, models of them, what removing
documents costs, closed forms."""
