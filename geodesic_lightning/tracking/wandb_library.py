"""The W&B library: imported early, and without what would outlive a run."""

import atexit
import os
import shutil
import tempfile
from functools import cache


@cache
def prepare() -> None:
    """Import W&B, its cache in a folder that is gone at the end; best before torch and Lightning.

    When W&B's classes for its API are made, pydantic reads their source, and Python looks for it among all
    modules there are: a tenth of a second before those libraries, a whole one after them.

    Without telemetry, which would keep a program 20 s after its end where a server does not answer.
    """
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    scratch = tempfile.mkdtemp(prefix="geodesic-wandb-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    os.environ.setdefault("WANDB_CACHE_DIR", scratch)
    import wandb.apis.public  # noqa: F401  what wandb.init imports
