"""Judge: verdicts on what is stored, what was frozen before, what was looked at when, and the
records made from it."""
