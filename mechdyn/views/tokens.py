"""The generated text, coloured by how many heads retrieve at each token (through circuitsvis)."""

from dataclasses import dataclass

from mechdyn.errors import InputError
from mechdyn.traces.trace import Trace
from mechdyn.views.text import printable
from mechdyn.views.theme import LIGHT, MONO

_WORD_JOINER = "\u2060"


@dataclass(frozen=True)
class Html:
    """A piece of HTML that shows itself in a notebook and loads nothing from the network."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def tokens(trace: Trace) -> Html:
    """The generated tokens on a scale from white (no head retrieves) to blue (the most heads of any step); a hover tells the number.

    circuitsvis draws it; its script is part of the HTML (1.3 MB), since its own output asks the network first. It draws on white, in a
    dark page too.

    Raises:
        InputError: a trace without steps.
    """
    from circuitsvis.tokens import colored_tokens  # takes a second to import

    if trace.n_steps == 0:
        raise InputError(
            f"tokens needs at least one generated token, the trace has none (it stopped at {trace.stopped}); trace another sample"
        )
    counts = trace.active.flatten(1).sum(dim=1).tolist()
    drawn = colored_tokens(
        [_shown(text) for text in trace.token_texts], counts, min_value=0, max_value=max(1, *counts), positive_color=LIGHT.series[0]
    )
    style = f"background:{LIGHT.background};color:{LIGHT.ink};font-family:{MONO};padding:8px;overflow-wrap:anywhere"
    return Html(f'<div style="{style}">{_closed(drawn.local_src)}</div>')


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
