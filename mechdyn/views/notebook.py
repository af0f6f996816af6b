"""Figures in notebooks whose frontend has no plotly of its own, or would load it from the network."""

from typing import Any

import plotly.graph_objects as go
import plotly.io as pio

from mechdyn.views.page import figure_html

_NAME = "mechdyn_embedded"
_count = 0


def embed_plotly() -> None:
    """From now on every plotly figure that a notebook shows carries plotly's script in its output, 4.8 MB each.

    JupyterLab, Notebook and VS Code have plotly's script and need no network for figures as they are. Colab loads it from a CDN, and a
    notebook that was turned into HTML shows nothing without a script: there, call this once.
    """
    from plotly.io.base_renderers import MimetypeRenderer  # imports IPython

    class Embedded(MimetypeRenderer):
        """HTML that carries plotly's script."""

        def to_mimebundle(self, fig_dict: dict[str, Any]) -> dict[str, str]:
            global _count
            _count += 1
            return {"text/html": figure_html(go.Figure(fig_dict, skip_invalid=True), f"notebook-figure-{_count}", script=True)}

    pio.renderers[_NAME] = Embedded()
    pio.renderers.default = f"plotly_mimetype+{_NAME}"
