"""mechdyn: which attention heads retrieve what, at which step of generation, and does it matter?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mechdyn import views as views
    from mechdyn.decoding.ablation import Ablation as Ablation
    from mechdyn.decoding.ablation import reference_activations as reference_activations
    from mechdyn.decoding.effect import effect as effect
    from mechdyn.decoding.replay import replay as replay
    from mechdyn.decoding.trace import trace as trace
    from mechdyn.decoding.trace import trace_conditions as trace_conditions
    from mechdyn.decoding.trace import trace_many as trace_many
    from mechdyn.errors import MechdynError as MechdynError
    from mechdyn.heads import Head as Head
    from mechdyn.heads import HeadSet as HeadSet
    from mechdyn.heads import RankedHeads as RankedHeads
    from mechdyn.heads import heads as heads
    from mechdyn.heads import read_heads as read_heads
    from mechdyn.models.load import load_model as load_model
    from mechdyn.probes.dataset import probe_data as probe_data
    from mechdyn.probes.fit import fit_probe as fit_probe
    from mechdyn.runs.configs import VerifyConfig as VerifyConfig
    from mechdyn.runs.session import open_store as open_store
    from mechdyn.runs.verify import verify as verify
    from mechdyn.schedules import Dynamic as Dynamic
    from mechdyn.schedules import RandomHeads as RandomHeads
    from mechdyn.schedules import Static as Static
    from mechdyn.schedules import schedule as schedule
    from mechdyn.scores.copy_paste import copy_paste as copy_paste
    from mechdyn.scores.reasoning import Reasoning as Reasoning
    from mechdyn.scores.score import Score as Score
    from mechdyn.scores.score import StepContext as StepContext
    from mechdyn.scores.score import score as score
    from mechdyn.scores.score import score_row as score_row
    from mechdyn.tasks.hotpot_items import read_items as read_items
    from mechdyn.tasks.hotpotqa import hotpotqa as hotpotqa
    from mechdyn.tasks.niah import niah as niah
    from mechdyn.tasks.own import sample as sample
    from mechdyn.tasks.sample import Sample as Sample
    from mechdyn.tasks.task import Task as Task
    from mechdyn.tasks.task import task as task
    from mechdyn.tasks.world import world as world
    from mechdyn.traces.frames import frame as frame
    from mechdyn.traces.store import TraceStore as TraceStore
    from mechdyn.traces.trace import Trace as Trace

__version__ = "0.1.0"

_HOMES = {
    "Ablation": "mechdyn.decoding.ablation",
    "Dynamic": "mechdyn.schedules",
    "Head": "mechdyn.heads",
    "HeadSet": "mechdyn.heads",
    "MechdynError": "mechdyn.errors",
    "RandomHeads": "mechdyn.schedules",
    "RankedHeads": "mechdyn.heads",
    "Reasoning": "mechdyn.scores.reasoning",
    "Sample": "mechdyn.tasks.sample",
    "Score": "mechdyn.scores.score",
    "Static": "mechdyn.schedules",
    "StepContext": "mechdyn.scores.score",
    "Task": "mechdyn.tasks.task",
    "Trace": "mechdyn.traces.trace",
    "TraceStore": "mechdyn.traces.store",
    "VerifyConfig": "mechdyn.runs.configs",
    "copy_paste": "mechdyn.scores.copy_paste",
    "effect": "mechdyn.decoding.effect",
    "fit_probe": "mechdyn.probes.fit",
    "frame": "mechdyn.traces.frames",
    "heads": "mechdyn.heads",
    "hotpotqa": "mechdyn.tasks.hotpotqa",
    "load_model": "mechdyn.models.load",
    "niah": "mechdyn.tasks.niah",
    "open_store": "mechdyn.runs.session",
    "probe_data": "mechdyn.probes.dataset",
    "read_heads": "mechdyn.heads",
    "read_items": "mechdyn.tasks.hotpot_items",
    "reference_activations": "mechdyn.decoding.ablation",
    "replay": "mechdyn.decoding.replay",
    "sample": "mechdyn.tasks.own",
    "schedule": "mechdyn.schedules",
    "score": "mechdyn.scores.score",
    "score_row": "mechdyn.scores.score",
    "task": "mechdyn.tasks.task",
    "trace": "mechdyn.decoding.trace",
    "trace_conditions": "mechdyn.decoding.trace",
    "trace_many": "mechdyn.decoding.trace",
    "verify": "mechdyn.runs.verify",
    "world": "mechdyn.tasks.world",
}
_MODULES = ("views",)

__all__ = [
    "Ablation",
    "Dynamic",
    "Head",
    "HeadSet",
    "MechdynError",
    "RandomHeads",
    "RankedHeads",
    "Reasoning",
    "Sample",
    "Score",
    "Static",
    "StepContext",
    "Task",
    "Trace",
    "TraceStore",
    "VerifyConfig",
    "copy_paste",
    "effect",
    "fit_probe",
    "frame",
    "heads",
    "hotpotqa",
    "load_model",
    "niah",
    "open_store",
    "probe_data",
    "read_heads",
    "read_items",
    "reference_activations",
    "replay",
    "sample",
    "schedule",
    "score",
    "score_row",
    "task",
    "trace",
    "trace_conditions",
    "trace_many",
    "verify",
    "views",
    "world",
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
