"""What an actor of a Ray cluster asks for, by the budget of its model and of one batch. Ray itself is not needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mechdyn.errors import MechdynError
from mechdyn.models.together import BATCH_TOKENS, UNKNOWN_LENGTH
from mechdyn.runs.worker import WorkerOptions

if TYPE_CHECKING:
    from mechdyn.models.hardware import Device

_ANSWER = 64
"""Tokens of an answer that room is kept for."""
_CARDS = {"H100": "h100", "H200": "h200", "A100": "a100-80gb", "A100-80G": "a100-80gb", "L40S": "l40s"}
"""Devices of `mechdyn.models.hardware` by the names that Ray gives them."""


@dataclass(frozen=True)
class Resources:
    """What one actor asks of the cluster."""

    num_cpus: float = 1.0
    num_gpus: float = 0.0
    memory: int | None = None


def resources_of(options: WorkerOptions, n_tokens: int = BATCH_TOKENS, cluster: Mapping[str, float] = MappingProxyType({})) -> Resources:
    """What an actor needs, by the budget of its model and of one batch.

    A GPU where its model is to run on one, which it is where any is there; with `device_map` as many as hold weights and batch. Else a CPU
    and the memory of both.

    Args:
        options: how the actor loads its model.
        n_tokens: prompt tokens of a batch.
        cluster: what the cluster has, as Ray counts it; the kinds of its GPUs are among that.
    """
    import torch

    there = torch.cuda.is_available() or cluster.get("GPU", 0) > 0
    on_gpu = (options.device or ("cuda" if there else "cpu")).startswith("cuda")
    if on_gpu and not options.device_map:
        return Resources(num_gpus=1.0)
    card = _card(cluster)
    try:
        need = _peak(options, n_tokens, on_gpu)
    except MechdynError:
        # A model without a plan of its weights: Ray is asked for a CPU alone, or for all GPUs that are here.
        need = None
    if not on_gpu:
        return Resources(memory=need)
    if need is None or card is None:
        return Resources(num_gpus=float(torch.cuda.device_count() or 1))
    return Resources(num_gpus=float(-(-need // (card.memory - card.in_use))))


def _peak(options: WorkerOptions, n_tokens: int, on_gpu: bool) -> int:
    """Bytes of the weights and of a batch; a batch counts as one prompt of all its tokens, as far as the model's context goes."""
    from mechdyn.models.budget import RunSize, budget_of
    from mechdyn.models.shape import planned_shape

    size = RunSize((max(1, min(n_tokens, planned_shape(options.model).n_ctx - _ANSWER)),), n_new=_ANSWER, batch_size=1)
    dtype = None if options.dtype == "auto" else options.dtype
    # Any card's name spares measuring this machine: of the device only memory is asked, which hangs on the dtype alone.
    return budget_of(options.model, size, device="h200", dtype=dtype or (None if on_gpu else "float32")).lengths[0].memory.peak


def _card(cluster: Mapping[str, float]) -> "Device | None":
    """The smallest of the cluster's GPUs, as far as their kinds are known."""
    from mechdyn.models.hardware import DATA_SHEETS

    kinds = (name.removeprefix("accelerator_type:") for name in cluster if name.startswith("accelerator_type:"))
    known = [DATA_SHEETS[_CARDS[kind]] for kind in kinds if kind in _CARDS]
    return min(known, key=lambda card: card.memory, default=None)


def batch_tokens(config: Any) -> int:
    """Prompt tokens of a batch, as far as the options say."""
    if config.batch_size is None:
        return int(config.batch_tokens) or BATCH_TOKENS
    return int(config.batch_size * max(getattr(config, "lengths", ()) or (UNKNOWN_LENGTH,)))
