"""What a run is computed with, beside what it is: it moves results by rounding, is kept in `run.json`, and a run goes on with it."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mechdyn.models.threads import AUTO, DEFAULT, parse_threads
from mechdyn.runs.executors import Executor
from mechdyn.runs.folder import RECORD, read_record

_log = logging.getLogger(__name__)


def with_threads_of(folder: Path, config: Any) -> Any:
    """The config of a run that is about to begin, or to go on: then with the threads that it was begun with, unless a number is asked for.

    PyTorch's own choice is made anew by each process, which may be on another machine; `tell_changes` says where it came out otherwise.

    Raises:
        InputError: threads that are neither a number nor `auto`.
    """
    asked = parse_threads(config.threads)
    if asked not in (None, AUTO) or not (folder / RECORD).is_file():
        return config
    begun = read_record(folder).environment
    if begun.get("threads_by", DEFAULT) == DEFAULT or not isinstance(begun.get("threads"), int):
        return config
    if asked == AUTO:
        _log.warning("threads auto: %d, with which this run was begun", begun["threads"])
    return replace(config, threads=str(begun["threads"]))


def environment_of(executor: Executor) -> dict[str, Any]:
    """What moves numbers by rounding: the workers' threads, and the way of products."""
    from mechdyn.models.products import products_way  # whoever reads a finished run does without

    return {**(executor.threads.as_json() if executor.threads else {}), "products": products_way()}


def tell_changes(folder: Path, now: Mapping[str, Any]) -> None:
    """Warn where a run goes on with other threads or another way of products than it was begun with."""
    begun = read_record(folder).environment
    for name in ("threads", "products"):
        if name in begun and name in now and begun[name] != now[name]:
            _log.warning(
                "%s: this run was begun with %s, and goes on with %s; results move in their last digits", name, begun[name], now[name]
            )
