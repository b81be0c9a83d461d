"""From a name to a pipeline: a folder, a single file, or a repository of the hub; the first of
several that loads.

Weights are read from safetensors. Pickled weights can run code when they are opened: they are
refused unless allowed.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from geodesic_lightning.data.paths import expanded
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion.failures import SAFE, Refused, why
from geodesic_lightning.models.diffusion.folder import (
    PICKLES,
    check,
    check_settings,
    is_pointer,
    only_variant,
    pointer_words,
)
from geodesic_lightning.models.diffusion.libraries import hub_answers, hushed, offline
from geodesic_lightning.models.diffusion.network import Network
from geodesic_lightning.models.diffusion.networks import FAMILIES
from geodesic_lightning.models.diffusion.prediction import marked

log = logging.getLogger("geodesic_lightning")

WAYS = (
    "Give model.pretrained= a diffusers folder (with model_index.json and .safetensors files), a "
    "single .safetensors file, or the id of a hub repository that this machine can reach."
)

# How the tensors of a component are named in a single file, by the families of such files.
PLACES = {
    "text_encoder": ("cond_stage_model.", "conditioner.embedders.0.", "text_encoders.clip_l."),
    "text_encoder_2": ("conditioner.embedders.1.", "text_encoders.clip_g.", "text_encoders.t5xxl."),
    "text_encoder_3": ("text_encoders.t5xxl.",),
    "vae": ("first_stage_model.", "vae."),
}


class Loaded(NamedTuple):
    """A pipeline of diffusers, the name to remember it by, and who says what it predicts."""

    pipeline: Any
    source: str
    prediction_from: str = "configuration"


@dataclass(frozen=True)
class Source:
    """Where weights may come from.

    Attributes:
        pretrained: a folder, a file or a hub id, or several to try in order.
        config: for a single file: a folder or hub id, or several, with the pipeline's configuration
            and tokenizer.
        revision, variant, local_files_only: passed to the hub.
        allow_pickle: pickled weights may be read.
        without: components to leave out, as text_encoder_3.
        dtype: of the weights as they are read; a folder's VAE is read in float32.
    """

    pretrained: str | Sequence[str]
    config: str | Sequence[str] = ()
    revision: str | None = None
    variant: str | None = None
    local_files_only: bool = False
    allow_pickle: bool = False
    without: Sequence[str] = ()
    dtype: torch.dtype = torch.float32


def load(source: Source) -> Loaded:
    """The first candidate's pipeline that loads.

    Raises:
        UserError: none loads; one sentence says what was tried and why it failed, and the ways on.
    """
    failures = []
    for candidate in _listed(source.pretrained):
        try:
            with hushed():
                found = _open(candidate, source)
        except Exception as error:  # what a library makes of files that are not as they should be
            failures.append(f"{candidate} ({why(error, source.local_files_only)})")
            continue
        if failures:
            log.warning("Weights of %s, since %s.", candidate, "; ".join(failures))
        return found
    raise UserError(f"No weights could be loaded; tried {'; '.join(failures) or 'nothing'}. {WAYS}")


def origin(pipeline: Any) -> str:
    """What a loaded pipeline says it was loaded from."""
    return str(pipeline.config.get("_name_or_path") or type(pipeline).__name__)


def refuse_unreachable(source: Source) -> None:
    """Raise the UserError of `load` where it is known without any library.

    That is where all candidates are of the hub, none is in this machine's cache, and the hub does not
    answer or is not to be asked.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import LocalEntryNotFoundError

    candidates = _listed(source.pretrained)
    ids = [name for name in candidates if name.count("/") == 1 and name[0] not in ".~/"]
    if ids != candidates or not ids or any(Path(name).exists() for name in ids):
        return
    for name in ids:
        if try_to_load_from_cache(name, "model_index.json", revision=source.revision):
            return
    if not source.local_files_only and hub_answers():
        return
    error = LocalEntryNotFoundError("not in the cache")
    tried = "; ".join(f"{name} ({why(error, source.local_files_only)})" for name in ids)
    raise UserError(f"No weights could be loaded; tried {tried}. {WAYS}")


