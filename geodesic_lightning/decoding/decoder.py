"""From the path back to images: u → latent → clean latent → image.

Given images differ a little from what is decoded at their places. `ends` says what a film shows:

    given      the given images at their places, and what is decoded beside them
    decoded    what is decoded, everywhere
    blended    the given images at their places; their difference fades out beside them (blend.py). It
               is taken from what the autoencoder makes of them, where their clean latents are known:
               on the drawn cats the same to 60 dB as from what comes down the ODE, 40 for the
               coarsest samplers

On a sphere the path has one radius, the images' latents had their own; latents are decoded at a
radius that goes evenly from one to the next, so that nothing changes where the images are. So it is
with whatever else a manifold holds.

Probable latents are darker than the images between which they lie. `colours` says whose channel statistics
the clean latents have: those of the `path`, or those that go evenly from one given image's to the next
(`ends`, adain.py), which takes no pass more.
"""

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from geodesic_lightning.decoding.adain import adain
from geodesic_lightning.decoding.between import between
from geodesic_lightning.decoding.blend import weights
from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.rescaling import transformed
from geodesic_lightning.protocols import AnyCondition, AnyPath, Model

ENDS = ("given", "decoded", "blended")
COLOURS = ("path", "ends")


def plain(
    model: Model,
    condition: AnyCondition,
    given: Tensor | None,
    norms: Tensor,
    places: Sequence[float],
    clean: Tensor | None,
    ends: str = "blended",
    colours: str = "path",
) -> "Decoder":
    """The maker of decoder=plain."""
    return Decoder(model, condition, given, norms, places, ends=ends, clean=clean, colours=colours)


