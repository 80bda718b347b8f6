"""Features: probes, answers, labels and training measures that only experiments need."""
