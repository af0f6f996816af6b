"""An answer coloured by how much retrieval stands behind each of its tokens."""

from html import escape

import numpy as np
from jaxtyping import Float

from mechdyn.errors import InputError
from mechdyn.studies.alarm import COPIES, DEPLOYABLE, ENTROPY, LABELLED, MAX_P, WeightedHeads, readings_of
from mechdyn.studies.claimed_tokens import ClaimReading, claimed_tokens
from mechdyn.text import short, visible
from mechdyn.traces.trace import Trace
from mechdyn.views.given import takes_traces
from mechdyn.views.html import Html
from mechdyn.views.rind import gradient, paint, parted
from mechdyn.views.theme import FONT, MONO, ColorScale, evenly, heading, look

_MEASURES = {"deployable": DEPLOYABLE, "labelled": LABELLED, "copies": COPIES}
_SAID = {
    "deployable": "attention of the static heads on the context's tokens that equal the emitted one",
    "labelled": "retrieval score of the static heads, which know the needle",
    "copies": "static heads whose strongest key is a token of the context that equals the emitted one",
}
# Numbers appear in one place under the answer: a box beside a token would leave a narrow page.
_STYLE = f"""
.md-alarm {{ position: relative; padding: 8px 12px 76px; background: var(--background); color: var(--ink); font: 15px/2.1 {FONT}; }}
.md-alarm p {{ margin: 0 0 8px; overflow-wrap: anywhere; }}
.md-alarm .title {{ font-size: 16px; line-height: 1.4; }}
.md-alarm .small {{ color: var(--muted); font-size: 13px; line-height: 1.5; }}
.md-alarm .answer {{ font-family: {MONO}; font-size: 14px; white-space: pre-wrap; overflow-wrap: anywhere; }}
.md-alarm .token {{ padding: 2px 1px; border-radius: 3px; unicode-bidi: isolate; cursor: default; display: inline-block;
  max-width: 100%; line-height: 1.4; }}
.md-alarm .idle {{ color: var(--muted); }}
.md-alarm .wrong {{ font-weight: 700; border: 2px solid var(--accent); border-radius: 3px; text-decoration: underline wavy var(--accent);
  text-underline-offset: 4px; }}
.md-alarm .wrong::before {{ content: "✗"; color: inherit; font-weight: 700; padding-right: 2px; }}
.md-alarm .token:hover, .md-alarm .token:focus {{ outline: 2px solid var(--accent); }}
.md-alarm .readout, .md-alarm .token::after {{ position: absolute; left: 12px; right: 12px; bottom: 8px; height: 60px; overflow: hidden; }}
.md-alarm .token::after {{ content: attr(data-numbers); display: none; background: var(--background); color: var(--ink);
  font: 400 13px/20px {MONO}; white-space: pre-wrap; unicode-bidi: plaintext; pointer-events: none; z-index: 1; }}
.md-alarm:not(:hover) .token:focus::after, .md-alarm .token:hover::after {{ display: block; }}
.md-alarm .bar {{ display: inline-block; vertical-align: middle; width: 120px; height: 12px; border: 1px solid var(--line); }}
"""


