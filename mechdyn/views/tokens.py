"""Generated tokens coloured by how many heads retrieve, the context by one head's attention (through circuitsvis)."""

from collections.abc import Iterable, Sequence

import numpy as np

from mechdyn.errors import InputError
from mechdyn.heads import Head
from mechdyn.text import printable
from mechdyn.traces.trace import Trace
from mechdyn.views.attention import attention_row, context_texts
from mechdyn.views.given import takes_traces
from mechdyn.views.html import Html, scripts_in
from mechdyn.views.text import quoted
from mechdyn.views.theme import DARK, FONT, LIGHT, MONO, heading
from mechdyn.views.timeline import choose_heads

_WORD_JOINER = "\u2060"
WHOLE_CONTEXT = 2000
"""Tokens that the page still shows whole: circuitsvis makes an element of each."""
_AROUND_SOURCE, _STRONGEST = 24, 16
_MOST_HEADS = 10
_GAP = " … "
_MOST_PIXELS = 420
"""Longer texts scroll."""


@takes_traces("trace")
def tokens(
    trace: Trace,
    step: int | None = None,
    head: Head | tuple[int, int] | None = None,
    *,
    heads: str | Iterable[Head | tuple[int, int]] | None = None,
    title: str = "",
    dark: bool = False,
) -> Html:
    """Text in blue, the deeper the more: generated tokens by how many heads retrieve or, with step and head, the context by attention.

    With `heads` the generated tokens by the retrieval score of one head at a time, chosen above the text.

    A hover tells the number, or the weight. Of a context beyond 2,000 tokens only what lies round the 16 strongest sources and the needle
    is shown, gaps as …. circuitsvis draws it; its script is part of the HTML (1.3 MB), since its own output asks the network first.

    Args:
        trace: one generation; for the context with its sources or patterns, as for `attention`.
        step: with `head`, the step whose attention colours the context; negative steps count from the end.
        head: the head.
        heads: `varying`, `top`, `all` or the heads themselves, as for `timeline`; not together with step and head.
        title: the first line above; model, task and setting when left out.
        dark: for a dark background.

    Raises:
        InputError: no trace, one without steps, heads beside a step, one of step and head alone or outside the trace, or neither sources
            nor patterns in it.
    """
    if trace.n_steps == 0:
        raise InputError(
            f"tokens needs at least one generated token, the trace has none (it stopped at {trace.stopped}); trace another sample"
        )
    if heads is not None:
        if step is not None or head is not None:
            raise InputError("tokens takes heads for the generated tokens, or one step and head for the context; give one of the two")
        return _by_head(trace, heads, heading(trace, title), dark)
    if (step is None) != (head is None):
        raise InputError("tokens colours the context by one head at one step; give both step and head, or neither for the generated tokens")
    if step is None or head is None:
        counts = trace.active.flatten(1).sum(dim=1).tolist()
        said = f"generated tokens by the number of heads that retrieve, 0 to {max(counts)}"
        return _colored(trace.token_texts, counts, max(1, *counts), (heading(trace, title), said), dark)
    weights = np.nan_to_num(attention_row(trace, step, head))
    texts, in_sight = context_texts(trace)[: len(weights)], _in_sight(weights, trace)
    parts = [(texts[position], float(weights[position])) if position >= 0 else (_GAP, 0.0) for position in in_sight]
    generated = quoted(trace.token_texts[step])
    said = f"context by the attention of {Head(*head)} at step {step % trace.n_steps}, generating {generated}, 0 to {weights.max():.3f}"
    most = float(weights.max()) or 1.0
    return _colored([text for text, _ in parts], [weight for _, weight in parts], most, (heading(trace, title), said), dark)


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


def _colored(texts: Sequence[str], values: Sequence[int | float], most: int | float, lines: tuple[str, str], dark: bool) -> Html:
    """The coloured text under a title and a line that says what its colour means, both escaped."""
    from circuitsvis.tokens import colored_tokens  # takes a second to import

    drawn = colored_tokens([shown(text) for text in texts], list(values), min_value=0, max_value=most, positive_color=LIGHT.series[0])
    return framed(drawn.local_src, lines, dark)


def _by_head(trace: Trace, heads: str | Iterable[Head | tuple[int, int]], title: str, dark: bool) -> Html:
    """The generated tokens under a choice of heads."""
    from circuitsvis.tokens import colored_tokens_multi  # takes a second to import

    chosen, how = choose_heads(trace, heads, _MOST_HEADS)
    layers, columns = [each.layer for each in chosen], [each.head for each in chosen]
    scores = trace.retrieval_scores[:, layers, columns]
    drawn = colored_tokens_multi([shown(text) for text in trace.token_texts], scores, labels=[str(each) for each in chosen])
    said = f"generated tokens by the retrieval score of one head at a time: {how}; drawn by circuitsvis"
    return framed(drawn.local_src, (title, said), dark)


def framed(drawn: str, lines: tuple[str, str], dark: bool, *, most: int = _MOST_PIXELS) -> Html:
    """What circuitsvis drew, under a title and a line that says what it shows, both escaped; it scrolls beyond `most` pixels."""
    colors = DARK if dark else LIGHT
    outer = f"background:{colors.background};color:{colors.ink};font:13px/1.5 {FONT};padding:8px"
    # circuitsvis draws on white alone: a dark view is its picture inverted, the hues turned back.
    turned = ";filter:invert(1) hue-rotate(180deg);mix-blend-mode:lighten" if dark else ""
    inner = f"font-family:{MONO};overflow-wrap:anywhere;max-height:{most}px;overflow:auto;color:{LIGHT.ink}{turned}"
    title = f'<div style="font-size:16px">{lines[0]}</div><div style="color:{colors.muted};margin-bottom:8px">{lines[1]}</div>'
    source = _closed(drawn)
    return Html(f'<div style="{outer}">{title}<div style="{inner}">{source}</div></div>', scripts_in(source))


def shown(token: str) -> str:
    """Spaces and newlines stay, since they lay out the text; the rest as `printable` shows it."""
    body = token.strip(" \n")
    start = token[: len(token) - len(token.lstrip(" \n"))]
    text = start + printable(body) + token[len(start) + len(body) :] if body or not token else token
    # circuitsvis sets a token as HTML and its tooltip as text: a word joiner, of no width, keeps tags and entities from forming in either.
    return text.replace("<", f"<{_WORD_JOINER}").replace("&", f"&{_WORD_JOINER}")


def _closed(source: str) -> str:
    """The HTML with its `<div/>` closed, else it swallows what follows, and no `<` in its data, else a token `</script>` ends it."""
    opening, rest = source.split("/>", maxsplit=1)
    script, data = rest.rsplit("CircuitsVis.render(", maxsplit=1)
    call, ending = data.rsplit("</script>", maxsplit=1)
    return f"{opening}></div>{script}CircuitsVis.render({call.replace('<', chr(92) + 'u003c')}</script>{ending}"
