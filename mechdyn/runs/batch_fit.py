"""`--batch-tokens 0`: as many prompt tokens a batch as the memory of a worker holds, by the budget."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mechdyn.errors import MechdynError
from mechdyn.models.together import BATCH_ROWS, BATCH_TOKENS, UNKNOWN_LENGTH
from mechdyn.runs.batches import batches_of
from mechdyn.traces.unit import Unit

if TYPE_CHECKING:
    from mechdyn.models.footprint import Workload
    from mechdyn.runs.worker import Worker

_USED = 0.9
"""How much of a device's memory is counted on: allocators keep fragments, and libraries their own."""


def worker_memory(worker: "Worker", item: None, shared: None) -> int:
    """Bytes of the devices on which a worker's model lies; made on a worker, as an executor calls it."""
    from mechdyn.models.hardware import memory_of_device

    parts = [worker.model.device] if worker.model.twin is None else [each.device for each in worker.model.twin.parameters()]
    return sum(memory_of_device(device) for device in dict.fromkeys(parts))


def load_of(units: Sequence[Unit]) -> "Workload":
    """The largest sample of a plan, under all of its conditions."""
    from mechdyn.models.footprint import Workload

    return Workload(
        length=max(int(unit.sample.get("length", UNKNOWN_LENGTH)) for unit in units),
        n_new=max(int(unit.decoding["max_new_tokens"]) for unit in units),
        n_conditions=max(len(batch.units) for batch in batches_of(units, 1)),
        n_forwards=2 if any(unit.ablation for unit in units) else 1,
    )


def tokens_that_fit(config: Any, load: "Workload", dtype: Any, memory: int) -> int:
    """Prompt tokens of the largest batch of such samples that so much memory holds; those of one sample where no two fit.

    Args:
        config: names the model; `BATCH_TOKENS` where there is no plan of its memory.
        load: one sample.
        dtype: what the model is loaded in.
        memory: bytes of a worker's devices.
    """
    from mechdyn.models.footprint import memory_of
    from mechdyn.models.shape import planned_shape

    try:
        shape = planned_shape(config.model)
    except MechdynError:
        return BATCH_TOKENS

    def fits(n_samples: int) -> bool:
        return memory_of(shape, replace(load, n_samples=n_samples), dtype).peak <= _USED * memory

    together = 1
    # More rows than a batch may have are of no use.
    while together * load.n_conditions < BATCH_ROWS and fits(together + 1):
        together += 1
    return together * load.length
