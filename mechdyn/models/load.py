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
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoTokenizer

from mechdyn.errors import InputError, OutOfMemoryError, UnsupportedModelError
from mechdyn.models.attention import use_own_attention
from mechdyn.models.checkpoint import Checkpoint, DeviceMap, read_checkpoint
from mechdyn.models.context import context_of
from mechdyn.models.failures import first_line, is_out_of_memory
from mechdyn.models.hardware import GIB, memory_of_device
from mechdyn.models.hooks import require_hooks
from mechdyn.models.model import Model
from mechdyn.models.planted.design import planted_kind
from mechdyn.models.planted.model import build_planted, planted_tokenizer
from mechdyn.models.precision import AUTO, chosen_dtype
from mechdyn.models.products import use_own_products
from mechdyn.models.registry import BUNDLED, CONTROLS, MINI_FOLDER
from mechdyn.models.shape import planned_shape
from mechdyn.models.source import gguf_file_of, source_of
from mechdyn.models.windows import windows_of
from mechdyn.tasks.chat import require_offsets


def load_model(
    name_or_path: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | str | None = None,
    max_length: int | None = None,
    device_map: DeviceMap | None = None,
) -> Model:
    """Load a model by name, local folder, GGUF file or hub id.

    Args:
        name_or_path: `mini`, a control (`planted-static`, `-nested`, `-dynamic`, `-step`), a model that `mechdyn models get` has fetched,
            one of the paper's models (`mechdyn models` lists them), a local Hugging Face directory, a GGUF file or a folder that holds
            one, or a hub id `owner/name`. Only a hub id and the paper's names ever touch the network, and code from the hub is never run.
        device: where to run; a CUDA device if there is one, else the CPU.
        dtype: torch's, or its name; where left out, float32 for the bundled models and on the CPU, else the checkpoint's own. `"auto"` on
            the CPU is float32 or bfloat16, whichever is faster here: measured in less than a second, and said.
        max_length: the longest sequence, prompt and answer, that will be run. Only models with longrope scaling need it: beyond their
            original context they use another rotary table, and one must be chosen for the whole run.
        device_map: instead of `device`, how to spread the layers over several: `"auto"`, or a module's name to its device, as accelerate
            takes it. All parts must lie on one kind of device: nothing is offloaded.

    Raises:
        InputError: nothing of that name, or a folder or hub repository that cannot be read.
        UnsupportedModelError: no causal language model, no fast tokenizer, or no attention pattern to hook.
        OutOfMemoryError: the device does not hold the weights.
    """
    name = str(name_or_path)
    dtype = chosen_dtype(dtype, _default_device(device))
    with _naming_weights(name, _default_device(device), dtype):
        checkpoint, device = load_checkpoint(name, device=device, dtype=dtype, max_length=max_length, device_map=device_map)
        return wrap_model(
            checkpoint.hf, checkpoint.tokenizer, name=name, revision=checkpoint.revision, device=device, max_length=max_length
        )


def check_loadable(name: str, *, device: str | None = None, dtype: str | None = None) -> None:
    """Refuse what `load_model` would refuse by the name, the device and the dtype alone; nothing is loaded, and no hub is asked.

    Raises:
        InputError: nothing of that name here, no such device, or no such dtype.
    """
    if name not in CONTROLS and gguf_file_of(name) is None:
        source_of(name)
    chosen = _default_device(device)
    if dtype != AUTO:
        chosen_dtype(dtype, chosen)


def load_checkpoint(
    name: str,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | str | None = None,
    max_length: int | None = None,
    device_map: DeviceMap | None = None,
) -> tuple[Checkpoint, torch.device]:
    """The plain Hugging Face model behind a name, as `load_model` takes it, before any hook; and where its inputs go."""
    if device_map is not None and (device is not None or name in CONTROLS):
        raise InputError("give device, or device_map to spread a checkpoint's layers over several, not both; controls take a device")
    device = _default_device(device)
    dtype = chosen_dtype(dtype, device)
    with quiet():
        if name in CONTROLS:
            checkpoint = _load_control(name, dtype or torch.float32)
        else:
            default = torch.float32 if device.type == "cpu" or name in BUNDLED else "auto"
            checkpoint = read_checkpoint(name, dtype or default, max_length, device_map)
        if device_map is None:
            return Checkpoint(checkpoint.hf.to(device), checkpoint.tokenizer, checkpoint.revision), device
    return checkpoint, checkpoint.hf.get_input_embeddings().weight.device


