"""Python as Windows has it, so far as that can be shown elsewhere: `python without_posix.py MODULE WORDS…`.

What Windows lacks of `os` and `signal` is gone, modules that it lacks cannot be imported, and a text file that the
package opens without naming its encoding is an error. Libraries look at `sys.platform`, which stays what it is: those
that a run begins with are imported first, and keep what they know.
"""

import importlib
import importlib.abc
import os
import runpy
import signal
import sys
import types
import warnings

GONE = {
    os: (
        "chown chroot confstr ctermid fchown fork forkpty fstatvfs getegid geteuid getgid getgroups getloadavg getpgid "
        "getpgrp getpriority getresuid getsid getuid getxattr initgroups killpg lchown lockf mkfifo mknod nice openpty "
        "posix_fadvise posix_fallocate posix_spawn posix_spawnp pread preadv pwrite pwritev register_at_fork "
        "sched_getaffinity sched_setaffinity sched_yield sendfile setegid seteuid setgid setgroups setpgid setpriority "
        "setsid setuid setxattr statvfs sync sysconf tcgetpgrp ttyname uname wait wait3 wait4 writev"
    ),
    signal: (
        "SIGALRM SIGCHLD SIGCONT SIGHUP SIGIO SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 alarm getitimer "
        "pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigtimedwait sigwait sigwaitinfo"
    ),
}
LIBRARIES = ("hydra", "imageio_ffmpeg", "lightning.pytorch", "matplotlib", "safetensors", "wandb")
OF_DIFFUSION = (
    *("diffusers.pipelines.stable_diffusion", "diffusers.models.autoencoders.autoencoder_kl"),
    *("diffusers.models.unets.unet_2d_condition", "transformers.models.clip.modeling_clip"),
)
MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")


class NotHere(importlib.abc.MetaPathFinder):
    """Refuses the modules that Windows lacks."""

    def find_spec(self, name, path=None, target=None):
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main(module: str, *words: str) -> None:
    """Run a module as a program."""
    for name in LIBRARIES if "model=exact" in words else (*LIBRARIES, *OF_DIFFUSION):
        importlib.import_module(name)
    for whole, gone in GONE.items():
        rest = types.ModuleType(whole.__name__)
        vars(rest).update({n: v for n, v in vars(whole).items() if n not in gone.split()})
        sys.modules[whole.__name__] = rest
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, NotHere())
    ours = r"geodesic_lightning|callbacks|__main__"
    warnings.filterwarnings("error", category=EncodingWarning, module=ours)
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
