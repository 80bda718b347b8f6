"""Small worlds whose truth is known, a room for each: its data, its model and what can be worked
out about it.

No world reads another, but for `networks`, which all may use.
"""
