"""Pages of small models that the catalogue adds to the explorer."""
