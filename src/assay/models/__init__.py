"""Open a model, name its sites, capture, edit, generate."""
