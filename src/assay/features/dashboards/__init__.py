"""Features as the files that other libraries' dashboards read."""
