"""Many samples under many strategies as one batch: what several of them ask at the same moment is run once."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mechdyn.decoding.engine import Engine
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.trace import check_sample
from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.models.model import Model
from mechdyn.rag.log import RagLog
from mechdyn.rag.loop import Asking, Task, answer
from mechdyn.rag.options import RagOptions
from mechdyn.rag.requests import Attend, Observe, Request, Result, Seen, Write, Written
from mechdyn.rag.serve import Server
from mechdyn.rag.strategies import Strategy
from mechdyn.rag.visibility import find_context
from mechdyn.scores.reasoning import Reasoning
from mechdyn.scores.score import ScoreLike, as_score
from mechdyn.tasks.sample import Sample


@dataclass(frozen=True)
class Condition:
    """A strategy and the numbers it runs with."""

    strategy: Strategy
    options: RagOptions = field(default_factory=RagOptions)


def dynamic_rag(
    model: Model,
    samples: Sequence[Sample],
    conditions: Mapping[str, Condition],
    *,
    score: ScoreLike | None = None,
    engine: str | Engine = "auto",
) -> list[dict[str, RagLog]]:
    """Answer every sample under every condition, from one prefill of each whole prompt.

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
    tasks = [Task(name, context, each.strategy, each.options, model.tokenizer) for context in contexts for name, each in conditions.items()]
    logs = run_tasks(tasks, Server(model, make_engine(model, engine), contexts, as_score(Reasoning() if score is None else score)))
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
    """A task between two requests, and what it has cost so far."""

    asking: Asking
    wants: Request
    forwards: int = 0
    seconds: float = 0.0


def run_tasks(tasks: Sequence[Task], server: Server) -> list[RagLog]:
    """Run the loops of all tasks in step: what they ask for at one moment goes to the server together, equal requests once."""
    logs: dict[int, RagLog] = {}
    running: dict[int, _Running] = {}
    for place, task in enumerate(tasks):
        asking = answer(task)
        running[place] = _Running(asking, next(asking))
    known: dict[Request, Result] = {}
    while running:
        wanted: dict[Request, list[_Running]] = {}
        for each in running.values():
            wanted.setdefault(each.wants, []).append(each)
        found = _serve(server, wanted, known)
        # Texts are remembered, since another strategy may come to the same point later; what was seen is large and is not.
        known |= {request: result for request, result in found.items() if not isinstance(request, Observe)}
        for place, each in list(running.items()):
            each.forwards += _forwards(found[each.wants])
            try:
                each.wants = each.asking.send(found[each.wants])
            except StopIteration as stop:
                logs[place] = replace(stop.value, forwards=each.forwards, seconds=round(each.seconds, 4))
                del running[place]
    return [logs[place] for place in range(len(tasks))]


def _serve(server: Server, wanted: Mapping[Request, Sequence[_Running]], known: Mapping[Request, Result]) -> dict[Request, Result]:
    """The results of the requests of one moment; their time is shared out evenly among the tasks that wait for them."""
    found = {request: known[request] for request in wanted if request in known}
    kinds: tuple[tuple[type, Callable[[Sequence[Any]], Sequence[Result]]], ...] = (
        (Write, server.write),
        (Observe, server.observe),
        (Attend, server.attend),
    )
    for kind, work in kinds:
        asked = [request for request in wanted if isinstance(request, kind) and request not in known]
        if not asked:
            continue
        started = time.perf_counter()
        found |= zip(asked, work(asked), strict=True)
        waiting = [each for request in asked for each in wanted[request]]
        share = (time.perf_counter() - started) / len(waiting)
        for each in waiting:
            each.seconds += share
    return found


def _forwards(result: Result) -> int:
    """Forward passes that a result takes by itself: prefill and steps of a text, prefill and step of a look, the one over a draft."""
    return 1 + result.steps if isinstance(result, Written) else 2 if isinstance(result, Seen) else 1
