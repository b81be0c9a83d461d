"""A pipeline's weights as one file under the names of the first releases (latent diffusion).

Written from the layouts alone: the UNet's blocks are numbered through, down and up, as layers of
`input_blocks` and `output_blocks`; the decoder of the VAE counts its levels from the finest.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "conv_shortcut": "skip_connection",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "time_emb_proj": "emb_layers.1",
}  # fmt: skip
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def save(pipeline, file: Path, open_clip: bool = False) -> Path:
    """Write Stable Diffusion 1.5's layout of a pipeline, or with `open_clip` 2's; returns the file."""
    tensors = {f"model.diffusion_model.{k}": v for k, v in unet(pipeline.unet).items()}
    tensors |= {f"first_stage_model.{k}": v for k, v in vae(pipeline.vae).items()}
    text = pipeline.text_encoder.state_dict()
    text = {k.removeprefix("text_model."): v for k, v in text.items()}
    if open_clip:
        tensors |= {f"cond_stage_model.model.{k}": v for k, v in openclip(text).items()}
    else:
        tensors |= {f"cond_stage_model.transformer.text_model.{k}": v for k, v in text.items()}
    save_file({k: v.contiguous() for k, v in tensors.items()}, file)
    return file


def openclip(state: dict) -> dict:
    """CLIPTextModel's weights under OpenCLIP's names, where q, k and v are one matrix."""
    places = {
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        "final_layer_norm.": "ln_final.",
    }
    layer = {
        "self_attn.out_proj.": "attn.out_proj.", "layer_norm1.": "ln_1.", "layer_norm2.": "ln_2.",
        "mlp.fc1.": "mlp.c_fc.", "mlp.fc2.": "mlp.c_proj.",
    }  # fmt: skip
    found = {}
    for key, value in state.items():
        if key.startswith("encoder.layers."):
            number, _, rest = key.removeprefix("encoder.layers.").partition(".")
            block = f"transformer.resblocks.{number}."
            if rest.startswith("self_attn.q_proj."):
                kind = rest.rpartition(".")[2]
                parts = [state[key.replace("q_proj", f"{name}_proj")] for name in "qkv"]
                found[f"{block}attn.in_proj_{kind}"] = torch.cat(parts)
            for new, old in layer.items():
                if rest.startswith(new):
                    found[block + old + rest.removeprefix(new)] = value
        for new, old in places.items():
            if key.startswith(new):
                found[old + key.removeprefix(new)] = value
    return found


def unet(network) -> dict:
    """UNet2DConditionModel's weights, renamed."""
    places = {
        "time_embedding.linear_1.": "time_embed.0.", "time_embedding.linear_2.": "time_embed.2.",
        "conv_in.": "input_blocks.0.0.", "conv_norm_out.": "out.0.", "conv_out.": "out.2.",
        "mid_block.resnets.0.": "middle_block.0.", "mid_block.attentions.0.": "middle_block.1.",
        "mid_block.resnets.1.": "middle_block.2.",
    }  # fmt: skip
    layers, blocks, k = network.config.layers_per_block, len(network.config.block_out_channels), 1
    for b in range(blocks):
        for layer in range(layers):
            places[f"down_blocks.{b}.resnets.{layer}."] = f"input_blocks.{k}.0."
            places[f"down_blocks.{b}.attentions.{layer}."] = f"input_blocks.{k}.1."
            k += 1
        places[f"down_blocks.{b}.downsamplers.0.conv."] = f"input_blocks.{k}.0.op."
        k += 1
    for b, block in enumerate(network.up_blocks):
        for layer in range(layers + 1):
            k = b * (layers + 1) + layer
            places[f"up_blocks.{b}.resnets.{layer}."] = f"output_blocks.{k}.0."
            places[f"up_blocks.{b}.attentions.{layer}."] = f"output_blocks.{k}.1."
        after = 2 if getattr(block, "attentions", None) else 1
        places[f"up_blocks.{b}.upsamplers.0.conv."] = f"output_blocks.{k}.{after}.conv."
    return _renamed(network.state_dict(), places, RESNET)


def vae(network) -> dict:
    """AutoencoderKL's weights, renamed; its attention's linear layers were 1×1 convolutions."""
    levels, layers = len(network.config.block_out_channels), network.config.layers_per_block
    places = {}
    for side in ("encoder", "decoder"):
        places[f"{side}.conv_norm_out."] = f"{side}.norm_out."
        for k in (0, 1):
            places[f"{side}.mid_block.resnets.{k}."] = f"{side}.mid.block_{k + 1}."
        places[f"{side}.mid_block.attentions.0."] = f"{side}.mid.attn_1."
    for b in range(levels):
        up = levels - 1 - b
        for layer in range(layers + 1):
            places[f"encoder.down_blocks.{b}.resnets.{layer}."] = f"encoder.down.{b}.block.{layer}."
            places[f"decoder.up_blocks.{b}.resnets.{layer}."] = f"decoder.up.{up}.block.{layer}."
        places[f"encoder.down_blocks.{b}.downsamplers.0."] = f"encoder.down.{b}.downsample."
        places[f"decoder.up_blocks.{b}.upsamplers.0."] = f"decoder.up.{up}.upsample."
    resnet = {"conv_shortcut": "nin_shortcut"}
    found = _renamed(network.state_dict(), places, resnet, ATTENTION)
    convolutions = ("q.weight", "k.weight", "v.weight", "proj_out.weight")
    return {
        k: v[:, :, None, None] if ".attn_1." in k and k.endswith(convolutions) else v
        for k, v in found.items()
    }