@takes_traces("trace")
def alarm(
    trace: Trace,
    heads: WeightedHeads | None = None,
    *,
    measure: str = "deployable",
    most: float | None = None,
    title: str = "",
    dark: bool = False,
) -> Html:
    """The answer in colour, the deeper the more retrieval stands behind a token; pale where little does, which is the alarm.

    The first wrong token (`mechdyn.studies.claimed_tokens`) has a frame, a wavy line and a ✗. Tokens that claim nothing (the words that
    lead up to the value, signs, what follows a wrong token) are grey letters without colour. Pointing at a token, or tabbing to it, shows
    its retrieval, entropy and max p. No script, nothing loaded.

    Args:
        trace: one generation, with its backing: `md.trace(model, sample, backing=heads.heads)`.
        heads: the static heads and their weights, as a claim found them; all heads of the backing, each with the same weight, when left
            out.
        measure: `deployable` (needs no needle), `labelled` (the retrieval scores), or `copies` (heads whose strongest key is the token's
            like).
        most: what the deepest colour stands for, so that answers can be compared; the answer's largest value when left out.
        title: the first line above; model, task and setting when left out.
        dark: for a dark background.

    Raises:
        InputError: no trace, one without steps or without the backing of these heads, another measure, or a `most` that is not above 0.
    """
    if measure not in _MEASURES:
        raise InputError(f"an alarm is coloured by one of {', '.join(_MEASURES)}, got {measure!r}")
    if most is not None and not most > 0:
        raise InputError(f"most is a value above 0 that the deepest colour stands for, got {most}")
    if trace.n_steps == 0:
        raise InputError(
            f"an alarm needs at least one generated token, the trace has none (it stopped at {trace.stopped}); trace another sample"
        )
    if heads is None and trace.backing is not None and trace.backing.heads:
        n = len(trace.backing.heads)
        heads = WeightedHeads(trace.backing.heads, (1 / n,) * n)
    known = {name: np.asarray(values, dtype=np.float64) for name, values in readings_of(trace, heads or WeightedHeads((), ())).items()}
    colors, reading = look(dark), claimed_tokens(trace)
    scale = evenly(colors.scale)
    high = max(float(known[_MEASURES[measure]].max()), 1e-3) if most is None else most
    tokens = "".join(_token(trace, step, known, reading, (_MEASURES[measure], high), scale) for step in range(trace.n_steps))
    names = {"background": colors.background, "ink": colors.ink, "muted": colors.muted, "line": colors.line, "accent": colors.accent}
    variables = ";".join(f"--{name}:{color}" for name, color in names.items())
    return Html(
        f'<style>{_STYLE}</style>\n<div class="md-alarm" style="{variables}">\n<p class="title">{heading(trace, title)}</p>\n'
        f'<p class="small">{_SAID[measure]}, weighted<br>0 <span class="bar" style="background:{gradient(scale)}"></span> {high:.3g}</p>\n'
        f'<p class="answer">{tokens}</p>\n<p class="small">{_verdict(trace, reading)}</p>\n'
        '<div class="readout small">Point at a token, or tab to it, for its numbers.</div>\n</div>'
    )


def _token(
    trace: Trace,
    step: int,
    known: dict[str, Float[np.ndarray, " step"]],
    reading: ClaimReading,
    chosen: tuple[str, float],
    scale: ColorScale,
) -> str:
    """One token between its own white space. The readout is an attribute, so it is text and nothing else."""
    name, high = chosen
    before, after = parted(trace.token_texts[step])
    shown = visible(trace.token_texts[step].strip()) or ("" if before or after else "∅")
    claimed = next((token for token in reading.tokens if token.step == step), None)
    role = "claims nothing" if claimed is None else f"{claimed.kind}, {'first wrong token' if claimed.wrong else 'right'}"
    numbers = (
        f"step {step} “{short(shown, 40)}” · {role}\nretrieval {known[name][step]:.3f}\n"
        f"entropy {known[ENTROPY][step]:.3f} nats · max p {known[MAX_P][step]:.3f}"
    )
    classes = "token idle" if claimed is None else "token wrong" if claimed.wrong else "token"
    painted = "" if claimed is None else f' style="{paint(float(known[name][step]) / high, scale)}"'
    return f'{before}<span class="{classes}" tabindex="0" data-numbers="{escape(numbers)}"{painted}>{escape(shown)}</span>{after}'


def _verdict(trace: Trace, reading: ClaimReading) -> str:
    """What was expected, and how the answer stands to it."""
    wrong = reading.wrong_step
    told = f"✗ first wrong token at step {wrong}" if wrong is not None else reading.left_out or "every token of the value is right"
    return f"expected: {escape(short(visible(trace.answer), 200))} · {escape(told)}"
