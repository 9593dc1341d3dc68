"""Execute what a run's record says once more, on the same data, and compare every number and file."""
