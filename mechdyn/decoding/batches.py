"""Running many items in batches that shrink where memory runs out, and the error that names what was needed."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from mechdyn.errors import OutOfMemoryError
from mechdyn.models.failures import is_out_of_memory, release_memory
from mechdyn.models.footprint import Workload, memory_of
from mechdyn.models.hardware import GIB, memory_of_device
from mechdyn.models.model import Model
from mechdyn.models.shape import shape_of

_log = logging.getLogger(__name__)
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_batches(groups: Iterable[Iterable[_Item]], batch_size: int, run: Callable[[list[_Item]], _Result]) -> Iterator[_Result]:
    """What `run` gives for each batch of items, in order; no batch goes across groups.

    Where a batch runs out of memory, it and all that follow are run at half its size, and a warning says so. What was run before stays.

    Raises:
        OutOfMemoryError: a single item is too much.
    """
    for group in groups:
        items = iter(group)
        waiting = list(islice(items, batch_size))
        while waiting:
            batch = waiting[:batch_size]
            try:
                result = run(batch)
            except OutOfMemoryError as error:
                if len(batch) == 1:
                    raise
                batch_size, reason = len(batch) // 2, str(error)
            else:
                yield result
                waiting = waiting[len(batch) :]
                waiting += islice(items, max(batch_size - len(waiting), 0))
                continue
            # Only here, with the error gone, is what it held on to free again.
            release_memory()
            _log.warning("%s; going on with %d at a time", reason, batch_size)


@contextmanager
def naming_memory(model: Model, lengths: Sequence[int], n_new: int, n_conditions: int = 1, ablates: bool = False) -> Iterator[None]:
    """Whatever runs out of memory inside becomes one error with the budget's figures and a remedy.

    Args:
        model: what runs.
        lengths: tokens of each prompt that is run together.
        n_new: tokens to generate at most.
        n_conditions: how often each prompt is continued.
        ablates: whether a step has a second forward.

    Raises:
        OutOfMemoryError: instead of torch's errors and `MemoryError`.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        what = f"{len(lengths)} {'prompt' if len(lengths) == 1 else 'prompts'} of up to {max(lengths)} tokens"
        what += f" under {n_conditions} conditions" if n_conditions > 1 else ""
        load = Workload(max(lengths), n_new, len(lengths), n_conditions, 2 if ablates else 1)
        raise OutOfMemoryError(
            f"out of memory on {model.device}: {what} {_figures(model, load)}; "
            "take a smaller batch, shorter prompts or fewer conditions (mechdyn budget tells what fits)"
        ) from error


def _figures(model: Model, load: Workload) -> str:
    if model.twin is None:
        return "run the whole sequence at every step"
    need = memory_of(shape_of(model.twin), load, model.dtype)
    return (
        f"need {need.peak / GIB:.2f} GiB by the budget (weights {need.weights / GIB:.2f}, keys and values {need.cache / GIB:.2f}, "
        f"working set {max(need.prefill, need.step) / GIB:.2f}) of {memory_of_device(model.device) / GIB:.2f}"
    )
