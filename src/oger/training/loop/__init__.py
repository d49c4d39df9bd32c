"""What keeps the loop whole: data, checkpoints, numbers that are not finite."""
