"""Two functions for a study: one that reads a number, and one that makes a change."""


def surprise(logits, tokens):
    """Mean loss over the prompt's tokens. logits: [b, token, vocabulary], tokens: [token]."""
    log_probs = logits.log_softmax(-1)[:, range(len(tokens) - 1), tokens[1:]]
    return -log_probs.mean(-1)


def halved(x):
    """Half of the activations at the site."""
    return x / 2
