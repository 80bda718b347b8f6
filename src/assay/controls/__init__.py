"""What a claim can credit, and what stands in for it, each with its reason: `things` and `material`
have the classes, `table` every control, `vectors` and `picks` what is drawn."""
