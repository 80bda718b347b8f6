"""What stands beside sparse dictionaries: principal components, k-means, repairs in closed form."""
