"""What has to run, running it (here, Ray, SLURM), keeping it, freezing, verifying."""
