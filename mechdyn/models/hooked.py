"""TransformerLens 3's `HookedTransformer` as a model that the reference engine runs, so that old notebooks keep working."""

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.models.model import Model
from mechdyn.tasks.chat import require_offsets

_FINAL_HIDDEN = "ln_final.hook_out"
_SAMPLED = 1 << 14


class HookedModel:
    """A `HookedTransformer` behind the one call of a TransformerBridge that the reference engine makes."""

    def __init__(self, hooked: Any) -> None:
        self.hooked = hooked

    def run_with_hooks(
        self,
        tokens: Int[Tensor, "row pos"],
        *,
        fwd_hooks: Sequence[tuple[str, Any]],
        attention_mask: Int[Tensor, "row pos"] | None = None,
        position_ids: Int[Tensor, "row pos"] | None = None,
        return_type: str | None = "logits",
    ) -> Float[Tensor, "row pos vocab"] | None:
        """A forward under hooks, the user's own included.

        Raises:
            InputError: position ids with gaps, since a `HookedTransformer` counts the visible tokens itself.
        """
        visible = torch.ones_like(tokens) if attention_mask is None else attention_mask
        if position_ids is not None and not torch.equal((visible.cumsum(dim=1) - 1) * visible, position_ids * visible):
            raise InputError("a HookedTransformer counts positions by itself and cannot leave any out; load the model with load_model")
        with ExitStack() as stack:
            # Its last norm has no hook behind the norm's weight: a plain PyTorch hook there gives what the bridge's hook_out gives.
            for name, hook in fwd_hooks:
                if name == _FINAL_HIDDEN:
                    stack.enter_context(self.hooked.ln_final.register_forward_hook(partial(_call, hook)))
            inside = [(name, hook) for name, hook in fwd_hooks if name != _FINAL_HIDDEN]
            return self.hooked.run_with_hooks(tokens, fwd_hooks=inside, attention_mask=visible, return_type=return_type)


def wrap_hooked(hooked: Any, tokenizer: Any, *, name: str | None = None, eos_ids: Sequence[int] | None = None) -> Model:
    """Make a `HookedTransformer` (TransformerLens below 4) a model for `trace`, `trace_many` and `trace_conditions`.

    It runs through the reference engine: the whole sequence at every step, no cache. Hooks that stand on it act. What holds depends on how
    it was loaded:

    - `from_pretrained_no_processing`: logits, patterns, hidden states and ablations are the checkpoint's.
    - `from_pretrained`: patterns, retrieval scores and generated text are the checkpoint's. Logits are shifted by a constant
      (log-probabilities are not). Hidden states lack the last norm's weight, which is folded into the unembedding. Where value projections
      have biases (GPT-2, Qwen2), z lacks them, so a zeroed head keeps its bias: ablations are those of the processed model.

    Args:
        hooked: the model, causal.
        tokenizer: the raw Hugging Face tokenizer (`AutoTokenizer.from_pretrained`); `hooked.tokenizer` may write a BOS of its own.
        name: for traces and stores; the name in its configuration where left out.
        eos_ids: ids that end generation; the tokenizer's where left out. The generation config of Llama 3 and others names more than one.

    Raises:
        UnsupportedModelError: not a causal model with a final norm, or no fast tokenizer.
    """
    require_offsets(tokenizer)
    cfg = hooked.cfg
    name = name or cfg.model_name
    if cfg.attention_dir != "causal":
        raise UnsupportedModelError(f"{name}: attention is {cfg.attention_dir}; a decoder that generates text is needed")
    if cfg.normalization_type is None:
        raise UnsupportedModelError(f"{name}: there is no final norm; one is needed for the final hidden state")
    ends = eos_ids if eos_ids is not None else [tokenizer.eos_token_id]
    return Model(
        name=name,
        revision=_revision(hooked),
        bridge=HookedModel(hooked),
        twin=None,
        tokenizer=tokenizer,
        n_layers=cfg.n_layers,
        n_heads=cfg.n_heads,
        d_model=cfg.d_model,
        d_head=cfg.d_head,
        windows=(None,) * cfg.n_layers,
        n_ctx=min(cfg.n_ctx, cfg.window_size) if cfg.use_local_attn else cfg.n_ctx,
        eos_ids=tuple(sorted({end for end in ends if end is not None})),
        dtype=cfg.dtype,
        device=torch.device(cfg.device),
    )


def _call(hook: Any, module: Any, inputs: Any, output: Tensor) -> Tensor | None:
    """A TransformerLens hook called as a PyTorch one."""
    return hook(output, module)


def _revision(hooked: Any) -> str:
    """16 hex digits over the first numbers of every parameter: other weights, or other processing of them, give another."""
    digest = hashlib.sha256()
    for parameter in hooked.parameters():
        digest.update(repr(tuple(parameter.shape)).encode() + parameter.detach().flatten()[:_SAMPLED].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
