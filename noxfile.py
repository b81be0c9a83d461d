"""The checks on every Python, and with the oldest and the newest dependencies: `nox`, or `nox -s lint`.

    lint, types, docs     once
    tests-3.11 … 3.13     the newest dependencies that pip finds, on each Python that is there
    arithmetic            the tests with the instructions of older processors, which add up in other orders
    ui                    the page, whose Gradio holds Pillow back
    tests_lowest          the lowest versions that pyproject.toml allows, on the lowest Python
    package-3.11, 3.13    what is published, wheel and sdist, installed alone and run in an empty folder
    release               dist/ for the upload, checked, and run as package runs it; only when it is asked for

Sessions whose Python is not there are skipped, and nox says so.
"""

import shutil
import tomllib
from itertools import chain
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2024.10.9"
nox.options.error_on_missing_interpreters = False
PYTHONS = ("3.11", "3.12", "3.13")
# What torch, oneDNN and MKL may use of a processor: SSE4 (2008), AVX2 (2013).
INSTRUCTIONS = {
    "sse4": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
}
PYPROJECT = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """ruff, as a linter and as a formatter."""
    session.install("ruff>=0.9")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session(python=PYTHONS[0])
def types(session: nox.Session) -> None:
    """mypy, which wants the dependencies' own types; for Windows too, which lacks some of the standard library."""
    session.install("--editable", ".[dev]")
    session.run("mypy")
    session.run("mypy", "--platform", "win32")


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """The site; every warning is an error."""
    session.install("--editable", ".[docs]")
    session.run("python", "-m", "sphinx", "-WEq", "docs", "docs/_build")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """With the newest dependencies; `nox -s tests -- tests/geometry` for a part."""
    session.install("--upgrade", "--upgrade-strategy=eager", "--editable", ".[dev]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
@nox.parametrize("instructions", sorted(INSTRUCTIONS))
def arithmetic(session: nox.Session, instructions: str) -> None:
    """As an older processor adds up; set OMP_NUM_THREADS for more threads than one."""
    session.install("--editable", ".[dev]")
    session.run("python", "-m", "pytest", *session.posargs, env=INSTRUCTIONS[instructions])


@nox.session(python=PYTHONS[0])
def ui(session: nox.Session) -> None:
    """The page to morph in, apart from the rest: Gradio holds Pillow back."""
    session.install("--editable", ".[dev,ui]")
    session.run("python", "-m", "pytest", "tests/ui", "-m", "slow or not slow", *session.posargs)


@nox.session(python=PYTHONS[0])
def tests_lowest(session: nox.Session) -> None:
    """With the lowest version of every direct dependency; what these need in turn is pip's choice."""
    pins = Path(session.create_tmp()) / "lowest.txt"
    pins.write_text("\n".join(lowest()) + "\n", encoding="utf-8")
    session.install("--constraint", str(pins), "--editable", ".[dev]")
    # Warnings are no errors here: old packages use what newer ones under them have deprecated.
    session.run("python", "-m", "pytest", "-W", "default", *session.posargs)


@nox.session(python=[PYTHONS[0], PYTHONS[-1]])
@nox.parametrize("kind", ["wheel", "sdist"])
def package(session: nox.Session, kind: str) -> None:
    """Installed from what is published, without extras: the command and the Python interface in an empty folder.

    `nox -s package -- dist` takes the files of that folder instead of building them.
    """
    home = Path(session.create_tmp()).resolve()
    made, empty = home / "dist", home / "empty"
    for folder in (made, empty):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    if session.posargs:
        made = Path(session.posargs[0]).resolve()
    else:
        session.install("build>=1.2.1")
        session.run("python", "-m", "build", f"--{kind}", "--outdir", str(made))
    (file,) = made.glob({"wheel": "*.whl", "sdist": "*.tar.gz"}[kind])
    session.install(str(file))
    session.chdir(empty)
    session.run("geodesic", "data=pair_cat", "solver.frames=3", "logger=csv", "hydra.run.dir=run")
    session.run("python", "-c", CALL)
    left = {place.name for place in empty.iterdir()}
    if left != {"run", "morph"}:
        session.error(f"got {sorted(left)} in the folder, expected run and morph")


@nox.session(python=PYTHONS[0], default=False)
def release(session: nox.Session) -> None:
    """What is uploaded, in dist/: wheel and sdist, whose description PyPI can show; then both are run."""
    made = Path("dist")
    shutil.rmtree(made, ignore_errors=True)
    session.install("build>=1.2.1", "twine>=6.1")
    session.run("python", "-m", "build", "--outdir", str(made))
    session.run("python", "-m", "twine", "check", "--strict", *map(str, sorted(made.iterdir())))
    for kind in ("wheel", "sdist"):
        session.notify(f"package-{PYTHONS[0]}(kind='{kind}')", [str(made.resolve())])


CALL = """
from geodesic_lightning import interpolate
from geodesic_lightning.data.frames import SHIPPED

pair = SHIPPED / "pair_ears_start.png", SHIPPED / "pair_ears_end.png"
interpolate(*pair, segments=4, frames=3).save("morph")
"""


def lowest() -> list[str]:
    """`name==version` of every dependency that pyproject.toml gives a lower bound, extras included."""
    project = PYPROJECT["project"]
    words = chain(project["dependencies"], *project["optional-dependencies"].values())
    wanted = [Requirement(word) for word in words]
    bounds = {(w.name, s.version) for w in wanted for s in w.specifier if s.operator == ">="}
    return sorted(f"{name}=={version}" for name, version in bounds)
