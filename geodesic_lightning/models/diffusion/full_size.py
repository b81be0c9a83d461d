"""Stable Diffusion 2.1-base from its published sizes, with random weights: no download.

It computes as long, and in as much memory, as the trained one; its pictures mean nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

UNET: dict[str, Any] = {
    "sample_size": 64, "in_channels": 4, "out_channels": 4, "layers_per_block": 2,
    "block_out_channels": (320, 640, 1280, 1280), "attention_head_dim": (5, 10, 20, 20),
    "cross_attention_dim": 1024, "use_linear_projection": True, "norm_num_groups": 32,
}  # fmt: skip
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
    "norm_num_groups": 32, "sample_size": 512, "scaling_factor": 0.18215,
}  # fmt: skip
TEXT: dict[str, Any] = {
    "vocab_size": 49408, "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23,
    "num_attention_heads": 16, "max_position_embeddings": 77, "hidden_act": "gelu",
}  # fmt: skip


def make(folder: Path) -> Path:
    """Write the pipeline in float16: weights normal with variance 1/fan-in, from seed 0."""
    import transformers
    from diffusers import DDIMScheduler
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (
        StableDiffusionPipeline,
    )

    torch.manual_seed(0)
    with torch.device("meta"):  # no layer draws its own first values
        unet, vae = UNet2DConditionModel(**UNET), AutoencoderKL(**VAE)
        text = transformers.CLIPTextModel(transformers.CLIPTextConfig(**TEXT))
    make_pipeline: Any = StableDiffusionPipeline  # diffusers' own types leave out what may be None
    make_pipeline(
        vae=_filled(vae), unet=_filled(unet), text_encoder=_filled(text), tokenizer=tokenizer(),
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
            clip_sample=False, set_alpha_to_one=False,
        ),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder, safe_serialization=True)  # fmt: skip
    return folder


def _filled(module: torch.nn.Module) -> torch.nn.Module:
    module = module.half().to_empty(device="cpu").requires_grad_(False)
    for name, parameter in module.named_parameters():
        if parameter.dim() > 1:
            parameter.copy_(torch.randn(parameter.shape) / parameter[0].numel() ** 0.5)
        else:
            parameter.fill_(float(name.endswith("weight")))
    return module


def tokenizer() -> Any:
    """Letters alone; the text encoder's vocabulary is as large as it is for trained weights."""
    import transformers

    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    return transformers.CLIPTokenizer(
        vocab={word: k for k, word in enumerate(words)}, merges=[], model_max_length=77
    )
