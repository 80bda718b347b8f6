"""Circuits: explanations of small models as values, how they are found, and how they are held to
the model."""
