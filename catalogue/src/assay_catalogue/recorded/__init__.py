"""Records over several experiments: series, and contests of recorded claims."""
