"""What Lightning is told: checkpoints a kill cannot spoil, several processes, quiet."""
