"""Functions that a study reads and changes with."""


def surprise(logits, tokens):
    """Mean loss over the prompt's tokens, under each change: logits [b, token, vocabulary]."""
    logs = logits.log_softmax(-1)[:, range(len(tokens) - 1), tokens[1:]]
    return -logs.mean(-1)


def halved(x):
    """Half of what the site has."""
    return x / 2
