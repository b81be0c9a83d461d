"""Errors of a run's configuration and of its surroundings, each told in one sentence.

Hydra and OmegaConf keep what went wrong in their exceptions' attributes: the setting, the value,
the node it belongs to. The sentences are made from those; only where there is nothing else is the
text of an exception looked at.
"""

import re
import traceback
from collections.abc import Iterator
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra.errors import (
    ConfigCompositionException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from geodesic_lightning.cli.words import quoted
from geodesic_lightning.errors import UserError, advice, out_of_memory
from geodesic_lightning.report.terminal import shown

QUOTING = (
    "quote a text that has commas, brackets or equal signs: 'data.prompt_start=\"a red, sly cat\"'"
)

# Choices that plugins of Hydra bring, and the extra of this project that installs them.
EXTRAS = {
    "hydra/launcher/joblib": "joblib",
    "hydra/launcher/ray": "ray",
    "hydra/launcher/submitit_slurm": "slurm",
    "hydra/launcher/submitit_local": "slurm",
    "hydra/sweeper/optuna": "tune",
}

SEE_HELP = "--help lists the groups and their choices"


def sentence(error: BaseException) -> str | None:
    """The sentence for what the user can mend, None for any other error; causes count too."""
    chain = list(_chain(error))
    for kind, tell in TELL:
        for one in chain:
            if isinstance(one, kind) and (told := tell(one)):
                return told
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what led to it, outermost first."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def _user(error: UserError) -> str:
    return str(error)


def _choice(error: MissingConfigException) -> str:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    if extra := EXTRAS.get(f"{group}/{name}"):
        return f"{group}={name} is not installed: pip install 'geodesic-lightning[{extra}]'."
    if not error.options:
        return f"No configuration {error.missing_cfg_file!r}: {SEE_HELP}."
    return f"{group}: got {name!r}, expected one of {', '.join(error.options)}."


def _unreadable(error: OverrideParseException) -> str:
    typed = quoted(error.override)
    if typed != error.override:  # of a sweep: elsewhere it was quoted already
        return f"Cannot read {error.override!r} in a sweep, where commas separate values: type {shown(typed)}."
    return (
        f"Cannot read {error.override!r}: write group=choice or group.setting=value, and {QUOTING}."
    )


def _missing(error: MissingMandatoryValue) -> str:
    return f"{error.full_key} is not set: give {error.full_key}=…"


def _unknown(error: ConfigKeyError) -> str:
    names = sorted(str(key) for key in error.parent_node if not str(key).startswith("_"))
    listed = f", expected one of {', '.join(names)}" if names else ", there are none here"
    return f"No setting {error.full_key}{listed}."


def _mistyped(error: ValidationError) -> str | None:
    if not error.full_key:
        return None
    value = "null" if error.value is None else repr(error.value)
    return f"{error.full_key}: got {value}, expected {_words(_hint(error))}."


def _hint(error: ValidationError) -> Any:
    """The type that the schema gives to the setting of this error."""
    if is_dataclass(error.object_type):
        return get_type_hints(error.object_type).get(str(error.key))
    return next(
        iter(get_args(error.ref_type)[-1:]), None
    )  # an element of a list, a value of a dict


def _words(hint: Any) -> str:
    """A type in words."""
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_words(part) for part in get_args(hint))
    words = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text",
        NoneType: "null",
        list[float]: "a list of numbers like [0.5,-1]",
        list[str]: "a list of texts like [a,b]",
        tuple[int, int]: "two whole numbers like [-100,99]",
    }
    return words.get(hint, "a value of another type")


def _setting(error: OmegaConfBaseException) -> str:
    text = _first_line(error)
    found = re.match(r"Interpolation key '(\w+)' not found", text)
    if found and error.full_key == "_dummy_":  # of a group that was taken away
        return f"{found[1]} is not set: give {found[1]}=…"
    return f"{error.full_key or 'A setting'}: {text}."


def _composition(error: ConfigCompositionException) -> str:
    text = _first_line(error)
    if found := re.match(r"Ambiguous value for argument '(.*)'", text):
        return f"{found[1]!r} gives several values: add -m to run them all, or {QUOTING}."
    if found := re.match(r"Multiple values for (\w+)", text):
        return f"{found[1]} is chosen already: leave out the + and write {found[1]}=choice."
    return f"{text}: {SEE_HELP}."


def _group(error: ValueError) -> str | None:
    if str(error) == "No trials are completed yet.":
        return "Every trial failed: what was wrong stands above."
    if "Config group override must be a string" in str(error):
        return f"A group got something that is not a name: write group=choice; {SEE_HELP}."
    return None


def _choices(error: TypeError) -> str | None:
    """A group that was given [1,2] fails where Hydra looks for its choices."""
    last = list(traceback.walk_tb(error.__traceback__))[-1:]
    if not any(
        frame.f_globals.get("__name__", "").startswith("hydra._internal.defaults")
        for frame, _ in last
    ):
        return None
    return f"A group got something that is not a name: write group=choice; {SEE_HELP}."


def _target(error: InstantiationException) -> str | None:
    text = str(error)
    if found := re.match(r"Error locating target '(.*?)'", text):
        return f"_target_: got {found[1]!r}, expected the dotted name of something to import."
    found = re.match(r"Error in call to target '(?:lightning|torch)\.[\w.]*?(\w+)'", text)
    if found and isinstance(error.__cause__, ValueError):
        return f"{found[1].lower()}: {_first_line(error.__cause__)}."
    return None


def _file(error: OSError) -> str | None:
    helps = advice(error, "" if error.filename is None else "give another")
    if not helps:
        return None
    what = "A file" if error.filename is None else error.filename
    return f"{what} cannot be read or written ({error.strerror}): {helps}, for the run's folder with hydra.run.dir="


def _by_name(error: Exception) -> str | None:
    """Errors of libraries that are too heavy to import for their names."""
    name = type(error).__name__
    if out_of_memory(error):
        where = (
            "this machine"
            if isinstance(error, MemoryError) or "CPU" in str(error)
            else "the device"
        )
        return (
            f"There is no memory left on {where}: take a smaller model.size, fewer solver.frames or "
            "solver.segments, model.batch_size=1, or model.vae_tiling=true."
        )
    if name == "MisconfigurationException":
        return f"trainer: {_first_line(error)}."
    if type(error).__module__.startswith("wandb"):
        return f"W&B: {_first_line(error)}; or stay offline with logger.wandb.offline=true."
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].strip().rstrip(".:!")


# In this order, each over the whole chain: first what is known of the setting itself.
TELL: tuple[tuple[type | tuple[type, ...], Any], ...] = (
    (UserError, _user),
    (MissingConfigException, _choice),
    (OverrideParseException, _unreadable),
    (MissingMandatoryValue, _missing),
    ((ConfigKeyError, ConfigAttributeError), _unknown),
    (ValidationError, _mistyped),
    (OmegaConfBaseException, _setting),
    (ConfigCompositionException, _composition),
    (InstantiationException, _target),
    (ValueError, _group),
    (TypeError, _choices),
    (OSError, _file),
    (Exception, _by_name),
)
