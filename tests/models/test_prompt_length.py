"""Prompts that are longer than the text encoder takes: refused, cut, or read in pieces."""

from __future__ import annotations

import json
from functools import cache, partial

import pytest
import tiny
import torch

from geodesic_lightning.errors import UserError
from geodesic_lightning.models import prompt_length
from geodesic_lightning.models.diffusion import DiffusionModel, embedded
from geodesic_lightning.models.exact import ExactModel
from geodesic_lightning.score.condition import prompts, unconditional
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import Contrast
from geodesic_lightning.score.long_prompts import check_before_loading
from geodesic_lightning.score.textual_inversion import textual_inversion

LONG = " ".join("abcdefghij"[k % 10] for k in range(100))  # 100 tokens, 75 and 25
FIRST, REST = LONG[: 2 * 75 - 1], LONG[2 * 75 :]
NAMES = pytest.mark.parametrize("name", ["sd15", "sd2", "sdxl"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return cache(lambda name: str(tiny.save(name, tmp_path_factory.mktemp(name) / name)))


@pytest.fixture(scope="module")
def model(folder):
    return cache(lambda name: DiffusionModel(folder(name)))


class TestChunks:
    @NAMES
    def test_are_the_pieces_side_by_side(self, model, name):
        """What each piece gives as a prompt of its own; the pooled row is the first's."""
        found = model(name).embed([LONG], long="chunks")
        first, rest = model(name).embed([FIRST, REST])
        rows = 77
        torch.testing.assert_close(found[0, :rows], first[:rows])
        torch.testing.assert_close(found[0, rows : 2 * rows], rest[:rows])
        assert found.shape[1] == 2 * rows + (name == "sdxl")
        if name == "sdxl":
            torch.testing.assert_close(found[0, -1], first[-1])

    @NAMES
    def test_of_a_prompt_that_fits_are_the_prompt(self, model, name):
        texts = ["a cat", FIRST, ""]
        assert torch.equal(model(name).embed(texts, long="chunks"), model(name).embed(texts))

    @NAMES
    def test_all_are_as_long_as_the_longest(self, model, name):
        found = model(name).embed(["a", LONG], long="chunks")
        alone = model(name).embed(["a"])
        torch.testing.assert_close(found[0, :77], alone[0, :77])
        if name != "sdxl":  # which makes zeros of prompts that are empty, not of empty pieces
            torch.testing.assert_close(found[0, 77:], model(name).embed([""])[0])

    @NAMES
    def test_an_embedding_made_longer_says_the_same_to_the_network(self, model, name):
        made = model(name)
        blank, x = made.embed([""]), torch.linspace(-2, 2, 256).reshape(1, *made.latent_shape)
        longer = made.lengthen(blank, made.embed([LONG], long="chunks").shape[1])
        assert longer.shape[1] > blank.shape[1]
        torch.testing.assert_close(
            made.noise_prediction(x, 500, longer),
            made.noise_prediction(x, 500, blank),
            rtol=1e-4,
            atol=1e-5,
        )

    @NAMES
    def test_scores_that_contrast_it_with_a_short_one(self, model, name):
        made = model(name)
        condition = prompts(made, [LONG, "a"], long_prompts="chunks")
        score = Score(made, condition, Contrast())
        x = torch.randn(2, *made.latent_shape, generator=torch.Generator().manual_seed(0))
        found = score(x, torch.tensor([0.0, 1.0]))
        blank = made.embed([""]).expand(2, -1, -1)
        own = condition(torch.tensor([0.0, 1.0]))
        level = made.timestep
        expected = made.noise_prediction(x, level, blank) - made.noise_prediction(x, level, own)
        torch.testing.assert_close(found, expected / 2, rtol=1e-3, atol=1e-4)

    def test_a_transformer_takes_none(self, model):
        with pytest.raises(UserError, match=r"expected Stable Diffusion 1, 2 or XL"):
            model("sd3").embed([LONG], long="chunks")

    def test_textual_inversion_begins_with_them(self, model):
        made = model("sd2")
        latents = torch.zeros(2, *made.latent_shape)
        begun = textual_inversion(
            made, [LONG, "a"], latents, steps=0, cache=None, long_prompts="chunks"
        )
        assert torch.equal(begun.start, made.embed([LONG, "a"], long="chunks")[0])


@NAMES
def test_truncate_reads_the_beginning_and_says_so(model, name, caplog):
    found = model(name).embed([LONG], long="truncate")
    assert torch.equal(found, model(name).embed([FIRST]))
    assert "has 102 tokens" in caplog.text
    assert "the rest of it is not read" in caplog.text


def test_refuse_names_the_ways_on(model):
    with pytest.raises(
        UserError, match=r"shorten it, or give condition.long_prompts=chunks \(2 pi"
    ):
        model("sd2").embed([LONG])


def test_other_ways_are_refused(model):
    with pytest.raises(UserError, match="got 'cut', expected one of refuse, truncate, chunks"):
        prompts(model("sd2"), ["a"], long_prompts="cut")


def test_an_exact_density_has_no_limit():
    for way in prompt_length.WAYS:
        assert prompts(ExactModel("ring"), [LONG], long_prompts=way)(torch.zeros(1)).numel() == 1


class TestBeforeLoading:
    """The tokenizer alone is read: here the folder has no weights at all."""

    @pytest.fixture
    def make(self, tmp_path):
        tiny.tokenizer().save_pretrained(tmp_path / "tokenizer")
        return partial(DiffusionModel, str(tmp_path))

    def test_too_long(self, make):
        with pytest.raises(UserError, match="has 102 tokens"):
            check_before_loading(make, prompts, ["a", LONG])

    def test_of_the_shipped_model(self):
        with pytest.raises(UserError, match="takes 24"):
            check_before_loading(partial(embedded), partial(prompts), [LONG])

    def test_joint_inversion_reads_them_as_one(self, make):
        check_before_loading(make, partial(textual_inversion), [FIRST, "b"])
        with pytest.raises(UserError, match="has 78 tokens"):
            check_before_loading(make, partial(textual_inversion, joint=True), [FIRST, "b"])

    def test_words_of_embeddings_count(self, make, tmp_path):
        torch.save({"qqword": torch.zeros(80, 32)}, tmp_path / "words.pt")
        make = partial(make.func, *make.args, embeddings=[str(tmp_path / "words.pt")])
        with pytest.raises(UserError, match="has 83 tokens"):
            check_before_loading(make, prompts, ["a qqword"])

    @pytest.mark.parametrize("way", ["truncate", "chunks"])
    def test_other_ways_pass(self, make, way):
        check_before_loading(make, partial(prompts, long_prompts=way), [LONG])

    def test_prompts_that_are_not_read_pass(self, make):
        check_before_loading(make, partial(unconditional), [LONG])
        check_before_loading(partial(ExactModel, "ring"), prompts, [LONG])

    def test_a_model_that_is_not_there_is_said_later(self):
        check_before_loading(partial(DiffusionModel, "/nowhere"), prompts, [LONG])


def test_over_the_command_line(geodesic, tiny_sd2):
    words = ("model=sd2", f"model.pretrained={tiny_sd2}", "scheduler.steps=3", "callbacks=none")
    words = (*words, "solver=slerp", "solver.segments=4", "score=contrast", *shipped())
    refused = geodesic(*words, f"data.prompt_start={LONG}", "hydra.run.dir=a")
    assert refused.code == 1
    assert "condition.long_prompts=chunks" in refused.err
    read = geodesic(*words, f"data.prompt_start={LONG}", "condition.long_prompts=chunks")
    assert read.code == 0, read.err
    summary = json.loads((read.folder / "summary.json").read_text())
    assert summary["prediction"] == "epsilon"
    assert summary["prediction_from"] == "configuration"


def shipped():
    from geodesic_lightning.data.frames import SHIPPED

    ends = {end: SHIPPED / f"pair_cat_{end}.png" for end in ("start", "end")}
    return ["data=pair", *(f"data.{end}={path}" for end, path in ends.items())]
