"""What is kept of an exception that a unit raised: it can be written down, sent, and raised again."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mechdyn import errors
from mechdyn.errors import MechdynError, RunError


@dataclass(frozen=True)
class Failure:
    """What went wrong with one thing that was run, by its key: a unit's, or a question's sample."""

    key: str
    about: str
    kind: str
    message: str
    traceback: str

    @classmethod
    def of(cls, key: str, about: str, error: BaseException) -> "Failure":
        """From an exception that has been caught."""
        message = " ".join(str(error).split())
        return cls(key, about, type(error).__name__, message, "".join(traceback.format_exception(error)))

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind

    def error(self) -> MechdynError:
        """The error to raise for it: of the same class where it is one of mechdyn's."""
        kind = getattr(errors, self.kind, None)
        return kind(self.message) if isinstance(kind, type) and issubclass(kind, MechdynError) else RunError(f"{self.about}: {self}")


def about(sample: Mapping[str, Any]) -> str:
    """A sample's description in words, such as `niah, length 512, depth 0.5, seed 3`."""
    named = {name: value for name, value in sample.items() if name != "task" and not isinstance(value, (dict, list))}
    return ", ".join([str(sample.get("task", "sample")), *(f"{name} {value}" for name, value in named.items())])
