"""What is asked for, what of it is missing, in which order it is done, and how long it takes."""
