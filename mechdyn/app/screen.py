"""What the page says and draws for the generations as they stand; no callback, no browser."""

from collections.abc import Iterable, Mapping
from typing import Any

from mechdyn.app.job import Snapshot
from mechdyn.heads import Head
from mechdyn.text import visible
from mechdyn.traces.effect import Effect
from mechdyn.traces.trace import Trace
from mechdyn.views import attention, compare, layer_head, step_effects, timeline

SHOWN_HEADS, SHOWN_SOURCES = 12, 8
_STAGES = {
    "waiting": "Waiting for another generation to end.",
    "reading": "Reading the prompt.",
    "writing": "Writing",
    "measuring": "Written, and measuring what these heads do at each token of the first answer",
    "done": "Done",
    "cancelled": "Cancelled",
    "failed": "Failed",
}


def status(snapshot: Snapshot, prompt_tokens: int, new_tokens: int, n_off: int = 0) -> str:
    """One line: without how many heads, the stage, tokens so far, and why it ended."""
    line = f"Without {n_off} head{'s' * (n_off > 1)}. " * (n_off > 0) + _STAGES[snapshot.stage]
    if snapshot.stage in ("waiting", "reading"):
        return line
    line += f": {snapshot.n_steps} of at most {new_tokens} tokens, after a prompt of {prompt_tokens}."
    trace = snapshot.trace
    if snapshot.stage == "done" and trace is not None:
        ends = {"eos": "The model ended its answer.", "length": "It reached the limit.", "error": "It gave numbers that are not finite."}
        line += f" {ends.get(trace.stopped, '')}"
    return line.strip()


def answer(trace: Trace | None) -> str:
    """The generated text, with control characters made visible; line ends stay."""
    return "\n".join(visible(line) for line in trace.text.split("\n")) if trace is not None and trace.text else "(nothing yet)"


def draw_timeline(trace: Trace, rows: str, dark: bool) -> tuple[Any, dict[str, str]]:
    """The timeline and the style of its place: as high as it is, and wide enough to be read."""
    return _placed(timeline(trace, heads=rows, n=SHOWN_HEADS, dark=dark))


def draw_map(trace: Trace, step: int, off: Iterable[str], dark: bool) -> tuple[Any, dict[str, str]]:
    """All heads at a step, the last one where there are not so many; heads to be switched off are crossed."""
    return _placed(layer_head(trace, min(step, trace.n_steps - 1), marked=[Head.parse(head) for head in off], dark=dark))


def draw_sources(trace: Trace, step: int, head: str, dark: bool) -> tuple[Any, dict[str, str]]:
    """The context positions that a head attends to most at a step, or at the last one where there are not so many."""
    return _placed(attention(trace, min(step, trace.n_steps - 1), Head.parse(head), top_k=SHOWN_SOURCES, dark=dark))


def draw_comparison(clean: Trace, ablated: Trace, dark: bool) -> tuple[Any, dict[str, str]]:
    """Both generations, aligned."""
    return _placed(compare(clean, ablated, names=("all heads", "without"), dark=dark))


def draw_effects(found: Effect, off: int, dark: bool) -> tuple[Any, dict[str, str]]:
    """What so many heads do at each token of the answer with all heads on."""
    heads = "this head does" if off == 1 else f"these {off} heads do"
    return _placed(step_effects(found, title=f"What {heads} at each token of the first answer", dark=dark))


def clicked_cell(click: Mapping[str, Any] | None) -> tuple[Head, int | None] | None:
    """The head that a click fell on, and on the timeline the step; None where it fell on no cell.

    The timeline's rows are heads by name, the map's cells layer and head by number.
    """
    points = (click or {}).get("points") or [{}]
    x, y = points[0].get("x"), points[0].get("y")
    if isinstance(y, str) and isinstance(x, int):
        return Head.parse(y), x
    if isinstance(x, int) and isinstance(y, int) and "z" in points[0]:
        return Head(y, x), None
    return None


def toggled(off: Iterable[str], head: Head) -> list[str]:
    """The heads switched off after one was switched: it is taken out if it is among them, else added."""
    return in_order(set(off) ^ {str(head)})


def switch(off: Iterable[str], head: str | None) -> str:
    """What the button beside the inspected head does."""
    if head is None:
        return "Switch this head off"
    return f"Switch {head} on again" if head in set(off) else f"Switch {head} off"


def in_order(heads: Iterable[str]) -> list[str]:
    """Names of heads by (layer, head)."""
    return [str(head) for head in sorted(Head.parse(name) for name in heads)]


def _placed(figure: Any) -> tuple[Any, dict[str, str]]:
    meta = figure.layout.meta
    least = int(meta.get("min_width", 0)) if isinstance(meta, dict) else 0
    return figure, {"height": f"{int(figure.layout.height or 450)}px", "minWidth": f"{least}px"}
