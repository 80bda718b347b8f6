"""Near controls: what replaces the part that a claim credits. One table of small functions, used by
`assay.check`, by studies of models, and by probes."""
