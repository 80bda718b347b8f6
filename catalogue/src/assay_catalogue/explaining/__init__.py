"""What a feature fires on and what it makes likelier, in words that can be wrong: rules learned
offline, or an endpoint's sentences."""
