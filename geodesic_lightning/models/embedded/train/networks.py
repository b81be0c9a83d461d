"""The networks: Stable Diffusion 2's component classes, at a thousandth of the size.

Pictures are (3, 128, 128) in [-1, 1]; latents (8, 16, 16), each channel of mean 0 and deviation 1
over the training drawings (`whiten`), so the scaling factor is 1. No other file here
imports diffusers or transformers as it is imported.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

# From where they are defined: to a type checker `diffusers` itself offers its placeholders.
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from geodesic_lightning.models.embedded.train.dataset import SIZE

LATENT_CHANNELS, LATENT_SIDE, TOKENS, WIDTH = 8, 16, 24, 128
START, END = "<|startoftext|>", "<|endoftext|>"


def autoencoder(channels: tuple[int, ...] = (8, 24, 64, 96)) -> AutoencoderKL:
    """AutoencoderKL, f = 8: 1.7 M parameters, most at low resolution, where they are cheap."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        block_out_channels=channels,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=4,
        sample_size=SIZE,
        scaling_factor=1.0,
    )


def unet(
    channels: tuple[int, ...] = (64, 96, 160), heads: tuple[int, ...] = (4, 6, 10)
) -> UNet2DConditionModel:
    """UNet2DConditionModel with cross attention on its two inner levels: 7.5 M parameters."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=channels,
        layers_per_block=1,
        attention_head_dim=heads,
        cross_attention_dim=WIDTH,
        norm_num_groups=16,
        use_linear_projection=True,
    )


def text_encoder(tokens: CLIPTokenizer) -> CLIPTextModel:
    """CLIPTextModel for the tokenizer `tokens`: width 128, two layers, 24 positions."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokens),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            hidden_act="gelu",
            projection_dim=WIDTH,
            bos_token_id=tokens.bos_token_id,
            eos_token_id=tokens.eos_token_id,
            pad_token_id=tokens.pad_token_id,
        )
    )


def tokenizer(captions: Iterable[str], merges: int = 200) -> CLIPTokenizer:
    """CLIPTokenizer with byte-pair merges learned from `captions`.

    Every byte is in the vocabulary, alone and as the end of a word, so no word is unknown.
    """
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + 60 + merges,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    learner.train_from_iterator(captions, trainer)
    state = _model_of(learner)
    merged = [
        tuple(pair) if not isinstance(pair, str) else tuple(pair.split(" "))
        for pair in state["merges"]
    ]
    words = alphabet + [byte + "</w>" for byte in alphabet] + ["".join(pair) for pair in merged]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys([*words, START, END]))}
    pairs: Any = merged  # CLIPTokenizer takes pairs, though its annotation says strings
    return CLIPTokenizer(vocab=vocabulary, merges=pairs, model_max_length=TOKENS)


def _model_of(learner: Tokenizer) -> dict[str, Any]:
    import json

    return json.loads(learner.to_str())["model"]


def load_tokenizer(folder: str | Path) -> CLIPTokenizer:
    """A tokenizer saved by `save_pretrained`."""
    return CLIPTokenizer.from_pretrained(folder)


def ids(tokens: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Token ids of captions, padded: int64 (n, 24)."""
    return tokens(
        captions, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt"
    ).input_ids


def scheduler() -> DDIMScheduler:
    """Stable Diffusion 2's DDIM scheduler: 1000 steps, scaled linear β, noise prediction."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="epsilon",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="leading",
    )


@torch.no_grad()
def whiten(vae: AutoencoderKL, mean: Tensor, deviation: Tensor) -> None:
    """Fold z → (z − mean)/deviation into the 1×1 convolutions of `vae`, in place.

    mean, deviation: (channels,), those of the raw latents. Encoder: W ← W/σ, b ← (b − μ)/σ for the
    means, b ← b − 2 log σ for the log variances. Decoder: b ← b + W μ, then W ← W σ on its inputs.
    """
    channels = len(mean)
    into: Any = vae.quant_conv  # Conv2d; None only where a model is built without them
    out: Any = vae.post_quant_conv
    into.weight[:channels] /= deviation[:, None, None, None]
    into.bias[:channels] = (into.bias[:channels] - mean) / deviation
    into.bias[channels:] -= 2 * deviation.log()
    out.bias += out.weight[:, :, 0, 0] @ mean
    out.weight *= deviation[None, :, None, None]


def save(
    folder: str | Path,
    vae: AutoencoderKL,
    denoiser: nn.Module,
    text: nn.Module,
    tokens: CLIPTokenizer,
) -> None:
    """Save the five components as a diffusers pipeline in fp16 safetensors."""
    parts: dict[str, Any] = dict(  # the pipeline's own annotations allow no None
        vae=vae.half(),
        unet=denoiser.half(),
        text_encoder=text.half(),
        tokenizer=tokens,
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    StableDiffusionPipeline(**parts).save_pretrained(folder, safe_serialization=True)


def load(folder: str | Path) -> StableDiffusionPipeline:
    """Load a saved pipeline in fp32, without a progress bar."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        dtype=torch.float32,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
