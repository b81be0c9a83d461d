"""ICC profiles from their definition, and the pixels that show a given sRGB colour through them.

    matrix    linear = curve(v),  XYZ = M linear                       (AdobeRGB, Display P3)
    ink       Lab = table(c, m, y, k), four-linear between its nodes   (a press)

The arithmetic is numpy's own, so that what littleCMS makes of a profile is compared with something.
"""

from __future__ import annotations

import itertools
import struct

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
D65 = np.array([0.3127, 0.3290])
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
PRIMARIES = {
    "srgb": [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)],
    "adobe": [(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)],
    "p3": [(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)],
}
GRID = 9  # nodes a side of the ink table


def matrix(space: str) -> np.ndarray:
    """Linear RGB → XYZ under D50 (3, 3): primaries, white D65, Bradford's adaptation."""
    columns = np.array([xyz(*xy) for xy in PRIMARIES[space]]).T
    white = xyz(*D65)
    whole = columns * np.linalg.solve(columns, white)
    cone = (BRADFORD @ D50) / (BRADFORD @ white)
    return np.linalg.inv(BRADFORD) @ np.diag(cone) @ BRADFORD @ whole


def xyz(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def linear(v: np.ndarray, space: str) -> np.ndarray:
    """The curve of a space, [0, 1] → [0, 1]."""
    if space == "adobe":
        return v**2.19921875
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def encoded(v: np.ndarray, space: str) -> np.ndarray:
    """Its inverse."""
    if space == "adobe":
        return v ** (1 / 2.19921875)
    return np.where(v <= 0.0031308, v * 12.92, 1.055 * v ** (1 / 2.4) - 0.055)


def in_space(srgb: np.ndarray, space: str) -> np.ndarray:
    """Bytes that show the sRGB bytes (…, 3) through the profile of `space`, as nearly as bytes can."""
    seen = linear(srgb / 255, "srgb") @ matrix("srgb").T
    own = (seen @ np.linalg.inv(matrix(space)).T).clip(0, 1)
    return np.round(encoded(own, space) * 255).astype(np.uint8)


def meant(stored: np.ndarray, space: str) -> np.ndarray:
    """sRGB of 8-bit pixels (…, 3) of a space, 0 … 255, not rounded."""
    seen = linear(stored / 255, space) @ matrix(space).T
    own = (seen @ np.linalg.inv(matrix("srgb")).T).clip(0, 1)
    return encoded(own, "srgb") * 255


def matrix_profile(space: str) -> bytes:
    """A display's profile, version 2."""
    columns = matrix(space).T
    samples = (linear(np.linspace(0, 1, 4096), space) * 65535).round().astype(">u2")
    curve = b"curv" + bytes(4) + struct.pack(">I", len(samples)) + samples.tobytes()
    tags = {name: xyz_tag(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return profile(b"mntr", b"RGB ", b"XYZ ", tags)


def ink_profile() -> bytes:
    """A press' profile, version 2, whose colours are those of `ink`."""
    nodes = np.array(list(itertools.product(np.linspace(0, 1, GRID), repeat=4)))
    lab = lab_of(ink(nodes))
    table = np.stack(
        [lab[:, 0] / 100 * 0xFF00, (lab[:, 1] + 128) * 256, (lab[:, 2] + 128) * 256], 1
    )
    identity = struct.pack(">9i", *(65536 * np.eye(3, dtype=int).flatten()))
    ends = struct.pack(">2H", 0, 65535)
    head = b"mft2" + bytes(4) + bytes([4, 3, GRID, 0]) + identity + struct.pack(">2H", 2, 2)
    body = head + ends * 4 + table.round().astype(">u2").tobytes() + ends * 3
    return profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": body, b"A2B1": body, b"A2B2": body})


def ink(cmyk: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] of ink shares (…, 4): duller inks than the convention's (1 − c)(1 − k)."""
    c, m, y, k = np.moveaxis(cmyk, -1, 0)
    rgb = np.stack(
        [1 - 0.8 * c - 0.1 * m, 1 - 0.3 * c - 0.7 * m, 1 - 0.2 * c - 0.3 * m - 0.5 * y], -1
    )
    return rgb.clip(0, 1) * (1 - k)[..., None]


def lab_of(srgb: np.ndarray) -> np.ndarray:
    """CIE Lab under D50 of sRGB in [0, 1]."""
    ratio = linear(srgb, "srgb") @ matrix("srgb").T / D50
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def xyz_tag(value: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(float(v) * 65536) for v in value))


def profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Header, table of tags, tags."""
    text = b"made by a test\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + text,
        b"wtpt": xyz_tag(D50),
        **tags,
    }
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += name + struct.pack(">2I", at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = at + len(body)
    header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, kind, space, connection)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp"
    header = header.ljust(68, b"\0") + xyz_tag(D50)[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
