"""Where numbers go beside files: Weights & Biases, TensorBoard, and the dashboard over many runs."""
