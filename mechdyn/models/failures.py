"""What stopped a model from loading or running, in one line that says what to do; and telling that memory ran out."""

import gc
from collections.abc import Iterator

import torch
import transformers
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, OfflineModeIsEnabled, RepositoryNotFoundError

from mechdyn.errors import InputError, MechdynError, UnsupportedModelError


def load_error(name: str, source: str, error: Exception) -> MechdynError:
    """The error to raise instead of one that loading `source` raised.

    Transformers wraps the hub's errors, so the chain of causes is read; its own are told apart by their words.
    """
    causes = tuple(_chain(error))
    if any(isinstance(cause, MechdynError) for cause in causes):
        return next(cause for cause in causes if isinstance(cause, MechdynError))
    if any(isinstance(cause, GatedRepoError) for cause in causes):
        return InputError(
            f"model {name} is gated: accept its terms at https://huggingface.co/{source}, then log in with `hf auth login` or set HF_TOKEN"
        )
    if any(isinstance(cause, RepositoryNotFoundError) for cause in causes):
        return InputError(
            f"model {name}: the hub has no repository {source}, or a private one; check its name, or log in with `hf auth login`"
        )
    if any(isinstance(cause, LocalEntryNotFoundError | OfflineModeIsEnabled) for cause in causes):
        return InputError(
            f"model {name} is not in the local cache and the hub cannot be reached; connect and load it once, or give a local folder"
        )
    words = str(error)
    if "trust_remote_code" in words:
        return UnsupportedModelError(
            f"model {name} needs code from its repository (trust_remote_code), which is never run here; "
            "choose a checkpoint whose architecture transformers has itself"
        )
    if "does not recognize this architecture" in words or "should have a `model_type` key" in words.lower():
        return UnsupportedModelError(
            f"model {name}: transformers {transformers.__version__} does not know its model type ({first_line(error)})"
        )
    if "ignore_mismatched_sizes" in words:
        return InputError(f"model {name}: its weights have other shapes than its config.json says; get both from the same place")
    return InputError(f"model {name} cannot be loaded: {first_line(error)}")


def first_line(error: Exception) -> str:
    """The first line of an error's text, with the next one where it ends in a colon; or its type's name."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


_SAID_BY_TORCH = ("can't allocate memory", "not enough memory", "out of memory", "alloc_failed", "bad allocation", "std::bad_alloc")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: CUDA's has a type, the CPU allocator's only its words."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _SAID_BY_TORCH)


def release_memory() -> None:
    """Give back what no tensor uses any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
