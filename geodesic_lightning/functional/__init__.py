"""What is bent to its least: the length p^(−α)|dx| and its geodesic equation, others in its place; measuring."""
