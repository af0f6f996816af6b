"""A run of a command: what was asked, the model, the folder, and the traces that a plan asks for.

    with Session.open(config, out) as run:
        traces = run.traces(plan)
        run.write("results.json", …)

Everything that can be refused is refused before the folder is made. Run again, a run goes on where it stopped.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from mechdyn.claims.claim import Rules
from mechdyn.errors import InputError, StoreError
from mechdyn.hashing import content_hash
from mechdyn.heads import RankedHeads, parse_heads_or_file
from mechdyn.models.model import Model
from mechdyn.models.together import Tokens, samples_together
from mechdyn.plans import NO_TRACES, Plan, Request
from mechdyn.runs.absent import failed_trace, load_role
from mechdyn.runs.asked import check_asked
from mechdyn.runs.batch_fit import load_of, tokens_that_fit, worker_memory
from mechdyn.runs.command_lines import default_folder
from mechdyn.runs.configs import DetectConfig, ScoreOptions, VerifyConfig
from mechdyn.runs.environment import environment_of, tell_changes, with_threads_of
from mechdyn.runs.executors import Call, Executor, HereExecutor, check_executor, make_executor
from mechdyn.runs.failure import Failure
from mechdyn.runs.folder import LOCK, RunRecord, open_folder, write_json
from mechdyn.runs.pointers import write_pointer
from mechdyn.runs.registered import register
from mechdyn.runs.run_log import LOG, RunLog
from mechdyn.runs.site import HERE, Site
from mechdyn.runs.units import run_units
from mechdyn.scores.score import ScoreLike, as_score
from mechdyn.studies.detection import as_detector
from mechdyn.tasks.fitting import check_request
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import Task, build_sample, make_task
from mechdyn.traces.manifest import Manifest, package_versions
from mechdyn.traces.store import TraceStore
from mechdyn.traces.stored import as_trace
from mechdyn.traces.trace import Trace

if TYPE_CHECKING:
    from mechdyn.decoding.ablation import ReferenceActivations
    from mechdyn.models.footprint import Workload

Traces = Mapping[str, Sequence[Trace]]
ROLES = "traces.json"
"""The file beside `traces/` that lists each role's units by key."""


