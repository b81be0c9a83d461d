"""Why weights do not load, in a few words that a person can act on."""

from __future__ import annotations

import re

SAFE = "pickled weights can run code when opened; model.allow_pickle=true opens them all the same"

# What diffusers says of a repository that has no .safetensors weights of the variant asked for.
UNFOUND = "Could not find the necessary `safetensors` weights"
OTHER_VARIANT = re.compile(rf"{UNFOUND}.*\(variant=(?!None)")


class Refused(Exception):
    """Why a candidate does not serve; the user reads it among the others that were tried."""


def why(error: BaseException, local_files_only: bool = False) -> str:
    """A failure of the hub or of a library, in a few words."""
    if isinstance(error, Refused):
        return str(error)
    chain: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in chain:
        chain.append(step)
        step = step.__cause__ or step.__context__
    names = {kind.__name__ for one in chain for kind in type(one).__mro__}
    text = " ".join(" ".join(str(one).split()) for one in chain)
    if "GatedRepoError" in names:
        return "gated: accept its licence on its page, then log in with `hf auth login`"
    if "RepositoryNotFoundError" in names:
        return "not on the hub, or private"
    if "RevisionNotFoundError" in names:
        return "has no such model.revision"
    if "no such modeling files are available" in text or OTHER_VARIANT.search(text):
        return "has no weights of this model.variant"
    if "safetensors" in text and ("no file named" in text or UNFOUND in text):
        return (
            "no plain .safetensors weights: where a repository has only those of a variant, give "
            f"model.variant=fp16, say; {SAFE}"
        )
    if "tiktoken" in text and "required" in text:  # what transformers makes of a lone spiece.model
        return "its T5 tokenizer is read by sentencepiece: pip install 'geodesic-lightning[t5]'"
    part = "only in part" if "IncompleteSnapshotError" in names else "not"
    if local_files_only and "LocalEntryNotFoundError" in names:
        return f"{part} in this machine's cache, and model.local_files_only=true"
    if names & {
        "ConnectError",
        "ConnectionError",
        "gaierror",
        "OfflineModeIsEnabled",
        "LocalEntryNotFoundError",
    }:
        return f"no connection to the hub, and {part} in this machine's cache"
    if "TransportError" in names or "Consistency check failed" in text:
        return "its download broke off: try again, files that came whole are kept"
    if "UnpicklingError" in names or "weights only load failed" in text.lower():
        return "pickled weights with more than numbers, which could run code: they were not opened"
    if "meta tensor" in text:  # where diffusers found none to fill a layer with
        return "weights are missing: it lacks some that this architecture has, take the whole file"
    if isinstance(error, ImportError):
        return f"a package is missing: {_first_sentence(error)}"
    return _first_sentence(error)


def _first_sentence(error: BaseException) -> str:
    return " ".join(str(error).split()).split(". ")[0][:200] or type(error).__name__
