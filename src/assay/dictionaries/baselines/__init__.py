"""What stands beside sparse dictionaries: principal components, repairs in closed form."""
