"""Loaded models and the generations asked of them."""

import threading
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mechdyn.app.ask import Ask, Limits
from mechdyn.app.job import Job, OnStep
from mechdyn.decoding.effect import effect
from mechdyn.decoding.engines import make_engine
from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError
from mechdyn.heads import HeadSet
from mechdyn.models.load import load_model
from mechdyn.tasks.sample import Sample
from mechdyn.traces.effect import Effect
from mechdyn.traces.trace import Trace

KEPT = 32
"""Generations that can be looked at, and the most that may run or wait at a time."""
OFF = "heads off"
"""What they are called in a measured effect."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A generation and what it was asked."""

    job: Job
    ask: Ask
    sample: Sample
    model: Any
    off: HeadSet | None
    """The heads it runs without; None where all are on."""

    @property
    def new_tokens(self) -> int:
        return self.ask.new_tokens


class Bench:
    """Runs requests, one at a time; 32 may wait, and of those that have ended the latest can be looked at."""

    def __init__(self, model: Any, limits: Limits | None = None, others: Sequence[str] = ()) -> None:
        """Make a bench with a model, and the names of others, which are loaded when they are first asked for."""
        self.model = model
        self.names = (model.name, *(name for name in others if name != model.name))
        self.limits = limits or Limits()
        self._loaded = {model.name: (model, make_engine(model, "auto"))}
        self._loading = threading.Lock()
        self._model_in_use = threading.Lock()
        self._adding = threading.Lock()
        self._jobs: dict[str, Entry] = {}

    def ask(self, ask: Ask) -> str:
        """Start a generation with all heads on; returns the job's name.

        Raises:
            InputError: what `Ask.sample` refuses, or 32 generations that have not ended.
        """
        model = self.load(ask.model)
        return self._start(ask, model, ask.sample(model, self.limits))

    def load(self, name: str) -> Any:
        """The model of a name that the menu has; the first one where the name is empty.

        Raises:
            MechdynError: a name that the menu has not, or a model that cannot be loaded.
        """
        name = name or self.names[0]
        if name not in self.names:
            raise InputError(f"this page has no model {name!r}; choose one of {', '.join(self.names)}")
        with self._loading:
            if name not in self._loaded:
                model = load_model(name)
                self._loaded[name] = (model, make_engine(model, "auto"))
        return self._loaded[name][0]

    def without(self, name: str, heads: Iterable[str]) -> str:
        """Start the same request with these heads (`L4H7`) switched off at every step.

        Once it is written, what they do at each token of the answer with all heads on is measured (`effect`).

        Raises:
            InputError: a job that is not there any more, no head, a head outside the model, or 32 generations that have not ended.
        """
        entry = self.entry(name)
        if entry is None:
            raise InputError("that generation is no longer kept; run it again")
        chosen = HeadSet.of(heads, entry.model.n_layers, entry.model.n_heads)
        if not len(chosen):
            raise InputError("no head is switched off; choose some by name, or click a cell and then its button")
        return self._start(entry.ask, entry.model, entry.sample, chosen, along=entry.job)

    def entry(self, name: str | None) -> Entry | None:
        """The generation of that name, None where there is none (any more)."""
        return self._jobs.get(name) if name else None

    def cancel(self, names: Iterable[str]) -> None:
        """End those that still run; names that are not kept do not matter."""
        for name in names:
            if entry := self.entry(name):
                entry.job.cancel()

    def _start(self, ask: Ask, model: Any, sample: Sample, off: HeadSet | None = None, along: Job | None = None) -> str:
        engine = self._loaded[model.name][1]

        def work(on_step: OnStep) -> Trace:
            options: dict[str, Any] = {"max_new_tokens": ask.new_tokens, "score": ask.score, "engine": engine}
            return trace(model, sample, ablate=off, on_step=on_step, **options)

        def measure(clean: Job) -> Effect | None:
            """Along what the first generation wrote; None where that is nothing."""
            written = clean.snapshot.trace
            return effect(model, sample, {OFF: off}, tokens=written.tokens, engine=engine) if written and written.n_steps else None

        along_clean = partial(measure, along) if along is not None else None
        name = uuid.uuid4().hex
        with self._adding:
            ended = [each for each, entry in self._jobs.items() if entry.job.snapshot.ended]
            if len(self._jobs) - len(ended) >= KEPT:
                raise InputError(f"{KEPT} generations run or wait already and no more are taken; cancel one, or wait until one has ended")
            for oldest in ended[: max(0, len(self._jobs) + 1 - KEPT)]:
                del self._jobs[oldest]
            self._jobs[name] = Entry(Job(work, self._model_in_use, along_clean), ask, sample, model, off)
        return name
