"""Lab: it plans, runs and judges experiments, and knows of none in particular. Of its rooms
(engines, work, judge, plan, records, store) each imports only those that come after it."""

from assay.lab.judge import (
    kept as kept,  # first: it notes what the files are like from which all else is imported
)
