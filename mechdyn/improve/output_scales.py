"""Heads made louder or quieter: z times a factor before W_O, by hooks while they stand, or folded into the weights for good.

A factor of 0 is zero ablation at every position of every forward (scope `all`), of 1 nothing at all. An output bias belongs to no head and
stays as it is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from mechdyn.decoding.engine import Engine
from mechdyn.decoding.plain import output_projections
from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.heads import HeadSet
from mechdyn.improve.new_folder import new_folder
from mechdyn.improve.plain import Plain
from mechdyn.improve.variant import Answer
from mechdyn.models.load import weight_sharing_copy, wrap_model
from mechdyn.models.model import Model
from mechdyn.models.writing import scaled_weight
from mechdyn.tasks.sample import Sample


@dataclass(frozen=True, eq=False)
class OutputScales:
    """A factor for each head, or for each channel of its z: `channel` is 1, or the numbers that z of a head has."""

    values: Float[Tensor, "layer head channel"]

    @classmethod
    def ones(cls, model: Model, *, by_channel: bool = False) -> "OutputScales":
        """Nothing is changed."""
        return cls(torch.ones(model.n_layers, model.n_heads, _width(model) if by_channel else 1))

    @classmethod
    def without(cls, model: Model, heads: HeadSet) -> "OutputScales":
        """0 for these heads, 1 for all others: they are off at every position."""
        return cls((~heads.fit(model.n_layers, model.n_heads).mask()).float()[:, :, None])

    def dealt(self, seed: int = 0) -> "OutputScales":
        """The same factors dealt to the model's heads at random, a head's channels together: what learning which head is which adds."""
        n_layers, n_heads, _ = self.values.shape
        order = torch.randperm(n_layers * n_heads, generator=torch.Generator().manual_seed(seed))
        return OutputScales(self.values.flatten(0, 1)[order].unflatten(0, (n_layers, n_heads)))

    def check(self, model: Model) -> None:
        """Refuse a model of another shape.

        Raises:
            InputError: it has other layers, heads or channels.
        """
        found, wanted = tuple(self.values.shape), (model.n_layers, model.n_heads)
        if found[:2] != wanted or found[2] not in (1, _width(model)):
            raise InputError(
                f"scales are of layers x heads x channels {found}, {model.name} has {wanted[0]} x {wanted[1]} heads "
                f"of {_width(model)} channels; take scales of this model"
            )


class Factors:
    """What z is multiplied by in every forward while hooks stand: `row layer head channel`; None is nothing.

    `row` is 1, or one for each row of the batch that is run.
    """

    def __init__(self) -> None:
        self.now: Float[Tensor, "row layer head channel"] | None = None

    def hook(self, layer: int, n_heads: int) -> Any:
        """A forward pre-hook for the output projection of a layer."""

        def multiply(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            if self.now is None:
                return None
            z = rearrange(args[0], "row pos (head channel) -> row pos head channel", head=n_heads)
            z = z * self.now[:, None, layer].to(z)
            return (rearrange(z, "row pos head channel -> row pos (head channel)"), *args[1:])

        return multiply


@contextmanager
def scaling(model: Model) -> Iterator[Factors]:
    """Hooks on every layer's output projection, in bridge and twin; what they multiply by may change between forwards."""
    factors = Factors()
    handles = [
        module.register_forward_pre_hook(factors.hook(layer, model.n_heads))
        for layer, modules in enumerate(zip(_projections(model), _bridged(model), strict=True))
        for module in modules
    ]
    try:
        yield factors
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def scaled(model: Model, scales: OutputScales) -> Iterator[None]:
    """The model with these scales, in every forward of it, whichever engine runs it.

    Raises:
        InputError: scales of another shape.
    """
    scales.check(model)
    with scaling(model) as factors:
        factors.now = scales.values[None]
        yield


class Scaled:
    """A model with output scales, by hooks; `fold` gives the same as weights."""

    def __init__(self, model: Model, scales: OutputScales, name: str = "scaled", engine: str | Engine = "auto") -> None:
        scales.check(model)
        self.name, self._scales, self._plain = name, scales, Plain(model, name, engine)

    def answers(self, samples: Sequence[Sample], *, max_new_tokens: int | None = None) -> list[Answer]:
        with scaled(self._plain.model, self._scales):
            return self._plain.answers(samples, max_new_tokens=max_new_tokens)

    def log_probs(self, tokens: Int[Tensor, " pos"]) -> Float[Tensor, "pos vocab"]:
        with scaled(self._plain.model, self._scales):
            return self._plain.log_probs(tokens)


def fold(model: Model, scales: OutputScales, name: str | None = None) -> Model:
    """A new model with the scales in its W_O, all other weights shared with the one given; its revision is one of its own.

    Raises:
        InputError: scales of another shape.
    """
    scales.check(model)
    hf = weight_sharing_copy(model.twin)
    for layer, path in enumerate(output_projections(model.bridge)):
        projection = hf.get_submodule(path)
        each = scales.values[layer].expand(-1, _width(model))
        projection.weight = nn.Parameter(scaled_weight(projection, rearrange(each, "head channel -> (head channel)")), requires_grad=False)
    revision = content_hash([model.revision, scales.values.double().tolist()])
    device = {} if model.device.type == "cpu" else {"device": model.device}
    return wrap_model(hf, model.tokenizer, name=name or model.name, revision=revision, max_length=model.n_ctx, **device)


def save_folded(model: Model, scales: OutputScales, folder: str | Path) -> Path:
    """Write a Hugging Face checkpoint with the scales in its W_O, and the tokenizer; `load_model(folder)` reads it.

    Raises:
        InputError: the folder is there already, or cannot be written; or scales of another shape.
    """
    folded = fold(model, scales)
    folded.twin.set_attn_implementation("eager")
    with new_folder(folder) as partial:
        folded.twin.save_pretrained(partial)
        folded.tokenizer.save_pretrained(partial)
    return Path(folder)


def _projections(model: Model) -> list[Any]:
    if model.twin is None:
        raise InputError(f"{model.name} is a HookedTransformer, which is only traced; load it with load_model to scale its heads")
    return [model.twin.get_submodule(path) for path in output_projections(model.bridge)]


def _bridged(model: Model) -> list[Any]:
    return [block.attn.o.original_component for block in model.bridge.blocks]


def _width(model: Model) -> int:
    """Numbers that z of a head has."""
    weight: Tensor = _projections(model)[0].weight
    return weight.numel() // (model.d_model * model.n_heads)
