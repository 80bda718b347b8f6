"""A matrix learned as a product of factors: plain and deep linear networks, and their curves in
closed form."""
