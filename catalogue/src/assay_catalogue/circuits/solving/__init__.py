"""Small models that are trained to solve a problem, then explained: one experiment for each
problem, of the same arms, measures and claims."""
