"""Measure: from prompts and a model to numbers. Reads, interventions, directions, probes and
trained models and dictionaries, with the near controls of each, measured in few passes."""
