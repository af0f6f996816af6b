"""Samples from what a unit says of them."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from mechdyn.errors import InputError
from mechdyn.hashing import content_hash
from mechdyn.tasks.hotpot_items import Item, load_items
from mechdyn.tasks.hotpotqa import hotpotqa
from mechdyn.tasks.niah import niah
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.world_task import world


def build_sample(model_or_tokenizer: Any, spec: Mapping[str, Any]) -> Sample:
    """The sample that `{"task": name, **arguments}` describes.

    Tasks are niah, world and hotpotqa, the last one question of a file: `{"task": "hotpotqa", "file": path, "file_digest": ..., "id": ...,
    "style": ...}`. `haystack_digest` only tells files of one name apart in a unit's key; a `file_digest` is held against the file.
    """
    arguments = dict(spec)
    arguments.pop("haystack_digest", None)
    task = arguments.pop("task", None)
    if task not in _TASKS:
        raise InputError(f"unknown task {task!r}; give one of {', '.join(_TASKS)}")
    return _TASKS[task](model_or_tokenizer, **arguments)


def question_of_file(
    model_or_tokenizer: Any, *, file: str, id: str, file_digest: str | None = None, style: str = "rationale", room: int = 1
) -> Sample:
    """The question with this id from a file in HotpotQA's layout, or from the hub as `load_items` addresses it.

    Raises:
        InputError: a file that cannot be read or that is not what `file_digest` was taken of, or an id that it lacks.
    """
    questions = _questions(file, file_digest) if file_digest else _read(file)
    if id not in questions:
        raise InputError(f"questions {file} hold no question with the id {id!r}; give one of its {len(questions)} ids")
    return hotpotqa(model_or_tokenizer, questions[id], style=style, room=room)


@lru_cache(maxsize=2)
def _questions(file: str, digest: str) -> dict[str, Item]:
    """Read once for all units that name the same content."""
    questions = _read(file)
    found = content_hash(list(questions.values()))
    if found != digest:
        raise InputError(f"questions {file} changed: they were {digest} and are {found}; put the file back, or start a new run")
    return questions


def _read(file: str) -> dict[str, Item]:
    return {item["_id"]: item for item in load_items(file)}


_TASKS: Mapping[str, Callable[..., Sample]] = {"niah": niah, "world": world, "hotpotqa": question_of_file}
