"""Generated tokens coloured by how many heads retrieve, the context by one head's attention (through circuitsvis)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mechdyn.errors import InputError
from mechdyn.heads import Head
from mechdyn.text import printable
from mechdyn.traces.trace import Trace
from mechdyn.views.attention import attention_row, context_texts
from mechdyn.views.theme import LIGHT, MONO

_WORD_JOINER = "\u2060"
WHOLE_CONTEXT = 2000
"""Tokens that the page still shows whole: circuitsvis makes an element of each."""
_AROUND_SOURCE, _STRONGEST = 24, 16
_GAP = " … "
_MOST_PIXELS = 420
"""Longer texts scroll."""


@dataclass(frozen=True)
class Html:
    """A piece of HTML that shows itself in a notebook and loads nothing from the network.

    `scripts` are the contents of its script elements, each exactly as it stands there: a page runs these and no others.
    """

    html: str
    scripts: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        return self.html


def tokens(trace: Trace, step: int | None = None, head: Head | tuple[int, int] | None = None) -> Html:
    """Text coloured from white to blue: the generated tokens by how many heads retrieve or, with step and head, the context by attention.

    A hover tells the number, or the weight. Of a context beyond 2,000 tokens only what lies round the 16 strongest sources and the needle
    is shown, gaps as …. circuitsvis draws it; its script is part of the HTML (1.3 MB), since its own output asks the network first. It
    draws on white, in a dark page too.

    Args:
        trace: one generation; for the context with its sources or patterns, as for `attention`.
        step: with `head`, the step whose attention colours the context; negative steps count from the end.
        head: the head.

    Raises:
        InputError: a trace without steps, one of step and head alone or outside the trace, or neither sources nor patterns in it.
    """
    if trace.n_steps == 0:
        raise InputError(
            f"tokens needs at least one generated token, the trace has none (it stopped at {trace.stopped}); trace another sample"
        )
    if (step is None) != (head is None):
        raise InputError("tokens colours the context by one head at one step; give both step and head, or neither for the generated tokens")
    if step is None or head is None:
        counts = trace.active.flatten(1).sum(dim=1).tolist()
        return _colored(trace.token_texts, counts, max(1, *counts))
    weights = np.nan_to_num(attention_row(trace, step, head))
    texts, shown = context_texts(trace)[: len(weights)], _in_sight(weights, trace)
    parts = [(texts[position], float(weights[position])) if position >= 0 else (_GAP, 0.0) for position in shown]
    return _colored([text for text, _ in parts], [weight for _, weight in parts], float(weights.max()) or 1.0)


def _in_sight(weights: np.ndarray, trace: Trace) -> list[int]:
    """The positions to show, -1 for a gap between them."""
    if len(weights) <= WHOLE_CONTEXT:
        return list(range(len(weights)))
    strongest = np.argsort(-weights, kind="stable")[:_STRONGEST]
    near = np.zeros(len(weights), dtype=bool)
    for position in [*strongest.tolist(), *trace.needle_positions.tolist()]:
        near[max(0, position - _AROUND_SOURCE) : position + _AROUND_SOURCE + 1] = True
    shown: list[int] = []
    for position in np.flatnonzero(near).tolist():
        if position - (shown[-1] if shown else -1) > 1:
            shown.append(-1)
        shown.append(position)
    return [*shown, -1] if not near[-1] else shown


def _colored(texts: Sequence[str], values: Sequence[int | float], most: int | float) -> Html:
    from circuitsvis.tokens import colored_tokens  # takes a second to import

    drawn = colored_tokens([_shown(text) for text in texts], list(values), min_value=0, max_value=most, positive_color=LIGHT.series[0])
    style = (
        f"background:{LIGHT.background};color:{LIGHT.ink};font-family:{MONO};padding:8px;overflow-wrap:anywhere;"
        f"max-height:{_MOST_PIXELS}px;overflow:auto"
    )
    source = _closed(drawn.local_src)
    return Html(f'<div style="{style}">{source}</div>', scripts_in(source))


def scripts_in(source: str) -> tuple[str, ...]:
    """The contents of the script elements of HTML that a library made, whose data cannot begin or end one."""
    return tuple(re.findall(r"<script[^>]*>(.*?)</script>", source, re.DOTALL))


def _shown(token: str) -> str:
    """Spaces and newlines stay, since they lay out the text; the rest as `printable` shows it."""
    body = token.strip(" \n")
    start = token[: len(token) - len(token.lstrip(" \n"))]
    shown = start + printable(body) + token[len(start) + len(body) :] if body or not token else token
    # circuitsvis sets a token as HTML and its tooltip as text: a word joiner, of no width, keeps tags and entities from forming in either.
    return shown.replace("<", f"<{_WORD_JOINER}").replace("&", f"&{_WORD_JOINER}")


def _closed(source: str) -> str:
    """The HTML with its `<div/>` closed, else it swallows what follows, and no `<` in its data, else a token `</script>` ends it."""
    opening, rest = source.split("/>", maxsplit=1)
    script, data = rest.rsplit("CircuitsVis.render(", maxsplit=1)
    call, ending = data.rsplit("</script>", maxsplit=1)
    return f"{opening}></div>{script}CircuitsVis.render({call.replace('<', chr(92) + 'u003c')}</script>{ending}"
