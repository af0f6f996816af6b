"""RetMask's first stage: heads off at every position, as a schedule, for a while, or for good in a checkpoint of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from mechdyn.decoding.ablation import Ablation
from mechdyn.errors import InputError
from mechdyn.heads import Heads, HeadSet, RankedHeads, heads
from mechdyn.improve.new_folder import new_folder
from mechdyn.models.load import quiet
from mechdyn.models.model import Model
from mechdyn.models.writing import output_weights
from mechdyn.schedules import Static


def deactivation(off: Heads) -> Ablation:
    """The schedule that is the same as zeroed columns of W_O: zero ablation at every position, the prompt's too."""
    return Ablation(Static(heads(off)), method="zero", scope="all")


@contextmanager
def deactivated(model: Model, off: Heads | RankedHeads) -> Iterator[Model]:
    """The model without some heads: their columns of W_O are zero until the block ends, and then what they were.

    Head h of a layer writes W_O[:, h·d : (h + 1)·d] z_h into the residual stream, d being the size of z; with these columns zero it writes
    nothing, at any position. An output bias belongs to no head and stays (published code zeroes a slice of it where there is one). The
    model's own weights are changed in place, so one model runs in one block at a time.

    Raises:
        InputError: heads that the model does not have, none at all, or a `HookedTransformer`.
    """
    chosen = _fitted(model, off)
    kept = {}
    try:
        for layer, index in _by_layer(chosen).items():
            columns = output_weights(model, layer)
            kept[layer] = columns[index].clone()
            columns[index] = 0.0
        yield model
    finally:
        for layer, values in kept.items():
            output_weights(model, layer)[_by_layer(chosen)[layer]] = values


def save_deactivated(model: Model, off: Heads | RankedHeads, folder: str | Path) -> Path:
    """Save the model without some heads as a Hugging Face folder, which `load_model` and transformers read like any other.

    The weights are in the dtype that the model was loaded in; the model itself is left as it was.

    Raises:
        InputError: what `deactivated` refuses, a folder that is there already, or one that cannot be written.
    """
    with deactivated(model, off), quiet(), new_folder(folder) as partial:
        model.twin.save_pretrained(partial)
        model.tokenizer.save_pretrained(partial)
    return Path(folder)


def _fitted(model: Model, off: Heads | RankedHeads) -> HeadSet:
    if isinstance(off, RankedHeads):
        raise InputError(f"a set of heads is switched off, got a ranking of {len(off.heads)}; say how many are meant with .top(k)")
    if model.twin is None:
        raise InputError(f"{model.name} is a HookedTransformer, which is only traced; load it with load_model to improve it")
    chosen = heads(off, model.n_layers, model.n_heads)
    if not chosen:
        raise InputError("no heads are named to be switched off; name some, such as 'L3H6 L4H1'")
    return chosen


def _by_layer(chosen: HeadSet) -> dict[int, torch.Tensor]:
    layers: dict[int, list[int]] = {}
    for layer, head in chosen:
        layers.setdefault(layer, []).append(head)
    return {layer: torch.tensor(found) for layer, found in layers.items()}
