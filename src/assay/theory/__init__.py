"""What can be worked out about a small world without training: closed forms, exact optima, enumerations."""
