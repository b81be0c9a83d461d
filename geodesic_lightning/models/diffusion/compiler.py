"""Whether torch.compile can work here, asked before anything is loaded.

On a CPU it writes C++ and needs a compiler for it; on an NVIDIA GPU it writes Triton and needs
that package and a C compiler.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from importlib.util import find_spec

import torch

from geodesic_lightning.errors import UserError

CPP = {"darwin": ("clang++",), "win32": ("cl",)}.get(sys.platform, ("g++",))
C = ("gcc", "clang")


def check_compiler(cuda: bool | None = None) -> None:
    """Raise UserError where torch.compile has no compiler.

    Args:
        cuda: for a GPU; None asks whether there is one.
    """
    usual: tuple[str, ...]
    if torch.cuda.is_available() if cuda is None else cuda:
        if find_spec("triton") is None:
            raise _error("the package triton", "install it")
        variable, usual = "CC", C
    else:
        variable, usual = "CXX", CPP
    chosen = os.environ.get(variable)
    tried = (chosen,) if chosen else usual
    if not any(_runs(compiler) for compiler in tried):
        language = "C" if variable == "CC" else "C++"
        raise _error(
            f"a working {language} compiler (tried {', '.join(tried)})",
            f"install one, set {variable}",
        )


def _error(lacking: str, remedy: str) -> UserError:
    return UserError(
        f"model.compile: torch.compile needs {lacking}: {remedy}, or leave model.compile=false."
    )


def _runs(compiler: str) -> bool:
    windows = sys.platform == "win32"  # whose paths have backslashes, and spaces
    command = [compiler, "/help"] if windows else [*shlex.split(compiler), "--version"]
    try:
        subprocess.run(command, capture_output=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return False
    return True
