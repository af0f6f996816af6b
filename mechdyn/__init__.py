"""mechdyn: which attention heads retrieve what, at which step of generation, and does it matter?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mechdyn import views as views
    from mechdyn.decoding.trace import trace as trace
    from mechdyn.decoding.trace import trace_many as trace_many
    from mechdyn.errors import MechdynError as MechdynError
    from mechdyn.heads import Head as Head
    from mechdyn.heads import HeadSet as HeadSet
    from mechdyn.models.load import load_model as load_model
    from mechdyn.scores import copy_paste as copy_paste
    from mechdyn.tasks.niah import niah as niah
    from mechdyn.tasks.sample import Sample as Sample
    from mechdyn.traces.trace import Trace as Trace

__version__ = "0.1.0"

_HOMES = {
    "Head": "mechdyn.heads",
    "HeadSet": "mechdyn.heads",
    "MechdynError": "mechdyn.errors",
    "Sample": "mechdyn.tasks.sample",
    "Trace": "mechdyn.traces.trace",
    "copy_paste": "mechdyn.scores",
    "load_model": "mechdyn.models.load",
    "niah": "mechdyn.tasks.niah",
    "trace": "mechdyn.decoding.trace",
    "trace_many": "mechdyn.decoding.trace",
}
_MODULES = ("views",)

__all__ = [
    "Head",
    "HeadSet",
    "MechdynError",
    "Sample",
    "Trace",
    "copy_paste",
    "load_model",
    "niah",
    "trace",
    "trace_many",
    "views",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use: `import mechdyn` stays fast, torch comes when it is needed."""
    if name in _MODULES:
        return import_module(f"mechdyn.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'mechdyn' has no attribute {name!r}; its public names are {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
