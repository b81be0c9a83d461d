"""The precision in which networks run: what the hardware computes in, not what it can emulate."""

from __future__ import annotations

import pytest
import torch

from geodesic_lightning.models.diffusion.placement import fastest, precision


@pytest.mark.parametrize(
    ("kind", "bfloat16", "dtype"),
    [
        ("cuda", True, torch.bfloat16),  # A100, H100
        ("cuda", False, torch.float16),  # T4, V100
        ("mps", False, torch.float32),
        ("mps", True, torch.float32),
        ("cpu", True, torch.float32),
    ],
)
def test_by_device(kind, bfloat16, dtype):
    assert precision(kind, bfloat16) is dtype


def test_emulation_does_not_count(monkeypatch):
    """A T4: torch says yes unless it is asked about the hardware."""
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation
    )
    assert fastest(torch.device("cuda")) is torch.float16
    assert fastest(torch.device("cpu")) is torch.float32
