"""Plan, run, store, judge, check: what carries out an experiment, and knows of none in
particular."""

from assay.lab.judge import (
    sources as sources,  # first: it notes what the files are like from which all else is imported
)
