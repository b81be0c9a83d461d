"""What there is to solve: paths between ends (boundary value), or from a start with a velocity (initial value)."""
