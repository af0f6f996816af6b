"""torch, loaded when something of it is first used: what lies below and above the engines needs it only where there is a tensor to work on.

Loading it takes two CPU seconds, as much as all else that a short command does, and reading a stored verdict has no use for it. Modules
that are imported to read a run take `torch` and `Tensor` from here; those that are imported to run a model import torch itself. `Tensor`
stands in annotations, where it is torch's own to a type checker and to whoever asks `isinstance`.
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch as torch
    from torch import Tensor as Tensor
else:

    class _Torch:
        """The module `torch`, imported by the first look at any of its names."""

        def __getattr__(self, name: str) -> Any:
            import torch

            return getattr(torch, name)

    class _Tensors(type):
        def __instancecheck__(cls, value: object) -> bool:
            """Before torch is loaded nothing is a tensor."""
            return "torch" in sys.modules and isinstance(value, torch.Tensor)

    class Tensor(metaclass=_Tensors):
        """Stands for `torch.Tensor` where a type is named."""

    torch = _Torch()
