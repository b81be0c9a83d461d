"""Attention of a frame mixed from that of the two ends.

With a frame's queries Q and an end's keys and values K, V in the same layer at the same timestep,

    outer   (1 − u) Attn(Q, K_A, V_A) + u Attn(Q, K_B, V_B)
    inner   Attn(Q, (1 − u) K_A + u K_B, (1 − u) V_A + u V_B)

`fused` lets the frame see itself as well: its own keys and values are joined to the end's. (AID:
He et al., NeurIPS 2024, arXiv 2403.17924; DiffMorpher takes the inner one in the self-attention of
the decoding half of the network.)

The ends are passed through the network first, and their keys and values recorded.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from geodesic_lightning.errors import UserError

MODES = ("outer", "inner")
LAYERS = ("all", "self_up")


class Mixes(Protocol):
    """What stands in attention layers in place of their own: Mixer, and FreeMorph's Gatherer."""

    kept: dict[Any, Any]

    def takes(self, name: str) -> bool:
        """It stands in the layer of this name."""

    def __call__(self, name: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """What the layer gives for heads q, k, v (n, heads, tokens, d): like q."""


class Mixer:
    """What the layers' processors share.

    Args:
        mode: one of MODES.
        fused: join the frame's own keys and values.
        layers: all of them; or self_up, the self-attention of the up blocks.
        fused_after: part of the way down after which they are joined, with `fused`.
        beta: (a, b) of the Beta distribution whose quantile at u takes u's place in the formulas; None
            for u itself. With a = b > 1 frames look at both ends alike, but for the outermost.

    Attributes:
        recording: the end, 0 or 1, whose keys and values are being recorded; None otherwise.
        u: (n,) places of the latents passing through; None where attention is to be as it is.
    """

    def __init__(
        self,
        mode: str = "outer",
        fused: bool = True,
        layers: str = "all",
        fused_after: float = 0.0,
        beta: Sequence[float] | None = None,
    ) -> None:
        if mode not in MODES:
            raise UserError(f"decoder.attention: got {mode!r}, expected one of {', '.join(MODES)}.")
        if layers not in LAYERS:
            raise UserError(f"decoder.layers: got {layers!r}, expected one of {', '.join(LAYERS)}.")
        if not 0 <= fused_after <= 1:
            raise UserError(
                f"decoder.attention.fused_after: got {fused_after}, expected a number from 0 to 1."
            )
        if beta is not None and (len(beta) != 2 or min(beta) <= 0):
            raise UserError(
                f"decoder.attention.beta: got {list(beta)}, expected two numbers above 0, or null."
            )
        self.mode, self.fused, self.layers = mode, fused, layers
        self.fused_after, self.beta = fused_after, beta
        self.joins = fused
        self.recording: int | None = None
        self.u: Tensor | None = None
        self.kept: dict[tuple[str, int], tuple[Tensor, Tensor]] = {}

    def look(self, u: Tensor, way: float) -> None:
        """Mix for frames at places u (n,), at this part of the way down."""
        if self.beta is not None:
            from geodesic_lightning.decoding.beta import (
                quantile,
            )  # late: scipy's distributions take a while

            u = quantile(u, *self.beta)
        self.u = u
        self.joins = self.fused and way >= self.fused_after

    def takes(self, name: str) -> bool:
        """Whether a layer of this name is mixed."""
        return self.layers == "all" or (name.startswith("up_blocks") and ".attn1." in name)

    def __call__(self, name: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention of heads (n, h, tokens, d), mixed if that is wanted."""
        if self.recording is not None:
            self.kept[name, self.recording] = k[:1], v[:1]
        if self.u is None or self.recording is not None:
            return attend(q, k, v)
        if len(q) != len(self.u):
            raise UserError(
                "Out of memory while attention was mixed: give model.batch_size a number that fits."
            )
        first, last = (
            (k.expand(len(q), *k.shape[1:]), v.expand(len(q), *v.shape[1:]))
            for k, v in (self.kept[name, end] for end in (0, 1))
        )
        own = (k, v) if self.joins else None
        return mixed(q, first, last, self.u.to(q).reshape(-1, 1, 1, 1), self.mode, own)


def mixed(
    q: Tensor,
    first: tuple[Tensor, Tensor],
    last: tuple[Tensor, Tensor],
    u: Tensor,
    mode: str,
    own: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """The formulas above, of heads (n, h, tokens, d); keys and values of either end, u (n, 1, 1, 1)."""
    if mode == "inner":
        keys, values = (torch.lerp(a, b, u.expand_as(a)) for a, b in zip(first, last))
        return attend(q, *_joined((keys, values), own))
    sides = (attend(q, *_joined(end, own)) for end in (first, last))
    a, b = sides
    return torch.lerp(a, b, u.expand_as(a))


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q kᵀ/√d) v."""
    return nn.functional.scaled_dot_product_attention(q, k, v)


def _joined(end: tuple[Tensor, Tensor], own: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    if own is None:
        return end
    return torch.cat([own[0], end[0]], 2), torch.cat([own[1], end[1]], 2)


class Processor:
    """diffusers' interface of one attention layer of a UNet, which is mixed by a Mixer.

    Args:
        name: of the layer.
        mixer: shared by all layers.
    """

    def __init__(self, name: str, mixer: Mixes) -> None:
        self.name, self.mixer = name, mixer

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        **rest: Any,
    ) -> Tensor:
        """Tokens (n, length, width) → the same."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = (
            x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for x in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        out = self.mixer(self.name, q, k, v).transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](out))


def check_mixable(denoiser: Any, mixer: Mixes) -> None:
    """Raise UserError unless the denoiser is a UNet with attention layers that the mixer takes."""
    names = getattr(denoiser, "attn_processors", {})
    if not hasattr(denoiser, "down_blocks") or not any(mixer.takes(name) for name in names):
        raise UserError(
            "decoder: attention can be mixed in Stable Diffusion 1, 2 and XL, whose denoiser is a UNet; "
            "choose decoder=plain for this model."
        )


@contextmanager
def mixing(denoiser: Any, mixer: Mixes) -> Iterator[None]:
    """Let the mixer stand in the layers it takes; afterwards the denoiser is as it was.

    Raises:
        UserError: the denoiser is no UNet with attention layers of its own.
    """
    check_mixable(denoiser, mixer)
    before = dict(denoiser.attn_processors)
    try:
        denoiser.set_attn_processor(
            {n: Processor(n, mixer) if mixer.takes(n) else p for n, p in before.items()}
        )
        yield
    finally:
        denoiser.set_attn_processor(before)
        mixer.kept.clear()
