"""The least memory that one image takes in the networks, from their configurations.

    decoding   3 c H W b              the last level's first layer holds its input, that normalised and
                                      that activated, c channels each at the image's size: the level
                                      before has them
    a UNet     Σ_l (n + 1) c_l h w b / 4^l   what goes down is kept for the way up: n layers a level, and its
                                      halving
    a transformer   5 d n b           a token of d channels, and the four times as many inside its MLP

H, W are the image's sides in px, h, w those of its latent, n tokens, b bytes a number. Attention is left
out: it is computed in pieces. What is left out too makes the true need greater, never smaller.
"""

from __future__ import annotations

from typing import Any

from geodesic_lightning.models.diffusion.network import Network


def decoding_bytes(vae: Any, size: tuple[int, int]) -> float:
    """Of the autoencoder, for one image of (height, width) px; 0 where it works tile by tile."""
    if getattr(vae, "use_tiling", False):
        return 0.0
    channels = vae.config.block_out_channels
    return 3.0 * channels[min(1, len(channels) - 1)] * size[0] * size[1] * vae.dtype.itemsize


def network_bytes(network: Network) -> float:
    """Of the denoiser, for one latent of its present size."""
    denoiser, (_, height, width) = network.denoiser, network.latent_shape
    config, width_of_number = denoiser.config, denoiser.dtype.itemsize
    if "block_out_channels" in config:
        layers, kept = config.layers_per_block, 0.0
        for level, channels in enumerate(config.block_out_channels):
            count = layers if isinstance(layers, int) else layers[level]
            kept += (count + 1) * channels / 4**level
        return kept * height * width * width_of_number
    channels = config.num_attention_heads * config.attention_head_dim
    return 5.0 * channels * network.tokens * width_of_number
