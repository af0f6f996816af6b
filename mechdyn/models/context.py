"""How many positions a model can hold with exact results."""

from typing import Any

from mechdyn.errors import InputError, UnsupportedModelError

_OTHER_KINDS = {
    "linear_attention": "is linear attention or a state space, which has no weights of keys",
    "chunked_attention": "attends within chunks of the context and to nothing before",
}
"""Kinds of layers that configurations name and that cannot be traced."""


def pin_longrope(config: Any, max_length: int | None) -> None:
    """Choose one rotary table for the whole run, in place.

    A longrope model picks its short or long table from the largest position of each call, so chunked prefill and decoding across the
    original context would mix them. Sequences within `original_max_position_embeddings` use the short one, longer ones (asked for by
    `max_length`) the long one. How attention is scaled follows from the checkpoint's own `max_position_embeddings` in either case, so that
    ratio is written down before the context is cut.
    """
    if not _is_longrope(config):
        return
    rope, original, long = config.rope_parameters, _original_context(config), beyond_original_context(config, max_length)
    chosen = rope["long_factor" if long else "short_factor"]
    factor = rope.get("factor") or config.max_position_embeddings / original
    config.rope_parameters = {**rope, "short_factor": chosen, "long_factor": chosen, "factor": factor}
    if not long:
        config.max_position_embeddings = original


def beyond_original_context(config: Any, max_length: int | None) -> bool:
    """Whether a run of this length takes a longrope model's long table, at short prompts too."""
    return _is_longrope(config) and max_length is not None and max_length > _original_context(config)


def context_of(name: str, config: Any, max_length: int | None) -> int:
    """Positions of prompt and answer together.

    A sliding window does not bound them, since what a layer forgets has no weight there; one that the model's own attention keeps does.

    Raises:
        UnsupportedModelError: no fixed context, rotary tables that follow the length of each call, or layers of linear attention or
            attention in chunks.
        InputError: `max_length` beyond the model's context.
    """
    positions = getattr(config, "max_position_embeddings", None)
    if not positions:
        raise UnsupportedModelError(
            f"{name} is a {config.model_type} model that states no max_position_embeddings; a model with a fixed context is needed"
        )
    for layer, kind in enumerate(getattr(config, "layer_types", None) or ()):
        if kind in _OTHER_KINDS:
            raise UnsupportedModelError(
                f"{name}: layer {layer} {_OTHER_KINDS[kind]}; heads are read in every layer, each of which needs softmax attention to all "
                "that came before, or to a sliding window of it"
            )
    if _is_dynamic(getattr(config, "rope_parameters", None)):
        raise UnsupportedModelError(
            f"{name} scales its rotary table by the length of each call (rope_type dynamic), so steps would differ from a whole forward; "
            "give it a fixed rope_type in config.json"
        )
    n_ctx = min(int(positions), _local_window(config) or int(positions))
    if max_length is not None and max_length > n_ctx:
        bound = "context" if n_ctx == positions else "local window"
        raise InputError(f"max_length {max_length} is beyond {name}'s {bound} of {n_ctx} positions; give at most that")
    return max_length or n_ctx


def _local_window(config: Any) -> int | None:
    """The window of a model whose own attention code keeps it (GPT-Neo): it counts places, so padding between tokens would shorten it."""
    return int(config.window_size) if "local" in (getattr(config, "attention_layers", None) or ()) else None


def _is_dynamic(rope: Any) -> bool:
    """Whether a rope configuration, or one of a kind of layer, is NTK scaling that follows the length."""
    if not isinstance(rope, dict):
        return False
    return rope.get("rope_type") == "dynamic" or any(_is_dynamic(part) for part in rope.values())


def _is_longrope(config: Any) -> bool:
    return (getattr(config, "rope_parameters", None) or {}).get("rope_type") == "longrope"


def _original_context(config: Any) -> int:
    return int(config.rope_parameters.get("original_max_position_embeddings") or config.original_max_position_embeddings)
