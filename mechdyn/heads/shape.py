"""Whether heads lie within a model, and two models have the same layers and heads."""

from mechdyn.errors import InputError
from mechdyn.heads.head import Head


def check_shape(n_layers: int | None, n_heads: int | None) -> None:
    """A shape is known whole or not at all."""
    if (n_layers is None) != (n_heads is None):
        raise InputError(f"a model's shape is layers and heads a layer, got n_layers={n_layers} and n_heads={n_heads}; give both or none")


def check_head(head: Head, n_layers: int | None, n_heads: int | None) -> None:
    """A head lies inside its model; of an unknown one, at least its numbers are none below 0."""
    if n_layers is None or n_heads is None:
        if head.layer < 0 or head.head < 0:
            raise InputError(f"layers and heads count from 0, got layer {head.layer}, head {head.head}")
    elif not (0 <= head.layer < n_layers and 0 <= head.head < n_heads):
        raise InputError(
            f"head {head} is outside a model of {n_layers} layers x {n_heads} heads; "
            f"layers run from 0 to {n_layers - 1}, heads from 0 to {n_heads - 1}"
        )


def check_fit(known: tuple[int | None, int | None], n_layers: int, n_heads: int) -> None:
    """Heads of a model of the `known` layers and heads, if any, are those of a model of this shape."""
    if None not in known and known != (n_layers, n_heads):
        raise InputError(
            f"the heads are of a model of {known[0]} layers x {known[1]} heads, this one has {n_layers} x {n_heads}; "
            "take heads of this model"
        )
