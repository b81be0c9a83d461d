"""Pipelines of the real classes at tiny size with random weights, made from configuration alone.

Two seconds each and a few MB saved; latents are 4×8×8 (SD3: 16×8×8) and images 16 px, so that a
whole run takes seconds. What they draw is noise: they prove the plumbing and the arithmetic, not
the pictures.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import transformers

START, END = "<|startoftext|>", "<|endoftext|>"
LETTERS = [chr(c) for c in range(ord("a"), ord("z") + 1)]


def tokenizer(length: int = 77):
    """A CLIPTokenizer that knows letters, alone and at the end of a word."""
    words = [*LETTERS, *(f"{c}</w>" for c in LETTERS), "ca", "cat</w>", START, END]
    merges = [("c", "a"), ("ca", "t</w>")]
    vocabulary = {word: k for k, word in enumerate(words)}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=length)


def text_config(tokens, width: int = 32, act: str = "gelu", projection: int = 32):
    return transformers.CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=tokens.model_max_length,
        hidden_act=act,
        projection_dim=projection,
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
    )


def t5(width: int = 32):
    """A T5Tokenizer that knows letters and a word, and an encoder of that width for it."""
    words = ["<pad>", "</s>", "<unk>", "▁", *LETTERS, *(f"▁{c}" for c in LETTERS), "▁cat"]
    vocabulary = [(word, -float(len(word) < 3)) for word in words]
    tokens = transformers.T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=512)
    config = transformers.T5Config(
        vocab_size=len(words),
        d_model=width,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )
    return tokens, transformers.T5EncoderModel(config)


def autoencoder(channels: int = 4, **options):
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16),
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=4,
        sample_size=16,
        **options,
    )


def unet(cross: int = 32, **options):
    from diffusers import UNet2DConditionModel

    given = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "attention_head_dim": (2, 4),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": cross,
        "norm_num_groups": 8,
    }
    return UNet2DConditionModel(**{**given, **options})


def scheduler(prediction: str = "epsilon"):
    """Stable Diffusion's, as its scheduler_config.json has it."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        clip_sample=False,
        set_alpha_to_one=False,
        prediction_type=prediction,
    )


def sd15():
    from diffusers import PNDMScheduler, StableDiffusionPipeline

    tokens = tokenizer()
    sampler = PNDMScheduler.from_config(scheduler().config, skip_prk_steps=True)
    text = transformers.CLIPTextModel(text_config(tokens, act="quick_gelu"))
    return StableDiffusionPipeline(
        autoencoder(),
        text,
        tokens,
        unet(attention_head_dim=4),
        sampler,
        None,
        None,
        requires_safety_checker=False,
    )


def sd2(prediction: str = "epsilon"):
    from diffusers import StableDiffusionPipeline

    tokens = tokenizer()
    text = transformers.CLIPTextModel(text_config(tokens))
    return StableDiffusionPipeline(
        autoencoder(),
        text,
        tokens,
        unet(use_linear_projection=True),
        scheduler(prediction),
        None,
        None,
        requires_safety_checker=False,
    )


def sd2_v():
    return sd2("v_prediction")


def sdxl():
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    tokens = tokenizer()
    network = unet(
        64,
        use_linear_projection=True,
        transformer_layers_per_block=(1, 2),
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
    )
    sampler = EulerDiscreteScheduler.from_config(scheduler().config)
    first = transformers.CLIPTextModel(text_config(tokens, act="quick_gelu"))
    second = transformers.CLIPTextModelWithProjection(text_config(tokens))
    return StableDiffusionXLPipeline(
        autoencoder(scaling_factor=0.13025, force_upcast=True),
        first,
        second,
        tokens,
        tokenizer(),
        network,
        sampler,
    )


def sd3(**options):
    """Stable Diffusion 3; options are those of its transformer."""
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    tokens = tokenizer()
    network = SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=64,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        pos_embed_max_size=8,
        **options,
    )
    vae = autoencoder(
        16,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    encoders = [transformers.CLIPTextModelWithProjection(text_config(tokens)) for _ in range(2)]
    return StableDiffusion3Pipeline(
        network,
        FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae,
        encoders[0],
        tokens,
        encoders[1],
        tokenizer(),
        None,
        None,
    )


def sd35():
    """Stable Diffusion 3.5 medium: normalised queries and keys, two attentions in the first layer."""
    return sd3(qk_norm="rms_norm", dual_attention_layers=(0,))


def sd35_large():
    """Stable Diffusion 3.5 large."""
    return sd3(qk_norm="rms_norm")


def pixart():
    """PixArt-Σ; its 300 token states leave a width of 300 at least for their mask."""
    from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

    tokens, text = t5(304)
    network = PixArtTransformer2DModel(
        sample_size=8,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        in_channels=4,
        out_channels=8,
        cross_attention_dim=32,
        caption_channels=304,
        use_additional_conditions=False,
    )
    sampler = DPMSolverMultistepScheduler(beta_start=0.0001, beta_end=0.02)
    return PixArtSigmaPipeline(tokens, text, autoencoder(scaling_factor=0.13025), network, sampler)


def flux(guided: bool = True):
    """FLUX.1 dev, or schnell."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    network = FluxTransformer2DModel(
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=guided,
    )
    vae = autoencoder(
        16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    sampler = (
        FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)
        if guided
        else FlowMatchEulerDiscreteScheduler(shift=1.0)
    )
    first, (tokens, text) = tokenizer(), t5()
    return FluxPipeline(
        sampler, vae, transformers.CLIPTextModel(text_config(first)), first, text, tokens, network
    )


def flux_schnell():
    return flux(guided=False)


MAKERS: dict[str, Callable] = {
    "sd15": sd15,
    "sd2": sd2,
    "sd2_v": sd2_v,
    "sdxl": sdxl,
    "sd3": sd3,
    "sd35": sd35,
    "pixart": pixart,
    "flux": flux,
    "flux_schnell": flux_schnell,
}


def save(name: str, folder: Path, seed: int = 0) -> Path:
    """Build the named pipeline from a seed and save it; returns the folder."""
    import diffusers

    diffusers.utils.logging.disable_progress_bar()
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        MAKERS[name]().save_pretrained(folder, safe_serialization=True)
    return folder
