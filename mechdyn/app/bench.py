"""A loaded model and the generations asked of it."""

import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mechdyn.app.ask import Ask, Limits
from mechdyn.app.job import Job, OnStep
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError
from mechdyn.heads import HeadSet
from mechdyn.tasks.sample import Sample
from mechdyn.traces.trace import Trace

KEPT = 32
"""Generations that can be looked at, and the most that may run or wait at a time."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A generation and what it was asked."""

    job: Job
    ask: Ask
    sample: Sample
    off: HeadSet | None
    """The heads it runs without; None where all are on."""

    @property
    def new_tokens(self) -> int:
        return self.ask.new_tokens


class Bench:
    """Runs requests on one model, one at a time; 32 may wait, and of those that have ended the latest can be looked at."""

    def __init__(self, model: Any, limits: Limits | None = None) -> None:
        self.model = model
        self.limits = limits or Limits()
        self._engine = make_engine(model, "auto")
        self._model_in_use = threading.Lock()
        self._adding = threading.Lock()
        self._jobs: dict[str, Entry] = {}

    def ask(self, ask: Ask) -> str:
        """Start a generation with all heads on; returns the job's name.

        Raises:
            InputError: what `Ask.sample` refuses, or 32 generations that have not ended.
        """
        return self._start(ask, ask.sample(self.model, self.limits), None)

    def without(self, name: str, heads: Iterable[str]) -> str:
        """Start the same request with these heads (`L4H7`) switched off at every step.

        Raises:
            InputError: a job that is not there any more, no head, a head outside the model, or 32 generations that have not ended.
        """
        entry = self.entry(name)
        if entry is None:
            raise InputError("that generation is no longer kept; run it again")
        chosen = HeadSet.of(heads, self.model.n_layers, self.model.n_heads)
        if not len(chosen):
            raise InputError("no head is switched off; choose some by name, or click a cell and then its button")
        return self._start(entry.ask, entry.sample, chosen)

    def entry(self, name: str | None) -> Entry | None:
        """The generation of that name, None where there is none (any more)."""
        return self._jobs.get(name) if name else None

    def cancel(self, names: Iterable[str]) -> None:
        """End those that still run; names that are not kept do not matter."""
        for name in names:
            if entry := self.entry(name):
                entry.job.cancel()

    def _start(self, ask: Ask, sample: Sample, off: HeadSet | None) -> str:
        def work(on_step: OnStep) -> Trace:
            return trace(self.model, sample, ablate=off, max_new_tokens=ask.new_tokens, engine=self._engine, on_step=on_step)

        name = uuid.uuid4().hex
        with self._adding:
            ended = [each for each, entry in self._jobs.items() if entry.job.snapshot.ended]
            if len(self._jobs) - len(ended) >= KEPT:
                raise InputError(f"{KEPT} generations run or wait already and no more are taken; cancel one, or wait until one has ended")
            for oldest in ended[: max(0, len(self._jobs) + 1 - KEPT)]:
                del self._jobs[oldest]
            self._jobs[name] = Entry(Job(work, self._model_in_use), ask, sample, off)
        return name