class Session:
    """One run in one folder; use `open`, in a `with` block."""

    def __init__(self, config: Any, out: Path, model: Model, request: Request, site: Site = HERE) -> None:
        self.config = config
        self.model = model
        self.request = request
        self.site = site
        self._out = out
        self._lock: FileLock | None = None
        self._own: Executor | None = None

    @classmethod
    def open(cls, config: Any, out: str | Path | None = None, site: Site = HERE) -> "Session":
        """Check what was asked, load the model and prepare the task; nothing is written yet.

        Args:
            config: a config of `mechdyn.runs.configs` that names a model and a task.
            out: the run's folder; `default_folder` where left out.
            site: what this run shares with others; nothing where left out.

        Raises:
            MechdynError: options that do not go together, a model that cannot be loaded, a file that cannot be read.
        """
        task = chosen_task(config)
        check_executor(config)
        where = Path(out) if out is not None else default_folder(config.kind, config)
        check_asked(config, where)
        config = with_threads_of(where, config)
        executor = site.executor or make_executor(config)
        try:
            request = make_request(config, task, executor.model)
            run = cls(config, where, executor.model, request, replace(site, executor=executor))
        except BaseException:
            if site.executor is None:
                executor.close()
            raise
        run._own = executor if site.executor is None else None
        return run

    def resolve(self, **options: Any) -> None:
        """Fill in options that the user left to the model or the command; `run.json` has them."""
        self.config = replace(self.config, **options)

    @cached_property
    def executor(self) -> Executor:
        """What runs units."""
        if self.site.executor is not None:
            return self.site.executor
        from mechdyn.decoding.engines import make_engine  # whoever reads a finished run does without
        from mechdyn.runs.worker import Worker

        return HereExecutor(Worker(self.model, make_engine(self.model, self.config.engine)))

    @cached_property
    def log(self) -> RunLog:
        """The run's log, `log.jsonl`, begun."""
        log = RunLog(self.folder / LOG)
        how = {name: getattr(self.config, name) for name in ("executor", "workers", "batch_size", "batch_tokens", "engine")}
        log.write("start", process=os.getpid(), version=metadata.version("mechdyn"), kind=self.config.kind, **how, **self.environment)
        if self.config.retry_failed and log.failures:
            log.write("retry", units=len(log.failures))
        return log

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What it is computed with, beside what it is."""
        return environment_of(self.executor)

    @cached_property
    def folder(self) -> Path:
        """The run's folder, made or gone on with, and held against other processes.

        Raises:
            InputError: the folder cannot be written, or holds something else than a run.
            StoreError: the folder belongs to another run, or another process is at it.
        """
        record = RunRecord.of(self.config, self.model.identity(), self.environment)
        folder = open_folder(self._out, record, type(self.config))
        tell_changes(folder, self.environment)
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise StoreError(f"another process is at the run in {folder}; wait for it, or name another folder with --out") from error
        except OSError as error:
            raise InputError(f"output folder {folder} cannot be written ({error.strerror}); name another with --out") from error
        self._lock = lock
        return folder

    def traces(
        self,
        plan: Plan | Callable[[Traces], Plan],
        *,
        describe: str = "",
        store: str = "traces",
        reference: "ReferenceActivations | None" = None,
        rules: Rules | None = None,
    ) -> Traces:
        """Run what a plan asks for and the store lacks; a plan that unfolds is asked again with what came out, until it names nothing new.

        Args:
            plan: units by role, or a function from the traces so far to such.
            describe: what the progress bar says.
            store: the folder of the traces within the run's; each role's keys are written to the JSON file of that name before they are
                run, so that the traces can be judged again without a model.
            reference: activations for mean and resample ablation.
            rules: what the traces will be judged by, which is registered in `run.json` before the first of them.

        Returns:
            The traces of every role, in the order of its units.
        """
        ask = plan if callable(plan) else lambda found: plan
        first = ask(NO_TRACES)
        check_samples(self.model, first)
        folder = self.folder
        traces = dict(NO_TRACES)
        keys: dict[str, list[str]] = {}
        opened: TraceStore | None = None
        while new := {role: units for role, units in ask(traces).roles.items() if role not in traces}:
            keys |= {role: [unit.key for unit in units] for role, units in new.items()}
            units = Plan(new).units
            if opened is None:
                opened = self._store(store, score=units[0].decoding["score"])
            if rules is not None:
                register(self.folder, rules, keys)
            write_json(folder / f"{store}.json", keys)
            label = next(iter(new)) if len(new) == 1 else f"{len(new)} roles"
            run_units(
                self.executor,
                units,
                opened,
                batch_size=self.config.batch_size or Tokens(self._batch_tokens(partial(load_of, units))),
                describe=f"{describe or self.config.kind}: {label}",
                reference=reference,
                log=self.log,
                fail_fast=self.config.fail_fast,
            )
            absent = partial(failed_trace, task=self.request.task.name, manifest=opened.manifest, failures=self.log.failures)
            traces |= {role: list(map(as_trace, load_role(opened, keys[role], absent))) for role in new}
        return traces

    def batch_of(self, samples: Sequence[Sample]) -> int:
        """How many of these samples go together: `--batch-size`, or as many of the longest as `--batch-tokens` hold."""
        from mechdyn.models.footprint import Workload

        longest = max(map(len, samples), default=1)
        n_tokens = self._batch_tokens(lambda: Workload(longest, self.config.max_new_tokens or self.request.task.max_new_tokens))
        return self.config.batch_size or samples_together(longest, n_tokens=n_tokens)

    def _batch_tokens(self, load: "Callable[[], Workload]") -> int:
        """`--batch-tokens`. For 0 what a worker's memory holds of such samples, once a run: batches stay as they were begun with."""
        if self.config.batch_tokens or self.config.batch_size:
            return int(self.config.batch_tokens)
        if self.log.batch_tokens is None:
            memory = self.ask_worker(worker_memory, None)
            self.log.write("sized", batch_tokens=tokens_that_fit(self.config, load(), self.model.dtype, memory), memory=memory)
        return self.log.batch_tokens or 1

    @property
    def set_aside(self) -> dict[str, Failure]:
        """What failed for good, by key."""
        return self.log.set_aside

    def _store(self, name: str, score: ScoreLike) -> TraceStore:
        """The run's store, or that which it shares with other runs of its model, score and seed."""
        if self.site.stores is None:
            return open_store(self.folder / name, self.model, score=score, seed=self.config.seed)
        where = self.site.store_of(self.model, as_score(score).spec, self.config.seed)
        write_pointer(self.folder, name, where)
        return open_store(where, self.model, score=score, seed=self.config.seed)

    def ask_worker(self, call: Call, item: Any) -> Any:
        """What a call gives on one of the workers.

        Raises:
            MechdynError: what it raises there.
        """
        (outcome,) = self.executor.run(call, [item])
        if outcome.lost is not None:
            raise outcome.lost.error()
        return outcome.result

    def write(self, name: str, content: Any) -> Path:
        """Write a JSON file of results into the folder, in one piece."""
        path = self.folder / name
        write_json(path, content)
        return path

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        try:
            if "log" in self.__dict__:
                self.log.write("end", how="done" if kind is None else "stopped", **({} if kind is None else {"error": _told(kind, error)}))
        except InputError:
            # A log that cannot be written must not hide why the run ended.
            if kind is None:
                raise
        finally:
            if self._own is not None:
                self._own.close()
            if self._lock is not None:
                self._lock.release()


