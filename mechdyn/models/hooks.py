"""What a bridge must show before anything is traced: hooks in every layer, causal softmax attention, and transformers' own logits."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from mechdyn.errors import UnsupportedModelError
from mechdyn.models.failures import first_line
from mechdyn.models.windows import Windows

_PATTERN, _Z, _FINAL = "blocks.{layer}.attn.hook_pattern", "blocks.{layer}.attn.hook_z", "ln_final.hook_out"
_SCORES = "blocks.{layer}.attn.hook_attn_scores"
"""Where a layer with a sliding window is made to forget (see `decoding.capture`)."""
_SAME = {torch.float32: 1e-3}
"""How far the bridge's logits may be from transformers', as a part of the largest: above rounding, below another computation."""
_SAME_IN_HALF_PRECISION = 0.05
_PROBE = 8


@torch.inference_mode()
def require_hooks(name: str, bridge: Any, twin: Any, windows: Windows) -> None:
    """Refuse a model whose heads cannot be read, or which the bridge runs otherwise than transformers does: seen on a few tokens.

    Raises:
        UnsupportedModelError: a layer without hooks or without one pattern a head (state space, linear attention), attention to later
            tokens, or logits under the bridge that are not those of transformers with sdpa attention, which prefill uses.
    """
    for layer in range(bridge.cfg.n_layers):
        for hook in (_PATTERN, _Z, *([] if windows[layer] is None else [_SCORES])):
            if hook.format(layer=layer) not in bridge.hook_dict:
                raise UnsupportedModelError(
                    f"{name}: layer {layer} has no {hook.format(layer=layer)}; every layer needs softmax attention under hooks"
                )
    if _FINAL not in bridge.hook_dict:
        raise UnsupportedModelError(f"{name}: there is no {_FINAL}; a final norm is needed for the final hidden state")
    patterns: dict[int, torch.Tensor] = {}

    def read(pattern: torch.Tensor, hook: Any) -> None:
        patterns[hook.layer()] = pattern

    probe = torch.arange(_PROBE, device=bridge.cfg.device)[None]
    try:
        with bridge.hooks(fwd_hooks=[(_PATTERN.format(layer=layer), read) for layer in range(bridge.cfg.n_layers)]):
            whole = bridge(probe, attention_mask=torch.ones_like(probe), position_ids=probe, return_type="logits")
        stepped = _step_behind_prefill(bridge, twin, probe)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise UnsupportedModelError(f"{name}: TransformerLens's bridge cannot run this configuration ({first_line(error)})") from error
    for layer in range(bridge.cfg.n_layers):
        _require_causal(name, layer, bridge.cfg.n_heads, patterns.get(layer))
    expected = twin(probe, attention_mask=torch.ones_like(probe), position_ids=probe).logits[:, -1]
    difference = float(max((found[:, -1] - expected).abs().max() for found in (whole, stepped)) / expected.abs().max())
    # Logits that are no numbers in transformers either are the model's own; its generations stop there and say so.
    if bool(expected.isfinite().all()) and not difference <= _SAME.get(expected.dtype, _SAME_IN_HALF_PRECISION):
        raise UnsupportedModelError(
            f"{name}: under TransformerLens's bridge its logits differ from those of transformers (by {difference:.1%} of the largest), "
            "so its attention rows would not be the model's"
        )


def _step_behind_prefill(bridge: Any, twin: Any, probe: Int[Tensor, "1 pos"]) -> Float[Tensor, "1 1 vocab"]:
    """Logits of the last token, fed to the bridge behind the cache that the twin filled with the others."""
    cache = DynamicCache(config=twin.config)
    twin(probe[:, :-1], position_ids=probe[:, :-1], past_key_values=cache, use_cache=True)
    visible = torch.ones_like(probe)
    return bridge(probe[:, -1:], attention_mask=visible, position_ids=probe[:, -1:], past_key_values=cache, use_cache=True)


def _require_causal(name: str, layer: int, n_heads: int, pattern: torch.Tensor | None) -> None:
    if pattern is None or pattern.shape != (1, n_heads, _PROBE, _PROBE):
        raise UnsupportedModelError(
            f"{name}: layer {layer} gives no attention pattern per head; softmax attention in every layer is needed"
        )
    if bool(pattern.triu(diagonal=1).any()):
        raise UnsupportedModelError(f"{name}: layer {layer} attends to later tokens (an encoder); a decoder that generates text is needed")
