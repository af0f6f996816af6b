"""Pretended devices: tensors with real data on the CPU that claim to lie elsewhere, and computations that refuse to mix them.

What CUDA does with tensors of two devices can so be seen on a machine without any: an operation between them raises, moving one is
asked for by name, and scalars and indices on the CPU go with all.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from accelerate.hooks import attach_align_device_hook_on_blocks
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

KIND = "maia"
"""A device type that PyTorch knows by name alone."""
FIRST, SECOND = torch.device(KIND, 0), torch.device(KIND, 1)


class Elsewhere(Tensor):
    """A tensor that holds its data on the CPU and says that it lies on another device; PyTorch's own code takes it for one without data."""

    held: Tensor
    place: torch.device

    @staticmethod
    def __new__(cls, held: Tensor, place: torch.device) -> "Elsewhere":
        made = Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), dtype=held.dtype, device="meta", storage_offset=held.storage_offset()
        )
        made.held, made.place = held, place
        return made

    @property
    def device(self) -> torch.device:
        return self.place

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        if func is Tensor.to and len(args) > 1 and isinstance(args[1], Elsewhere):
            args = (args[0], args[1].device, args[1].dtype, *args[2:])
        return torch._C._disabled_torch_function_impl(func, types, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        return compute(func, args, dict(kwargs or {}))

    def item(self) -> Any:
        return self.held.item()

    def tolist(self) -> Any:
        return self.held.tolist()

    def __bool__(self) -> bool:
        return bool(self.held)

    def __int__(self) -> int:
        return int(self.held)

    def __float__(self) -> float:
        return float(self.held)

    def __repr__(self) -> str:
        return f"Elsewhere({self.held!r}, device={self.device})"


@contextmanager
def pretended_devices() -> Iterator[None]:
    """While this is open, tensors made for a pretended device lie there; without gradients, whose bookkeeping knows no such tensors."""
    with torch.inference_mode(), _Operations(), _Literals():
        yield


def spread(hf: Any, first: int) -> None:
    """Put a Llama-like model on two pretended devices as accelerate does: embedding and `first` layers, then the rest."""
    layers = range(hf.config.num_hidden_layers)
    places = {"model.embed_tokens": FIRST, "model.rotary_emb": FIRST, "model.norm": SECOND}
    places |= {f"model.layers.{layer}": FIRST if layer < first else SECOND for layer in layers}
    places["lm_head"] = FIRST if hf.config.tie_word_embeddings else SECOND
    moved: dict[int, Tensor] = {}
    for module_name, place in places.items():
        for module in hf.get_submodule(module_name).modules():
            for tensors in (module._parameters, module._buffers):
                for name, tensor in tensors.items():
                    if tensor is not None and id(tensor) not in moved:
                        there = tensor.detach().to(place)
                        moved[id(tensor)] = nn.Parameter(there, requires_grad=False) if tensors is module._parameters else there
                    tensors[name] = moved.get(id(tensor))
    with patch("accelerate.hooks.set_module_tensor_to_device"):  # the weights lie where they belong already
        attach_align_device_hook_on_blocks(
            hf,
            execution_device={"": FIRST, **places},
            offload=dict.fromkeys(places, False),
            skip_keys=hf._skip_keys_device_placement,
        )
    hf.hf_device_map = {name: str(place) for name, place in places.items()}


class _Literals(TorchFunctionMode):
    """`torch.tensor` puts its values on a device below all dispatch: here they are sent there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        options = dict(kwargs or {})
        device = options.get("device")
        if func is torch.tensor and device is not None and torch.device(device).type == KIND:
            return func(*args, **{**options, "device": "cpu"}).to(device)
        return func(*args, **options)


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        return compute(func, args, dict(kwargs or {}))


def compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operation on the data held; what it gives lies where its inputs do, or where it is sent."""
    name = func._schema.name
    if name.startswith("aten::to"):  # without gradients it comes whole, its device by position
        with _Operations():
            return func.decompose(*args, **kwargs)
    tensors = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor)]
    places = {tensor.place for tensor in tensors if isinstance(tensor, Elsewhere)}
    near = [tensor for tensor in tensors if not isinstance(tensor, Elsewhere) and tensor.dim() > 0]
    if (len(places) > 1 and name != "aten::copy_") or (places and near and not _may_mix(name, args)):
        found = ", ".join(sorted({str(tensor.device) for tensor in tensors}))
        raise RuntimeError(f"Expected all tensors to be on the same device, but {func} found {found}")
    sent = kwargs.get("device")
    place = torch.device(sent) if sent is not None and torch.device(sent).type != "meta" else next(iter(places), torch.device("cpu"))
    if name == "aten::copy_" and isinstance(args[0], Elsewhere):
        place = args[0].place
    if sent is not None:
        kwargs["device"] = torch.device("cpu")
    held_args, held_kwargs = tree_map(lambda leaf: leaf.held if isinstance(leaf, Elsewhere) else leaf, (args, kwargs))
    result = func(*held_args, **held_kwargs)
    for tensor in tensors:  # an operation in place gives the tensor it was given
        if isinstance(tensor, Elsewhere) and result is tensor.held:
            return tensor
    if place.type != KIND:
        return result
    return tree_map(lambda leaf: Elsewhere(leaf, place) if isinstance(leaf, Tensor) else leaf, result)


def _may_mix(name: str, args: Any) -> bool:
    """Copies, and indices on the CPU into a tensor that lies elsewhere, as CUDA allows."""
    return name in ("aten::_to_copy", "aten::copy_") or (name in ("aten::index.Tensor", "aten::index") and isinstance(args[0], Elsewhere))
