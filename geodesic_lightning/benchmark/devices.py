"""One path on many devices: an estimate of a sweep's time, from what is assumed of device and wire.

    time(N) = ⌈n/N⌉ · τ + (N − 1) λ + (N − 1)/N · b/w

n interior nodes, τ seconds of the network a latent, a ring all-gather of b bytes (4 n numbers each)
over N devices with latency λ a hop and bandwidth w. Nothing here is measured but what is put in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from geodesic_lightning.benchmark.markdown import markdown

COUNTS = (1, 2, 4, 8, 16, 32, 64)
SEGMENTS = (16, 64, 256)
NETWORK = 0.010  # s a latent: 2.1-base at 512 px in 16 bits on one large GPU, assumed
LATENCY, BANDWIDTH = 20e-6, 25e9  # s a hop, bytes/s: InfiniBand at 200 Gb/s, assumed
NUMBERS = 4 * 64 * 64  # of a latent


@dataclass(frozen=True)
class Row:
    """Devices, segments, seconds of a sweep, the exchange's part of it, and how much faster than one."""

    devices: int
    segments: int
    seconds: float
    exchange: float
    faster: float


def sweep(
    devices: int,
    segments: int,
    network: float = NETWORK,
    latency: float = LATENCY,
    bandwidth: float = BANDWIDTH,
    numbers: int = NUMBERS,
) -> tuple[float, float]:
    """Seconds of network and of exchange."""
    nodes = segments - 1
    sent = 4 * nodes * numbers * (devices - 1) / devices
    return -(-nodes // devices) * network, (devices - 1) * latency + sent / bandwidth


def estimate(network: float = NETWORK) -> Iterator[Row]:
    """All rows."""
    for segments in SEGMENTS:
        alone = sum(sweep(1, segments, network))
        for devices in COUNTS:
            computing, exchange = sweep(devices, segments, network)
            total = computing + exchange
            yield Row(devices, segments, total, exchange / total, alone / total)


def table(rows: list[Row]) -> str:
    """Rows in Markdown: a line a number of devices, a sweep's milliseconds and gain for each path."""
    head = ["devices", *(f"{s} segments: ms a sweep, faster, exchange" for s in SEGMENTS)]
    body = []
    for devices in COUNTS:
        own = [r for r in rows if r.devices == devices]
        cells = [f"{1e3 * r.seconds:.1f}, {r.faster:.1f}×, {r.exchange:.1%}" for r in own]
        body.append([str(devices), *cells])
    return markdown(head, body)
