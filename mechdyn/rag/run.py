"""Many samples under many strategies as one batch, in which calls that several of them make alike are run once."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mechdyn.decoding.engine import Engine
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.trace import check_sample
from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.models.model import Model
from mechdyn.rag.calls import Attend, CallResult, ModelCall, Observe, Seen, Write, Written
from mechdyn.rag.log import RagLog
from mechdyn.rag.loop import Asking, Trial, answer
from mechdyn.rag.serve import Server
from mechdyn.rag.strategy import Condition as Condition
from mechdyn.rag.visibility import find_context
from mechdyn.scores.reasoning import Reasoning
from mechdyn.scores.score import ScoreLike, as_score
from mechdyn.tasks.sample import Sample


def dynamic_rag(
    model: Model,
    samples: Sequence[Sample],
    conditions: Mapping[str, Condition],
    *,
    score: ScoreLike | None = None,
    engine: str | Engine = "auto",
) -> list[dict[str, RagLog]]:
    """Answer every sample under every condition.

    All of them run as one batch. Each whole prompt is prefilled once, and a call that several conditions make is run once.

    Args:
        model: what `load_model` returned.
        samples: prompts with a context, run as one batch.
        conditions: by the name that their logs get.
        score: which heads the oracle takes to retrieve; Eq. 2 where left out.
        engine: as in `mechdyn.trace`.

    Returns:
        For each sample the log of each condition, in the order given.

    Raises:
        InputError: no sample or condition, a sample without context or too long for the model, or one that a strategy cannot use (the
            oracle without supporting facts).
        StoreError: a probe of another model.
    """
    check_conditions(model, samples, conditions)
    contexts = [find_context(model.tokenizer, sample) for sample in samples]
    trials = [
        Trial(name, context, each.strategy, each.options, model.tokenizer) for context in contexts for name, each in conditions.items()
    ]
    logs = run_trials(trials, Server(model, make_engine(model, engine), contexts, as_score(Reasoning() if score is None else score)))
    width = len(conditions)
    return [{log.strategy: log for log in logs[start : start + width]} for start in range(0, len(logs), width)]


def check_conditions(model: Model, samples: Sequence[Sample], conditions: Mapping[str, Condition]) -> None:
    """Refuse what cannot run, before anything does."""
    if not samples or not conditions:
        raise InputError(f"dynamic RAG needs samples and conditions, got {len(samples)} and {len(conditions)}; give at least one of each")
    if model.twin is None:
        raise UnsupportedModelError(
            "dynamic RAG goes on from kept keys and values, which a HookedTransformer has not; load the model with load_model"
        )
    for sample in samples:
        check_sample(model, sample)
        for condition in conditions.values():
            condition.strategy.check(model.identity(), sample)
            room = condition.options.max_new_tokens
            if len(sample) + room > model.n_ctx:
                raise InputError(
                    f"the prompt has {len(sample)} tokens and the answer may take {room}, {model.name} holds {model.n_ctx} positions; "
                    "make a shorter sample, or allow fewer new tokens"
                )


@dataclass(eq=False)
class _Running:
    """A trial between two calls, and what it has cost so far."""

    asking: Asking
    wants: ModelCall
    forwards: int = 0
    seconds: float = 0.0


def run_trials(trials: Sequence[Trial], server: Server) -> list[RagLog]:
    """Run the loops of all trials in step: their calls of one moment go to the server together, equal ones once."""
    logs: dict[int, RagLog] = {}
    running: dict[int, _Running] = {}
    for place, trial in enumerate(trials):
        asking = answer(trial)
        running[place] = _Running(asking, next(asking))
    known: dict[ModelCall, CallResult] = {}
    while running:
        wanted: dict[ModelCall, list[_Running]] = {}
        for each in running.values():
            wanted.setdefault(each.wants, []).append(each)
        found = _serve(server, wanted, known)
        # Texts are remembered, since another strategy may come to the same point later; what was seen is large and is not.
        known |= {call: result for call, result in found.items() if not isinstance(call, Observe)}
        for place, each in list(running.items()):
            each.forwards += _forwards(found[each.wants])
            try:
                each.wants = each.asking.send(found[each.wants])
            except StopIteration as stop:
                logs[place] = replace(stop.value, forwards=each.forwards, seconds=round(each.seconds, 4))
                del running[place]
    return [logs[place] for place in range(len(trials))]


def _serve(
    server: Server, wanted: Mapping[ModelCall, Sequence[_Running]], known: Mapping[ModelCall, CallResult]
) -> dict[ModelCall, CallResult]:
    """The results of the calls of one moment. Their time is divided evenly among the trials that wait for them."""
    found = {call: known[call] for call in wanted if call in known}
    kinds: tuple[tuple[type, Callable[[Sequence[Any]], Sequence[CallResult]]], ...] = (
        (Write, server.write),
        (Observe, server.observe),
        (Attend, server.attend),
    )
    for kind, work in kinds:
        asked = [call for call in wanted if isinstance(call, kind) and call not in known]
        if not asked:
            continue
        started = time.perf_counter()
        found |= zip(asked, work(asked), strict=True)
        waiting = [each for call in asked for each in wanted[call]]
        share = (time.perf_counter() - started) / len(waiting)
        for each in waiting:
            each.seconds += share
    return found


def _forwards(result: CallResult) -> int:
    """Forward passes that a call takes when run by itself: a text its prefill and steps, a look its prefill and step, a draft one."""
    return 1 + result.steps if isinstance(result, Written) else 2 if isinstance(result, Seen) else 1
