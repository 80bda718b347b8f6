"""Work: groups of runs on their way into a store: which process gets which, and what it reports."""
