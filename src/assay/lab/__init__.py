from assay.lab import sources as sources  # first: it notes what the files are like from which all else is imported
