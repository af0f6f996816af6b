"""Loading a model under TransformerLens hooks, with a weight-sharing sdpa twin for prefill."""

import copy
import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from mechdyn.errors import InputError, MechdynError, UnsupportedModelError
from mechdyn.models.attention import use_own_attention
from mechdyn.models.context import context_of, pin_longrope
from mechdyn.models.model import Model
from mechdyn.models.planted import build_planted, planted_tokenizer
from mechdyn.models.registry import CONTROLS, MINI_FOLDER, PAPER_MODELS, list_models
from mechdyn.models.revision import folder_revision
from mechdyn.tasks.chat import require_offsets

_NEEDED_HOOKS = ("blocks.{layer}.attn.hook_pattern", "blocks.{layer}.attn.hook_z")
_BUNDLED = ("mini", *CONTROLS)


def load_model(
    name_or_path: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    max_length: int | None = None,
) -> Model:
    """Load a model by name, local folder or hub id.

    Args:
        name_or_path: `mini`, `planted-static`, `planted-dynamic`, one of the paper's models (`mechdyn models` lists them), a local Hugging
            Face directory, or a hub id `owner/name`. Only the last two kinds of name ever touch the network, and code from
            the hub is never run.
        device: where to run; a CUDA device if there is one, else the CPU.
        dtype: where left out, float32 for the bundled models and on the CPU, else the checkpoint's own.
        max_length: the longest sequence, prompt and answer, that will be run. Only models with longrope scaling need it: beyond their
            original context they use another rotary table, and one must be chosen for the whole run.

    Raises:
        InputError: nothing of that name, or a folder or hub repository that cannot be read.
        UnsupportedModelError: no causal language model, no fast tokenizer, or no attention pattern to hook.
    """
    name = str(name_or_path)
    device = torch.device(device if device is not None else "cuda" if torch.cuda.is_available() else "cpu")
    with _quiet():
        if name in CONTROLS:
            hf, tokenizer, revision = _load_control(name, dtype or torch.float32)
        else:
            default = torch.float32 if device.type == "cpu" or name in _BUNDLED else "auto"
            hf, tokenizer, revision = _load_pretrained(name, dtype or default, max_length)
        return wrap_model(hf, tokenizer, name=name, revision=revision, device=device, max_length=max_length)


def wrap_model(
    hf: Any,
    tokenizer: Any,
    *,
    name: str,
    revision: str = "",
    device: str | torch.device = "cpu",
    max_length: int | None = None,
) -> Model:
    """Put a Hugging Face causal model under TransformerLens hooks; it is switched to eager attention in place."""
    require_offsets(tokenizer)
    device = torch.device(device)
    n_ctx = context_of(name, hf.config.get_text_config(), max_length)
    hf = hf.to(device).eval()
    try:
        twin = _sdpa_twin(hf)
        bridge = TransformerBridge.boot_transformers(name, hf_model=hf, tokenizer=tokenizer, device=device, dtype=hf.dtype)
    except (ValueError, KeyError, AttributeError, NotImplementedError, TypeError) as error:
        raise UnsupportedModelError(
            f"{name}: TransformerLens has no bridge for {type(hf).__name__} ({error}); mechdyn models lists what is known"
        ) from error
    _require_hooks(name, bridge)
    return Model(
        name=name,
        revision=revision,
        bridge=bridge,
        twin=twin,
        tokenizer=tokenizer,
        n_layers=bridge.cfg.n_layers,
        n_heads=bridge.cfg.n_heads,
        d_model=bridge.cfg.d_model,
        d_head=bridge.cfg.d_head,
        n_ctx=n_ctx,
        eos_ids=_eos_ids(hf, tokenizer),
        dtype=hf.dtype,
        device=device,
    )


def _load_control(name: str, dtype: torch.dtype) -> tuple[Any, Any, str]:
    tokenizer = AutoTokenizer.from_pretrained(MINI_FOLDER)
    hf = build_planted("static" if name == "planted-static" else "dynamic", tokenizer).to(dtype)
    digest = hashlib.sha256(b"".join(parameter.detach().float().numpy().tobytes() for parameter in hf.parameters()))
    return hf, planted_tokenizer(tokenizer), digest.hexdigest()[:16]


