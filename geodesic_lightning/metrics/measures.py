"""From a solved path to its measures, by name."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.decoding.perceptual import (
    MANY,
    EfficientNet,
    Perceptual,
    check_installed,
    embedded,
)
from geodesic_lightning.errors import UserError, require
from geodesic_lightning.metrics import smoothness
from geodesic_lightning.metrics.crossfade import crossfade
from geodesic_lightning.metrics.fidelity import psnr
from geodesic_lightning.metrics.flicker import flicker
from geodesic_lightning.metrics.frechet import frechet, pooled
from geodesic_lightning.metrics.lightness import least_lightness
from geodesic_lightning.metrics.seam import seam

PLACES, STEP = 50, 1e-4  # of IMPUS's path length


class Morph:
    """A measured path and its film, each computed once.

    Args:
        solver: validated, with a decoder that was given its ends.
        perceptual: how differences of frames are measured.
        independent: how they are measured by what made neither the frames nor their places.
    """

    def __init__(self, solver: Any, perceptual: Perceptual, independent: Perceptual) -> None:
        self.solver, self.perceptual, self._independent = solver, perceptual, independent
        self.model = solver.problem.score.model

    @cached_property
    def frames(self) -> Tensor:
        """(m, 3, H, W) of the film, as decoder.ends has them."""
        return self.solver.frames()

    @cached_property
    def differences(self) -> Tensor:
        """(m − 1,) between neighbours, in the form of LPIPS."""
        return self.perceptual(self.model, self.frames)

    @cached_property
    def differences_independent(self) -> Tensor:
        """(m − 1,) between neighbours, as the independent network sees them."""
        return self._independent(self.model, self.frames)

    @property
    def given(self) -> Tensor:
        """(2, 3, H, W) as they were given; the film's ends where a model has no images to be given."""
        given = self.solver.decoder.given
        return self.frames[[0, -1]] if given is None else given.to(self.frames)

    @cached_property
    def ends(self) -> Tensor:
        """(2, 3, H, W) as they are decoded from the path, not as they were given."""
        if self.solver.decoder.ends == "decoded":  # as the film has them
            return self.frames[[0, -1]]
        return self.solver.decoder.decoded(self.solver.path, torch.tensor([0.0, 1.0]))

    def beside(self, step: float, count: int) -> Tensor:
        """(count,) differences of frames at u and u + step, u even in its strata, the same always."""
        generator = torch.Generator().manual_seed(0)
        strata = torch.arange(count) + torch.rand(count, generator=generator)
        u = strata / count * (1 - step)
        pairs = torch.stack([u, u + step], 1).flatten()
        return self.perceptual(self.model, self.solver.decoder(self.solver.path, pairs))[::2]


def topiq(morph: Morph) -> float:
    """Mean TOPIQ (Chen et al., 2024) of the frames, without reference, by pyiqa."""
    import pyiqa

    try:
        judge = pyiqa.create_metric("topiq_nr", device=morph.model.device)
    except Exception as error:  # whatever a download comes upon
        raise UserError(
            f"metrics: the weights of topiq could not be fetched ({error}): run once where there is "
            "a network, or leave topiq out of metrics.names."
        ) from error
    return float(judge(morph.frames.to(morph.model.device)).mean())


def fid_inputs(morph: Morph) -> float:
    """In the space of the model's own encoder, so that it needs no Inception."""
    inner, ends = (
        torch.cat([pooled(morph.model.features(part)) for part in images.split(MANY)])
        for images in (morph.frames[1:-1], morph.given)
    )
    return frechet(inner, ends)


def log_density(morph: Morph) -> float:
    """Mean over the nodes."""
    return float(morph.solver.measurement.log_density.mean())


def residual(morph: Morph) -> float:
    """Mean over the nodes."""
    turning = morph.solver.measurement.turning
    return float(turning.mean()) if len(turning) else 0.0


PROTOCOLS: dict[str, Callable[[Morph], float]] = {
    "ppl_diffmorpher": lambda morph: smoothness.ppl(morph.differences),
    "ppl_impus": lambda morph: smoothness.ppl_ends(morph.beside(STEP, PLACES), STEP),
    "pdv": lambda morph: smoothness.pdv(morph.differences),
    "aid_smoothness": lambda morph: smoothness.smoothness(morph.differences),
    "aid_consistency": lambda morph: smoothness.consistency(morph.differences),
    "fid_inputs": fid_inputs,
    "crossfade": lambda morph: crossfade(morph.frames[1:-1], *morph.given),
    "end_fidelity": lambda morph: psnr(morph.ends, morph.given),
    "seam": lambda morph: seam(morph.differences),
    "lightness": lambda morph: least_lightness(morph.frames),
    "flicker": lambda morph: flicker(morph.frames),
    "ppl_independent": lambda morph: smoothness.ppl(morph.differences_independent),
    "pdv_independent": lambda morph: smoothness.pdv(morph.differences_independent),
    "seam_independent": lambda morph: seam(morph.differences_independent),
    "topiq": topiq,
    "log_density": log_density,
    "residual": residual,
}


class Measures:
    """The measures of a solver's path that are asked for.

    Args:
        names: of PROTOCOLS, in any order.
        perceptual: how differences of frames are measured.
        independent: how the measures named …_independent see them; None is EfficientNet().

    Raises:
        UserError: an unknown name, or one that needs a package that is not installed.
    """

    def __init__(
        self,
        names: Sequence[str],
        perceptual: Perceptual = embedded,
        independent: Perceptual | None = None,
    ) -> None:
        if unknown := [name for name in names if name not in PROTOCOLS]:
            raise UserError(
                f"metrics.names: got {', '.join(unknown)}, expected some of {', '.join(PROTOCOLS)}."
            )
        self.names, self.perceptual = tuple(names), perceptual
        self.independent = EfficientNet() if independent is None else independent
        if self.names:
            check_installed(perceptual)
        if any(name.endswith("_independent") for name in names):
            check_installed(self.independent)
        if "topiq" in names:
            require(
                "pyiqa",
                "metrics: topiq needs pyiqa: pip install 'geodesic-lightning[quality]', or leave topiq out "
                "of metrics.names.",
            )

    def __call__(self, solver: Any) -> dict[str, float]:
        """By name; the solver has been validated. Network passes are counted like any others."""
        self.check(solver)
        if not self.names:
            return {}
        morph = Morph(solver, self.perceptual, self.independent)
        return {name: PROTOCOLS[name](morph) for name in self.names}

    def check(self, solver: Any) -> None:
        """Raise UserError for a path that has no two given ends to measure between."""
        if not self.names:
            return
        if not solver.joins_images or len(solver.decoder.places) != 2:
            raise UserError(
                f"metrics: solver={solver.name} on these images is no morph of two: give two images, or "
                "metrics=none."
            )
