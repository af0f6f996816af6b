"""A small sweep in a process of its own, to be broken on purpose, and what its results come to."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from mechdyn.runs.pointers import find_stores
from mechdyn.traces.store import TraceStore

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
RESULTS = ("verdicts.json", "results.json", "traces.json", "run.json", "static_heads.json")


def start(plan: Path, out: Path, *options: str) -> "subprocess.Popen[str]":
    """Begin or go on with the sweep; in a group of processes of its own."""
    command = [sys.executable, "-c", "from mechdyn.cli import main; main()", "sweep", str(plan), "--out", str(out), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, env=environment)


def finish(plan: Path, out: Path, *options: str, timeout: float = 900) -> str:
    """Carry the sweep out to its end; what it said."""
    process = start(plan, out, *options)
    said, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, said
    return said


def results_of(out: Path) -> dict[str, str]:
    """A hash of every result of a sweep, by name: files of results byte for byte, and each trace by its unit.

    Times and the order in which parts were written are no results. A unit that is stored twice would show in the counts.
    """
    found = {}
    for folder in sorted(path.parent for path in out.glob("*/run.json")):
        for name in RESULTS:
            if (folder / name).is_file():
                found[f"{folder.name}/{name}"] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for url in find_stores(folder).values():
            store = TraceStore.open(url)
            rows = store.rows(["unit"])["unit"].to_pylist()
            assert len(rows) == len(set(rows))
            found[f"{Path(url).name}: units"] = str(len(rows))
            for trace in store.traces():
                found[trace.unit] = trace_hash(trace)
    return found


def trace_hash(trace) -> str:
    """Every number of a trace."""
    digest = hashlib.sha256()
    for name in ("tokens", "prompt_tokens", "retrieval_scores", "hidden", "ablated", "ablated_scores", "sentence_scores"):
        value = getattr(trace, name)
        digest.update(name.encode() if value is None else value.numpy().tobytes())
    digest.update(json.dumps([trace.text, trace.stopped, trace.sample], sort_keys=True).encode())
    return digest.hexdigest()
