"""The frozen models, behind the same verbs: diffusion pipelines, exact densities, the shipped model of drawn cats."""
