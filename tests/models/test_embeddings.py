"""Textual inversion from files: a new word that has known words' vectors means what they mean."""

from __future__ import annotations

from functools import cache

import pytest
import tiny
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import save_file

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.diffusion.embeddings import read_embeddings

WORD = "qqstyle"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return cache(lambda name: str(tiny.save(name, tmp_path_factory.mktemp(name) / name)))


def vectors(folder, text):
    """The token vectors (n, width) of a text's words, of each encoder."""
    pipeline = DiffusionPipeline.from_pretrained(folder)
    found = []
    for k in ("", "_2"):
        if encoder := getattr(pipeline, f"text_encoder{k}", None):
            tokens = getattr(pipeline, f"tokenizer{k}")
            ids = tokens(text, add_special_tokens=False, return_tensors="pt").input_ids[0]
            found.append(encoder.get_input_embeddings().weight[ids].detach().clone())
    return found


def a1111_pickled(rows, place):
    file = place / f"{WORD}.pt"
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": rows}, "name": "x"}, file)
    return file


def a1111(rows, place):
    file = place / f"{WORD}.safetensors"
    save_file({"emb_params": rows}, file)
    return file


def diffusers(rows, place):
    file = place / "learned_embeds.safetensors"
    save_file({WORD: rows}, file)
    return file


def diffusers_pickled(rows, place):
    file = place / "learned_embeds.bin"
    torch.save({WORD: rows[0] if len(rows) == 1 else rows}, file)
    return file


@pytest.mark.parametrize("layout", [a1111, a1111_pickled, diffusers, diffusers_pickled])
@pytest.mark.parametrize("meaning", ["cat", "a cat b"])
def test_a_word_is_its_vectors(saved, tmp_path, layout, meaning):
    file = layout(vectors(saved("sd2"), meaning)[0], tmp_path)
    model, plain = (
        DiffusionModel(saved("sd2"), embeddings=[str(file)]),
        DiffusionModel(saved("sd2")),
    )
    expected = plain.embed([f"c {meaning} d", "cat"])
    torch.testing.assert_close(model.embed([f"c {WORD} d", "cat"]), expected, rtol=0, atol=0)
    assert f"the word {WORD} of {file}" in model.source


@pytest.mark.parametrize("meaning", ["cat", "a cat"])
def test_two_encoders(saved, tmp_path, meaning):
    first, second = vectors(saved("sdxl"), meaning)
    file = tmp_path / f"{WORD}.safetensors"
    save_file({"clip_l": first, "clip_g": second}, file)
    model = DiffusionModel(saved("sdxl"), embeddings=str(file))
    expected = DiffusionModel(saved("sdxl")).embed([f"c {meaning}"])
    torch.testing.assert_close(model.embed([f"c {WORD}"]), expected, rtol=0, atol=0)


def test_several_words(saved, tmp_path):
    places = [tmp_path / name for name in ("one", "two")]
    rows = [vectors(saved("sd2"), text)[0] for text in ("cat", "a b")]
    files = []
    for place, value, word in zip(places, rows, ("qqone", "qqtwo")):
        place.mkdir()
        save_file({"emb_params": value}, place / f"{word}.safetensors")
        files.append(str(place / f"{word}.safetensors"))
    model = DiffusionModel(saved("sd2"), embeddings=files)
    expected = DiffusionModel(saved("sd2")).embed(["cat a b"])
    torch.testing.assert_close(model.embed(["qqone qqtwo"]), expected, rtol=0, atol=0)


def test_its_vectors_count_as_tokens(saved, tmp_path):
    file = a1111(torch.zeros(70, 32), tmp_path)
    model = DiffusionModel(saved("sd2"), embeddings=[str(file)])
    with pytest.raises(UserError, match="has 82 tokens"):
        model.embed([f"{WORD} " + "a " * 10])


def test_a_pickle_that_runs_code_does_not(tmp_path):
    ran = tmp_path / "ran"
    torch.save({WORD: Harm(str(ran))}, tmp_path / "x.pt")
    with pytest.raises(
        UserError, match=r"x.pt is pickled and holds more than numbers.* not opened"
    ):
        read_embeddings(str(tmp_path / "x.pt"))
    assert not ran.exists()


class Harm:
    """Opened without care, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


class TestOneSentence:
    def refused(self, folder, file, match):
        with pytest.raises(UserError, match=match) as caught:
            DiffusionModel(folder, embeddings=[str(file)])
        assert "\n" not in str(caught.value)

    def test_nothing_there(self, saved, tmp_path):
        self.refused(saved("sd2"), tmp_path / "no.pt", r"no.pt \(no file\), expected .safetensors")

    def test_something_else(self, saved, tmp_path):
        save_file({"weight": torch.zeros(2, 2, 2)}, tmp_path / "x.safetensors")
        self.refused(saved("sd2"), tmp_path / "x.safetensors", "holds no textual inversion")

    @pytest.mark.parametrize(
        ("content", "lost"),
        [
            ({"emb_params": torch.zeros(2, 32), "more": torch.zeros(2, 32)}, "more"),
            ({"string_to_param": {"*": torch.zeros(2, 32), "b": torch.zeros(2, 32)}}, "b"),
            ({"string_to_param": {"b": torch.zeros(2, 32)}}, "b"),
        ],
    )
    def test_more_than_is_read(self, tmp_path, content, lost):
        torch.save(content, tmp_path / "x.pt")
        with pytest.raises(UserError, match=f"x.pt holds {lost} beside its vectors, expected one"):
            read_embeddings(str(tmp_path / "x.pt"))

    def test_rubbish(self, saved, tmp_path):
        (tmp_path / "x.safetensors").write_bytes(b"rubbish")
        self.refused(saved("sd2"), tmp_path / "x.safetensors", "cannot be read")

    def test_a_pointer(self, saved, tmp_path):
        (tmp_path / "x.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
        self.refused(saved("sd2"), tmp_path / "x.pt", "x.pt is a git-lfs pointer")

    def test_another_width(self, saved, tmp_path):
        file = a1111(torch.zeros(2, 768), tmp_path)
        self.refused(saved("sd2"), file, "vectors of width 768, this model's text encoder 32")

    def test_another_number_of_encoders(self, saved, tmp_path):
        file = a1111(torch.zeros(2, 32), tmp_path)
        self.refused(saved("sdxl"), file, "is for 1 text encoders, this model has 2")

    def test_a_model_that_takes_none(self, saved, tmp_path):
        file = a1111(torch.zeros(2, 32), tmp_path)
        self.refused(saved("sd3"), file, "StableDiffusion3Pipeline takes none")

    def test_a_word_that_is_known(self, saved, tmp_path):
        save_file({"ca": torch.zeros(32)}, tmp_path / "x.safetensors")
        self.refused(saved("sd2"), tmp_path / "x.safetensors", "the word ca of .* is one of the mo")

    def test_twice(self, saved, tmp_path):
        file = str(a1111(torch.zeros(2, 32), tmp_path))
        with pytest.raises(UserError, match=f"the word {WORD} is in two files"):
            DiffusionModel(saved("sd2"), embeddings=[file, file])
