"""The command line as a fixture, a tiny random Stable Diffusion 2 on disk, and no trace of any test."""

import atexit
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import Outcome

# Before torch is imported, here and in commands that tests start: networks as small as these gain
# nothing from a second thread, and on a busy machine wait for it fifty times as long. Whoever sets
# OMP_NUM_THREADS tests with as many.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line sets it
# No test sends anything anywhere, whoever's key is on this machine, nor writes into its home.
os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_ERROR_REPORTING"] = "false"
os.environ["WANDB_CACHE_DIR"] = tempfile.mkdtemp(prefix="geodesic-tests-")
atexit.register(shutil.rmtree, os.environ["WANDB_CACHE_DIR"], ignore_errors=True)

import numpy as np  # noqa: E402
import torch  # noqa: E402
from hydra.core.global_hydra import GlobalHydra  # noqa: E402
from hydra.core.hydra_config import HydraConfig  # noqa: E402

THREADS = int(os.environ["OMP_NUM_THREADS"])
torch.set_num_threads(THREADS)
torch.set_num_interop_threads(1)

LOGGERS = [
    logging.getLogger(name)
    for name in ("root", "geodesic_lightning", "hydra", "lightning.pytorch", "lightning.fabric")
]

# What a person or a build server may ask of every program: colours in a log, another width, more warnings.
WISHES = (
    "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES", "PYTHONWARNINGS",
)  # fmt: skip


@contextmanager
def as_before() -> Iterator[None]:
    """What a run changes for its whole process begins as new, and is undone: no test is another's past.

    That is the random state, the environment (without anybody's wishes), the folder, signals, logging,
    Hydra's present job, and the threads and the precision that torch computes with.
    """
    environment, folder = dict(os.environ), os.getcwd()
    for name in WISHES:
        os.environ.pop(name, None)
    signals = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    logged = [(one, one.level, one.handlers[:]) for one in LOGGERS]
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.default_generator.manual_seed(
        0
    )  # torch.manual_seed also notes a traceback for each kind of GPU
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        for number, handler in signals.items():
            signal.signal(number, handler)
        for one, level, handlers in logged:
            for handler in set(one.handlers) - set(handlers):
                handler.close()  # of a run's folder, which is gone
            one.setLevel(level)
            one.handlers[:] = handlers
        urllib.request.install_opener(None)  # it keeps the proxies of its first use
        HydraConfig.instance().cfg = None
        GlobalHydra.instance().clear()
        torch.set_num_threads(THREADS)
        torch.set_default_dtype(torch.float32)


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """Every test, as if it were the only one."""
    with as_before():
        yield


@pytest.fixture
def geodesic(monkeypatch, capsys, tmp_path):
    """`geodesic(*overrides)` runs the command line in this process, in an empty working folder.

    Runs go to `run` there, and are not logged to W&B, unless the overrides say otherwise.
    """
    from geodesic_lightning.__main__ import main

    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def command(*overrides: str) -> Outcome:
        given = {o.split("=")[0].lstrip("+") for o in overrides}
        usual = {"hydra.run.dir": "run", "logger": "csv"}
        if given & {"-m", "--help", "--cfg", "distance"}:
            usual = {}
        rest = [f"{key}={value}" for key, value in usual.items() if key not in given]
        monkeypatch.setattr(sys, "argv", ["geodesic", *overrides, *rest])
        capsys.readouterr()
        code: int | str | None = 0
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code or 0
        out, err = capsys.readouterr()
        if isinstance(code, str):  # the interpreter itself would print it
            code, err = 1, f"{err}{code}\n"
        chosen = [o.split("=", 1)[1] for o in overrides if o.startswith("hydra.run.dir=")]
        return Outcome(code, out, err, place / (chosen[0] if chosen else "run"))

    return command


@pytest.fixture
def loads(monkeypatch):
    """Folders that weights are read from, one an item."""
    from geodesic_lightning import forget
    from geodesic_lightning.models.diffusion import loading

    found, load = [], loading.load

    def counted(source):
        found.append(source.pretrained)
        return load(source)

    monkeypatch.setattr(loading, "load", counted)
    forget()
    yield found
    forget()


@pytest.fixture(scope="session")
def tiny_sd2(tmp_path_factory) -> Path:
    """A folder with a Stable Diffusion 2 of the real classes, tiny: 4×8×8 latents, 16 px images."""
    import tiny

    return tiny.save("sd2", tmp_path_factory.mktemp("tiny") / "sd2")


@pytest.fixture(scope="session")
def shown(tmp_path_factory) -> Path:
    """The folder of one run on an exact density, with everything that is shown and logged: only read it."""
    from geodesic_lightning.cli.app import main

    folder = tmp_path_factory.mktemp("shown") / "run"
    words = (
        *("model=exact", "model.density=gaussian", "data=points", "data.start=[2.0,0.0]"),
        *("data.end=[0.0,1.0]", "solver.segments=8", "solver.frames=5", "solver.alpha=0.3"),
        *("callbacks.decode.every_n_steps=2", "logger=default", f"hydra.run.dir={folder}"),
    )
    with as_before(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["geodesic", *words])
        patch.setenv("HYDRA_FULL_ERROR", "1")
        main()
    return folder


CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    """Chromium, for the tests of pages; they are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()
