"""Ablations from the JSON that `Ablation.as_json` writes: what a unit holds becomes what the engine runs."""

from collections.abc import Callable, Mapping
from typing import Any

from mechdyn.decoding.ablation import Ablation, ReferenceActivations
from mechdyn.errors import InputError
from mechdyn.heads import Head, HeadSet, RankedHeads
from mechdyn.schedules import Dynamic, NoAblation, RandomHeads, Schedule, SizeMatched, Static

Shape = tuple[int, int]
_REFERENCE = ("reference", "seed")


def ablation_from_json(
    content: Mapping[str, Any], n_layers: int, n_heads: int, reference: ReferenceActivations | None = None
) -> Ablation | None:
    """The ablation of a unit for a model of `n_layers` x `n_heads` heads; empty content is none.

    Args:
        content: what `Ablation.as_json` gave. For schedules of mechdyn's own the result's `as_json` is the same again.
        n_layers: layers of the model.
        n_heads: heads a layer.
        reference: the activations that mean and resample ablation put in a head's place; a unit names them by their hash alone.

    Raises:
        InputError: an unknown schedule or option, a head outside the model, a number of heads that the model has not, or a method
            whose reference activations are not given or are others than the unit names.
    """
    if not content:
        return None
    options = dict(content)
    named = {name: options.pop(name) for name in _REFERENCE if name in options}
    schedule = schedule_from_json(options.pop("schedule", {}), n_layers, n_heads)
    needs_reference = options.get("method", "zero") != "zero" or "reference" in named
    try:
        ablation = Ablation(schedule, **options, reference=reference if needs_reference else None, seed=named.get("seed", 0))
    except TypeError as error:
        raise InputError(f"an ablation has schedule, method, scope, commit, reference and seed, got {sorted(content)}") from error
    check = getattr(schedule, "check", None)
    if check is not None:
        check(n_layers, n_heads)
    if ablation.as_json().get("reference") != named.get("reference"):
        raise InputError("the reference activations are others than those the unit names; take them from the same model and samples")
    return ablation


def schedule_from_json(content: Mapping[str, Any], n_layers: int, n_heads: int) -> Schedule:
    """The schedule that `{"kind": name, **arguments}` describes."""
    arguments = dict(content)
    kind = arguments.pop("kind", None)
    if kind not in _KINDS:
        raise InputError(f"unknown ablation schedule {kind!r}; give one of {', '.join(_KINDS)}")
    try:
        return _KINDS[kind](arguments, (n_layers, n_heads))
    except (KeyError, TypeError) as error:
        raise InputError(f"ablation schedule {kind!r} does not take {arguments}; write it as the schedule's as_json does") from error


def _static(arguments: dict[str, Any], shape: Shape) -> Schedule:
    return Static(HeadSet.of([Head.parse(name) for name in arguments["heads"]], *shape))


def _size_matched(arguments: dict[str, Any], shape: Shape) -> Schedule:
    if "ranking" not in arguments:
        of = schedule_from_json(arguments["of"], *shape)
        if not isinstance(of, RandomHeads):
            raise InputError(f"a size-matched schedule is of a ranking or of random heads, got {arguments['of']}")
        return SizeMatched(of)
    heads = [Head.parse(name) for name in arguments["ranking"]]
    if len(HeadSet.of(heads, *shape)) < len(heads):
        raise InputError("a ranking names each head once, got some twice")
    # A unit holds the order alone, which is all that a schedule uses.
    return SizeMatched(RankedHeads(tuple(heads), (float("nan"),) * len(heads), *shape))


_KINDS: Mapping[str, Callable[[dict[str, Any], Shape], Schedule]] = {
    "none": lambda arguments, shape: NoAblation(**arguments),
    "dynamic": lambda arguments, shape: Dynamic(**arguments),
    "static": _static,
    "random": lambda arguments, shape: RandomHeads(**arguments),
    "size-matched": _size_matched,
}
