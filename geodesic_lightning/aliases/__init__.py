"""Former places of what people run with `python -m`; each only calls where it went. Kept until 0.3.

The package finds these under their former names: `python -m geodesic_lightning.dashboard` and so on.
"""
