"""From a name to a pipeline: a folder, a single file, or a repository of the hub; the first of
several that loads.

Weights are read from safetensors. Pickled weights can run code when they are opened: they are
refused unless allowed.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion.failures import SAFE, Refused, why
from geodesic_lightning.models.diffusion.folder import PICKLES, check
from geodesic_lightning.models.diffusion.networks import FAMILIES

log = logging.getLogger("geodesic_lightning")

WAYS = (
    "Give model.pretrained= a diffusers folder (with model_index.json and .safetensors files), a "
    "single .safetensors file, or the id of a hub repository that this machine can reach."
)


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


def load(source: Source):
    """The first candidate's pipeline that loads, and the name to remember it by.

    Raises:
        UserError: none loads; one sentence says what was tried and why it failed, and the ways on.
    """
    import diffusers
    import transformers

    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    failures = []
    for candidate in _listed(source.pretrained):
        try:
            with warnings.catch_warnings():  # what libraries say to each other
                warnings.simplefilter("ignore")
                found = _open(candidate, source)
        except Exception as error:  # what a library makes of files that are not as they should be
            failures.append(f"{candidate} ({why(error, source.local_files_only)})")
            continue
        if failures:
            log.warning("Weights of %s, since %s.", candidate, "; ".join(failures))
        return found
    raise UserError(f"No weights could be loaded; tried {'; '.join(failures) or 'nothing'}. {WAYS}")


def _listed(value: str | Sequence[str]) -> list[str]:
    return [str(v) for v in ([value] if isinstance(value, str | Path) else value or ())]


def _open(candidate: str, source: Source):
    path = Path(candidate).expanduser()
    if path.is_dir():
        check(path, source.without, source.allow_pickle)
        return _from_folder(str(path), source), str(path)
    if path.is_file():
        return _from_file(path, source), str(path)
    if path.is_absolute() or candidate[0] in ".~" or path.suffix in (".safetensors", *PICKLES):
        raise Refused("there is no such folder or file")
    if candidate.count("/") != 1:
        raise Refused("there is no such folder, and a hub id has the form owner/name")
    return _from_folder(candidate, source), candidate + _commit(candidate, source.revision)


def _from_folder(name: str, source: Source):
    """A diffusers folder, or a hub repository of that form."""
    from diffusers import DiffusionPipeline

    hub = {"revision": source.revision, "local_files_only": source.local_files_only}
    index = DiffusionPipeline.load_config(name, **hub)
    unwanted = {"safety_checker", "feature_extractor", "image_encoder", *source.without}
    absent = {part for part, value in index.items() if isinstance(value, list) and value[0] is None}
    options = {part: None for part in unwanted | absent if part in index}
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


def _from_file(path: Path, source: Source):
    """A single file in the first releases' layout, without tokenizer, schedule or sizes."""
    import diffusers

    if path.suffix in PICKLES and not source.allow_pickle:
        raise Refused(SAFE)
    if path.suffix != ".safetensors" and path.suffix not in PICKLES:
        raise Refused(
            f"a file of the kind {path.suffix or 'without an ending'}, expected .safetensors"
        )
    if path.stat().st_size == 0:
        raise Refused("the file is empty")
    failures = []
    for config in _listed(source.config):
        local = Path(config).expanduser()
        where = str(local) if local.is_dir() else config
        try:
            index = diffusers.DiffusionPipeline.load_config(
                where, local_files_only=source.local_files_only
            )
            family = _family(index.get("_class_name"))
            options = {
                part: None for part in ("feature_extractor", *source.without) if part in index
            }
            return getattr(diffusers, family).from_single_file(
                str(path),
                config=where,
                dtype=source.dtype,
                local_files_only=source.local_files_only,
                **options,
            )
        except Exception as error:
            failures.append(f"{config}: {why(error, source.local_files_only)}")
    raise Refused(
        "a single file needs the pipeline's configuration and tokenizer beside it; "
        + (f"tried model.config={'; '.join(failures)}; " if failures else "")
        + "give model.config= a diffusers folder of the same architecture, weights not needed"
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
