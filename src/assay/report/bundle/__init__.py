"""Bundle: one file that lets a sceptic judge a result again without Assay: the claims as data,
their numbers, and the code that judges."""
