"""What someone takes home from the page: a trace as numpy arrays, and the Python that makes it again."""

import base64
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from mechdyn.app.ask import Ask
from mechdyn.app.bench import Entry
from mechdyn.errors import InputError
from mechdyn.heads import Head, HeadSet, read_heads
from mechdyn.traces.effect import Effect
from mechdyn.traces.trace import Trace
from mechdyn.views.compare import compare
from mechdyn.views.layer_head import layer_head
from mechdyn.views.page import page
from mechdyn.views.step_effects import step_effects
from mechdyn.views.timeline import timeline

_TENSORS = ("prompt_tokens", "needle_positions", "tokens", "retrieval_scores", "hidden", "ablated", "ablated_scores")
_WORDS = ("task", "question", "answer", "text", "stopped", "threshold")


def arrays(trace: Trace) -> dict[str, np.ndarray]:
    """A trace's arrays by the names of its fields; what it has not is left out.

    `token_texts` are strings; `facts` is one string of JSON that holds task, question, answer, text, threshold, why it stopped, and `meta`.
    """
    found = {name: getattr(trace, name).numpy() for name in _TENSORS if getattr(trace, name) is not None}
    facts = {name: getattr(trace, name) for name in _WORDS} | {"meta": dict(trace.meta)}
    return found | {"token_texts": np.array(trace.token_texts, dtype=np.str_), "facts": np.array(json.dumps(facts))}


def npz(trace: Trace, effect: Effect | None = None) -> bytes:
    """`arrays` as the bytes of a compressed .npz file, which `numpy.load` reads without pickle.

    With an effect of one set of heads, `effect` is its Δ log p at each step of the answer with all heads on, whose tokens are
    `effect_tokens`.
    """
    packed, found = io.BytesIO(), arrays(trace)
    if effect is not None:
        found |= {"effect": effect.delta[0, :, 0].numpy(), "effect_tokens": effect.tokens.numpy()}
    np.savez_compressed(packed, **found)  # type: ignore[arg-type]  # numpy's stub takes the names for its own options
    return packed.getvalue()


def snippet(entry: Entry, off: HeadSet | None) -> str:
    """Python that gives the same: `trace`, and where heads are switched off `without` and the `effect` along the first answer."""
    ask = entry.ask
    own = bool(ask.haystack.strip())
    options: dict[str, Any] = {"haystack": ask.haystack} if own else {"length": ask.length}
    options |= {"depth": ask.depth} | ({} if own else {"seed": ask.seed})
    options |= {"needle": ask.needle, "question": ask.question} | ({"room": ask.new_tokens} if own else {})
    told = "".join(f"    {name}={value!r},\n" for name, value in options.items())
    lines = ["import mechdyn as md", *(["from mechdyn.tasks.niah import niah_in"] if own else []), ""]
    lines += [f"model = md.load_model({entry.model.name!r})", f"sample = {'niah_in' if own else 'md.niah'}(\n    model,\n{told})"]
    how = f"max_new_tokens={ask.new_tokens}" + (f", score={ask.score!r}" if ask.score != Ask.score else "")
    lines += [f"trace = md.trace(model, sample, {how})"]
    if off is not None:
        heads = ", ".join(f"({head.layer}, {head.head})" for head in off)
        lines += [f"off = md.HeadSet.of([{heads}], model.n_layers, model.n_heads)"]
        lines += [f"without = md.trace(model, sample, ablate=md.Static(off), {how})"]
        lines += ["effect = md.effect(model, sample, off, tokens=trace.tokens)"]
    return "\n".join(lines) + "\n"


def figures(clean: Trace, ablated: Trace | None, effect: Effect | None, step: int, *, dark: bool) -> str:
    """One page of figures, which opens without network: the timeline, all heads at the step, the comparison, the effect at each token."""
    drawn = {"Over the answer": timeline(clean, dark=dark), f"At step {step}": layer_head(clean, step, dark=dark)}
    if ablated is not None:
        drawn["Without some heads"] = compare(clean, ablated, names=("all heads", "without"), dark=dark)
    if effect is not None:
        drawn["What they do at each token"] = step_effects(effect, dark=dark)
    return page(drawn, f"{clean.task}: {clean.question}", dark=dark)


def heads_of_upload(content: str, name: str, top: int) -> tuple[Head, ...]:
    """The first heads of a file of ranked heads that was sent to the page, in any layout that `read_heads` knows.

    Args:
        content: a data URL with the file in base64.
        name: the file's name.
        top: how many.

    Raises:
        InputError: no such list in it.
    """
    try:
        sent = base64.b64decode(content.partition(",")[2], validate=True)
    except ValueError as error:
        raise InputError(f"{name} did not arrive whole; choose it again") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"heads{Path(name).suffix}"
        path.write_bytes(sent)
        try:
            return read_heads(path).heads[:top]
        except InputError as error:
            raise InputError(str(error).replace(str(path), name)) from error
