"""What is known of each step of an answer, to predict which heads fire: from the kind of its token to the hidden state."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np
from jaxtyping import Bool, Float

from mechdyn.stats.deviance import StepPredictor
from mechdyn.traces.trace import Trace

HIDDEN_COMPONENTS = 32
_KINDS = (
    ("space", re.compile(r"\s+")),
    ("word", re.compile(r"\s+[^\W\d_]+|[^\W\d_]*[^\W\d_a-f][^\W\d_]*")),
    ("digit", re.compile(r"\s*\d+")),
    ("hex letter", re.compile(r"[a-f]+")),
    ("hyphen", re.compile(r"\s*-+")),
    ("letters and digits", re.compile(r"\s*[^\W_]+")),
    ("punctuation", re.compile(r"\s*[^\w\s]+\s*")),
)


def token_kind(text: str) -> str:
    """space, word, digit, hex letter, hyphen, letters and digits, punctuation, or other: what a token's text is.

    Letters from a to f alone, without a space before them, count as hex letters.
    """
    return next((name for name, pattern in _KINDS if pattern.fullmatch(text)), "other")


def copied_places(trace: Trace) -> list[int]:
    """Which of the needle's tokens each step repeats, counted from 0; −1 for none.

    Answer and needle are aligned by their longest common runs of tokens (`difflib`).
    """
    needle, answer = trace.prompt_tokens[trace.needle_positions].tolist(), trace.tokens.tolist()
    places = [-1] * len(answer)
    for start, step, size in SequenceMatcher(None, needle, answer, autojunk=False).get_matching_blocks():
        places[step : step + size] = range(start, start + size)
    return places


def step_predictors(traces: Sequence[Trace]) -> dict[str, StepPredictor]:
    """Predictors of every step of all traces, in the order in which they are added, from what costs least to know.

    - kind of token, token: of the generated one.
    - place: which of the needle's tokens it repeats, if any.
    - step: its number.
    - depth: of the needle in the prompt, 0 to 1, and its square.
    - distance: log2 of how many tokens back the repeated token lies, of steps that repeat none the needle's first, and its square.
    - hidden state: of the step, its first 32 principal components.

    Depth and distance are left out where a trace has no needle.
    """
    texts = [text for trace in traces for text in trace.token_texts]
    found = {
        "kind of token": StepPredictor.category([token_kind(text) for text in texts]),
        "token": StepPredictor.category([int(token) for trace in traces for token in trace.tokens]),
        "place": StepPredictor.category([place for trace in traces for place in copied_places(trace)]),
        "step": StepPredictor.category([step for trace in traces for step in range(trace.n_steps)]),
    }
    if all(len(trace.needle_positions) for trace in traces):
        depth = [int(trace.needle_positions[0]) / len(trace.prompt_tokens) for trace in traces for _ in range(trace.n_steps)]
        found["depth"] = _curve(depth)
        found["distance"] = _curve([distance for trace in traces for distance in _distances(trace)])
    hidden = np.concatenate([trace.hidden.double().numpy() for trace in traces])
    return {**found, "hidden state": StepPredictor(hidden, is_category=False, n_components=HIDDEN_COMPONENTS)}


def fired(traces: Sequence[Trace]) -> Bool[np.ndarray, "row head"]:
    """Which heads retrieve at every step of all traces."""
    return np.concatenate([trace.active.flatten(1).numpy() for trace in traces])


def _distances(trace: Trace) -> list[float]:
    positions = trace.needle_positions.tolist()
    query = [len(trace.prompt_tokens) - 1 + step for step in range(trace.n_steps)]
    return [float(np.log2(at - positions[max(place, 0)])) for at, place in zip(query, copied_places(trace), strict=True)]


def _curve(values: Sequence[float]) -> StepPredictor:
    column: Float[np.ndarray, " row"] = np.asarray(values)
    centred = column - column.mean()
    return StepPredictor(np.stack([centred, centred**2], axis=1), is_category=False)
