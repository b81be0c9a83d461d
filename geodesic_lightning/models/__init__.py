"""Frozen models behind the same verbs: diffusion pipelines, the one of drawn cats, exact densities, one's own."""
