"""`check` and `check_probe`: a function with the thing, without it, and with every control."""