class Counter(NamedTuple):
    """The tokenizer by which a prompt's length is judged, and the tokens that are read, None for its own."""

    tokenizer: Any
    longest: int | None


def tokenizer(source: Source) -> Counter | None:
    """The first tokenizer that the candidates have, read without any weights; None if none has.

    Whatever is wrong with a candidate is said when its weights are loaded.
    """
    for candidate in _listed(source.pretrained):
        single = expanded(candidate).is_file()
        for name in _listed(source.config) if single else [candidate]:
            folder = expanded(name)
            where = str(folder) if folder.is_dir() else name
            try:
                with hushed(), _connection(source, name) as reached:
                    revision = (None if single else source.revision) or "main"
                    hub = {"revision": revision, "local_files_only": reached.local_files_only}
                    return _counter(where, hub)
            except Exception:
                log.debug("No tokenizer of %s.", name)
    return None


def _counter(where: str, hub: dict[str, Any]) -> Counter:
    """The tokenizer that counts for the pipeline of a folder or repository; CLIP's where it does not say."""
    import transformers
    from diffusers import DiffusionPipeline

    try:
        index = DiffusionPipeline.load_config(where, **hub)
    except OSError:
        index = {}
    family = FAMILIES.get(index.get("_class_name"), Network)
    kind = getattr(transformers, index.get(family.reader, ("", "CLIPTokenizer"))[1])
    return Counter(kind.from_pretrained(where, subfolder=family.reader, **hub), family.longest)


def _listed(value: str | Sequence[str]) -> list[str]:
    return [str(v) for v in ([value] if isinstance(value, str | Path) else value or ())]


@contextmanager
def _connection(source: Source, name: str) -> Iterator[Source]:
    """The source as it can be had now: from this machine alone, if a hub that is needed is silent."""
    needed = not source.local_files_only and not expanded(name).exists()
    if needed and not hub_answers():
        with offline():
            yield replace(source, local_files_only=True)
    else:
        yield source


def _open(candidate: str, source: Source) -> Loaded:
    path = expanded(candidate)
    if path.is_dir():
        variant = check(path, source.without, source.allow_pickle, source.variant)
        return Loaded(_from_folder(str(path), replace(source, variant=variant)), str(path))
    if path.is_file():
        return _from_file(path, source)
    if path.is_absolute() or candidate[0] in ".~" or path.suffix in (".safetensors", *PICKLES):
        raise Refused("there is no such folder or file")
    if candidate.count("/") != 1:
        raise Refused("there is no such folder, and a hub id has the form owner/name")
    with _connection(source, candidate) as reached:
        pipeline = _from_folder(candidate, reached)
    return Loaded(pipeline, candidate + _commit(candidate, source.revision))


def _from_folder(name: str, source: Source) -> Any:
    """A diffusers folder, or a hub repository of that form."""
    from diffusers import DiffusionPipeline

    hub = {"revision": source.revision, "local_files_only": source.local_files_only}
    index = DiffusionPipeline.load_config(name, **hub)
    unwanted = {"safety_checker", "feature_extractor", "image_encoder", *source.without}
    absent = {part for part, value in index.items() if isinstance(value, list) and value[0] is None}
    options: dict[str, Any] = {part: None for part in unwanted | absent if part in index}
    if "safety_checker" in index:
        options["requires_safety_checker"] = False
    _family(index.get("_class_name"))
    return DiffusionPipeline.from_pretrained(
        name,
        dtype={"vae": torch.float32, "default": source.dtype},
        variant=source.variant,
        use_safetensors=None if source.allow_pickle else True,
        **hub,
        **options,
    )


