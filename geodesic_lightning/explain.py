"""Configuration errors, each as one sentence that says what was given and what is valid."""

import re
from pathlib import Path

from geodesic_lightning.errors import UserError


def sentence(error: BaseException, conf: Path) -> str | None:
    """The sentence for an error of the user's, None for any other.

    Args:
        error: as raised; its causes are looked at too.
        conf: the folder of configuration groups, to list choices from.
    """
    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, UserError):
            return str(one)
    text = "\n".join(str(one) for one in chain)
    for explain in (_choice, _group, _key, _value, _missing, _override, _memory, _file):
        if found := explain(text, chain, conf):
            return found
    return None


def _chain(error: BaseException | None):
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def choices(conf: Path, group: str) -> list[str]:
    """Names of a group's choices."""
    return sorted(p.stem for p in (conf / group).glob("*.yaml"))


def _choice(text: str, chain: list, conf: Path) -> str | None:
    if m := re.search(r"Could not find '([\w/]+)/([^'/]+)'", text):
        group, name = m.groups()
        return f"{group}: got {name!r}, expected one of {', '.join(choices(conf, group))}."
    if m := re.search(r"In '[^']*': Could not (?:find|load) '([^']+)'", text):
        return f"No configuration {m.group(1)!r}; --help lists groups and their choices."
    return None


def _group(text: str, chain: list, conf: Path) -> str | None:
    if m := re.search(r"Could not override '([\w./@]+)'\.?\s*(?:No match in the defaults list)", text):
        groups = sorted(p.name for p in conf.iterdir() if p.is_dir())
        return f"No group {m.group(1)!r}, expected one of {', '.join(groups)}."
    return None


def _key(text: str, chain: list, conf: Path) -> str | None:
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    m = re.search(r"Could not override '([^']+)'", text) or re.search(r"full_key: ([\w.]+)", text)
    if not m or not re.search(r"not in struct|not in '|ConfigKeyError|ConfigAttributeError|Key '", text):
        return None
    key = m.group(1)
    parent, _, leaf = key.rpartition(".")
    import sys

    overrides = [a for a in sys.argv[1:] if "=" in a and not a.lstrip("+~").startswith(f"{key}=") and not a.startswith("-")]
    try:
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(conf), version_base="1.3"):
            node = compose("config", overrides=[o for o in overrides if not o.startswith("hydra.")])
        for part in parent.split(".") if parent else []:
            node = node[part]
        names = sorted(str(k) for k in node if not str(k).startswith("_"))
    except Exception:
        names = []
    where = f" of {parent}" if parent else ""
    listed = f", expected one of {', '.join(names)}" if names else ""
    return f"No setting {leaf!r}{where}{listed}."


def _value(text: str, chain: list, conf: Path) -> str | None:
    m = re.search(r"Value '(.*?)' of type '(\w+)' (?:could not be converted to|is not a subclass of|is incompatible with type hint) '?([\w\[\], .|]+?)'?\s*(?:\n|$)", text)
    if not m:
        return None
    value, _, kind = m.groups()
    key = re.search(r"full_key: ([\w.\[\]]+)", text)
    words = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}
    return f"{key.group(1) if key else 'setting'}: got {value!r}, expected {words.get(kind, kind)}."


def _missing(text: str, chain: list, conf: Path) -> str | None:
    if m := re.search(r"(?:Missing mandatory value: |Structured config of type `\w+` has missing mandatory value: )([\w.]+)", text):
        key = re.search(r"full_key: ([\w.]+)", text)
        name = key.group(1) if key else m.group(1)
        return f"{name} is not set: give {name}=…"
    if m := re.search(r"You must specify '([\w/]+)'", text):
        group = m.group(1)
        return f"{group} is not chosen: give {group}= one of {', '.join(choices(conf, group))}."
    return None


def _override(text: str, chain: list, conf: Path) -> str | None:
    if any(type(one).__name__ == "OverrideParseException" for one in chain):
        return " ".join(str(chain[0]).split("\n")[0].split()) + " Write group=choice or group.setting=value; quote values with spaces or commas: 'data.prompt_start=\"a red cat\"'."
    if any(type(one).__module__.startswith(("hydra", "omegaconf")) for one in chain):
        return " ".join(str(chain[0]).split("\n")[0].split()) + ". --help lists what can be set."
    return None


def _memory(text: str, chain: list, conf: Path) -> str | None:
    if any(type(one).__name__ == "OutOfMemoryError" for one in chain):
        return "The GPU is out of memory: give a smaller model.batch_size=."
    return None


def _file(text: str, chain: list, conf: Path) -> str | None:
    for one in chain:
        if isinstance(one, OSError) and one.filename:
            return f"{one.filename}: {one.strerror}; give a folder that can be written with hydra.run.dir=."
    return None
