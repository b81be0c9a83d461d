"""What tests of morphs share."""

import torch

from geodesic_lightning.decoding.decoder import Decoder
from geodesic_lightning.decoding.morphs.decoder import MorphDecoder
from geodesic_lightning.geometry.manifold import Euclidean
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.score.condition import Condition


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def decoder(model, **settings):
    """A MorphDecoder of two ends of noise, the plain one of the same, and the path between the ends."""
    condition = Condition(*model.embed(["a cat", "cat"]))
    ends = random(2, *model.latent_shape, seed=1)
    path = Path(ends[0], ends[1], Euclidean(), 4)
    norms = ends.flatten(1).norm(dim=-1)
    made = MorphDecoder(model, condition, None, norms, clean=0.5 * ends, **settings)
    return made, Decoder(model, condition, None, norms), path