def chosen_task(config: Any) -> Task:
    """The task of a config with its options, checked before any model is loaded.

    Raises:
        InputError: an unknown task, or options that it does not have or lacks.
    """
    own = {name: getattr(config, name) for name in ("needle", "question") if hasattr(config, name)}
    task = make_task(config.task, data=config.data, style=config.style, haystack=config.haystack, **own)
    for option, axis in (("lengths", "length"), ("depths", "depth")):
        if getattr(config, option, ()) and axis not in task.axes:
            raise InputError(f"task {task.name} has no use for --{axis}; leave it out, or choose another task with --task")
    if config.score is not None:
        (as_detector if isinstance(config, DetectConfig) else as_score)(config.score)
    if isinstance(config, ScoreOptions) and config.threshold is not None and not math.isfinite(config.threshold):
        raise InputError(f"threshold must be a finite number, got {config.threshold}; a head retrieves where its score is above it")
    return task


def _told(kind: type[BaseException], error: BaseException | None) -> str:
    return " ".join(f"{kind.__name__}: {error}".split())


def make_request(config: Any, task: Task, model: Model) -> Request:
    """What claims and studies plan by: the task prepared for the model, and the options that decide samples and scores."""
    chosen = {name: getattr(config, name) for name in ("preset", "lengths", "depths", "runs", "max_new_tokens") if hasattr(config, name)}
    threshold = config.threshold if isinstance(config, ScoreOptions) else None
    static = _static(config.heads, model) if isinstance(config, VerifyConfig) and config.heads else None
    prepared = task.prepare(model, config.max_new_tokens or task.max_new_tokens)
    return Request(model.identity(), prepared, seed=config.seed, score=config.score, threshold=threshold, static=static, **chosen)


def _static(text: str, model: Model) -> RankedHeads:
    """The user's static heads, held against the model."""
    found = parse_heads_or_file(text)
    if not isinstance(found, RankedHeads):
        raise InputError(f"static heads are a ranking, of which claims take as many as they need; give a file of ranked heads, got {text}")
    total = model.n_layers * model.n_heads
    if len(found.heads) < total:
        raise InputError(
            f"static heads are compared with as many heads as retrieve at a step, so the list must rank all {total} of {model.name}, got "
            f"{len(found.heads)} in {text}; `mechdyn ablate --heads` takes shorter ones"
        )
    return found.fit(model.n_layers, model.n_heads)


def check_samples(model: Model, plan: Plan) -> None:
    """Meet bad lengths, depths and haystacks before anything is written: the shortest and the longest sample are built."""
    for unit in plan.units:
        if "length" in unit.sample:
            check_request(unit.sample["length"], unit.sample.get("depth", 0.0), model.n_ctx, room=unit.decoding["max_new_tokens"])
    ordered = sorted(plan.units, key=lambda unit: unit.sample.get("length", 0))
    for unit in (ordered[0], ordered[-1]):
        build_sample(model, unit.sample)


def open_store(path: str | Path, model: Model, *, score: ScoreLike = "copy_paste", seed: int = 0) -> TraceStore:
    """The trace store at `path` for one model and score, made where there is none; a store of another run is refused."""
    identity = model.identity()
    named = as_score(score)
    options = dict(named.spec)
    name = options.pop("name")
    template = getattr(model.tokenizer, "chat_template", None)
    manifest = Manifest(
        model=identity["name"],
        revision=identity["revision"],
        dtype=identity["dtype"],
        n_layers=model.n_layers,
        n_heads=model.n_heads,
        d_model=model.d_model,
        template=content_hash(template) if template else "",
        score=name,
        score_options=options,
        scores="sparse" if named.binary else "dense",
        hidden_dtype="float32",
        seeds={"samples": seed},
        packages=package_versions(),
    )
    return TraceStore.open_or_create(path, manifest)
