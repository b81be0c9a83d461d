"""The bases at their published sizes, with no weights at all: modules on torch's meta device.

They have shapes and numbers of parameters, and compute shapes; nothing is downloaded or stored. The
numbers are those of the checkpoints' own configurations.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from geodesic_lightning.models.diffusion import full_size

__all__ = ["BASES", "on_meta"]

LINEAR = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"}
SCALED = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1,
    "clip_sample": False, "set_alpha_to_one": False,
}  # fmt: skip

CLIP_L: dict[str, Any] = {
    "vocab_size": 49408, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
    "num_attention_heads": 12, "max_position_embeddings": 77, "hidden_act": "quick_gelu", "projection_dim": 768,
}  # fmt: skip
CLIP_G: dict[str, Any] = {
    "vocab_size": 49408, "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32,
    "num_attention_heads": 20, "max_position_embeddings": 77, "hidden_act": "gelu", "projection_dim": 1280,
}  # fmt: skip
T5: dict[str, Any] = {
    "vocab_size": 32128, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64,
    "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
}  # fmt: skip

VAE_1024: dict[str, Any] = {**full_size.VAE, "sample_size": 1024, "scaling_factor": 0.13025}
VAE_16: dict[str, Any] = {
    **VAE_1024, "latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False,
}  # fmt: skip
VAE_SD3: dict[str, Any] = {**VAE_16, "scaling_factor": 1.5305, "shift_factor": 0.0609}
VAE_FLUX: dict[str, Any] = {**VAE_16, "scaling_factor": 0.3611, "shift_factor": 0.1159}

UNET_15: dict[str, Any] = {
    **full_size.UNET, "attention_head_dim": 8, "cross_attention_dim": 768, "use_linear_projection": False,
}  # fmt: skip
UNET_XL: dict[str, Any] = {
    "sample_size": 128, "in_channels": 4, "out_channels": 4, "layers_per_block": 2,
    "block_out_channels": (320, 640, 1280), "attention_head_dim": (5, 10, 20),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10), "cross_attention_dim": 2048, "use_linear_projection": True,
    "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
MMDIT: dict[str, Any] = {
    "sample_size": 128, "patch_size": 2, "in_channels": 16, "out_channels": 16, "num_layers": 24,
    "attention_head_dim": 64, "num_attention_heads": 24, "caption_projection_dim": 1536,
    "joint_attention_dim": 4096, "pooled_projection_dim": 2048, "pos_embed_max_size": 192,
}  # fmt: skip
MMDIT_MEDIUM: dict[str, Any] = {
    **MMDIT, "qk_norm": "rms_norm", "dual_attention_layers": tuple(range(13)), "pos_embed_max_size": 384,
}  # fmt: skip
MMDIT_LARGE: dict[str, Any] = {
    **MMDIT, "qk_norm": "rms_norm", "num_layers": 38, "num_attention_heads": 38,
    "caption_projection_dim": 2432,
}  # fmt: skip
FLUX: dict[str, Any] = {
    "in_channels": 64, "num_layers": 19, "num_single_layers": 38, "attention_head_dim": 128,
    "num_attention_heads": 24, "joint_attention_dim": 4096, "pooled_projection_dim": 768,
    "axes_dims_rope": (16, 56, 56), "guidance_embeds": True,
}  # fmt: skip
PIXART: dict[str, Any] = {
    "sample_size": 128, "patch_size": 2, "in_channels": 4, "out_channels": 8, "num_layers": 28,
    "attention_head_dim": 72, "num_attention_heads": 16, "cross_attention_dim": 1152,
    "caption_channels": 4096, "interpolation_scale": 2, "use_additional_conditions": False,
}  # fmt: skip

_CLIP, _CLIP_P, _T5 = "CLIPTextModel", "CLIPTextModelWithProjection", "T5EncoderModel"
_SD3_TEXTS = (
    ("text_encoder", _CLIP_P, CLIP_L), ("text_encoder_2", _CLIP_P, CLIP_G), ("text_encoder_3", _T5, T5),
)  # fmt: skip
_FLUX_TEXTS = (("text_encoder", _CLIP, CLIP_L), ("text_encoder_2", _T5, T5))
_XL_TEXTS = (("text_encoder", _CLIP, CLIP_L), ("text_encoder_2", _CLIP_P, CLIP_G))
_MMDIT, _UNET = "SD3Transformer2DModel", "UNet2DConditionModel"
_SD, _SD3 = "StableDiffusionPipeline", "StableDiffusion3Pipeline"
_DDIM, _FLOW = "DDIMScheduler", "FlowMatchEulerDiscreteScheduler"


class Base(NamedTuple):
    """A pipeline's parts: classes by their names in diffusers and transformers, and settings.

    Of `texts`, the text encoders, each is (name, class, settings).
    """

    pipeline: str
    denoiser: str
    network: dict[str, Any]
    vae: dict[str, Any]
    texts: tuple[tuple[str, str, dict[str, Any]], ...]
    scheduler: str
    schedule: dict[str, Any]


BASES = {
    "sd15": Base(_SD, _UNET, UNET_15, full_size.VAE, (("text_encoder", _CLIP, CLIP_L),), _DDIM, SCALED),
    "sd2": Base(_SD, _UNET, full_size.UNET, full_size.VAE, (("text_encoder", _CLIP, full_size.TEXT),), _DDIM, SCALED),
    "sdxl": Base("StableDiffusionXLPipeline", _UNET, UNET_XL, VAE_1024, _XL_TEXTS, _DDIM, SCALED),
    "sd3": Base(_SD3, _MMDIT, MMDIT, VAE_SD3, _SD3_TEXTS, _FLOW, {"shift": 3.0}),
    "sd35": Base(_SD3, _MMDIT, MMDIT_MEDIUM, VAE_SD3, _SD3_TEXTS, _FLOW, {"shift": 3.0}),
    "sd35_large": Base(_SD3, _MMDIT, MMDIT_LARGE, VAE_SD3, _SD3_TEXTS, _FLOW, {"shift": 3.0}),
    "flux": Base(
        "FluxPipeline", "FluxTransformer2DModel", FLUX, VAE_FLUX, _FLUX_TEXTS, _FLOW,
        {"shift": 3.0, "use_dynamic_shifting": True},
    ),
    "flux_schnell": Base(
        "FluxPipeline", "FluxTransformer2DModel", {**FLUX, "guidance_embeds": False}, VAE_FLUX, _FLUX_TEXTS,
        _FLOW, {"shift": 1.0},
    ),
    "pixart": Base(
        "PixArtSigmaPipeline", "PixArtTransformer2DModel", PIXART, VAE_1024, (("text_encoder", _T5, T5),),
        _DDIM, LINEAR,
    ),
}  # fmt: skip


def on_meta(name: str, without: tuple[str, ...] = ()) -> Any:
    """The named base as a pipeline of diffusers; `without` names text encoders to leave out."""
    import diffusers
    import transformers

    base = BASES[name]
    with torch.device("meta"):
        network = getattr(diffusers, base.denoiser)(**base.network)
        parts: dict[str, Any] = {
            "unet" if base.denoiser == _UNET else "transformer": network,
            "vae": diffusers.AutoencoderKL(**base.vae),
        }
        for part, made, sizes in base.texts:
            config = transformers.T5Config if made == _T5 else transformers.CLIPTextConfig
            left_out = part in without
            parts[part] = None if left_out else getattr(transformers, made)(config(**sizes))
            tokens = _t5_tokenizer() if made == _T5 else full_size.tokenizer()
            parts[part.replace("text_encoder", "tokenizer")] = None if left_out else tokens
    if base.pipeline == _SD:
        parts |= {"safety_checker": None, "feature_extractor": None}
        parts["requires_safety_checker"] = False
    parts["scheduler"] = getattr(diffusers, base.scheduler)(**base.schedule)
    return getattr(diffusers, base.pipeline)(**parts)


def _t5_tokenizer() -> Any:
    """Letters alone."""
    import transformers

    words = ["<pad>", "</s>", "<unk>", "▁", *(chr(c) for c in range(ord("a"), ord("z") + 1))]
    return transformers.T5Tokenizer(
        vocab=[(word, -1.0) for word in words], extra_ids=0, model_max_length=512
    )
