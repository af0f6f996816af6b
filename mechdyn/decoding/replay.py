"""What a stored trace leaves out, from its tokens: they are fed again, and the attention rows looked at on the way."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from tqdm import tqdm

from mechdyn.decoding.ablation import REFERENCED
from mechdyn.decoding.batches import naming_memory
from mechdyn.decoding.engine import DecodeState, Engine, HeadEdit
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.sources import KEEP_SOURCES, StepSources, as_sources, strongest, texts_in_place
from mechdyn.errors import InputError
from mechdyn.models.model import Model
from mechdyn.traces.trace import Trace


def replay(model: Model, traces: Sequence[Trace], *, keep_sources: int = KEEP_SOURCES, engine: str | Engine = "auto") -> list[Trace]:
    """Traces with `sources` and `prompt_texts`, from a store that keeps neither.

    The tokens that were generated are fed, so nothing is chosen or drawn anew: a step's observing forward sees the keys and values that it
    saw then. Where the ablated forward's were kept (`commit="ablated"`), each step also runs without the heads that the trace names.

    Args:
        model: the one that the traces were made with.
        traces: all of them, or those of one sample under several ablations: a prompt that follows itself is prefilled once.
        keep_sources: how many sources a head and step.
        engine: as in `trace`.

    Raises:
        InputError: a trace of another model, or one whose kept keys and values cannot be made again, since the activations that took the
            ablated heads' place are not stored.
    """
    if keep_sources < 1:
        raise InputError(f"keep_sources must be at least 1 to replay a trace, got {keep_sources}")
    for trace in traces:
        _check(model, trace)
    engine = make_engine(model, engine)
    found: list[Trace] = []
    state: DecodeState | None = None
    texts: tuple[str, ...] = ()
    for index, trace in enumerate(tqdm(traces, desc="replaying", unit="trace", disable=None, delay=1)):
        with naming_memory(model, [len(trace.prompt_tokens)], trace.n_steps):
            if state is None or not torch.equal(trace.prompt_tokens, traces[index - 1].prompt_tokens):
                state = engine.prefill([trace.prompt_tokens[:-1]])
                texts = texts_in_place(model.tokenizer, trace.prompt_tokens.tolist())
            steps = _steps(engine, engine.fork(state, [0]), trace, keep_sources)
        found.append(replace(trace, sources=as_sources(steps), prompt_texts=texts))
    return found


def _steps(engine: Engine, state: DecodeState, trace: Trace, keep: int) -> list[StepSources]:
    fed: Int[Tensor, " step"] = torch.cat([trace.prompt_tokens[-1:], trace.tokens[:-1]])
    ablation = _ablation(trace)
    dirty = ablation.get("commit") == "ablated" and ablation.get("scope") != "all"
    found = []
    for step in range(trace.n_steps):
        observed, clean = engine.step(state, fed[step : step + 1])
        found.append(strongest(observed.patterns, 0, clean.visible[0].cpu().bool(), keep))
        if dirty and trace.ablated is not None and bool(trace.ablated[step].any()):
            averaged = torch.tensor([True]) if ablation.get("method") == "uniform" else None
            edit = HeadEdit(trace.ablated[step : step + 1], averaged=averaged)
            _, state = engine.step(state, fed[step : step + 1], edit, observed)
        else:
            state = clean
    return found


def _ablation(trace: Trace) -> dict[str, Any]:
    """The ablation's JSON; empty without one."""
    return dict(trace.meta.get("ablation") or {})


def can_replay(trace: Trace) -> bool:
    """Whether the keys and values that the generation saw can be made again: not where they held activations that are not stored."""
    ablation = _ablation(trace)
    return ablation.get("commit") != "ablated" or ablation.get("scope") == "all" or ablation.get("method") not in REFERENCED


def _check(model: Model, trace: Trace) -> None:
    made_with = dict(trace.meta.get("model") or model.identity())
    wanted, found = ({name: each.get(name) for name in ("revision", "dtype")} for each in (made_with, model.identity()))
    if wanted != found:
        raise InputError(
            f"the trace was made with {made_with.get('name')} ({wanted['revision']}, {wanted['dtype']}), this model is {model.name} "
            f"({found['revision']}, {found['dtype']}); load the model that made it"
        )
    if not can_replay(trace):
        raise InputError(
            f"a trace that kept the keys and values of {_ablation(trace)['method']} ablation cannot be replayed: the activations that took "
            "the heads' place are not stored; trace it again with keep_sources"
        )
