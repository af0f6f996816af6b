"""What a command was asked, held against itself and the files that it names, before a model is loaded."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mechdyn.errors import InputError
from mechdyn.heads import RankedHeads, parse_heads_or_file
from mechdyn.runs.folder import check_folder
from mechdyn.schedules import SCHEDULES
from mechdyn.tasks.fitting import check_request
from mechdyn.tasks.haystack import read_haystack


def check_asked(config: Any, folder: Path) -> None:
    """Refuse what needs no model to be refused; what only the model tells (a head, a length beyond its context) is met after it.

    Args:
        config: a config of `mechdyn.runs.configs` that names a model and a task.
        folder: where the run goes.

    Raises:
        InputError: an option's value, or a file that cannot be read.
        StoreError: a folder that holds another run.
    """
    from mechdyn.decoding.engines import NAMES  # whoever reads a finished run does without

    if config.engine not in NAMES:
        raise InputError(f"engine must be one of {', '.join(NAMES)}, got {config.engine!r}")
    if config.device_map not in (None, "auto"):
        raise InputError(f"device_map must be auto, got {config.device_map!r}; leave it out to use one device")
    for length in _given(config, "length", "lengths"):
        check_request(length, 0.0, None)
    for depth in _given(config, "depth", "depths"):
        check_request(1, depth, None)
    if config.haystack is not None:
        read_haystack(config.haystack)
    if config.data is not None and not config.data.startswith("hub:") and not Path(config.data).exists():
        raise InputError(f"there is no file {config.data}; give one that can be read with --data")
    for text in _given(config, "heads", "off"):
        if isinstance(text, str):
            _check_heads(text)
    check_folder(folder, config)


def _given(config: Any, *names: str) -> Iterable[Any]:
    """The values of these options, as far as the command has them and they were given."""
    for name in names:
        value = getattr(config, name, None)
        left_out = value is None or value == getattr(type(config), name, None)
        yield from value if isinstance(value, tuple) else [] if left_out else [value]


def _check_heads(text: str) -> None:
    """Heads, a file of them, or a schedule by name."""
    if text.partition(":")[0] not in SCHEDULES.names():
        chosen = parse_heads_or_file(text)
        if isinstance(chosen, RankedHeads) and not chosen.heads:
            raise InputError(f"{text} ranks no head; give a file that does")
