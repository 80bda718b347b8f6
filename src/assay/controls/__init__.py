"""Near controls: what is put in the place of what a claim credits. One table of small functions,
used by `assay.check`, by studies that ask a model, and by probes."""
