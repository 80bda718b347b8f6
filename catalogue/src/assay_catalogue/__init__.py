"""The catalogue: what papers and comments claim about small models, as experiments that `assay run`
finds by name."""
