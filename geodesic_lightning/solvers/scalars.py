"""What every solver says of its path, under the same names.

solve/<name> at every step, and once at the end for what a solver's steps do not say; final/<name> of
the outcome, measured in one way for all. docs/dashboard.md explains each.
"""

STEP = ("length", "energy", "residual", "predicted_excess", "score_evaluations", "seconds")
FINAL = (
    *("length", "length_start", "length_error", "energy", "log_density", "log_density_end"),
    *("residual", "score_evaluations", "seconds", "alpha", "strength", "converged"),
)
