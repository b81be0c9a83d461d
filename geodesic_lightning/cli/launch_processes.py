"""Several processes for one command: `trainer.devices=2` starts the command line once a device.

Every process runs the whole command, sweeps too, job by job side by side. The first one is the run
as anybody sees it; the others compute, write into a folder that vanishes, and say nothing.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from geodesic_lightning.cli.words import quoted

GRACE = 10.0  # seconds that processes have to leave when one has failed
QUIET = "GEODESIC_LIGHTNING_RANK_FOLDER"


def asked(devices: int) -> int:
    """Processes to start for so many devices; 1 where they were started by somebody else."""
    started = {"RANK", "LOCAL_RANK", "SLURM_PROCID"} & set(os.environ)
    return 1 if started else devices


def start(count: int, words: Sequence[str]) -> int:
    """Run the command in `count` processes; returns the first one's exit code, or one that failed."""
    with (
        socket.socket() as free,
        tempfile.TemporaryDirectory(prefix="geodesic-ranks-", ignore_cleanup_errors=True) as place,
    ):
        free.bind(("127.0.0.1", 0))
        common = os.environ | {
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]),
            "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "NODE_RANK": "0",
        }  # fmt: skip
        if sys.platform == "win32":  # torch is built without libuv there, and uses it all the same
            common.setdefault("USE_LIBUV", "0")
        free.close()
        command = [sys.executable, "-m", "geodesic_lightning"]
        running = []
        for rank in range(count):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            if rank:
                own[QUIET] = os.path.join(place, str(rank))
            running.append(subprocess.Popen([*command, *words], env=common | own))
        return _wait(running)


def _wait(running: list[subprocess.Popen]) -> int:
    """Until all have left; where one fails the others are given a while and then stopped."""

    def forward(number: int, frame: object) -> None:
        if sys.platform == "win32" and number == signal.SIGINT:
            return  # the console has told them all itself, and one process cannot tell another
        for one in running:
            one.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    failed_at: float | None = None
    try:
        while any(one.poll() is None for one in running):
            time.sleep(0.05)
            if failed_at is None and any(one.poll() not in (None, 0) for one in running):
                failed_at = time.monotonic()
            if failed_at is not None and time.monotonic() - failed_at > GRACE:
                for one in running:
                    one.kill()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    codes = [one.returncode for one in running]
    return codes[0] or next((code for code in codes if code), 0)


def quieted(words: Sequence[str]) -> list[str]:
    """The settings of a process that is not the first: the same, but for where it writes."""
    folder = os.environ.get(QUIET)
    if folder is None:
        return list(words)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
    moved = ("hydra.run.dir", "hydra.sweep.dir", "folder", "logger", "hydra.sweep.subdir")
    kept = [w for w in words if w.lstrip("+").split("=")[0] not in moved]
    own = (f"hydra.run.dir={folder}/run", f"hydra.sweep.dir={folder}/sweep", "logger=none")
    return [*kept, *map(quoted, own)]
