"""Features: what single features of a dictionary do, and how that is shown, explained and rated."""
