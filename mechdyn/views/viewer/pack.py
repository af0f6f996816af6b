"""What a viewer's data files hold: deflated blocks (`mechdyn.views.explorer.pack`) in base64, each handed to the page by a line of script.

`index` has a row for every sample and every trace; `part-N` some traces in full; `counts` at how many steps each head retrieves in each
trace; `heads` the summaries; `run` results, manifest and log; `vocabulary` the texts of token ids.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from mechdyn.evidence import Verdict
from mechdyn.heads import RankedHeads
from mechdyn.stats.head_activity import Shares
from mechdyn.stats.interval import Interval
from mechdyn.studies.head_activity import KINDS
from mechdyn.studies.head_summary import HeadSummary
from mechdyn.traces.trace import Trace
from mechdyn.views.explorer.pack import block, condition_arrays, condition_facts, running
from mechdyn.views.positions import stretches

PART_BYTES = 400_000
"""Of packed traces, after which a part is full: some tens of samples of a large model."""
_SHOWN = 20
"""Heads of an order that the explorer shows, `SHOWN` in its state.js."""


@dataclass(frozen=True)
class TraceRow:
    """A trace in the list: whose it is, where it lies and what came of it."""

    sample: int
    condition: int
    part: int
    slot: int
    steps: int
    retrieving: int
    heads: float
    """The mean number of heads that retrieve at a step."""
    right: bool
    text: str


@dataclass(frozen=True)
class SampleRow:
    """A sample in the list; `prompt` is the row of the trace whose block holds the prompt."""

    key: str
    facts: Mapping[str, Any]
    question: str
    answer: str
    prompt: int


def packed_trace(name: str, trace: Trace, *, prompt: bool) -> bytes:
    """One generation as the explorer reads it, scores of 0 and 1 as bits; with the prompt's ids, where no other trace of it has them."""
    facts, arrays = condition_facts(name, trace, 0), condition_arrays(trace, 0)
    if facts["binary"]:
        arrays["scores.bits"] = np.packbits(arrays.pop("scores").astype(np.uint8))
    if trace.ablated is not None:
        arrays["ablated.bits"] = np.packbits(arrays.pop("ablated"))
    arrays["varying"] = arrays["varying"][: facts["steady"] + _SHOWN]
    arrays["top"] = arrays["top"][:_SHOWN]
    if prompt:
        arrays["prompt.ids"] = trace.prompt_tokens.numpy().astype("<u4")
    return block({**facts, "needle": stretches(trace.needle_positions.numpy())}, arrays)


def index_block(header: Mapping[str, Any], samples: Sequence[SampleRow], traces: Sequence[TraceRow]) -> bytes:
    """The list of samples and of their traces."""
    names = list(dict.fromkeys(name for sample in samples for name in sample.facts))
    columns = {name: [sample.facts.get(name) for sample in samples] for name in names}
    kinds = {
        "sample": "<u4",
        "condition": "<u2",
        "part": "<u4",
        "slot": "<u2",
        "steps": "<u4",
        "retrieving": "<u4",
        "heads": "<f8",
        "right": "|u1",
    }
    arrays = {name: np.array([getattr(row, name) for row in traces]).astype(kind) for name, kind in kinds.items()}
    arrays["prompt"] = np.array([sample.prompt for sample in samples]).astype("<u4")
    texts = {name: [getattr(sample, name) for sample in samples] for name in ("key", "question", "answer")}
    return block({**header, **texts, "facts": columns, "text": [row.text for row in traces]}, arrays)


def counts_block(counts: Sequence[Int[np.ndarray, " head"]]) -> bytes:
    """At how many steps each head retrieves in each trace, in as few bytes as hold them."""
    most = max((int(row.max(initial=0)) for row in counts), default=0)
    kind = "|u1" if most < 2**8 else "<u2" if most < 2**16 else "<u4"
    return block({}, {"counts": np.stack(counts).astype(kind)})