def _renamed(state: dict, places: dict, resnet: dict, attention: dict | None = None) -> dict:
    """Keys whose beginning stands in `places` moved there, and their parts renamed."""
    found = {}
    for key, value in state.items():
        start = next((s for s in places if key.startswith(s)), None)
        if start is None:
            found[key] = value
            continue
        rest = key[len(start) :]
        names = (attention or {}) if ".attentions." in start else resnet
        old = next((o for o in names if rest.startswith(f"{o}.")), None)
        found[places[start] + (rest if old is None else names[old] + rest[len(old) :])] = value
    return found


def save_sd3(pipeline, file: Path) -> Path:
    """Write Stable Diffusion 3's layout of a pipeline without its text encoders; returns the file."""
    tensors = {
        f"model.diffusion_model.{k}": v for k, v in transformer(pipeline.transformer).items()
    }
    tensors |= {f"first_stage_model.{k}": v for k, v in vae(pipeline.vae).items()}
    save_file({k: v.contiguous() for k, v in tensors.items()}, file)
    return file


def transformer(network) -> dict:
    """SD3Transformer2DModel's weights, renamed; q, k and v are one matrix."""
    places = {
        "pos_embed.pos_embed": "pos_embed", "pos_embed.proj.": "x_embedder.proj.",
        "time_text_embed.timestep_embedder.linear_1.": "t_embedder.mlp.0.",
        "time_text_embed.timestep_embedder.linear_2.": "t_embedder.mlp.2.",
        "time_text_embed.text_embedder.linear_1.": "y_embedder.mlp.0.",
        "time_text_embed.text_embedder.linear_2.": "y_embedder.mlp.2.",
        "proj_out.": "final_layer.linear.",
    }  # fmt: skip
    block = {
        "attn.to_out.0.": "x_block.attn.proj.", "attn.to_add_out.": "context_block.attn.proj.",
        "norm1.linear.": "x_block.adaLN_modulation.1.",
        "norm1_context.linear.": "context_block.adaLN_modulation.1.",
        "ff.net.0.proj.": "x_block.mlp.fc1.", "ff.net.2.": "x_block.mlp.fc2.",
        "ff_context.net.0.proj.": "context_block.mlp.fc1.",
        "ff_context.net.2.": "context_block.mlp.fc2.",
        # 3.5: normalised queries and keys, and a second attention of the image to itself
        "attn.norm_q.": "x_block.attn.ln_q.", "attn.norm_k.": "x_block.attn.ln_k.",
        "attn.norm_added_q.": "context_block.attn.ln_q.",
        "attn.norm_added_k.": "context_block.attn.ln_k.",
        "attn2.norm_q.": "x_block.attn2.ln_q.", "attn2.norm_k.": "x_block.attn2.ln_k.",
        "attn2.to_out.0.": "x_block.attn2.proj.",
    }  # fmt: skip
    state, found = network.state_dict(), {}
    last = f"transformer_blocks.{network.config.num_layers - 1}."
    for key, value in state.items():
        if key.startswith("norm_out.linear."):
            found["final_layer.adaLN_modulation.1." + key.rpartition(".")[2]] = _swapped(value)
            continue
        if not key.startswith("transformer_blocks."):
            start = next((s for s in places if key.startswith(s)), "")
            found[places.get(start, "") + key[len(start) :]] = value
            continue
        _, number, rest = key.split(".", 2)
        into = f"joint_blocks.{number}."
        for first, side in (
            ("attn.to_q", "x_block"), ("attn.add_q_proj", "context_block"), ("attn2.to_q", "x_block"),
        ):  # fmt: skip
            if rest.startswith(f"{first}."):
                parts = [state[key.replace(first, first.replace("q", c))] for c in "qkv"]
                which = first.partition(".")[0]
                found[f"{into}{side}.{which}.qkv.{rest.rpartition('.')[2]}"] = torch.cat(parts)
        for new, old in block.items():
            if rest.startswith(new):
                end = key.startswith(last) and new == "norm1_context.linear."
                found[into + old + rest[len(new) :]] = _swapped(value) if end else value
    return found


def _swapped(value: torch.Tensor) -> torch.Tensor:
    """Scale and shift in the order of the first releases."""
    return torch.cat(value.chunk(2, 0)[::-1])
