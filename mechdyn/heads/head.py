"""One attention head, and how a message quotes what is none."""

import re
from typing import NamedTuple

from mechdyn.errors import InputError

_PRINTED = re.compile(r"L([0-9]{1,9})H([0-9]{1,9})")
_LONGEST_SHOWN = 60


class Head(NamedTuple):
    """One attention head; both numbers count from 0. Prints as L4H7 and sorts by (layer, head)."""

    layer: int
    head: int

    def __str__(self) -> str:
        return f"L{self.layer}H{self.head}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read `L4H7`."""
        match = _PRINTED.fullmatch(text.strip())
        if match is None:
            raise InputError(f"a head is written like L4H7 (layer 4, head 7), got {shown(text)}")
        return cls(int(match[1]), int(match[2]))


def shown(text: object) -> str:
    """A text or path as a message quotes it: one line, and not too long a one."""
    quoted = repr(str(text))
    return quoted if len(quoted) <= _LONGEST_SHOWN else f"{quoted[:_LONGEST_SHOWN]}…'"
