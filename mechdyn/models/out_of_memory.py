"""Telling that memory ran out, and giving back what is free again."""

import gc

import torch

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
