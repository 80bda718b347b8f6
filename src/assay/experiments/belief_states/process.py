"""Which process emits the tokens, and all its prefixes as a tree."""

from functools import lru_cache


@lru_cache
def hidden(process, x, alpha):
    """The process that emits the tokens. Raises: DataError for an impossible x or alpha."""
    from assay.worlds.hidden_markov.process import mess3, rrxor

    return rrxor() if process == "rrxor" else mess3(x, alpha)


@lru_cache(maxsize=8)
def prefixes_of(process, x, alpha, length):
    """The tree of all prefixes of at most this length."""
    return hidden(process, x, alpha).tree(length)


def tree_of(s, length):
    """The tree of prefixes for the process of a spec."""
    return prefixes_of(s.process, s.x, s.alpha, length)