def _from_file(path: Path, source: Source) -> Loaded:
    """A single file in the first releases' layout, without tokenizer, schedule or sizes."""
    if path.suffix in PICKLES and not source.allow_pickle:
        raise Refused(SAFE)
    if path.suffix != ".safetensors" and path.suffix not in PICKLES:
        raise Refused(
            f"a file of the kind {path.suffix or 'without an ending'}, expected .safetensors"
        )
    if path.stat().st_size == 0:
        raise Refused("the file is empty")
    if is_pointer(path):
        raise Refused(pointer_words(path, path.parent))
    failures = []
    for config in _listed(source.config):
        try:
            with _connection(source, config) as reached:
                return _from_file_and(config, path, reached)
        except Exception as error:
            failures.append(f"{config}: {why(error, source.local_files_only)}")
    raise Refused(
        "a single file needs the pipeline's configuration and tokenizer beside it; "
        + (f"tried model.config={'; '.join(failures)}; " if failures else "")
        + "give model.config= a diffusers folder of the same architecture, weights not needed"
    )


def _from_file_and(config: str, path: Path, source: Source) -> Loaded:
    """A single file with the configuration of a folder or of a repository."""
    import diffusers

    local = expanded(config)
    where = str(local) if local.is_dir() else config
    hub = {"local_files_only": source.local_files_only}
    index = diffusers.DiffusionPipeline.load_config(where, **hub)
    family = _family(index.get("_class_name"))
    if not hasattr(getattr(diffusers, family), "from_single_file"):
        raise Refused(f"diffusers reads no single files of a {family}: give a diffusers folder")
    absent = {part for part, value in index.items() if isinstance(value, list) and value[0] is None}
    unwanted = {"feature_extractor", *source.without} & set(index)
    options: dict[str, Any] = {part: None for part in sorted(unwanted | absent)}
    if local.is_dir():
        for folder in sorted(local.iterdir()):
            if folder.is_dir():
                check_settings(folder)
    keys, metadata = _header(path)
    for part, names in PLACES.items():
        wanted = keys and part in index and part not in options
        if wanted and not any(key.startswith(names) for key in keys):
            options[part] = _component(part, index[part], where, source)
    pipeline = getattr(diffusers, family).from_single_file(
        str(path), config=where, dtype=source.dtype, **hub, **options
    )
    schedule = marked(keys, metadata)
    if schedule and "beta_start" in pipeline.scheduler.config:
        pipeline.scheduler = diffusers.DDIMScheduler.from_config(
            pipeline.scheduler.config, **schedule
        )
    told = "file" if "prediction_type" in schedule else "configuration"
    return Loaded(pipeline, str(path), told)


def _header(path: Path) -> tuple[list[str], dict[str, str]]:
    """Names of a .safetensors file's tensors, and its metadata; nothing of a pickled one."""
    from safetensors import safe_open

    if path.suffix != ".safetensors":
        return [], {}
    with safe_open(path, "pt") as opened:
        return list(opened.keys()), opened.metadata() or {}


def _component(name: str, kind: Sequence[str], where: str, source: Source) -> Any:
    """A component that a single file lacks, from the folder or repository of its configuration."""
    made = getattr(importlib.import_module(kind[0]), kind[1])
    folder = Path(where) / name
    variant = only_variant([folder]) if folder.is_dir() else source.variant
    if Path(where).is_dir() and not any(folder.glob("*.safetensors")):
        raise Refused(
            f"the file holds no {name}, and there are no .safetensors weights in {name}/ of this "
            "folder: give one that has them"
        )
    for file in folder.glob("*.safetensors"):
        if is_pointer(file):
            raise Refused(f"the file holds no {name}, and {pointer_words(file, folder.parent)}")
    return made.from_pretrained(
        where,
        subfolder=name,
        dtype=torch.float32 if name == "vae" else source.dtype,
        variant=variant,
        use_safetensors=True,
        local_files_only=source.local_files_only,
    )


def _family(name: str | None) -> str:
    if name not in FAMILIES:
        raise Refused(f"its pipeline is {name}, expected one of {', '.join(FAMILIES)}")
    return name


def _commit(repository: str, revision: str | None) -> str:
    """@ and the commit of a hub repository that this machine's cache holds, as far as it tells."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, "model_index.json", revision=revision)
    return f"@{Path(found).parent.name[:12]}" if isinstance(found, str) else ""
