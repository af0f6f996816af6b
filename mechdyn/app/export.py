"""What someone takes home from the page: a trace as numpy arrays, and the Python that makes it again."""

import io
import json
from typing import Any

import numpy as np

from mechdyn.app.bench import Entry
from mechdyn.heads import HeadSet
from mechdyn.traces.trace import Trace

_TENSORS = ("prompt_tokens", "needle_positions", "tokens", "retrieval_scores", "hidden", "ablated", "ablated_scores")
_WORDS = ("task", "question", "answer", "text", "stopped", "threshold")


def arrays(trace: Trace) -> dict[str, np.ndarray]:
    """A trace's arrays by the names of its fields; what it has not is left out.

    `token_texts` are strings; `facts` is one string of JSON that holds task, question, answer, text, threshold, why it stopped, and `meta`.
    """
    found = {name: getattr(trace, name).numpy() for name in _TENSORS if getattr(trace, name) is not None}
    facts = {name: getattr(trace, name) for name in _WORDS} | {"meta": dict(trace.meta)}
    return found | {"token_texts": np.array(trace.token_texts, dtype=np.str_), "facts": np.array(json.dumps(facts))}


def npz(trace: Trace) -> bytes:
    """`arrays` as the bytes of a compressed .npz file, which `numpy.load` reads without pickle."""
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays(trace))  # type: ignore[arg-type]  # numpy's stub takes the names for its own options
    return packed.getvalue()


def snippet(entry: Entry, off: HeadSet | None, model: str) -> str:
    """Python that gives the same traces: `trace`, and `without` where heads are switched off."""
    ask = entry.ask
    own = bool(ask.haystack.strip())
    options: dict[str, Any] = {"haystack": ask.haystack} if own else {"length": ask.length}
    options |= {"depth": ask.depth} | ({} if own else {"seed": ask.seed})
    options |= {"needle": ask.needle, "question": ask.question} | ({"room": ask.new_tokens} if own else {})
    told = "".join(f"    {name}={value!r},\n" for name, value in options.items())
    lines = ["import mechdyn as md", *(["from mechdyn.tasks.niah import niah_in"] if own else []), ""]
    lines += [f"model = md.load_model({model!r})", f"sample = {'niah_in' if own else 'md.niah'}(\n    model,\n{told})"]
    lines += [f"trace = md.trace(model, sample, max_new_tokens={ask.new_tokens})"]
    if off is not None:
        heads = ", ".join(f"({head.layer}, {head.head})" for head in off)
        lines += [f"off = md.HeadSet.of([{heads}], model.n_layers, model.n_heads)"]
        lines += [f"without = md.trace(model, sample, ablate=md.Static(off), max_new_tokens={ask.new_tokens})"]
    return "\n".join(lines) + "\n"