def heads_block(summary: HeadSummary, lists: Mapping[str, RankedHeads]) -> bytes:
    """The summaries of heads, numbers as they are."""
    arrays: dict[str, np.ndarray] = {}
    for index, shares in enumerate(summary.shares.values()):
        arrays |= _named(f"share.{index}", shares)
    for index, intervals in enumerate(summary.differences.values()):
        rows = {part: np.array([getattr(each, part) for each in intervals]) for part in ("estimate", "low", "high")}
        arrays |= {f"difference.{index}.{part}": values.astype("<f8") for part, values in rows.items()}
    for name, groups in (("place", summary.places or ()), ("kind", summary.kinds)):
        for index, shares in enumerate(groups):
            arrays |= _named(f"{name}.{index}", shares)
    header = {
        "conditions": list(summary.shares),
        "compared": list(summary.differences),
        "steps": [shares.n for shares in summary.shares.values()],
        "samples": [summary.n_samples[name] for name in summary.shares],
        "kinds": list(KINDS),
        "kindSteps": [shares.n for shares in summary.kinds],
        "placeSteps": None if summary.places is None else [shares.n for shares in summary.places],
        "pairs": [
            {"first": str(pair.first), "second": str(pair.second), **_numbers(pair.jaccard), "chance": pair.chance}
            for pair in summary.pairs
        ],
        "off": {
            str(head): [
                {"condition": each.condition, "others": each.others, "n": each.clean.n}
                | {name: _numbers(getattr(each, name)) for name in ("clean", "off", "difference")}
                for each in rows
            ]
            for head, rows in summary.switched_off.items()
            if rows
        },
        "lists": [_list(name, ranked) for name, ranked in {**summary.rankings, **lists}.items()],
    }
    return block(header, arrays)


def run_block(
    verdicts: Sequence[Verdict],
    asked: Mapping[str, Any],
    manifest: Mapping[str, Any],
    log: Sequence[Mapping[str, Any]],
    notes: Sequence[str],
) -> bytes:
    """Results, what was asked, what the store was made with, the log, and what is to be said about all this."""
    shown = [{"headline": verdict.headline, **verdict.as_json()} for verdict in verdicts]
    return block({"verdicts": shown, "asked": _flat(asked), "manifest": _flat(manifest), "log": _plain(log), "notes": list(notes)}, {})


def vocabulary_block(texts: Mapping[int, str]) -> bytes:
    """The texts of token ids."""
    return block({"texts": [running(text) for text in texts.values()]}, {"ids": np.array(list(texts), dtype="<u4")})


def data_script(name: str, packed: bytes | Iterable[bytes]) -> Iterator[str]:
    """The lines of a data file; they hold base64, so that no text of a run is ever script."""
    if isinstance(packed, bytes):
        yield f'take("{name}","{base64.b64encode(packed).decode()}");\n'
        return
    yield f'take("{name}",[\n'
    for each in packed:
        yield f'"{base64.b64encode(each).decode()}",\n'
    yield "]);\n"


def _named(name: str, shares: Shares) -> dict[str, np.ndarray]:
    return {f"{name}.{part}": getattr(shares, part).astype("<f8") for part in ("estimate", "low", "high")}


def _numbers(interval: Interval) -> dict[str, Any]:
    """What JSON has no word for is null."""
    return {part: value if (value := getattr(interval, part)) == value else None for part in ("estimate", "low", "high")}


def _list(name: str, ranked: RankedHeads) -> dict[str, Any]:
    n_heads = ranked.n_heads or 0
    scores = [score if score == score else None for score in ranked.scores]
    return {
        "name": name, "statistic": ranked.statistic, "model": ranked.model,
        "heads": [head.layer * n_heads + head.head for head in ranked.heads], "scores": scores,
    }  # fmt: skip


def _plain(log: Sequence[Mapping[str, Any]]) -> Any:
    """A log as JSON proper: a NaN in a line that somebody else wrote is null."""
    return json.loads(json.dumps(list(log)), parse_constant=lambda _: None)


def _flat(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values as text, of nested ones with dots."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            rows += [(f"{name}.{inner}", text) for inner, text in _flat(value)]
        else:
            rows.append((str(name), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return rows
