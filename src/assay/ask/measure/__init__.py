"""Measure: prompts and a model to numbers: reads, interventions, directions, probes and trained
things, with the near controls of each, measured in few passes."""
