"""What a loaded model and dictionary answer about one text: which features fire, which matter, and
what changing them does.

A `Reader` reads a text once; every other function takes that `Reading`. All numbers of
cross-entropy are in nats, with the sign of `features/importance.py`: above 0 the feature helps. A
model answers one call at a time, since its modules carry the hooks."""
