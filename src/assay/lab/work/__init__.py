"""Groups of runs on their way into a store: who is handed what, and who is told."""
