"""What exchangeable parts must answer: a path, a model, a score, a functional, an optimizer, a decoder, a timing.

    n, m   numbers of latents, of images        d      numbers in a latent, the product of its shape
    N      segments of a path, N + 1 points     u      place on the path, in [0, 1]
    t      diffusion timestep, 0 … T − 1        c      prompt embeddings, (n, tokens, width)

Whatever has these members can take the place of what ships; nothing has to be inherited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from geodesic_lightning.geometry.manifold import Manifold as Manifold

if TYPE_CHECKING:
    from geodesic_lightning.data.clip import Clip
    from geodesic_lightning.data.frames import Frames
    from geodesic_lightning.functional.length import Residual
    from geodesic_lightning.geometry.path import Path
    from geodesic_lightning.problems.evaluation import LegEvaluation


class Legs(Protocol):
    """Paths that are solved side by side: what a problem asks for. `legs` of a single Path is itself."""

    @property
    def manifold(self) -> Manifold:
        """Where all points are."""

    @property
    def shape(self) -> torch.Size:
        """Of a latent."""

    @property
    def legs(self) -> Sequence[Path]:
        """The paths between two ends each."""

    @property
    def u(self) -> Tensor:
        """Places of the nodes, (N+1,) a leg or of all."""

    def points(self) -> Tensor:
        """All nodes, flat and detached: (N+1, d)."""

    def chart(self, flat: Tensor) -> Tensor:
        """Flat points (m, d) in the latent's own shape (m, *shape)."""

    def round(self) -> Tensor | None:
        """Round the corners between legs; the points before, or None where there are no corners."""


class AnyPath(Legs, Protocol):
    """What a solver shows and measures as one: Path, PiecewisePath, StarPath."""

    @property
    def closed(self) -> bool:
        """The path ends where it begins."""

    @property
    def start(self) -> Tensor:
        """Of the latent's own shape."""

    @property
    def end(self) -> Tensor:
        """Of the latent's own shape."""

    @property
    def segments(self) -> int:
        """N, the number of pieces."""

    @property
    def nodes(self) -> Tensor:
        """All points but the ends, (N−1, *shape)."""

    @property
    def stops(self) -> Tensor | None:
        """Places of the keyframes, (K+1,); None where there are only the ends."""

    @property
    def angles(self) -> list[float]:
        """Radians by which the legs turn at the keyframes between them."""

    def baseline(self, segments: int) -> Tensor:
        """The manifold's own geodesic, (segments+1, d) a leg: where solving starts."""

    def set_nodes(self, interior: Tensor) -> None:
        """Put all points but the ends at (N−1, d), projected to the manifold."""

    def at(self, u: Tensor) -> Tensor:
        """Points (m, d) at places u (m,)."""

    def by_distance(self, shares: Tensor) -> Tensor:
        """Places (m,) at the parts (m,) of the distance along the path."""


