"""A small sweep in a process of its own, to be broken on purpose, and what its results come to."""

import hashlib
import json
import multiprocessing
import os
import signal
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from mechdyn.runs.folder import RECORD
from mechdyn.runs.pointers import find_stores
from mechdyn.runs.run_log import LOG, read_log
from mechdyn.traces.store import TraceStore
from tests.faults.child import run_mechdyn

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.faults.child"])

PLAN = """
models = ["planted-static", "planted-dynamic"]
tasks = ["niah"]
claims = ["dynamism"]
studies = ["ablate"]
[options]
length = [128]
runs = 2
batch_size = 3
[ablate]
condition = ["clean", "dynamic"]
"""


def start(plan: Path, out: Path, *options: str) -> "Going":
    """Begin or go on with the sweep; in a group of processes of its own."""
    said = out.with_name(f"{out.name}.said.txt")
    process = CONTEXT.Process(target=run_mechdyn, args=(["sweep", str(plan), "--out", str(out), *options], str(said), dict(os.environ)))
    process.start()
    return Going(process, said)


@dataclass(frozen=True)
class Going:
    """A command that runs: its process, and the file of what it says."""

    process: ForkServerProcess
    said: Path

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def ended(self, seconds: float) -> bool:
        """Whether it comes to its end, and well, within so many seconds."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            return False
        assert self.process.exitcode == 0, self.said.read_text()
        return True

    def kill(self) -> None:
        """SIGKILL to it and to all that it started."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:  # it has no group of its own yet
            self.process.kill()
        self.process.join()


def finish(plan: Path, out: Path, *options: str, timeout: float = 900) -> None:
    """Carry the sweep out to its end."""
    going = start(plan, out, *options)
    if not going.ended(timeout):
        going.kill()
        raise AssertionError(f"the sweep has not ended in {timeout} s: {going.said.read_text()}")


def work_done(out: Path) -> int:
    """Traces that were run for a sweep, by the logs of its runs: those that were lost with a kill and run again count as often."""
    events = (event for log in out.glob(f"*/{LOG}") for event in read_log(log))
    return sum(event["traces"] for event in events if event["event"] == "batch")


def lost_in(out: Path) -> int:
    """Workers that died at a batch, which another ran again, by the logs."""
    return sum(event["times"] for log in out.glob(f"*/{LOG}") for event in read_log(log) if event["event"] == "lost")


def counts_of(out: Path) -> dict[str, int]:
    """Units that are stored, and the parts that they lie in."""
    stores = {url for folder in out.glob("*/run.json") for url in find_stores(folder.parent).values()}
    opened = [TraceStore.open(url) for url in stores]
    return {"units": sum(store.n_traces for store in opened), "parts": sum(1 for url in stores for _ in Path(url, "parts").iterdir())}


def results_of(out: Path) -> dict[str, str]:
    """A hash of every result of a sweep, by name: all files of its runs byte for byte but for their logs, and each trace by its unit.

    Times, threads and the order in which parts were written are no results. A unit that is stored twice, or a file left half written,
    would show.
    """
    found = {}
    for folder in sorted(path.parent for path in out.glob("*/run.json")):
        for file in sorted(each for each in folder.rglob("*") if each.is_file() and not each.name.startswith(".") and each.name != LOG):
            found[f"{folder.name}/{file.relative_to(folder)}"] = hashlib.sha256(_timeless(file)).hexdigest()
        for url in find_stores(folder).values():
            store = TraceStore.open(url)
            rows = store.rows(["unit"])["unit"].to_pylist()
            assert len(rows) == len(set(rows))
            found[f"{Path(url).name}: units"] = str(len(rows))
            for trace in store.traces():
                found[trace.unit] = trace_hash(trace)
    return found


def _timeless(file: Path) -> bytes:
    """A file's bytes; of `run.json` without the time at which the plan was registered, and the threads of the machine that began it."""
    content = file.read_bytes()
    if file.name != RECORD:
        return content
    record = {name: value for name, value in json.loads(content).items() if name != "environment"}
    if record.get("registered"):
        record["registered"] = {**record["registered"], "at": ""}
    return json.dumps(record).encode()


def trace_hash(trace) -> str:
    """Every number of a trace."""
    digest = hashlib.sha256()
    for name in ("tokens", "prompt_tokens", "retrieval_scores", "hidden", "ablated", "ablated_scores", "sentence_scores"):
        value = getattr(trace, name)
        digest.update(name.encode() if value is None else value.numpy().tobytes())
    digest.update(json.dumps([trace.text, trace.stopped, trace.sample], sort_keys=True).encode())
    return digest.hexdigest()