@contextmanager
def _naming_weights(name: str, device: torch.device, dtype: torch.dtype | None) -> Iterator[None]:
    """Where a model does not fit while it is loaded, say how large its weights are.

    Raises:
        OutOfMemoryError: instead of torch's errors and `MemoryError`.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        shape = planned_shape(name)
        size = shape.n_parameters * (dtype or (torch.float32 if device.type == "cpu" else shape.dtype)).itemsize
        raise OutOfMemoryError(
            f"out of memory on {device}: the weights of {name} take {size / GIB:.1f} GiB of {memory_of_device(device) / GIB:.1f}; "
            "take a smaller dtype (torch.bfloat16), another device, or several with device_map='auto' (mechdyn budget tells what fits)"
        ) from error


def _default_device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (AssertionError, RuntimeError) as error:
        raise InputError(f"there is no device {str(device)!r} here; give cpu, or cuda or cuda:N where torch sees one") from error
    if chosen.type == "meta":
        raise InputError("the device meta holds shapes and no numbers; give cpu or cuda")
    return chosen


def wrap_model(
    hf: Any,
    tokenizer: Any,
    *,
    name: str,
    revision: str = "",
    device: str | torch.device = "cpu",
    max_length: int | None = None,
) -> Model:
    """Put a Hugging Face causal model under TransformerLens hooks; it is switched to eager attention in place.

    A model that accelerate has spread over devices stays where it is, and `device` is not used: inputs go where its embedding is.
    """
    require_offsets(tokenizer)
    n_ctx = context_of(name, hf.config.get_text_config(), max_length)
    device = _place(name, hf, torch.device(device))
    if not hf.config.architectures:
        hf.config.architectures = [type(hf).__name__]  # a model made from a bare config does not say what it is
    try:
        with quiet():
            twin = weight_sharing_copy(hf)
            use_own_attention(twin)
            use_own_products(twin)
            bridge = TransformerBridge.boot_transformers(
                name,
                hf_model=hf.eval(),
                tokenizer=copy.deepcopy(tokenizer),  # TransformerLens gives it a BOS and a padding token of its own
                device=device,
                dtype=hf.dtype,
            )
    except torch.OutOfMemoryError:
        raise
    except (ValueError, KeyError, AttributeError, RuntimeError, TypeError) as error:
        raise UnsupportedModelError(
            f"{name}: TransformerLens has no bridge for {type(hf).__name__}, or none with sdpa prefill ({first_line(error)[:150]})"
        ) from error
    _keep_dtype(bridge, hf.dtype)
    windows = windows_of(twin, bridge.cfg.n_layers, n_ctx)
    require_hooks(name, bridge, twin, windows)
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
        windows=windows,
        n_ctx=n_ctx,
        eos_ids=end_ids(hf, tokenizer),
        dtype=hf.dtype,
        device=device,
    )


def _keep_dtype(bridge: Any, dtype: torch.dtype) -> None:
    """Queries and keys in the model's dtype behind their rotation, as transformers has them; OLMo's table is float32 in any case.

    By hooks of PyTorch: those of TransformerLens are the user's.
    """
    points = (getattr(getattr(block, "attn", None), name, None) for block in bridge.blocks for name in ("hook_rot_q", "hook_rot_k"))
    for point in points:
        if point is not None:
            point.register_forward_hook(lambda module, inputs, output: output.to(dtype))


def weight_sharing_copy(hf: Any) -> Any:
    """A second model over the very same tensors, whose attention can be switched without touching the first."""
    return copy.deepcopy(hf, {id(tensor): tensor for tensor in chain(hf.parameters(), hf.buffers())})


def end_ids(hf: Any, tokenizer: Any) -> tuple[int, ...]:
    """Every id that ends generation, from the generation config, the model config and the tokenizer."""
    found: set[int] = set()
    for source in (hf.generation_config, hf.config.get_text_config(), tokenizer):
        ids = getattr(source, "eos_token_id", None)
        found.update([ids] if isinstance(ids, int) else ids or [])
    return tuple(sorted(found))


def _place(name: str, hf: Any, device: torch.device) -> torch.device:
    """Move a model to its device, or leave a spread one where it is; the device of its embedding."""
    spread = getattr(hf, "hf_device_map", None)
    if not spread:
        hf.to(device)
        return device
    kinds = {"cuda" if isinstance(target, int) else str(target).split(":")[0] for target in spread.values()}
    if len(kinds) > 1:
        raise InputError(
            f"{name} does not fit: device_map left parts of it on {', '.join(sorted(kinds))}; use more devices or a smaller dtype"
        )
    return hf.get_input_embeddings().weight.device


def _load_control(name: str, dtype: torch.dtype) -> Checkpoint:
    tokenizer = AutoTokenizer.from_pretrained(MINI_FOLDER)
    hf = build_planted(planted_kind(name), tokenizer).to(dtype)
    own = planted_tokenizer(tokenizer)
    digest = hashlib.sha256(b"".join(parameter.detach().float().numpy().tobytes() for parameter in hf.parameters()))
    digest.update(own.backend_tokenizer.to_str().encode())  # weights know its size alone
    return Checkpoint(hf.eval(), own, digest.hexdigest()[:16])


@contextmanager
def quiet() -> Iterator[None]:
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