class Model(Protocol):
    """A frozen model: it carries frames to latents at the path's noise level and back, and predicts their noise.

    Attributes:
        name: what summaries call it.
        alpha: a density exponent of its own, as an exact density has: one, or by the field's name; mostly none.
        latent_shape: of a latent. image_size: side, or (height, width), of its images, px.
        device: where it computes.
        timestep: τ of the path, of `timesteps` T. sigma: σ_τ = √(1 − ᾱ_τ).
        evaluations: latents that the network has seen.
        passes, rough_passes: evaluations of one latent by `denoise`, by `sketch`.
        source: the weights that were loaded; None where there are none. facts: what else the summary says of them.
        manifold: the space its latents live in; None where it names none.
        denoiser: the network into whose layers decoders may reach; None where there is none.
    """

    name: str
    evaluations: int

    @property
    def alpha(self) -> Any: ...

    @property
    def latent_shape(self) -> tuple[int, ...]: ...

    @property
    def image_size(self) -> int | tuple[int, int]: ...

    @property
    def timestep(self) -> int: ...

    @property
    def timesteps(self) -> int: ...

    @property
    def sigma(self) -> float: ...

    @property
    def passes(self) -> int: ...

    @property
    def rough_passes(self) -> int: ...

    @property
    def source(self) -> str | None: ...

    @property
    def facts(self) -> Mapping[str, Any]: ...

    @property
    def manifold(self) -> Manifold | None: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def denoiser(self) -> nn.Module | None: ...

    def to(self, device: torch.device | str) -> Model:
        """Move to the device; returns the model."""

    def parameters(self) -> Iterator[Tensor]:
        """All frozen weights."""

    def alpha_cumprod(self, t: int) -> float:
        """ᾱ_t, the share of the clean latent's variance that is left at t."""

    def sigma_at(self, t: int) -> float:
        """σ_t."""

    def prepare(self, frames: Frames | Clip) -> None:
        """Fit the model's size to the frames, and say what it will not show or cannot know of them."""

    def encode(self, frames: Frames) -> Tensor:
        """Clean latents (n, *latent_shape)."""

    def given(self, frames: Frames) -> Tensor | None:
        """The frames' own images (n, 3, H, W), as they stand in a film; None where frames are no images."""

    def embed(self, prompts: Sequence[str], negative: bool = False) -> Tensor:
        """Embeddings (n, tokens, width); `negative` marks what a score contrasts the path's prompts with."""

    def invert(self, latents: Tensor, embedding: Tensor) -> Tensor:
        """Clean latents (n, *latent_shape) → latents at the path's noise level."""

    def sample(
        self, embedding: Tensor, seeds: Sequence[int], guidance: float | None = None
    ) -> Tensor:
        """Latents (n, *shape) of the model's own at the path's noise level, one an embedding and seed."""

    def noise_prediction(self, x: Tensor, t: Tensor | int, embedding: Tensor) -> Tensor:
        """ε(x, t, c), like x (n, *latent_shape)."""

    def denoise(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Latents at the path's noise level → clean latents."""

    def sketch(self, x: Tensor, embedding: Tensor) -> Tensor:
        """As `denoise`, in few passes: a picture to look at on the way, or to compare with its neighbours."""

    def decode(self, latents: Tensor) -> Tensor:
        """Clean latents → images (n, 3, H, W) in [0, 1]."""

    def features(self, images: Tensor) -> list[Tensor]:
        """Activations of the model's own encoder for images (n, 3, H, W), one tensor a level."""

    def judge(self, points: Tensor, alpha: float, manifold: Manifold) -> dict[str, float | None]:
        """What is known exactly of the path through points (N+1, d), for the summary; {} where nothing is."""

    def picture(self, points: Tensor, alpha: float, manifold: Manifold) -> Tensor | None:
        """The path through points (N+1, d) over its density, (3, H, W) in [0, 1]; None where it cannot be drawn."""


class Score(Protocol):
    """∇log p along a path, from a model.

    Attributes:
        model: whose density. field: what is made of its predictions; its name is in the summary.
        stochastic: two calls may differ.
        at_level: it is looked at at the path's own noise level, surely: measuring sees what solving saw.
        curvature_bound: λ with −∇²log p ≤ λ; None where none is known.
    """

    @property
    def model(self) -> Any: ...

    @property
    def field(self) -> Any: ...

    @property
    def stochastic(self) -> bool: ...

    @property
    def at_level(self) -> bool: ...

    @property
    def curvature_bound(self) -> float | None: ...

    def __call__(self, x: Tensor, u: Tensor, rng_step: int | None = None) -> Tensor:
        """The field at latents x (n, *shape) whose places are u (n,): like x.

        Args:
            rng_step: which draw, of a field that has randomness; None takes none, for measuring.
        """


class Functional(Protocol):
    """What is bent to its least. `name` is the choice of functional= that it is."""

    @property
    def name(self) -> str: ...

    def __call__(
        self, points: Tensor, scores: Tensor, alpha: float, manifold: Manifold
    ) -> Residual:
        """The residual of its equation at the interior of points (N+1, d) with scores (N+1, d)."""


class PathOptimizer(Protocol):
    """How the nodes of one leg move. Made from (path, segments); settings are constructor arguments.

    Attributes:
        report: scalars of the latest step by name.
    """

    @property
    def report(self) -> dict[str, float]: ...

    @property
    def finished(self) -> bool:
        """No step is left to do."""

    @property
    def converged(self) -> bool:
        """Its own test of convergence was met."""

    @property
    def evaluations_left(self) -> int | None:
        """The most score evaluations to come; None where it cannot say."""

    def check(self, alpha: float, functional: Functional) -> None:
        """Raise UserError where it cannot bend by this functional at this α."""

    def prepare(self) -> None:
        """Put the path as the first evaluation wants it; nothing where that was done."""

    def step(self, evaluation: LegEvaluation) -> None:
        """Move the nodes, knowing the evaluation of the path as it stands."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values that a resumed run needs."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse; ValueError for the state of another optimizer."""


class AnyCondition(Protocol):
    """What the model is asked for along the path."""

    def __call__(self, u: Tensor) -> Tensor:
        """Embeddings (n, tokens, width) at places u (n,)."""


# Makers: what the configuration gives to `assemble`, classes or `functools.partial`s of them.
MakeOptimizer = Callable[..., Any]  # (path, segments=N) → PathOptimizer
MakeScore = Callable[..., Score]  # (model, condition) → Score
MakeCondition = Callable[..., Any]  # (model, prompts, clean latents) → AnyCondition
MakeManifold = Callable[..., Manifold]  # (model, noisy latents (n, *shape)) → Manifold


class Decoder(Protocol):
    """From places on a path to images.

    Attributes:
        places: u of the given images. given: those images (n, 3, H, W), or None. norms: (n,) of their latents.
    """

    @property
    def places(self) -> tuple[float, ...]: ...

    @property
    def given(self) -> Tensor | None: ...

    @property
    def norms(self) -> Tensor: ...

    def __call__(self, path: AnyPath, u: Tensor) -> Tensor:
        """Images (m, 3, H, W) float32 in [0, 1], on the CPU, at places u (m,)."""

    def rough(self, path: AnyPath, u: Tensor) -> Tensor:
        """As __call__, in few passes."""

    def cost(self, frames: int, rough: bool = False) -> int:
        """Network passes of a film of so many frames from the path's start to its end."""


class Metrics(Protocol):
    """What a morph is measured by."""

    def check(self, solver: Any) -> None:
        """Raise UserError for a path that cannot be measured so."""

    def __call__(self, solver: Any) -> dict[str, float]:
        """Figures by name, of a solver that has been validated."""
