"""Textual-inversion embeddings from files: new words of the text encoders, one or several vectors each.

    A1111       {"string_to_param": {"*": (n, width)}, "name": …} in .pt, {"emb_params": (n, width)} in
                .safetensors; the word is the file's name
    diffusers   {"<word>": (n, width) or (width,)}
    two encoders (Stable Diffusion XL)   {"clip_l": (n, 768), "clip_g": (n, 1280)}; the word is the file's name

Sources: Gal et al., 2023; the formats of the files that Stable Diffusion web UI and diffusers write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.data.paths import expanded
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion.folder import is_pointer, pointer_words

SUFFIXES = (".safetensors", ".pt", ".bin")
# What A1111's training writes beside the vectors, about itself.
ABOUT = {"string_to_token", "name", "step", "sd_checkpoint", "sd_checkpoint_name"}


@dataclass(frozen=True)
class Embedding:
    """A word and its vectors.

    Attributes:
        word: to be used in prompts.
        vectors: (n, width) for each text encoder, in the order of the encoders.
        file: where it was read.
    """

    word: str
    vectors: tuple[Tensor, ...]
    file: Path

    @property
    def tokens(self) -> list[str]:
        """The tokens that stand for the word: itself, word_1, word_2, … for each further vector."""
        count = len(self.vectors[0])
        return [self.word, *(f"{self.word}_{k}" for k in range(1, count))]


def read_embeddings(files: str | Sequence[str]) -> list[Embedding]:
    """The words of .safetensors, .pt or .bin files; pickled ones are read as weights only.

    Raises:
        UserError: there is no such file, or it holds no embedding in a layout that is known.
    """
    names = [files] if isinstance(files, str | Path) else files
    found = [one for name in names for one in _read(expanded(name))]
    words = [one.word for one in found]
    if twice := next((word for word in words if words.count(word) > 1), None):
        raise UserError(
            f"model.embeddings: the word {twice} is in two files, expected one of them."
        )
    return found


def add_embeddings(pipeline: Any, embeddings: Sequence[Embedding]) -> None:
    """Teach the pipeline's tokenizers and text encoders the words.

    Raises:
        UserError: the vectors are of another width than the encoder's, or the pipeline cannot learn.
    """
    if not embeddings:
        return
    if not hasattr(pipeline, "load_textual_inversion") or not hasattr(pipeline, "unet"):
        raise UserError(
            f"model.embeddings: {type(pipeline).__name__} takes none, expected Stable Diffusion 1, 2 or XL: "
            "leave model.embeddings=[]."
        )
    places = [
        (getattr(pipeline, f"tokenizer{k}"), getattr(pipeline, f"text_encoder{k}"))
        for k in ("", "_2")
        if getattr(pipeline, f"text_encoder{k}", None) is not None
    ]
    for one in embeddings:
        if len(one.vectors) != len(places):
            raise UserError(
                f"model.embeddings: {one.file} is for {len(one.vectors)} text encoders, this model has "
                f"{len(places)}: give one that was made for it."
            )
        for vectors, (tokens, encoder) in zip(one.vectors, places):
            width = encoder.get_input_embeddings().weight.shape[1]
            if vectors.shape[1] != width:
                raise UserError(
                    f"model.embeddings: {one.file} has vectors of width {vectors.shape[1]}, this model's "
                    f"text encoder {width}: give one that was made for it."
                )
            if one.word in tokens.get_vocab():
                raise UserError(
                    f"model.embeddings: the word {one.word} of {one.file} is one of the model's own: rename "
                    "the file."
                )
            pipeline.load_textual_inversion(
                vectors.float(), token=one.word, tokenizer=tokens, text_encoder=encoder
            )


def _read(file: Path) -> list[Embedding]:
    if not file.is_file() or file.suffix not in SUFFIXES:
        what = f"a {file.suffix or 'nameless'} file" if file.is_file() else "no file"
        raise UserError(
            f"model.embeddings: got {file} ({what}), expected {', '.join(SUFFIXES)} of textual inversion."
        )
    if is_pointer(file):
        raise UserError(f"model.embeddings: {pointer_words(file, file.parent)}.")
    try:
        found = _words(_tensors(file), file)
    except UserError:
        raise
    except UnpicklingError as error:
        raise UserError(
            f"model.embeddings: {file} is pickled and holds more than numbers, which could run code: it was "
            "not opened, give a .safetensors file."
        ) from error
    except Exception as error:  # what libraries make of files that are not as they should be
        raise UserError(
            f"model.embeddings: {file} cannot be read ({' '.join(str(error).split())[:160]}): give another."
        ) from error
    if not found:
        raise UserError(
            f"model.embeddings: {file} holds no textual inversion in A1111's or diffusers' layout: give "
            "another."
        )
    return found


def _tensors(file: Path) -> dict[str, Any]:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    return torch.load(file, map_location="cpu", weights_only=True)


def _words(content: dict[str, Any], file: Path) -> list[Embedding]:
    if name := next((name for name in ("string_to_param", "emb_params") if name in content), None):
        found = dict(content[name]) if name == "string_to_param" else {"*": content[name]}
        if unread := sorted((set(content) - ABOUT - {name}) | (set(found) - {"*"})):
            raise UserError(
                f"model.embeddings: {file} holds {', '.join(unread[:3])} beside its vectors, expected one "
                "word in A1111's layout, or words in diffusers': give another."
            )
        return [Embedding(file.stem, (_rows(found["*"]),), file)]
    if set(content) == {"clip_l", "clip_g"}:
        pair = _rows(content["clip_l"]), _rows(content["clip_g"])
        return [Embedding(file.stem, pair, file)]
    if all(isinstance(value, Tensor) and value.dim() in (1, 2) for value in content.values()):
        return [Embedding(word, (_rows(value),), file) for word, value in content.items()]
    return []


def _rows(value: Tensor) -> Tensor:
    rows = value.detach()
    return rows[None] if rows.dim() == 1 else rows
