"""Groups of runs on their way into a store: which process gets which, and what is reported."""
