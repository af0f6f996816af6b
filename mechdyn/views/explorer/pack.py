"""Traces as the explorer's page holds them: one block of binary arrays behind a JSON header, deflated.

Layout: the header's length in bytes as a little-endian uint32, the header (UTF-8), then the arrays, each from a multiple of 8 bytes on.
The header's `arrays` says of each array by name its dtype, its first byte (counted from the header's end, that multiple of 8) and length.
"""

import json
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from mechdyn.errors import InputError
from mechdyn.text import printable, visible
from mechdyn.traces.trace import Trace
from mechdyn.views.positions import stretches
from mechdyn.views.timeline import highest, steady, varying

SOURCE_BYTES = 5_200_000
"""What the sources of all conditions may take before deflating: with base64 below 7 MB, were they noise."""
NONE_16, NONE_32 = 2**16 - 1, 2**32 - 1
"""Positions of ranks that a short row lacks."""
_WEIGHT_STEPS = 2**16 - 1


def pack(traces: Mapping[str, Trace]) -> bytes:
    """The page's data of one prompt's traces by the name of their condition.

    Raises:
        InputError: no trace, one without steps, or traces of different prompts or models.
    """
    first = _check(traces)
    ranks = _ranks(traces)
    arrays: dict[str, np.ndarray] = {"prompt.ids": first.prompt_tokens.numpy().astype(np.uint32)}
    conditions = []
    for index, (name, trace) in enumerate(traces.items()):
        found = condition_arrays(trace, ranks)
        arrays |= {f"{index}.{part}": array for part, array in found.items()}
        conditions.append(condition_facts(name, trace, ranks))
    texts = first.prompt_texts or next((trace.prompt_texts for trace in traces.values() if trace.prompt_texts), None)
    header = {
        "question": first.question,
        "answer": first.answer,
        "layers": first.retrieval_scores.shape[1],
        "heads": first.retrieval_scores.shape[2],
        "prompt": [running(text) for text in texts] if texts else [f"[{token}]" for token in first.prompt_tokens.tolist()],
        "texts": texts is not None,
        "needle": stretches(first.needle_positions.numpy()),
        "conditions": conditions,
    }
    return block(header, arrays)


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a `block`."""
    raw = zlib.decompress(data)
    size = int.from_bytes(raw[:4], "little")
    header = json.loads(raw[4 : 4 + size])
    base = _padded(4 + size)
    arrays = {
        name: np.frombuffer(raw, dtype=np.dtype(dtype), count=length, offset=base + start)
        for name, (dtype, start, length) in header.pop("arrays").items()
    }
    return header, arrays


def _check(traces: Mapping[str, Trace]) -> Trace:
    if not traces:
        raise InputError("an explorer needs at least one trace, got none")
    first = next(iter(traces.values()))
    for name, trace in traces.items():
        if trace.n_steps == 0:
            raise InputError(
                f"an explorer needs at least one generated token, {name!r} has none (it stopped at {trace.stopped}); leave it out"
            )
        same = trace.retrieval_scores.shape[1:] == first.retrieval_scores.shape[1:]
        if not same or trace.prompt_tokens.tolist() != first.prompt_tokens.tolist():
            raise InputError(f"an explorer compares traces of one prompt and model, {name!r} has another; give it a page of its own")
    return first


def _ranks(traces: Mapping[str, Trace]) -> int:
    """Sources a head and step that fit in `SOURCE_BYTES`, at least 1; 0 where no trace has any."""
    kept = [trace.sources for trace in traces.values() if trace.sources is not None]
    if not kept:
        return 0
    cells = sum(sources.positions[..., 0].numel() for sources in kept)
    n_bytes = 2 + np.dtype(_position_type(next(iter(traces.values())))).itemsize
    return max(1, min(kept[0].n_ranks, SOURCE_BYTES // (cells * n_bytes)))


def _position_type(trace: Trace) -> str:
    return "<u2" if len(trace.prompt_tokens) + trace.n_steps < NONE_16 else "<u4"


def condition_facts(name: str, trace: Trace, ranks: int) -> dict[str, Any]:
    """What a page knows of one generation beside its arrays."""
    return {
        "name": name,
        "effects": [running(found) for found in trace.effect.by_step()] if trace.effect is not None else [],
        "text": trace.text,
        "stopped": trace.stopped,
        "threshold": trace.threshold,
        "binary": bool(((trace.retrieval_scores == 0) | (trace.retrieval_scores == 1)).all()),
        "ablated": trace.ablated is not None,
        "steady": len(steady(trace.active.flatten(1).numpy())),
        "steps": trace.n_steps,
        "ranks": ranks if trace.sources is not None else 0,
        "tokens": [running(text) for text in trace.token_texts],
        "labels": [printable(text) for text in trace.token_texts],
    }


def condition_arrays(trace: Trace, ranks: int) -> dict[str, np.ndarray]:
    """One generation's arrays by name."""
    scores, active = trace.retrieval_scores.flatten(1).numpy(), trace.active.flatten(1).numpy()
    found = {
        "ids": trace.tokens.numpy().astype("<u4"),
        "scores": scores.astype("<f4"),
        "varying": np.concatenate([steady(active), varying(scores, active)]).astype("<u4"),
        "top": highest(scores).astype("<u4"),
    }
    if trace.ablated is not None:
        found["ablated"] = trace.ablated.numpy().astype("u1")
    if trace.effect is not None:
        found["effects"] = np.stack([values.numpy() for values in trace.effect.by_step().values()]).astype("<f4")
    if trace.sources is not None:
        positions = trace.sources.positions[..., :ranks].numpy()
        kind = _position_type(trace)
        none = NONE_16 if kind == "<u2" else NONE_32
        found["positions"] = np.where(positions < 0, none, positions).astype(kind)
        found["weights"] = np.round(trace.sources.weights[..., :ranks].float().numpy() * _WEIGHT_STEPS).astype("<u2")
    return found


def block(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """A header and arrays by name as one deflated block, which `unpack` and the page's `readBlock` read."""
    places, start = {}, 0
    for name, array in arrays.items():
        places[name] = (array.dtype.str, start, array.size)
        start = _padded(start + array.nbytes)
    # ASCII, so that halves of characters become escapes: UTF-8 has none of them.
    head = json.dumps({**header, "arrays": places}, ensure_ascii=True, allow_nan=False).encode()
    pieces = [len(head).to_bytes(4, "little"), head, b"\0" * (_padded(4 + len(head)) - 4 - len(head))]
    for array in arrays.values():
        pieces += [array.tobytes(), b"\0" * (_padded(array.nbytes) - array.nbytes)]
    return zlib.compress(b"".join(pieces), level=6)


def _padded(size: int) -> int:
    return -(-size // 8) * 8


@lru_cache(maxsize=2**16)
def running(text: str) -> str:
    """A token in running text: visible, its line ends both shown and kept."""
    return "⏎\n".join(visible(part) for part in text.split("\n"))
