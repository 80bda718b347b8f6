"""What a feature fires on and what it makes likelier, in words that can be wrong: rules that are
learned of its activations."""
