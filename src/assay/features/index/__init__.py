"""A dictionary's features on a text, as tables on disk: made in one pass over the text, read by
pages, terminal and Python alike."""
