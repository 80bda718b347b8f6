"""Training: losses, their gradients, what is learned beside descent, one pass for many
dictionaries."""
