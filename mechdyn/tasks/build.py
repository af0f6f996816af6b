"""Samples from what a unit says of them."""

from collections.abc import Mapping
from typing import Any

from mechdyn.errors import InputError
from mechdyn.tasks.niah import niah
from mechdyn.tasks.sample import Sample

_TASKS = {"niah": niah}


def build_sample(model_or_tokenizer: Any, spec: Mapping[str, Any]) -> Sample:
    """The sample that `{"task": name, **arguments}` describes. `haystack_digest` only tells files of one name apart in a unit's key."""
    arguments = dict(spec)
    arguments.pop("haystack_digest", None)
    task = arguments.pop("task", None)
    if task not in _TASKS:
        raise InputError(f"unknown task {task!r}; give one of {', '.join(_TASKS)}")
    return _TASKS[task](model_or_tokenizer, **arguments)
