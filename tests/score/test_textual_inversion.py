"""Textual inversion on a tiny pipeline: it learns, and its cache never lies."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.score import textual_inversion as inversion

TEXTS = ("cat", "a cat")
textual_inversion = partial(
    inversion.textual_inversion, cache=None
)  # but where the cache is tested


@pytest.fixture(scope="module")
def model(tiny_sd2):
    return DiffusionModel(str(tiny_sd2))


@pytest.fixture(scope="module")
def latents(model):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, *model.latent_shape, generator=generator)


def embeddings(condition):
    return torch.stack([condition.start, condition.end])


def error(model, latents, embedding, draws=48):
    """E|ε(x_t, t, c) − ε|² of each end over fixed draws that the training does not see."""
    generator = torch.Generator().manual_seed(1234)
    t = torch.linspace(0, model.timesteps - 1, draws).long()
    noise = torch.randn(draws, *latents.shape[1:], generator=generator)
    level = torch.tensor([model.alpha_cumprod(int(k)) for k in t]).float()[:, None, None, None]
    found = []
    for clean, prompt in zip(latents, embedding):
        noised = level.sqrt() * clean + (1 - level).sqrt() * noise
        with torch.no_grad():
            guess = model.noise_prediction(noised, t, prompt.expand(draws, -1, -1))
        found.append(float((guess - noise).square().mean()))
    return found


@pytest.mark.parametrize("joint", [False, True])
def test_lowers_the_error_of_the_noise_prediction(model, latents, joint):
    options = {"joint": joint, "lr": 0.02}
    before = embeddings(textual_inversion(model, TEXTS, latents, steps=0, **options))
    after = embeddings(textual_inversion(model, TEXTS, latents, steps=40, **options))
    first, second = error(model, latents, before), error(model, latents, after)
    if joint:
        assert sum(second) < sum(first)
        assert torch.equal(after[0], after[1])
    else:
        assert all(new < old for new, old in zip(second, first))
        assert not torch.equal(after[0], after[1])


def test_without_steps_it_is_the_prompts(model, latents):
    condition = textual_inversion(model, TEXTS, latents, steps=0)
    torch.testing.assert_close(embeddings(condition), model.embed(TEXTS), rtol=0, atol=0)


def test_the_same_seed_gives_the_same_and_another_another(model, latents):
    one, two, three = (
        embeddings(textual_inversion(model, TEXTS, latents, steps=3, seed=s)) for s in (0, 0, 1)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, three)


def test_both_ends_are_bent_alike(model, latents):
    condition = textual_inversion(model, TEXTS, latents, steps=1, batch_size=1, lr=1e-3)
    moved = (embeddings(condition) - model.embed(TEXTS)).abs()
    # Adam's first step is lr in every coordinate, whatever the gradient's size; weight decay adds
    # a hundredth of lr times the embedding, whose entries are a few.
    assert moved.amax(dim=(1, 2)).tolist() == pytest.approx([1e-3, 1e-3], rel=0.05)
    assert moved.median() == pytest.approx(1e-3, rel=0.05)


def test_leaves_no_gradient_on_the_frozen_weights(model, latents):
    textual_inversion(model, TEXTS, latents, steps=1)
    assert all(p.grad is None and not p.requires_grad for p in model.parameters())


class TestCache:
    def run(self, model, latents, folder, **options):
        given = {"steps": 2, "cache": str(folder), **options}
        return embeddings(textual_inversion(model, TEXTS, latents, **given))

    def test_a_hit_is_the_same_tensor_and_asks_no_network(
        self, model, latents, tmp_path, monkeypatch
    ):
        first = self.run(model, latents, tmp_path)
        (file,) = tmp_path.iterdir()
        before = model.evaluations
        monkeypatch.setattr(model, "embed", lambda *_: pytest.fail("embedded again"))
        assert torch.equal(first, self.run(model, latents, tmp_path))
        assert model.evaluations == before
        assert [*tmp_path.iterdir()] == [file]

    @pytest.mark.parametrize(
        "change", [{"steps": 3}, {"lr": 0.01}, {"batch_size": 1}, {"seed": 1}, {"joint": True}]
    )
    def test_another_setting_is_another_file(self, model, latents, tmp_path, change):
        self.run(model, latents, tmp_path)
        self.run(model, latents, tmp_path, **change)
        assert len([*tmp_path.iterdir()]) == 2

    def test_other_images_prompts_or_weights_are_other_files(self, model, latents, tmp_path):
        self.run(model, latents, tmp_path)
        self.run(model, latents + 1e-3, tmp_path)
        textual_inversion(model, ("dog", "a cat"), latents, steps=2, cache=str(tmp_path))
        weight = next(iter(model.parameters()))
        kept = weight.detach().clone()
        weight.data[0] += 1
        self.run(model, latents, tmp_path)
        weight.data.copy_(kept)
        assert len([*tmp_path.iterdir()]) == 4

    @pytest.mark.parametrize(
        "rubbish", [b"", b"rubbish", b"\xff" * 64], ids=["empty", "text", "ones"]
    )
    def test_a_corrupt_file_is_ignored_and_written_anew(self, model, latents, tmp_path, rubbish):
        first = self.run(model, latents, tmp_path)
        (file,) = tmp_path.iterdir()
        whole = file.read_bytes()
        for broken in (rubbish, whole[: len(whole) // 2]):
            file.write_bytes(broken)
            assert torch.equal(first, self.run(model, latents, tmp_path))
            assert file.read_bytes() == whole

    def test_a_file_without_an_embedding_is_ignored_too(self, model, latents, tmp_path):
        first = self.run(model, latents, tmp_path)
        (file,) = tmp_path.iterdir()
        save_file({"something": torch.zeros(2)}, file)
        assert torch.equal(first, self.run(model, latents, tmp_path))

    def test_runs_at_once_find_the_same_and_leave_whole_files(self, model, latents, tmp_path):
        def bent(seed):
            return self.run(model, latents, tmp_path, steps=0, seed=seed)

        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(bent, sorted([*range(5)] * 4)))  # four of each at a time
        assert all(torch.equal(one, found[0]) for one in found)
        files = [*tmp_path.iterdir()]
        assert len(files) == 5
        assert all(torch.equal(load_file(file)["embedding"], found[0]) for file in files)

    def test_a_file_is_whole_or_not_there(self, model, latents, tmp_path, monkeypatch):
        """Killed while it is written, a run leaves the name to the next."""

        def killed(tensors, place):
            Path(place).write_bytes(b"the first half")
            raise KeyboardInterrupt

        monkeypatch.setattr(inversion, "save_file", killed)
        with pytest.raises(KeyboardInterrupt):
            self.run(model, latents, tmp_path)
        assert not [*tmp_path.glob("*.safetensors")]

    def test_makes_its_folder(self, model, latents, tmp_path):
        self.run(model, latents, tmp_path / "deep" / "er")
        assert len([*(tmp_path / "deep" / "er").iterdir()]) == 1

    def test_a_folder_that_cannot_be_is_said(self, model, latents, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(UserError, match=r"condition\.cache"):
            self.run(model, latents, tmp_path / "file" / "cache")


@pytest.mark.parametrize(
    ("options", "said"),
    [({"steps": -1}, r"condition\.steps"), ({"batch_size": 0}, r"condition\.batch_size")],
)
def test_refuses_settings_that_mean_nothing(model, latents, options, said):
    with pytest.raises(UserError, match=said):
        textual_inversion(model, TEXTS, latents, **options)
