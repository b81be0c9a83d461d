"""Frozen models behind the same verbs: diffusion pipelines, the shipped one of drawn cats, exact densities, one's own."""
