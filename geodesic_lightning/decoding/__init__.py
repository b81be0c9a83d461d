"""From the path back to frames: which places are shown, and how each becomes an image."""
