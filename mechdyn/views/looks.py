"""A view in both looks, of which a page shows the one that its reader's system asks for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import plotly.graph_objects as go

from mechdyn.views.css import DARK_ASKED
from mechdyn.views.html import Html

Drawn: TypeAlias = go.Figure | Html
"""What a view gives: drawn, in one look."""

STYLE = f"""
.in-dark {{ display: none; }}
@media {DARK_ASKED} {{ .in-light {{ display: none; }} .in-dark {{ display: block; }} }}
"""
# One element a figure: it is drawn in the look that is asked for, and anew when that changes, as it does for printing too.
SCRIPT = f"""
const darkAsked = matchMedia("{DARK_ASKED}");
const drawInLook = (name, light, dark, config) => {{
  const draw = () => {{
    const {{ data, layout }} = darkAsked.matches ? dark : light;
    Plotly.react(name, data, layout, config);
  }};
  draw();
  darkAsked.addEventListener("change", draw);
}};
"""


@dataclass(frozen=True)
class InBothLooks:
    """One view, drawn light and dark: a page without a look of its own shows the one that its reader's system asks for."""

    light: Drawn
    dark: Drawn

    @classmethod
    def of(cls, draw: Callable[[bool], Drawn]) -> "InBothLooks":
        """Of a view that is told whether it is for a dark page: `InBothLooks.of(lambda dark: timeline(trace, dark=dark))`."""
        return cls(draw(False), draw(True))

    def in_look(self, dark: bool) -> Drawn:
        return self.dark if dark else self.light


View: TypeAlias = Drawn | InBothLooks
"""What a page shows."""


def in_both_looks(draw: Callable[[bool], Mapping[str, Drawn]]) -> dict[str, View]:
    """Views by their heading in both looks, for a page that follows its reader's system.

    Args:
        draw: gives the views for a dark page or a light one, `lambda dark: {"Timeline": timeline(trace, dark=dark)}`.
    """
    light, dark = draw(False), draw(True)
    return {heading: InBothLooks(view, dark[heading]) for heading, view in light.items()}