def _load_pretrained(name: str, dtype: torch.dtype | str, max_length: int | None) -> tuple[Any, Any, str]:
    source = _source(name)
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        if type(config) not in AutoModelForCausalLM._model_mapping:
            raise UnsupportedModelError(
                f"{name} is a {config.model_type} model; a decoder that generates text is needed (a causal language model of transformers)"
            )
        tokenizer = _load_tokenizer(name, source)
        require_offsets(tokenizer)
        pin_longrope(config, max_length)
        hf, loading = AutoModelForCausalLM.from_pretrained(
            source, config=config, dtype=dtype, output_loading_info=True, trust_remote_code=False
        )
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        if isinstance(error, MechdynError):
            raise
        raise InputError(f"model {name} cannot be loaded: {_first_line(error)}") from error
    if loading["missing_keys"]:
        missing = sorted(loading["missing_keys"])
        raise InputError(f"model {name} lacks {len(missing)} of its weights ({missing[0]} ...); get the missing safetensors files")
    folder = Path(source)
    revision = folder_revision(folder) if folder.is_dir() else str(getattr(config, "_commit_hash", None) or "")
    return hf, tokenizer, revision


def _load_tokenizer(name: str, source: str) -> Any:
    try:
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # tokenizers raises bare Exception for a damaged tokenizer.json
        raise InputError(f"the tokenizer of {name} cannot be loaded: {_first_line(error)}") from error


def _source(name: str) -> str:
    """The folder or hub id behind a name."""
    if name == "mini":
        return str(MINI_FOLDER)
    if name in PAPER_MODELS:
        return PAPER_MODELS[name]
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(f"folder {name} holds no config.json; give a Hugging Face model directory (save_pretrained writes one)")
        return str(path)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return name
    known = ", ".join(listing.name for listing in list_models())
    raise InputError(f"unknown model {name!r}: give one of {known}, a local Hugging Face directory, or a hub id owner/name")


def _sdpa_twin(hf: Any) -> Any:
    """A second model over the very same tensors whose attention never materialises a pattern."""
    shared = {id(tensor): tensor for tensor in chain(hf.parameters(), hf.buffers())}
    twin = copy.deepcopy(hf, shared)
    use_own_attention(twin)
    return twin


def _require_hooks(name: str, bridge: TransformerBridge) -> None:
    """Every layer must have the hooks, and its pattern must be that of causal softmax attention: seen on a three-token probe."""
    patterns: dict[int, torch.Tensor] = {}

    def read(pattern: torch.Tensor, hook: Any) -> None:
        patterns[hook.layer()] = pattern

    for layer in range(bridge.cfg.n_layers):
        for hook in _NEEDED_HOOKS:
            if hook.format(layer=layer) not in bridge.hook_dict:
                raise UnsupportedModelError(
                    f"{name}: layer {layer} has no {hook.format(layer=layer)}; every layer needs softmax attention under hooks"
                )
    probe = torch.arange(3, device=bridge.cfg.device)[None]
    hooks = [(_NEEDED_HOOKS[0].format(layer=layer), read) for layer in range(bridge.cfg.n_layers)]
    if "ln_final.hook_out" not in bridge.hook_dict:
        raise UnsupportedModelError(f"{name}: there is no ln_final.hook_out; a final norm is needed for the final hidden state")
    with torch.inference_mode(), bridge.hooks(fwd_hooks=hooks):
        bridge(probe, attention_mask=torch.ones_like(probe), position_ids=probe, return_type="logits")
    for layer in range(bridge.cfg.n_layers):
        pattern = patterns.get(layer)
        if pattern is None or pattern.shape != (1, bridge.cfg.n_heads, 3, 3):
            raise UnsupportedModelError(
                f"{name}: layer {layer} gives no attention pattern per head; softmax attention in every layer is needed"
            )
        if bool(pattern.triu(diagonal=1).any()):
            raise UnsupportedModelError(
                f"{name}: layer {layer} attends to later tokens (an encoder); a decoder that generates text is needed"
            )


def _eos_ids(hf: Any, tokenizer: Any) -> tuple[int, ...]:
    """Every id that ends generation, from the generation config, the model config and the tokenizer."""
    found: set[int] = set()
    for source in (hf.generation_config, hf.config.get_text_config(), tokenizer):
        ids = getattr(source, "eos_token_id", None)
        found.update([ids] if isinstance(ids, int) else ids or [])
    return tuple(sorted(found))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Loading shows no bars and no advice; both come back afterwards."""
    verbosity = transformers.logging.get_verbosity()
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.utils.logging.enable_progress_bar()
