"""A sweep: the runs of a plan, one after another, with one loaded model and one store of traces for all that can share them."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechdyn.errors import InputError, MechdynError
from mechdyn.hashing import content_hash
from mechdyn.runs.ablate import ablate
from mechdyn.runs.asked import check_asked
from mechdyn.runs.environment import with_threads_of
from mechdyn.runs.executors import LOCAL, Executor, check_executor, make_executor
from mechdyn.runs.folder import RECORD, is_url, other_than_asked
from mechdyn.runs.mirror import pull, push
from mechdyn.runs.progressive import progressive
from mechdyn.runs.rag import rag
from mechdyn.runs.run_log import LOG, RunLog, read_log
from mechdyn.runs.sensitivity import sensitivity
from mechdyn.runs.session import chosen_task
from mechdyn.runs.site import Site
from mechdyn.runs.sweep_plan import SweepRun
from mechdyn.runs.verify import verify

if TYPE_CHECKING:
    from mechdyn.runs.worker import WorkerOptions

COMMANDS: Mapping[str, Callable[..., Any]] = {
    "verify": verify,
    "ablate": ablate,
    "progressive": progressive,
    "sensitivity": sensitivity,
    "rag": rag,
}
STORES = "stores"
LOG_OF_SWEEP = "sweep.jsonl"


@dataclass(frozen=True)
class SweepResult:
    """What became of one run: done now, done before, or failed and why; its verdict where it has one."""

    run: SweepRun
    folder: Path
    state: str
    verdict: str = ""
    error: str = ""


def sweep(
    runs: Sequence[SweepRun],
    out: str | Path,
    *,
    fail_fast: bool = False,
    told: Callable[[SweepResult], None] = lambda result: None,
) -> list[SweepResult]:
    """Carry out the runs of a plan; each has a folder in `out`, and `out/stores` the traces, a store for each model, score and seed.

    A unit that several runs ask for is run once. A run that fails is noted in `sweep.jsonl`, and the others go on. Started again, a sweep
    goes on where it stopped; a plan may have grown.

    Args:
        runs: what `read_plan` gave, or a share of it.
        out: a folder, or an `fsspec` URL such as `s3://bucket/sweep`: traces then go there part by part, and each run's files when it has
            ended; they are written in `runs/` first.
        fail_fast: raise the first failure of a run, or of a unit, instead of going on.
        told: called with each result as it comes.

    Raises:
        InputError: a run that cannot be carried out, as far as that can be told before its model is loaded, or a folder that holds
            something else; nothing is written.
        StoreError: a run whose folder holds another run; nothing is written.
    """
    url = str(out) if is_url(out) else None
    folder = Path("runs") / f"sweep-{content_hash(url)[:12]}" if url else Path(out)
    for run in runs:
        _check(run.config, folder / run.name)
    _make(folder)
    log = RunLog(folder / LOG_OF_SWEEP)
    log.write("start", runs=[run.name for run in runs])
    results = []
    with _Executors() as executors:
        for run in runs:
            if url:
                pull(f"{url}/{run.name}", folder / run.name)
            result = _one(run, folder / run.name, Site(None, f"{url or folder}/{STORES}"), executors, fail_fast)
            if url and result.state != "done before":
                push(folder / run.name, f"{url}/{run.name}")
            log.write("run", name=run.name, key=run.key, state=result.state, verdict=result.verdict, error=result.error)
            told(result)
            results.append(result)
    log.write("end", how="done", failed=sum(result.state == "failed" for result in results))
    return results


def _check(config: Any, folder: Path) -> None:
    """Refuse a run before the first of all begins, not hours later. What the workers of a cluster have is not known here."""
    chosen_task(config)
    check_executor(config)
    check_asked(config, folder)
    if config.executor == LOCAL:
        from mechdyn.models.load import check_loadable  # brings transformers and TransformerLens

        check_loadable(config.model, device=config.device, dtype=config.dtype)


def _one(run: SweepRun, folder: Path, site: Site, executors: "_Executors", fail_fast: bool) -> SweepResult:
    try:
        if is_done(run, folder):
            return SweepResult(run, folder, "done before", _verdict(folder))
        config = with_threads_of(folder, run.config)
        executor = executors.of(config)
        COMMANDS[run.config.kind](config, folder, Site(executor, site.stores))
    except Exception as error:
        if fail_fast:
            raise
        if folder.is_dir():
            RunLog(folder / LOG).write("traceback", text=traceback.format_exc())
        known = isinstance(error, MechdynError)
        return SweepResult(run, folder, "failed", error=" ".join(f"{'' if known else type(error).__name__ + ': '}{error}".split()))
    return SweepResult(run, folder, "done", _verdict(folder))


def is_done(run: SweepRun, folder: Path) -> bool:
    """Whether the folder holds this very run, ended and with no unit to be tried again."""
    if not (folder / RECORD).is_file() or run.config.retry_failed:
        return False
    ends = [event for event in read_log(folder / LOG) if event["event"] in ("start", "end")]
    if not ends or ends[-1].get("how") != "done":
        return False
    # What the command filled in itself is in the folder's record alone; the model's weights are held against it by whoever loads them.
    return not other_than_asked(folder, run.config)


def _verdict(folder: Path) -> str:
    from mechdyn.evidence import Verdict
    from mechdyn.runs.finished import parsed
    from mechdyn.runs.verify import VERDICTS

    return str(parsed(folder / VERDICTS, lambda rows: Verdict.from_json(rows[0])).outcome) if (folder / VERDICTS).is_file() else ""


def _make(folder: Path) -> None:
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"output folder {folder} is a file; name another with --out")
        if (folder / RECORD).is_file():
            raise InputError(f"output folder {folder} is that of a single run; name another with --out")
        if folder.exists() and not (folder / LOG_OF_SWEEP).is_file() and any(not each.name.startswith(".") for each in folder.iterdir()):
            raise InputError(
                f"output folder {folder} exists and is not that of a sweep (it has no {LOG_OF_SWEEP}); name a new one with --out"
            )
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output folder {folder} cannot be written ({error.strerror}); name another with --out") from error


class _Executors:
    """The executor of the model at hand: runs of one model come together, so one is open at a time."""

    def __init__(self) -> None:
        self._open: tuple[WorkerOptions, Executor] | None = None

    def of(self, config: Any) -> Executor:
        from mechdyn.runs.worker import WorkerOptions

        options = WorkerOptions.of(config)
        if self._open is None or self._open[0] != options:
            self.close()
            self._open = (options, make_executor(config))
        return self._open[1]

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
        self._open = None

    def __enter__(self) -> "_Executors":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
