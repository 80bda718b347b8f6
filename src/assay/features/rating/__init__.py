"""Blinded rating: does what a feature fires on have one meaning, judged by someone who does not
know whose feature it is."""
