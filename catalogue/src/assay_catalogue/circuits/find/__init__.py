"""Ways to find a circuit, each of them one question put to one decoder: `question` says what all
are asked."""
