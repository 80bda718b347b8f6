"""Training: losses, their gradients, updates other than descent, one pass for many dictionaries."""
