"""Pieces of HTML, and the scripts in them."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Html:
    """A piece of HTML that shows itself in a notebook and loads nothing from the network.

    `scripts` are the contents of its script elements, each exactly as it stands there: a page runs these and no others.
    """

    html: str
    scripts: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        return self.html


def scripts_in(source: str) -> tuple[str, ...]:
    """The contents of the script elements of HTML that a library made, whose data cannot begin or end one."""
    return tuple(re.findall(r"<script[^>]*>(.*?)</script>", source, re.DOTALL))