class Decoder:
    """Images along a path.

    Args:
        model: the model with denoise and decode.
        condition: prompts along the path.
        given: images (k, 3, H, W) of the first k ≤ n places, or None.
        norms: (n,) norms, or (n, k) of whatever the path's manifold holds (Manifold.statistics), that the
            latents at these places had before they were put on it.
        places: n increasing u of the images and norms: the two ends, or fewer or more.
        ends: what is shown at and beside the places: given, decoded or blended.
        clean: latents (k, *shape) of the images themselves; blended then takes residuals against what the
            autoencoder makes of them, which spares their way down, and leaves out only what going up and
            down the ODE does to an image.
        colours: whose channel statistics clean latents have: path's or ends'.

    Raises:
        UserError: another word for ends or colours; colours=ends without clean latents of given images.
    """

    def __init__(
        self,
        model: Model,
        condition: AnyCondition,
        given: Tensor | None,
        norms: Tensor,
        places: Sequence[float] = (0.0, 1.0),
        *,
        ends: str = "blended",
        clean: Tensor | None = None,
        colours: str = "path",
    ) -> None:
        if colours not in COLOURS:
            raise UserError(f"decoder.colours: got {colours!r}, expected path or ends.")
        if colours == "ends" and clean is None:
            raise UserError(
                "decoder.colours=ends: nothing here has the colours of given images on both sides, expected a path "
                "between images: choose decoder.colours=path."
            )
        if ends not in ENDS:
            raise UserError(f"decoder.ends: got {ends!r}, expected one of {', '.join(ENDS)}.")
        if len(norms) != len(places) or (given is not None and len(given) > len(places)):
            raise ValueError(
                f"{len(places)} places for {len(norms)} norms, expected as many of each, and no more images"
            )
        self.model, self.condition, self.given, self.norms = model, condition, given, norms
        self.places, self.ends = tuple(float(place) for place in places), ends
        self.clean, self.colours, self._roughly = clean, colours, False

    def with_norms(self, norms: Tensor) -> Self:
        """The same decoder for latents of other norms (n,)."""
        other = copy.copy(self)
        other.norms = norms
        return other

    def __call__(self, path: AnyPath, u: Tensor) -> Tensor:
        """Images (m, 3, H, W) float32 in [0, 1], on the CPU, at places u (m,)."""
        if self.given is None or self.ends == "decoded":
            return self.decoded(path, u)
        images = self._blended(path, u) if self.ends == "blended" else self._between(path, u)
        for place, image in zip(self.places, self.given):
            images[_at(u, place)] = image.to(images)
        return images

    def rough(self, path: AnyPath, u: Tensor) -> Tensor:
        """As __call__, in the few passes of `model.sketch`: to look at, and to compare neighbours."""
        if self.given is not None and self.ends == "blended" and self._spares_given:
            _ = self._reconstructed  # once, for the copy as well
        other = copy.copy(self)
        other._roughly = True
        return other(path, u)

    def cost(self, frames: int, rough: bool = False) -> int:
        """Network passes of a film of so many frames from the path's start to its end."""
        spared = 0 if self.given is None or not self._spares_given else min(2, len(self.given))
        return max(frames - spared, 0) * (self.model.rough_passes if rough else self.model.passes)

    @property
    def _spares_given(self) -> bool:
        """Nothing comes down the ODE where an image is given."""
        return self.ends == "given" or (self.ends == "blended" and self.clean is not None)

    def decoded(self, path: AnyPath, u: Tensor) -> Tensor:
        """As __call__, whatever images are given."""
        return self._images(path, u).float().cpu().clone()

    def _between(self, path: AnyPath, u: Tensor) -> Tensor:
        """Decoded images, with room at the places whose images are given: nothing is decoded there."""
        assert self.given is not None
        places = self.places[: len(self.given)]
        new = ~torch.stack([_at(u, place) for place in places]).any(0)
        images = self.given.new_zeros(len(u), *self.given.shape[1:], dtype=torch.float32).cpu()
        if new.any():
            images[new] = self.decoded(path, u[new])
        return images

    def _blended(self, path: AnyPath, u: Tensor) -> Tensor:
        """Decoded images with what is left of the given ones' residuals (blend.py), within [0, 1]."""
        assert self.given is not None
        places = self.places[: len(self.given)]
        if self._spares_given:
            images, residuals = self._between(path, u), self.given.cpu() - self._reconstructed
            faded = torch.einsum("mk,kchw->mchw", weights(u, places).to(images), residuals)
            return (images + faded).clamp(0, 1)
        unseen = [place for place in places if not _at(u, place).any()]
        whole = torch.cat([u, u.new_tensor(unseen)])  # a film that shows them decodes nothing more
        images = self.decoded(path, whole)
        chosen = [int(_at(whole, place).nonzero()[0]) for place in places]
        residuals = self.given.to(images) - images[chosen]
        faded = torch.einsum("mk,kchw->mchw", weights(u, places).to(images), residuals)
        return (images[: len(u)] + faded).clamp(0, 1)

    @cached_property
    def _reconstructed(self) -> Tensor:
        """What the autoencoder makes of the given images, (k, 3, H, W) on the CPU."""
        assert self.given is not None
        assert self.clean is not None
        return self.model.decode(self.clean[: len(self.given)]).float().cpu().clone()

    def _images(self, path: AnyPath, u: Tensor) -> Tensor:
        x = path.chart(self._own(path, u))
        down = self.model.sketch if self._roughly else self.model.denoise
        clean = down(x, self.condition(u.to(x)))
        if self.colours == "ends" and clean.dim() == 4:  # points have none
            assert self.clean is not None
            clean = adain(clean, self.clean, u, self.places)
        return self.model.decode(clean)

    def _own(self, path: AnyPath, u: Tensor) -> Tensor:
        """Points (m, d) at places u (m,) with the images' own statistics, even between places."""
        manifold, points = path.manifold, path.at(u)
        known = manifold.restoring(path.at(torch.tensor(self.places)), self.norms)
        scale, shift = (between(column, u, self.places) for column in known)
        return transformed(points, scale, shift)


def _at(u: Tensor, place: float) -> Tensor:
    """Which of u (m,) are this place."""
    return (u - place).abs() < 1e-6
