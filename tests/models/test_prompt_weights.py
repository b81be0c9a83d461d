"""(word:1.2) in prompts: weight 1 is the prompt itself, others are compel's own answer."""

from __future__ import annotations

import sys
from functools import cache, partial

import pytest
import tiny
import torch
from diffusers import StableDiffusionPipeline

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel, embedded
from geodesic_lightning.models.diffusion.prompt_weights import fragments, is_weighted, plain
from geodesic_lightning.score.condition import prompts
from geodesic_lightning.score.long_prompts import check_before_loading

NAMES = pytest.mark.parametrize("name", ["sd15", "sd2", "sdxl"])
PLAIN = ["a cat", "a (cat)", "f(x: 1.2)", "(:1.2)", r"\(cat:1.2\)", "((cat))", "(cat:x)", "a:1.2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return cache(lambda name: str(tiny.save(name, tmp_path_factory.mktemp(name))))


@pytest.fixture(scope="module")
def model(folder):
    return cache(lambda name: DiffusionModel(folder(name)))


@pytest.mark.parametrize(
    ("prompt", "pieces"),
    [
        ("a (cat:1.2) b", [("a ", 1.0), ("cat", 1.2), (" b", 1.0)]),
        ("(a cat:.5)", [("a cat", 0.5)]),
        ("(a:2)(b:0.3) c", [("a", 2.0), ("b", 0.3), (" c", 1.0)]),
        (r"\(a\) (b:1.5)", [("(a) ", 1.0), ("b", 1.5)]),
    ],
)
def test_pieces(prompt, pieces):
    assert fragments(prompt) == pieces
    assert plain(prompt) == "".join(text for text, _ in pieces)


@pytest.mark.parametrize("prompt", [*PLAIN, ""])
def test_what_is_only_text(prompt):
    assert not is_weighted(prompt)
    assert plain(prompt) == prompt


class TestByCompel:
    @pytest.fixture(autouse=True)
    def compel(self):
        pytest.importorskip("compel")

    @NAMES
    def test_a_weight_of_one_changes_nothing(self, model, name):
        found = model(name).embed(["a (cat:1.0) b", "d"])
        torch.testing.assert_close(found, model(name).embed(["a cat b", "d"]))

    @NAMES
    @pytest.mark.parametrize("weight", [1.5, 0.6])
    def test_only_that_prompt_is_changed(self, model, name, weight):
        found = model(name).embed([f"a (cat:{weight}) b", "d"])
        unweighted = model(name).embed(["a cat b", "d"])
        assert torch.equal(found[1], unweighted[1])
        assert not torch.allclose(found[0, :77], unweighted[0, :77], atol=1e-3)
        assert torch.equal(found[0, 77:], unweighted[0, 77:])  # what is pooled has no weights

    @pytest.mark.parametrize("weight", ["1.5", "0.6"])
    def test_is_what_compel_makes_of_its_own_spelling(self, folder, model, weight):
        from compel import Compel

        pipeline = StableDiffusionPipeline.from_pretrained(folder("sd2"))
        own = Compel(tokenizer=pipeline.tokenizer, text_encoder=pipeline.text_encoder)
        with torch.no_grad():
            expected = own(f"a (cat){weight} b")
        torch.testing.assert_close(model("sd2").embed([f"a (cat:{weight}) b"]), expected)

    def test_in_pieces(self, model):
        text = " ".join("abcdefghij"[k % 10] for k in range(90))
        found = model("sd2").embed([f"{text} (cat:1.0)", "a"], long="chunks")
        torch.testing.assert_close(found, model("sd2").embed([f"{text} cat", "a"], long="chunks"))
        louder = model("sd2").embed([f"{text} (cat:1.5)", "a"], long="chunks")
        assert torch.allclose(louder[0, :77], found[0, :77], atol=1e-5)
        assert not torch.allclose(louder[0, 77:], found[0, 77:], atol=1e-3)

    def test_a_transformer_reads_none(self, model):
        with pytest.raises(
            UserError, match="this model does not read, expected Stable Diffusion 1, 2"
        ):
            model("sd3").embed(["a (cat:1.2)"])


def test_without_compel_one_sentence_before_loading(monkeypatch):
    monkeypatch.setitem(sys.modules, "compel", None)
    for make in (partial(embedded), partial(DiffusionModel, "/nowhere")):
        with pytest.raises(UserError, match=r"has a weight, \(cat:1.2\), and compel.*\[prompts\]"):
            check_before_loading(make, prompts, ["a (cat:1.2)", ""])
