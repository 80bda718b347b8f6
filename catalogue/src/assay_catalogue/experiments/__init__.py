"""The catalogue: an experiment in each file or folder, found by being there."""
