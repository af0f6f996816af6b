"""What models have of their own that would go wrong unseen, and how each is handled: the one table of it.

Quirks are known by their features, not by the model's name, so that copies and fine-tuned models are handled as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Quirk:
    """One peculiarity. `present` is asked of the configuration, the tokenizer and the generation configuration."""

    name: str
    handling: str
    present: Callable[[Any, Any, Any], bool]


def quirks_of(config: Any, tokenizer: Any, generation_config: Any) -> tuple[Quirk, ...]:
    """The quirks that a model has, in the order of the table."""
    return tuple(quirk for quirk in QUIRKS if quirk.present(config.get_text_config(), tokenizer, generation_config))


def _template(tokenizer: Any) -> str:
    template = getattr(tokenizer, "chat_template", None)
    return template if isinstance(template, str) else ""


def _writes_bos_twice(tokenizer: Any) -> bool:
    bos = tokenizer.bos_token_id
    return "bos_token" in _template(tokenizer) and bos is not None and tokenizer("a")["input_ids"][:1] == [bos]


def _has_window(config: Any) -> bool:
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    return bool(window) and window < config.max_position_embeddings


def _ends(ids: Any) -> int:
    return len(ids) if isinstance(ids, list) else int(ids is not None)


QUIRKS = (
    Quirk(
        "longrope",
        "one rotary table for the whole run, the long one where max_length asks for it (models.context.pin_longrope)",
        lambda config, tokenizer, generation: (getattr(config, "rope_parameters", None) or {}).get("rope_type") == "longrope",
    ),
    Quirk(
        "sliding window",
        "a key that a layer has forgotten has weight 0 in its rows; windows count positions (models.windows)",
        lambda config, tokenizer, generation: _has_window(config),
    ),
    Quirk(
        "soft-caps",
        "attention scores are capped in prefill and steps alike, by our own attention where sdpa cannot (models.attention)",
        lambda config, tokenizer, generation: bool(getattr(config, "attn_logit_softcapping", None)),
    ),
    Quirk(
        "own code",
        "transformers' own architecture runs, code of the repository never (models.checkpoint)",
        lambda config, tokenizer, generation: bool(getattr(config, "auto_map", None)),
    ),
    Quirk(
        "double BOS",
        "template and tokenizer both write BOS: a rendered prompt is tokenised without special tokens (tasks.chat.render)",
        lambda config, tokenizer, generation: _writes_bos_twice(tokenizer),
    ),
    Quirk(
        "date",
        "the template writes today's: a fixed one is given (tasks.chat.DATE)",
        lambda config, tokenizer, generation: "date_string" in _template(tokenizer),
    ),
    Quirk(
        "thinking",
        "switched off (tasks.chat.render)",
        lambda config, tokenizer, generation: "enable_thinking" in _template(tokenizer),
    ),
    Quirk(
        "several ends",
        "generation ends at any of them (models.load.end_ids)",
        lambda config, tokenizer, generation: _ends(getattr(generation, "eos_token_id", None)) > 1,
    ),
    Quirk(
        "sampling",
        "the generation config switches it on: decoding is greedy always (decoding.generate)",
        lambda config, tokenizer, generation: bool(getattr(generation, "do_sample", False)),
    ),
)
