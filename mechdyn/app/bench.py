"""A loaded model and the generations asked of it."""

import threading
import uuid
from collections import OrderedDict
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

_KEPT_JOBS = 32


@dataclass(frozen=True, eq=False)
class Entry:
    """A generation and what it was asked."""

    job: Job
    sample: Sample
    new_tokens: int
    off: HeadSet | None
    """The heads it runs without; None where all are on."""


class Bench:
    """Runs requests on one model, one at a time; the latest 32 can be looked at."""

    def __init__(self, model: Any, limits: Limits | None = None) -> None:
        self.model = model
        self.limits = limits or Limits()
        self._engine = make_engine(model, "auto")
        self._model_in_use = threading.Lock()
        self._adding = threading.Lock()
        self._jobs: OrderedDict[str, Entry] = OrderedDict()

    def ask(self, ask: Ask) -> str:
        """Start a generation with all heads on; returns the job's name.

        Raises:
            InputError: what `Ask.sample` refuses.
        """
        return self._start(ask.sample(self.model, self.limits), ask.new_tokens, None)

    def without(self, name: str, heads: Iterable[str]) -> str:
        """Start the same request with these heads (`L4H7`) switched off at every step.

        Raises:
            InputError: a job that is not there any more, no head, or a head outside the model.
        """
        entry = self.entry(name)
        if entry is None:
            raise InputError("that generation is no longer kept; run it again")
        chosen = HeadSet.of(heads, self.model.n_layers, self.model.n_heads)
        if not len(chosen):
            raise InputError("no head is switched off; click a cell of the timeline or the map, or choose some by name")
        return self._start(entry.sample, entry.new_tokens, chosen)

    def entry(self, name: str | None) -> Entry | None:
        """The generation of that name, None where there is none (any more)."""
        return self._jobs.get(name) if name else None

    def cancel(self, names: Iterable[str]) -> None:
        """End those that still run; names that are not kept do not matter."""
        for name in names:
            if entry := self.entry(name):
                entry.job.cancel()

    def _start(self, sample: Sample, new_tokens: int, off: HeadSet | None) -> str:
        def work(on_step: OnStep) -> Trace:
            return trace(self.model, sample, ablate=off, max_new_tokens=new_tokens, engine=self._engine, on_step=on_step)

        name = uuid.uuid4().hex
        with self._adding:
            self._jobs[name] = Entry(Job(work, self._model_in_use), sample, new_tokens, off)
            while len(self._jobs) > _KEPT_JOBS:
                _, oldest = self._jobs.popitem(last=False)
                oldest.job.cancel()
        return name
