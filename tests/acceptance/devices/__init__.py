"""What needs a device that is not the CPU."""
