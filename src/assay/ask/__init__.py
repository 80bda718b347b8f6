"""Ask: what one says in a method section about a named model, as values: prompts, reads,
directions, interventions, probes, with the near controls of each, measured in few passes."""
