"""Addition modulo a prime: pairs, networks that learn it, their frequencies, and what a circuit for
it costs."""
