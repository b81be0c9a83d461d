"""EfficientNet-Lite0, a network trained on photographs (ImageNet), for its features and its classes.

Seven stages of inverted residuals (Sandler et al., MobileNetV2, CVPR 2018) in the widths and depths
of EfficientNet-B0 (Tan and Le, ICML 2019); "Lite" leaves squeeze-and-excitation out, and takes
ReLU6 for swish. A block of expansion t, kernel k and stride s is

    x → ReLU6 BN conv₁(x), t times as many channels → ReLU6 BN depthwise_k,s → BN conv₁,

plus x where the shape stays. As in TensorFlow, where it was trained: batch norm's ε is 10⁻³, and a
convolution of stride s pads so that its output has ⌈n/s⌉ places, the odd one behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["STAGES", "EfficientNetLite0", "padded", "renamed"]

STAGES = (
    # expansion, kernel, stride, channels, blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
STEM, HEAD, CLASSES = 32, 1280, 1000
EPSILON = 1e-3


def padded(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Images (n, C, H, W) with zeros around them, for a convolution to ⌈H/s⌉ × ⌈W/s⌉ places."""

    def both(size: int) -> tuple[int, int]:
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2

    return F.pad(x, (*both(x.shape[-1]), *both(x.shape[-2])))


class Convolution(nn.Module):
    """Convolution, batch norm, and ReLU6 unless it is linear."""

    def __init__(
        self,
        inside: int,
        outside: int,
        kernel: int = 1,
        stride: int = 1,
        depthwise: bool = False,
        linear: bool = False,
    ) -> None:
        super().__init__()
        groups = inside if depthwise else 1
        self.conv = nn.Conv2d(inside, outside, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outside, eps=EPSILON)
        self.kernel, self.stride, self.linear = kernel, stride, linear

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(padded(x, self.kernel, self.stride)))
        return x if self.linear else F.relu6(x)


class InvertedResidual(nn.Module):
    """One block: widen, filter every channel by itself, narrow without an activation."""

    def __init__(self, inside: int, outside: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inside * expansion
        self.expand = Convolution(inside, wide) if expansion > 1 else nn.Identity()
        self.filter = Convolution(wide, wide, kernel, stride, depthwise=True)
        self.project = Convolution(wide, outside, linear=True)
        self.residual = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.filter(self.expand(x)))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """The network with untrained weights; `renamed` weights fit it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, STEM, 3, 2)
        stages, inside = [], STEM
        for expansion, kernel, stride, outside, count in STAGES:
            first = InvertedResidual(inside, outside, expansion, kernel, stride)
            rest = (
                InvertedResidual(outside, outside, expansion, kernel, 1) for _ in range(count - 1)
            )
            stages.append(nn.Sequential(first, *rest))
            inside = outside
        self.stages = nn.ModuleList(stages)
        self.head = Convolution(inside, HEAD)
        self.classes = nn.Linear(HEAD, CLASSES)

    def features(self, images: Tensor) -> list[Tensor]:
        """Images (n, 3, H, W) in [0, 1] → what leaves each of the seven stages, (n, C, h, w).

        h is ⌈H/2⌉, ⌈H/4⌉, ⌈H/8⌉, ⌈H/16⌉ twice, ⌈H/32⌉ twice.
        """
        x = self.stem((255 * images - 127) / 128)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, 3, H, W) in [0, 1] → logits (n, 1000) of ImageNet's classes."""
        return self.classes(self.head(self.features(images)[-1]).mean((-2, -1)))


def renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published weights under the names of EfficientNetLite0.

    There the blocks are numbered through all stages, and a norm is numbered by what it follows:
    0 after the expansion, 1 after the filter, 2 after the projection.
    """
    blocks = [f"stages.{s}.{b}" for s, stage in enumerate(STAGES) for b in range(stage[-1])]
    parts = {
        "_expand_conv": "expand.conv",
        "_bn0": "expand.norm",
        "_depthwise_conv": "filter.conv",
        "_bn1": "filter.norm",
        "_project_conv": "project.conv",
        "_bn2": "project.norm",
    }
    ends = {
        "_conv_stem": "stem.conv",
        "_bn0": "stem.norm",
        "_conv_head": "head.conv",
        "_bn1": "head.norm",
        "_fc": "classes",
    }

    def name(key: str) -> str:
        if inner := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key):
            return f"{blocks[int(inner[1])]}.{parts[inner[2]]}.{inner[3]}"
        part, what = key.split(".")
        return f"{ends[part]}.{what}"

    return {name(key): value for key, value in weights.items()}
