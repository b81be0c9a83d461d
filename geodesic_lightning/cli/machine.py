"""What a run takes from its machine: a seed, a number of processes, a home that may not be there."""

import atexit
import os
import random
import re
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

from geodesic_lightning.errors import UserError

SEEDS = 2**32  # what Lightning's seed_everything takes
NOWHERE = "/nonexistent"  # the home of users without one, as Debian has it


def settled_seed(seed: int, former: int | None = None) -> int:
    """The seed that a run uses: −1 is one drawn at random, or the resumed run's; others count modulo 2³².

    Raises:
        UserError: another negative number.
    """
    if seed == -1:
        return random.SystemRandom().randrange(SEEDS) if former is None else former
    if seed < 0:
        raise UserError(
            f"seed: got {seed}, expected a whole number of at least 0, or -1 for a random one."
        )
    return seed % SEEDS


def process_count(devices: Any, accelerator: str = "auto") -> int:
    """How many processes `trainer.devices` asks for, one a device.

    Args:
        devices: a number, as a number or as text; −1 or auto for all there are; a list of them.
        accelerator: trainer.accelerator; on a CPU all there are is one.

    Raises:
        UserError: none of these, or a list on a CPU, whose cores have no numbers.
    """
    if isinstance(devices, str) and devices.lstrip("-").isdigit():
        devices = int(devices)
    if devices in (-1, "auto"):
        return _gpus() if accelerator != "cpu" else 1
    if isinstance(devices, int) and devices >= 1:
        return devices
    if isinstance(devices, Sequence) and not isinstance(devices, str) and devices:
        if accelerator == "cpu" or not _gpus(0):
            raise UserError(
                f"trainer.devices: got {list(devices)}, but there is no GPU to choose: give their number, 1 say."
            )
        return len(devices)
    raise UserError(f"trainer.devices: got {devices}, expected a number of at least 1, -1 or auto.")


def _gpus(least: int = 1) -> int:
    import torch  # late: this is asked before a run that may only show help

    return max(torch.cuda.device_count(), least)


def at_home(words: Sequence[str]) -> list[str]:
    """Words of a command line with `~` at the beginning of a value put for the home folder.

    A shell does not expand it there, and Hydra would take it for a sign of its own.
    """
    home = os.path.expanduser("~")
    sign = re.compile(rf"""^([\w.+/@-]+=["']?)~(?=[/{re.escape(os.sep)}]|["']?$)""")
    return [sign.sub(lambda found: found[1] + home, word) for word in words]


def without_a_home() -> None:
    """Where there is no home, or none to write to, let libraries get on without one, and in silence.

    A container's user often has none. Where the system knows of none at all, W&B ends the run; where
    one cannot be written to, Matplotlib warns at length: its cache is then in a folder that is gone at the
    end. Weights are not kept so: HF_HOME says where they are.
    """
    home = os.path.expanduser("~")
    if os.path.isabs(home) and _writable(home):
        return
    if not os.path.isabs(home):
        os.environ["HOME"] = NOWHERE
    if "MPLCONFIGDIR" not in os.environ:
        os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="geodesic-matplotlib-")
        atexit.register(shutil.rmtree, os.environ["MPLCONFIGDIR"], ignore_errors=True)


def _writable(folder: str) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
