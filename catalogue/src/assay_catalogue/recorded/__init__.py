"""Records over several experiments: series, and contests that somebody put to a recorded claim."""
